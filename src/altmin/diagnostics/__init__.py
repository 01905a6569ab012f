"""What the methods' convergence theory says of each iteration, measured: see `altmin.diagnostics.diagnosis`."""

from altmin.diagnostics.diagnosis import Diagnosis
from altmin.diagnostics.stationarity import relative_stationarity, require_penalty, stationarity

__all__ = ["Diagnosis", "relative_stationarity", "require_penalty", "stationarity"]
