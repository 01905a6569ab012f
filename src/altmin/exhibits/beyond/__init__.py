"""What the papers leave open or only promise, as exhibits of this library."""

from __future__ import annotations

from altmin.exhibits.setting import Changes
from altmin.methods import Method


def on_trial(*trials: Method, **changes: object) -> Changes:
    """An arm whose method is the one of these that is best on validation; the last one stands for it before."""
    return {"method": trials[-1], "trials": trials, **changes}
