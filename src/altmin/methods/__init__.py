"""The methods, one file for each paper, registered where they are defined.

Every module in this folder is imported, so that a new file is enough for the command line, comparisons and the support
matrix; a name in `__all__` makes it `altmin.NAME` as well.
"""

from importlib import import_module
from pkgutil import iter_modules

from altmin.methods.amridge import AMRidge
from altmin.methods.backprop import Backprop
from altmin.methods.base import Method
from altmin.methods.bcd import BCD
from altmin.methods.dladmm import DLADMM
from altmin.methods.dtp import DTP
from altmin.methods.ipdlam import DLAM, IPDLAM
from altmin.methods.mac import MAC
from altmin.methods.mdlam import MDLAM
from altmin.methods.offline import OfflineAM
from altmin.methods.online import OnlineAM
from altmin.methods.proxprop import ProxProp
from altmin.methods.registry import method, register_method
from altmin.methods.straight_through import StraightThrough
from altmin.methods.taylor import TaylorADMM
from altmin.online.codes import Codes, Mu
from altmin.online.rules import SGD, Adam, CoActivationMemory, Newton, OptimizerRule

__all__ = [
    "BCD",
    "DLADMM",
    "DLAM",
    "DTP",
    "IPDLAM",
    "MAC",
    "MDLAM",
    "SGD",
    "AMRidge",
    "Adam",
    "Backprop",
    "CoActivationMemory",
    "Codes",
    "Method",
    "Mu",
    "Newton",
    "OfflineAM",
    "OnlineAM",
    "OptimizerRule",
    "ProxProp",
    "StraightThrough",
    "TaylorADMM",
    "method",
    "register_method",
]

for _found in iter_modules(__path__):
    import_module(f"{__name__}.{_found.name}")
