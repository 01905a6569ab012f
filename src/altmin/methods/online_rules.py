"""Online alternating minimisation by other rules than Adam: AM-SGD, AM-mem and AM-Newton, each under its name."""

from __future__ import annotations

from altmin.methods.online import PAPER, OnlineAM
from altmin.methods.registry import register_method
from altmin.online.rules import SGD, CoActivationMemory

_sgd = OnlineAM(rule=SGD(0.5), last=SGD(0.2), decay="none")
register_method("am-sgd", _sgd, title="online alternating minimisation by SGD", paper=PAPER)
register_method("am-mem", OnlineAM(rule=CoActivationMemory()), title="online least squares from a memory", paper=PAPER)
register_method("am-newton", OnlineAM.newton(), title="online Newton steps from a memory", paper="of this library")
