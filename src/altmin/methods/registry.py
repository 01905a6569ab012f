"""Names for methods: the edge where strings become objects."""

from __future__ import annotations

from dataclasses import dataclass

from altmin.errors import nearest
from altmin.methods import (
    BCD,
    DLADMM,
    DLAM,
    DTP,
    IPDLAM,
    MAC,
    MDLAM,
    SGD,
    AMRidge,
    Backprop,
    Memory,
    Method,
    OnlineAM,
    ProxProp,
    StraightThrough,
    TaylorADMM,
)
from altmin.methods.backprop import OPTIMIZERS


@dataclass(frozen=True)
class Entry:
    """A method under a name.

    Attributes:
        name: As on the command line.
        method: An instance with the defaults that the name stands for.
        loss: The loss that its paper uses.
        paper: Where it comes from.
    """

    name: str
    method: Method
    loss: str
    paper: str


def _entries() -> list[Entry]:
    ipdlam, online = "Qiao et al. (ICASSP 2021)", "Choromanska et al. (ICML 2019)"
    squared, entropy = "squared", "cross_entropy"
    return [
        Entry("ipdlam", IPDLAM(), squared, ipdlam),
        Entry("dlam", DLAM(), squared, ipdlam),
        Entry("mdlam", MDLAM(), entropy, "Wang, Li, Zhao (Neurocomputing 2022)"),
        Entry("dladmm", DLADMM(), entropy, "Wang et al. (KDD 2019)"),
        Entry("taylor", TaylorADMM(), "hinge", "Taylor et al. (ICML 2016)"),
        Entry("bcd", BCD(), squared, "Zeng et al. (ICML 2019)"),
        Entry("mac", MAC(), entropy, "Carreira-Perpinan, Wang (AISTATS 2014)"),
        Entry("am-ridge", AMRidge(), entropy, "of this library"),
        Entry("am-adam", OnlineAM(), entropy, online),
        Entry("am-sgd", OnlineAM(rule=SGD(1.0), last=SGD(0.1)), entropy, online),
        Entry("am-mem", OnlineAM(rule=Memory()), entropy, online),
        Entry("am-newton", OnlineAM.newton(), entropy, "of this library"),
        Entry("dtp", DTP(), entropy, "Lee et al. (ECML PKDD 2015)"),
        Entry("proxprop", ProxProp(), entropy, "Frerix et al. (ICLR 2018)"),
        Entry("straight-through", StraightThrough(), entropy, "Hubara et al. (NeurIPS 2016)"),
        *(Entry(name, Backprop(name), entropy, "torch.optim") for name in OPTIMIZERS),
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
