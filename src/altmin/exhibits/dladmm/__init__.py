"""Exhibits of "ADMM for efficient deep learning with global convergence" (KDD 2019), section 5."""

from __future__ import annotations

from typing import Any

from altmin.exhibits.columns import ACCURACY
from altmin.exhibits.exhibit import Curves
from altmin.exhibits.rules import ahead, between
from altmin.exhibits.setting import Changes, ExhibitScale, Setting
from altmin.methods import DLADMM, Backprop, TaylorADMM

PAPER = "dlADMM"
BASE = Setting(
    data="mnist",
    method=DLADMM(rho=1e-6, nu=1e-6, schedule="steps"),
    options={"hidden": (1000, 1000)},
    epochs=200,
)
BOTH: dict[str, Changes] = {
    "MNIST": {"data": "mnist"},
    "Fashion-MNIST": {"data": "fashion-mnist-60k", "validated": "fashion-mnist"},
}
NAMES = "sgd", "adagrad", "adadelta", "adam"
ALL = 60_000  # samples a step: a full batch
RATES = {"sgd": (0.03, 0.1, 0.3, 1.0), "adam": (3e-4, 1e-3, 3e-3, 1e-2)}
TUNED = {
    f"{name}, tuned": {
        "method": Backprop(name),
        "trials": tuple(Backprop(name, lr=r) for r in rates),
        "batch_size": ALL,
    }
    for name, rates in RATES.items()
}
ARMS: dict[Any, Changes] = {
    "dlADMM": {},
    "dlADMM, tuned": {"trials": tuple(DLADMM(rho=rho, nu=rho) for rho in (1e-7, 1e-6, 1e-5, 1e-4))},
    **{name: {"method": Backprop(name, preset="dladmm")} for name in NAMES},
    **TUNED,
    "ADMM": {"method": TaylorADMM(beta=1.0, gamma=1.0), "loss": "hinge"},
}
CHOICES = (
    "The first weights are not described: PyTorch draws them.",
    "The baselines sum the loss over all samples: with its rate of 1e-6 SGD would not move on a mean.",
    "SGD, Adam and rho are also chosen among four values each on validation.",
)
RHOS = ("1e-6", "1e-5", "1e-4", "1e-3", "1e-2")
DESK = ExhibitScale(samples=2_500, width=100, epochs=200)


def constant(rho: float, start: float | None) -> DLADMM:
    """DlADMM at a penalty that stays, with a first trial of step sizes, or none."""
    return DLADMM(rho=rho, nu=1e-6, schedule="constant", start=start)


def performance(data: str) -> dict[str, Any]:
    """What figures 4 and 5 have in common: the methods on one data set."""
    return {
        "paper": PAPER,
        "title": f"Accuracies on {data} beside gradient methods and ADMM",
        "claim": "dlADMM has 0.8 early and 0.9 or more later; only Adam is slightly better.",
        "base": BASE,
        "panels": {data: BOTH[data]},
        "arms": ARMS,
        "picture": Curves(("train_accuracy", "test_accuracy")),
        "columns": ACCURACY,
        "checks": {
            "after 10 iterations dlADMM has 80 % or more of the training samples": between(
                "train % at 10", ["dlADMM"], 80.0, 100.0
            ),
            "after 200 iterations it has 90 % or more of them": between("train %", ["dlADMM"], 90.0, 100.0),
            "it ends ahead of SGD, Adagrad and Adadelta at the paper's rates": ahead("test %", "dlADMM", NAMES[:3]),
            "Adam ends ahead of it": ahead("test %", "adam", ["dlADMM"]),
            "ADMM ends behind it": ahead("test %", "dlADMM", ["ADMM"]),
        },
        "also": {
            "it ends ahead of SGD at a rate chosen on validation": ahead("test %", "dlADMM", ["sgd, tuned"]),
            "with rho chosen on validation it ends ahead of Adam's chosen rate": ahead(
                "test %", "dlADMM, tuned", ["adam, tuned"]
            ),
        },
        "choices": CHOICES,
        "deviations": ("ADMM is Taylor et al.'s with both penalties 1 and its own loss, the hinge.",),
        "desk": DESK,
    }
