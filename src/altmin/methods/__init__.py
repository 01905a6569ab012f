"""The methods, one file for each paper."""

from altmin.methods.backprop import Backprop
from altmin.methods.base import Method
from altmin.methods.dladmm import DLADMM
from altmin.methods.ipdlam import DLAM, IPDLAM
from altmin.methods.mdlam import MDLAM
from altmin.methods.online import OnlineAM
from altmin.solvers.codes import Codes, Mu
from altmin.solvers.rules import SGD, Adam, Memory

__all__ = [
    "DLADMM",
    "DLAM",
    "IPDLAM",
    "MDLAM",
    "SGD",
    "Adam",
    "Backprop",
    "Codes",
    "Memory",
    "Method",
    "Mu",
    "OnlineAM",
]
