"""Exhibits of "Beyond backprop: online alternating minimization with auxiliary variables" (ICML 2019), section 4."""

from __future__ import annotations

from typing import Any

from altmin.exhibits.columns import percent
from altmin.exhibits.setting import Changes, Setting
from altmin.methods import SGD, Adam, Backprop, CoActivationMemory, Codes, Mu, OnlineAM, TaylorADMM

PAPER = "online AM"
ALL = 60_000  # samples a step: a full batch
HIDDEN_RATES = 0.001, 0.002, 0.004, 0.008
TEST = percent("test")


def paper_am(**numbers: Any) -> OnlineAM:
    """AM-Adam as the paper has it: five code steps, weights that learn from the codes, rates that stay."""
    own = {"rule": Adam(0.002), "codes": Codes(steps=5), "regressors": "codes", "decay": "none"}
    return OnlineAM(**{**own, **numbers})


def am_mem(last: float) -> OnlineAM:
    """AM-mem as the paper has it: a memory that forgets nothing, and the last layer by SGD."""
    return paper_am(rule=CoActivationMemory(forget=1.0, sweeps=5), last=SGD(last))


def lenet_am(scaling: str, add: float) -> OnlineAM:
    """AM-Adam with the numbers that won the paper's search for LeNet-5.

    Args:
        scaling: Over what squares and losses are averaged.
        add: What a mini-batch adds to the penalty.
    """
    mu = Mu(start=0.01, add=add, factor=1.1, most=1.5)
    return paper_am(last=Adam(0.002), codes=Codes(steps=1, lr=1.0, scaling=scaling), mu=mu)


def gradient(name: str, lr: float, epoch_decay: float = 1.0) -> Changes:
    """A gradient method at the paper's rate, which may fall after every epoch."""
    return {"method": Backprop(name, lr=lr, epoch_decay=epoch_decay)}


def adam_on_trial(last: float) -> Changes:
    """AM-Adam at the paper's rate of the last layer; that of the others, which is not printed, by validation."""
    trials = tuple(paper_am(rule=Adam(rate), last=SGD(last)) for rate in HIDDEN_RATES)
    return {"method": trials[1], "trials": trials}


def tuned(name: str, rates: tuple[float, ...]) -> Changes:
    """A gradient method at the rate that is best on validation."""
    trials = tuple(Backprop(name, lr=rate) for rate in rates)
    return {"method": trials[0], "trials": trials}


def offline(changes: Changes, lr: float, memory: bool = False) -> Changes:
    """The same with the training samples as a single mini-batch."""
    method = am_mem(lr) if memory else paper_am(last=SGD(lr))
    return {**changes, "method": method, "trials": (), "batch_size": ALL}


def taylor(beta: float, gamma: float) -> Changes:
    """Taylor et al.'s ADMM on all samples."""
    return {"method": TaylorADMM(beta=beta, gamma=gamma), "loss": "hinge", "batch_size": None}


MNIST = Setting(
    data="mnist-50k", method=paper_am(last=SGD(0.1973)), options={"hidden": (100, 100)}, epochs=50, batch_size=200
)
MNIST_RATES: dict[int, dict[str, Any]] = {
    100: {
        "AM-Adam": 0.1973,
        "AM-mem": 0.1737,
        "SGD": 0.2030,
        "Adam": 0.0210,
        "off": (0.5003, 0.4664),
        "Taylor": (582.8, 54.15),
    },
    500: {
        "AM-Adam": 0.1171,
        "AM-mem": 0.1376,
        "SGD": 0.1497,
        "Adam": 0.0005,
        "off": (0.4834, 0.2503),
        "Taylor": (444.2, 111.7),
    },
}
CIFAR = MNIST.changed({"data": "cifar10"})
CIFAR_RATES: dict[int, dict[str, Any]] = {
    100: {"AM-Adam": 0.1974, "AM-mem": 0.1746, "SGD": 0.1500, "Adam": 0.0029, "off": (0.5000, 0.2343)},
    500: {"AM-Adam": 0.1011, "AM-mem": 0.1016, "SGD": 0.1428, "Adam": 0.0002, "off": (0.4844, 0.2277)},
}
LENET = Setting(
    data="mnist-50k",
    model="lenet5",
    method=lenet_am("entries", 1e-7),
    epochs=10,
    batch_size=128,
)
CHOICES = (
    "The rates of tables 1 to 3 are read as those of the last layer's SGD, the only rate among the inputs of "
    "Algorithm 1; that of the hidden layers' Adam is not printed and is chosen among four on validation.",
    "The penalty, code steps and their rate are not printed for these networks: mu 1, five steps of size 1.",
    "Codes have Nesterov's momentum of 0.9, as in the authors' code.",
    "The memory forgets nothing, and is solved by at most five sweeps a batch, which stop at changes below 1e-3.",
)


def by_width(rates: dict[int, dict[str, Any]]) -> tuple[dict[str, Changes], dict[tuple[str, Any], Changes]]:
    """The two networks, and the four online methods at each one's own rates."""
    panels: dict[str, Changes] = {f"{width}-{width}": {"options": {"hidden": (width, width)}} for width in rates}
    cells: dict[tuple[str, Any], Changes] = {}
    for panel, own in zip(panels, rates.values(), strict=True):
        cells[panel, "AM-Adam"] = adam_on_trial(own["AM-Adam"])
        cells[panel, "AM-mem"] = {"method": am_mem(own["AM-mem"])}
        cells[panel, "SGD"] = gradient("sgd", own["SGD"])
        cells[panel, "Adam"] = gradient("adam", own["Adam"])
    return panels, cells
