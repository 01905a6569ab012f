"""Names for methods: the edge where strings become objects."""

from __future__ import annotations

from dataclasses import dataclass

from altmin.errors import nearest
from altmin.methods import DLADMM, DLAM, IPDLAM, MDLAM, SGD, Backprop, Memory, Method, OnlineAM
from altmin.methods.backprop import OPTIMIZERS


@dataclass(frozen=True)
class Entry:
    """A method under a name.

    Attributes:
        name: As on the command line.
        method: An instance with the defaults that the name stands for.
        loss: The loss that its paper uses.
        paper: Where it comes from.
        gradients: What it uses gradients for.
    """

    name: str
    method: Method
    loss: str
    paper: str
    gradients: str


def _entries() -> list[Entry]:
    ipdlam = "Qiao et al. (ICASSP 2021)"
    online = "Choromanska et al. (ICML 2019)"
    none, within, full = "none through activations", "within a layer", "backpropagation"
    return [
        Entry("ipdlam", IPDLAM(), "squared", ipdlam, none),
        Entry("dlam", DLAM(), "squared", ipdlam, none),
        Entry("mdlam", MDLAM(), "cross_entropy", "Wang, Li, Zhao (Neurocomputing 2022)", none),
        Entry("dladmm", DLADMM(), "cross_entropy", "Wang et al. (KDD 2019)", none),
        Entry("am-adam", OnlineAM(), "cross_entropy", online, within),
        Entry("am-sgd", OnlineAM(rule=SGD(1.0), last=SGD(0.1)), "cross_entropy", online, within),
        Entry("am-mem", OnlineAM(rule=Memory()), "cross_entropy", online, within),
        *(
            Entry(name, Backprop(name, lr), "cross_entropy", "torch.optim", full)
            for name, (_, lr) in OPTIMIZERS.items()
        ),
    ]


METHODS: dict[str, Entry] = {entry.name: entry for entry in _entries()}


def entry(name: str) -> Entry:
    """The entry of that name.

    Raises:
        ValueError: An unknown name; the message has the nearest known one.
    """
    if name not in METHODS:
        raise ValueError(f"unknown method {name!r}; {nearest(name, list(METHODS))}")
    return METHODS[name]
