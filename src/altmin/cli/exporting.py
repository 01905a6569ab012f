"""``altmin export``."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import Namespace

from altmin.cli.data import require_writable
from altmin.cli.screen import Screen
from altmin.export import export as write


def export(options: Namespace) -> int:
    """Write a trained network for other programs; the exit code."""
    out = Path(options.dir) / "export" if options.out is None else Path(options.out)
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out}: this is a file; name a folder")
    require_writable(out.parent)
    files = write(options.dir, options.to, out, options.trust_model_code)
    screen = Screen(options.quiet)
    screen.result(f"wrote {', '.join(file.name for file in files)} to {out}")
    return 0
