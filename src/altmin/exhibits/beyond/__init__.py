"""What the papers leave open or only promise, as exhibits of this library."""

from __future__ import annotations

from altmin.exhibits.setting import Changes
from altmin.methods import DLADMM, DLAM, IPDLAM, MDLAM, Backprop, Method


def on_trial(*trials: Method, **changes: object) -> Changes:
    """An arm whose method is the one of these that is best on validation; the last one stands for it before."""
    return {"method": trials[-1], "trials": trials, **changes}


PENALTIES: dict[str, Changes] = {
    "iPDLAM": on_trial(*(IPDLAM(rho=rho) for rho in (0.1, 1.0, 10.0))),
    "DLAM": on_trial(*(DLAM(rho=rho) for rho in (0.1, 1.0, 10.0))),
    "mDLAM": on_trial(*(MDLAM(rho=rho) for rho in (1e-6, 1e-3, 1.0))),
    "dlADMM": on_trial(*(DLADMM(rho=rho, nu=rho) for rho in (1e-6, 1e-3, 1.0))),
}
"""Methods that hold weights in a set by its prox, their penalties on trial."""
RATES = 0.001, 0.003, 0.01
ADAM = on_trial(*(Backprop("adam", lr=lr) for lr in RATES), batch_size=100)
"""Adam by backpropagation, its rate on trial."""
