"""The papers' algorithms as they are printed: plain PyTorch, whole passes over the samples, nothing kept or shared.

Each class has the variables of its paper as attributes, and `step` is one iteration. They serve as oracles (the library
has the same iterates) and as what the library's cost is compared with. Where the library's docstrings name a deviation
from a paper, it is followed here. Hidden layers are ReLU.
"""

from literal.dladmm import DLADMM
from literal.ipdlam import IPDLAM
from literal.mdlam import MDLAM
from literal.online import OnlineAM

__all__ = ["DLADMM", "IPDLAM", "MDLAM", "OnlineAM"]
