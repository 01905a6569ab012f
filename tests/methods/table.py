"""The one table of methods that all generic tests run over; what a method can do is a column, not a skip."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from altmin import (
    BCD,
    DLADMM,
    DLAM,
    DTP,
    IPDLAM,
    MAC,
    MDLAM,
    SGD,
    Adam,
    AMRidge,
    Backprop,
    Batch,
    CoActivationMemory,
    Codes,
    Method,
    Mu,
    Newton,
    OfflineAM,
    OnlineAM,
    Problem,
    ProxProp,
    Residual,
    Sign,
    State,
    StraightThrough,
    Sweep,
    TaylorADMM,
    problem_of,
    state_of,
)
from altmin.methods.registry import METHODS
from altmin.sweep.products import Products


@dataclass(frozen=True)
class Row:
    """A method under test.

    Attributes:
        method: The instance.
        descends: From which full-batch iteration on its objective never rises; `None` where it may.
        learns: It fits the training set from PyTorch's start. For a fixed, coarse band mDLAM solves a relaxation, and
            Taylor's ADMM wants another start.
        steps: In how many iterations it does.
        units_alike: A step treats hidden units alike, so that permuting them permutes the weights.
        adds: A step needs nothing of the samples but sums, so that processes can share them.
        rounding: How closely two processes equal one. Without a proximal term, the directions that the samples leave
            open are held by a ridge at rounding level, which lets rounding through.
        regularizers: Which it takes.
        zeros: Under l1 weights become exactly zero: by its prox; backpropagation takes a subgradient, which never does.
        s: The activation that it is tested with.
    """

    method: Method
    descends: int | None = None
    learns: bool = True
    steps: int = 40
    units_alike: bool = True
    adds: bool = True
    rounding: float = 1e-10
    regularizers: tuple[str, ...] = ("l1:0.01", "l2:0.05")
    zeros: bool = True
    s: type[nn.Module] = nn.ReLU

    def __repr__(self) -> str:
        return repr(self.method)


SQUARES = ("l2:0.05",)
ROWS = {
    "ipdlam": Row(IPDLAM()),
    "ipdlam-nested": Row(IPDLAM(order="nested")),
    "dlam": Row(DLAM(), descends=0, rounding=1e-7),
    "dlam-reverse": Row(DLAM(order="reverse", delta=1.0), descends=0),
    "dlam-nested": Row(DLAM(order="nested", delta=1.0), descends=0),
    "mdlam": Row(MDLAM()),
    "mdlam-band": Row(MDLAM(rho=0.3, eps=0.3, eps_rule="fixed", accelerated=False), descends=0, learns=False),
    "mdlam-one-step": Row(
        MDLAM(rho=0.3, eps=0.3, eps_rule="fixed", accelerated=False, per_sample=False, start=1e-3),
        descends=0,
        learns=False,
    ),
    "mdlam-accelerated": Row(MDLAM(rho=0.3, eps=0.3, eps_rule="fixed", accelerated=True), descends=0, learns=False),
    "mdlam-accelerated-one-step": Row(
        MDLAM(rho=0.3, eps=0.3, eps_rule="fixed", per_sample=False), descends=0, learns=False
    ),
    "dladmm": Row(DLADMM(rho=3.0, nu=1.0, schedule="constant"), descends=1),
    "dladmm-one-step": Row(DLADMM(rho=3.0, nu=1.0, schedule="constant", per_sample=False, start=1.0), descends=1),
    "am-ridge": Row(AMRidge(), regularizers=SQUARES),
    "taylor": Row(TaylorADMM(beta=0.1, gamma=10.0, start="forward"), learns=False, rounding=1e-7),
    "taylor-warm-up": Row(
        TaylorADMM(beta=0.1, gamma=10.0, warmup=1000, start="forward"),
        descends=0,
        learns=False,
        rounding=1e-7,
    ),
    "bcd": Row(BCD(), descends=0),
    "bcd-plain": Row(BCD(alpha=0.0), descends=0, rounding=1e-7),
    "mac": Row(MAC(), steps=15, rounding=1e-8, regularizers=SQUARES),
    "mac-fixed": Row(MAC(mu=1.0, factor=1.0, refit=False), descends=0, steps=15, rounding=1e-8, regularizers=SQUARES),
    "am-adam": Row(OnlineAM(rule=Adam(0.01), last=Adam(0.01)), steps=150, adds=False),
    "am-sgd": Row(
        OnlineAM(SGD(1.0), SGD(0.3), Codes(steps=5), regressors="codes", decay="none"), steps=200, adds=False
    ),
    "am-mem": Row(OnlineAM(rule=CoActivationMemory(), last=Adam(0.01)), adds=False, units_alike=False),
    "am-mem-forgetting": Row(
        OnlineAM(rule=CoActivationMemory(forget=0.9, solver="ridge"), last=SGD(0.1)), adds=False, regularizers=SQUARES
    ),
    "am-adam-off": Row(OfflineAM(), steps=150, adds=False),
    "am-mem-off": Row(METHODS["am-mem-off"].method, steps=150, adds=False, units_alike=False),
    "am-newton": Row(METHODS["am-newton"].method, adds=False, regularizers=SQUARES),
    "am-newton-codes": Row(
        OnlineAM(rule=Newton(rank=0), last=Adam(0.01), codes=Codes(steps=1)), adds=False, regularizers=SQUARES
    ),
    "am-entries": Row(
        OnlineAM(rule=Adam(0.01), last=Adam(0.01), codes=Codes(lr=0.3, scaling="entries"), mu=Mu(start=0.003)),
        steps=150,
        adds=False,
    ),
    "am-sign": Row(
        OnlineAM(rule=Adam(0.002), last=Adam(0.02), codes=Codes(scaling="samples")), steps=200, adds=False, s=Sign
    ),
    "dtp": Row(
        DTP(rule=Adam(0.003), last=Adam(0.01), feedback=Adam(0.01), noise=0.0), steps=200, adds=False, units_alike=False
    ),
    "proxprop": Row(ProxProp("sgd", lr=1.0), adds=False, regularizers=SQUARES),
    "straight-through": Row(StraightThrough("sgd", lr=0.1), steps=150, adds=False, zeros=False, s=Sign),
    "backprop": Row(Backprop("adam", lr=0.01), steps=150, adds=False, zeros=False),
}


read_digits = cache(partial(load_digits, return_X_y=True))  # it parses text, for 30 ms


def digits(n: int = 300, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """The first `n` of scikit-learn's digits, scaled to [0, 1]: tensors of one's own."""
    x, y = read_digits()
    return torch.as_tensor(x[:n] / 16).to(dtype), torch.tensor(y[:n]).long()


def seeded(make: Callable[[], list[nn.Module]], dtype: torch.dtype = torch.float64, seed: int = 0) -> nn.Sequential:
    """A network with PyTorch's start from a seed."""
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(seed)
        return nn.Sequential(*make()).to(dtype)


def network(
    *hidden: int, seed: int = 0, dtype: torch.dtype = torch.float64, s: type[nn.Module] = nn.ReLU
) -> nn.Sequential:
    """A fully connected network 64-...-10 with PyTorch's start from a seed."""
    widths = [64, *hidden]

    def make() -> list[nn.Module]:
        parts = [m for p, q in pairwise(widths) for m in (nn.Linear(p, q), s())]
        return [*parts, nn.Linear(widths[-1], 10)]

    return seeded(make, dtype, seed)


def images(s: type[nn.Module]) -> list[nn.Module]:
    """Two convolutions, the second one of two groups, max pooling, and a hidden layer that is fully connected."""
    head = [nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 4, 3, padding=1), s(), nn.MaxPool2d(2)]
    return [*head, nn.Conv2d(4, 6, 3, groups=2), s(), nn.Flatten(), nn.Linear(24, 12), s(), nn.Linear(12, 10)]


def residual(s: type[nn.Module]) -> list[nn.Module]:
    """A connection from a pre-activation and one from an activation."""
    inner, outer = Residual(s(), nn.Linear(12, 12)), Residual(nn.Linear(12, 8), s(), nn.Linear(8, 12))
    return [nn.Linear(64, 12), inner, s(), outer, s(), nn.Linear(12, 10)]


NETS = {"images": images, "residual": residual}


def takes(method: Method, model: nn.Sequential) -> bool:
    """Whether the method's own check lets a network pass."""
    try:
        method.check(problem_of(model))
    except TypeError:
        return False
    return True


def pairs() -> Iterator[tuple[str, str]]:
    """Every row with every one of `NETS` that its method supports."""
    for name, row in ROWS.items():
        for net, parts in NETS.items():
            if takes(row.method, nn.Sequential(*parts(row.s))):
                yield name, net


def begun(method: Method, problem: Problem, batch: Batch, weights: State[Any], seed: int = 0) -> State[Any]:
    """The method's start from a copy of weights; what it draws comes from a seed."""
    state = weights.weights()
    state.samples, state.generator = batch.count, torch.Generator().manual_seed(seed)
    method.init(Sweep(method, problem, state, batch))
    return state


@dataclass
class Loop:
    """A method at work on a network and all samples, step by step; products are handed on as in a training loop."""

    method: Method
    problem: Problem
    batch: Batch
    state: State[Any]
    kept: tuple[State[Any], Products] | None = None

    @classmethod
    def of(cls, method: Method, model: nn.Sequential, loss: str = "cross_entropy", n: int = 300, **more: Any) -> Loop:
        """The method's start on `model` and digits; what it draws comes from a seed."""
        return cls.on(method, model, *digits(n), loss, **more)

    @classmethod
    def on(
        cls,
        method: Method,
        model: nn.Sequential,
        x: Tensor,
        y: Tensor,
        loss: str = "cross_entropy",
        classes: int = 10,
        seed: int = 0,
        **more: Any,
    ) -> Loop:
        """The method's start on `model` and samples: class indices, or real targets."""
        problem = problem_of(model, loss, **more)
        batch = Batch(x, y if y.is_floating_point() else problem.loss.encode(y, classes, x.dtype))
        return cls(method, problem, batch, begun(method, problem, batch, state_of(model), seed))

    @classmethod
    def on_digits(
        cls,
        method: Method,
        loss: str = "cross_entropy",
        hidden: tuple[int, ...] = (20, 15),
        n: int = 300,
        s: type[nn.Module] = nn.ReLU,
        **more: Any,
    ) -> Loop:
        """The method's start on a fully connected network and digits."""
        return cls.of(method, network(*hidden, s=s), loss, n, **more)

    @classmethod
    def on_net(cls, name: str, net: str, n: int = 60) -> Loop:
        """The method of a row on one of `NETS`."""
        row = ROWS[name]
        return cls.of(row.method, seeded(partial(NETS[net], row.s)), n=n)

    def restarted(self, batch: Batch) -> Loop:
        """The same method from the present weights on other samples."""
        return Loop(self.method, self.problem, batch, begun(self.method, self.problem, batch, self.state))

    def twin(self) -> Loop:
        """The same method on the same samples with a state of its own, which is equal to this one."""
        return Loop(self.method, self.problem, self.batch, self.state.clone())

    def scattered(self, size: float = 0.5) -> Loop:
        """With variables off the forward pass, where every layer has something to do; activations in their band."""
        g = torch.Generator().manual_seed(1)
        for z in self.state.z:
            z.add_(torch.randn(z.shape, generator=g, dtype=z.dtype), alpha=size)
        for layer, z, a in zip(self.problem.layers[:-1], self.state.z, self.state.a, strict=False):
            a.copy_(layer.activation(z))
        return self

    def run(self, steps: int) -> list[float]:
        """The objective before and after each of so many iterations."""
        values = [self.objective()]
        for _ in range(steps):
            self.step()
            values.append(self.objective())
        return values

    def step(self, batch: Batch | None = None) -> State[Any]:
        """One iteration on all samples, or on a part of them; the state is the same object afterwards."""
        if batch is not None:
            Sweep(self.method, self.problem, self.state, batch).run()
            return self.state
        known = self.kept[1] if self.kept is not None and self.kept[0] is self.state else None
        done = Sweep(self.method, self.problem, self.state, self.batch, known).run()
        self.kept = self.state, done.products
        return self.state

    def sweep(self, state: State[Any] | None = None) -> Sweep[Any]:
        """A sweep over all samples that keeps no products, so that everything is made of the variables alone."""
        return Sweep(self.method, self.problem, state or self.state, self.batch, Products())

    def objective(self, state: State[Any] | None = None) -> float:
        """The method's objective now, or at another state."""
        return float(self.method.objective(self.sweep(state)))

    def residuals(self) -> dict[str, float]:
        """The residuals now."""
        return {k: float(v) for k, v in self.method.residuals(self.sweep()).items()}
