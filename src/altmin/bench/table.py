"""A run's figures as cells, the same on the screen and in the documentation."""

from __future__ import annotations

from collections.abc import Sequence

from altmin.bench.measure import BenchRow

COLUMNS = ["method", "batch", "CPU s", "s", "x Adam", "GFLOP", "GFLOP/s", "of limit", "peak MiB", "x data+state"]
MEANING = (
    "CPU s, s: a pass over the samples, median of the rounds; x Adam: over what the faster torch Adam on such batches "
    "costs; of limit: the part that its matrix products cost alone; peak MiB: of live tensors, at worst"
)


def cells(row: BenchRow, samples: int) -> list[str]:
    """A row of the table."""
    batch = "all" if row.batch_size == samples else str(row.batch_size)
    return [
        row.name,
        batch,
        f"{row.cpu_seconds:.3g}",
        f"{row.seconds:.3g}",
        f"{row.ratio:.2f}",
        f"{1e-9 * row.flops:.4g}",
        f"{1e-9 * row.flops / row.cost:.3g}",
        f"{row.share:.2f}",
        f"{row.peak_bytes / 2**20:.0f}",
        f"{row.peak_bytes / row.existing_bytes:.2f}",
    ]


def markdown(rows: Sequence[BenchRow], samples: int) -> str:
    """The table for a page."""
    lines = [COLUMNS, ["---"] + ["---:"] * (len(COLUMNS) - 1), *(cells(row, samples) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
