"""Whole numbers on the command line, each with the most that it may be and with words for errors."""

from __future__ import annotations

from typing import Any

from jsonargparse.typing import restricted_number_type


def _whole(name: str, least: int, most: int) -> Any:
    kind: Any = restricted_number_type(name, int, [(">=", least), ("<=", most)])
    kind.words = f"a whole number from {least} to {most:,}"
    return kind


Count: Any = _whole("Count", 1, 10**9)
Depth: Any = _whole("Depth", 1, 10**4)  # every layer is a module, so that more would be made for hours
Seed: Any = _whole("Seed", 0, 2**32 - 1)  # what NumPy's generators take
