"""The one table of methods that all generic tests run over; what a method can do is a column, not a skip."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from altmin import (
    DLADMM,
    DLAM,
    IPDLAM,
    MDLAM,
    SGD,
    Adam,
    Backprop,
    Batch,
    Codes,
    Memory,
    Method,
    Mu,
    OnlineAM,
    Problem,
    State,
)


@dataclass(frozen=True)
class Row:
    """A method under test.

    Attributes:
        method: The instance.
        descends: From which full-batch iteration on its objective never rises; `None` where it may.
        learns: It fits the training set from PyTorch's start. For a fixed, coarse band mDLAM solves a relaxation.
        units_alike: A step treats hidden units alike, so that permuting them permutes the weights.
        adds: A step needs nothing of the samples but sums, so that processes can share them.
        rounding: How closely two processes equal one. Without a proximal term, the directions that the samples leave
            open are held by a ridge at rounding level, which lets rounding through.
    """

    method: Method
    descends: int | None = None
    learns: bool = True
    units_alike: bool = True
    adds: bool = True
    rounding: float = 1e-10

    def __repr__(self) -> str:
        return repr(self.method)


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
    "am-adam": Row(OnlineAM(rule=Adam(0.01), last=Adam(0.01)), adds=False),
    "am-sgd": Row(OnlineAM(rule=SGD(1.0), last=SGD(0.3)), adds=False),
    "am-mem": Row(OnlineAM(rule=Memory(), last=Adam(0.01)), adds=False, units_alike=False),
    "am-mem-forgetting": Row(OnlineAM(rule=Memory(forget=0.9, solver="ridge"), last=SGD(0.1)), adds=False),
    "am-entries": Row(
        OnlineAM(rule=Adam(0.01), last=Adam(0.01), codes=Codes(lr=0.3, scaling="entries"), mu=Mu(start=0.003)),
        adds=False,
    ),
    "backprop": Row(Backprop("sgd", lr=0.1), adds=False),
}


def digits(n: int = 300, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """The first `n` of scikit-learn's digits, scaled to [0, 1]."""
    x, y = load_digits(return_X_y=True)
    return torch.as_tensor(x[:n] / 16).to(dtype), torch.as_tensor(y[:n]).long()


def network(
    *hidden: int, seed: int = 0, dtype: torch.dtype = torch.float64, s: type[nn.Module] = nn.ReLU
) -> nn.Sequential:
    """A fully connected network 64-...-10 with PyTorch's start from a seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        widths = [64, *hidden]
        parts = [m for p, q in zip(widths, hidden, strict=False) for m in (nn.Linear(p, q), s())]
        return nn.Sequential(*parts, nn.Linear(widths[-1], 10)).to(dtype)


@dataclass
class Loop:
    """A method at work on a network and all samples, step by step."""

    method: Method
    problem: Problem
    batch: Batch
    state: State

    @classmethod
    def on_digits(
        cls,
        method: Method,
        loss: str = "cross_entropy",
        hidden: tuple[int, ...] = (20, 15),
        n: int = 300,
        **options: object,
    ) -> Loop:
        """The method's start on digits."""
        model = network(*hidden)
        problem = Problem.from_module(model, loss, **options)  # type: ignore[arg-type]
        x, y = digits(n)
        batch = Batch(x, problem.loss.encode(y, 10, x.dtype))
        return cls(method, problem, batch, method.init(problem, State.from_module(model), batch))

    def step(self) -> State:
        """One iteration."""
        self.state = self.method.step(self.problem, self.state, self.batch)
        return self.state

    def objective(self) -> float:
        """The method's objective now."""
        return float(self.method.objective(self.problem, self.state, self.batch))

    def residuals(self) -> dict[str, float]:
        """The residuals now."""
        return {k: float(v) for k, v in self.method.residuals(self.problem, self.state, self.batch).items()}
