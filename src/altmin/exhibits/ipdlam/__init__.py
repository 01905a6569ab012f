"""Exhibits of "Inertial proximal deep learning alternating minimization" (arXiv 2102.00267), section 3."""

from __future__ import annotations

from typing import Any

from altmin.exhibits.columns import percent
from altmin.exhibits.exhibit import Curves, Exhibit
from altmin.exhibits.outcomes import Measure
from altmin.exhibits.rules import alike
from altmin.exhibits.setting import ExhibitScale, Setting
from altmin.methods import DLAM, IPDLAM

PAPER = "iPDLAM"
GROWTH: dict[str, Any] = {"rho": 1.0, "theta": 1.1, "rho_max": 100.0}


def inertial(factor: float, **numbers: Any) -> IPDLAM:
    """Inertial proximal DLAM with one factor for all blocks."""
    return IPDLAM(alpha=factor, beta=factor, gamma=factor, **{"delta": 1.0, **GROWTH, **numbers})


PLAIN = DLAM(**GROWTH)
BASE = Setting(
    data="mnist-60k",
    method=inertial(0.7),
    options={"hidden": (1500, 1500)},
    init="normal:0.01,bias:0.1",
    loss="squared",
    epochs=200,
    batch_size=512,
)
BOTH = {"MNIST": {"data": "mnist-60k"}, "Fashion-MNIST": {"data": "fashion-mnist-60k"}}
DESK = ExhibitScale(samples=5_000, width=200, epochs=60)
FINAL = {
    "objective": Measure("mean_objective", digits=4),
    "train %": percent("train"),
    "test %": percent("test"),
    "best test %": percent("test", "best"),
}
CHOICES = (
    "The penalty's start and its limit are not printed: rho grows from 1 by 1.1 an epoch to 100.",
    "The function value is taken as the objective over the number of samples, at the penalty of the iteration.",
    "DLAM has no proximal term (delta 0) and the same growing penalty; its numbers are not printed.",
    "All 60,000 training images are trained on; nothing is held out, and the last weights are measured.",
)


def insensitive(arms: dict[str, IPDLAM], **words: Any) -> Exhibit:
    """The exhibit of a choice that makes little difference on MNIST."""
    return Exhibit(
        paper=PAPER,
        base=BASE,
        panels={"MNIST": {}},
        arms={name: {"method": method} for name, method in arms.items()},
        picture=Curves(("train_accuracy", "test_accuracy"), unit="epoch"),
        columns=FINAL,
        checks={
            "the accuracies on training samples differ by at most one point": alike("train %", list(arms), 1.0),
            "the accuracies on test samples differ by at most one point": alike("test %", list(arms), 1.0),
        },
        choices=CHOICES,
        desk=DESK,
        **words,
    )
