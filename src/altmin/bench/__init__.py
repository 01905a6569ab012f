"""What an iteration of each method costs beside Adam: CPU seconds, matrix products, memory."""

from altmin.bench.contenders import ADAM, Contender, TorchAdam, Trained, line_up
from altmin.bench.measure import BenchRow, bench, machine
from altmin.bench.picture import draw
from altmin.bench.report import Report
from altmin.bench.table import COLUMNS, MEANING, cells, markdown
from altmin.study.ledger import Ledger, MeasuredProduct

__all__ = [
    "ADAM",
    "COLUMNS",
    "MEANING",
    "BenchRow",
    "Contender",
    "Ledger",
    "MeasuredProduct",
    "Report",
    "TorchAdam",
    "Trained",
    "bench",
    "cells",
    "draw",
    "line_up",
    "machine",
    "markdown",
]
