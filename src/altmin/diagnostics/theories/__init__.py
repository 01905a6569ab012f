"""The theory of each paper's method, one file each; importing them registers it."""

from altmin.diagnostics.theories import dladmm, exact, ipdlam, mdlam
from altmin.diagnostics.theory import theory_of

__all__ = ["dladmm", "exact", "ipdlam", "mdlam", "theory_of"]
