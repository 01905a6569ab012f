"""The methods, one file for each paper, registered where they are defined."""

from altmin.methods.amridge import AMRidge
from altmin.methods.base import Method
from altmin.methods.bcd import BCD
from altmin.methods.dladmm import DLADMM
from altmin.methods.ipdlam import DLAM, IPDLAM
from altmin.methods.mac import MAC
from altmin.methods.mdlam import MDLAM
from altmin.methods.online import OnlineAM
from altmin.methods.registry import METHODS, Entry, entry, method, register
from altmin.methods.taylor import TaylorADMM
from altmin.online.codes import Codes, Mu
from altmin.online.rules import SGD, Adam, CoActivationMemory, Newton

__all__ = [
    "BCD",
    "DLADMM",
    "DLAM",
    "IPDLAM",
    "MAC",
    "MDLAM",
    "METHODS",
    "SGD",
    "AMRidge",
    "Adam",
    "CoActivationMemory",
    "Codes",
    "Entry",
    "Method",
    "Mu",
    "Newton",
    "OnlineAM",
    "TaylorADMM",
    "entry",
    "method",
    "register",
]
