"""A run as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from altmin.bench.contenders import ADAM
from altmin.bench.measure import BenchRow
from altmin.files import replacing
from altmin.train.picture import COLOURS


def draw(rows: Sequence[BenchRow], title: str, path: Path) -> None:
    """Write a picture with a bar for each row: the cost over Adam's, and in it the part that its products cost."""
    figure = Figure(figsize=(9, 1.2 + 0.35 * len(rows)), layout="constrained")
    axes = figure.subplots()
    names, ratios = [f"{row.name} ({row.batch_size:,})" for row in rows], [row.ratio for row in rows]
    colours = [COLOURS[-1] if row.name.startswith(ADAM) else COLOURS[0] for row in rows]
    axes.barh(names, ratios, color=colours, alpha=0.45)
    axes.barh(names, [row.ratio * row.share for row in rows], color=colours)
    axes.axvline(1.0, color=COLOURS[1], linewidth=1)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("cost of a pass over that of PyTorch's Adam on such batches; dark: its matrix products alone")
    figure.suptitle(title, fontsize="medium")
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=150)
