"""The methods, one file for each paper, registered where they are defined."""

from altmin.methods.amridge import AMRidge
from altmin.methods.backprop import Backprop
from altmin.methods.base import Method
from altmin.methods.bcd import BCD
from altmin.methods.dladmm import DLADMM
from altmin.methods.dtp import DTP
from altmin.methods.ipdlam import DLAM, IPDLAM
from altmin.methods.mac import MAC
from altmin.methods.mdlam import MDLAM
from altmin.methods.online import OnlineAM
from altmin.methods.proxprop import ProxProp
from altmin.methods.registry import METHODS, Entry, entry, method, register
from altmin.methods.straight_through import StraightThrough
from altmin.methods.taylor import TaylorADMM
from altmin.online.codes import Codes, Mu
from altmin.online.rules import SGD, Adam, CoActivationMemory, Newton

__all__ = [
    "BCD",
    "DLADMM",
    "DLAM",
    "DTP",
    "IPDLAM",
    "MAC",
    "MDLAM",
    "METHODS",
    "SGD",
    "AMRidge",
    "Adam",
    "Backprop",
    "CoActivationMemory",
    "Codes",
    "Entry",
    "Method",
    "Mu",
    "Newton",
    "OnlineAM",
    "ProxProp",
    "StraightThrough",
    "TaylorADMM",
    "entry",
    "method",
    "register",
]
