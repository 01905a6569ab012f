"""Losses: value (a sum over samples), gradient, proximal solution (P2), and the targets they want.

Targets are encoded once, by `Loss.encode`, into a tensor of the outputs' shape: one-hot rows for squared loss and
cross-entropy, -1/+1 for hinge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from altmin.errors import nearest
from altmin.prox.softmax import softmax_prox_fista, softmax_prox_newton


class Loss(Protocol):
    """What every loss offers; see the module's text.

    Attributes:
        lipschitz: `H`, the Lipschitz constant of the gradient in `z`; infinite where the loss is not smooth.
        regression: Whether real-valued targets make sense.
    """

    name: str
    lipschitz: float
    regression: bool

    def __call__(self, z: Tensor, y: Tensor) -> Tensor:
        """``R(z; y)``, a scalar: the sum over samples."""
        ...

    def grad(self, z: Tensor, y: Tensor) -> Tensor:
        """``dR/dz``, the shape of `z` (a subgradient where `R` has kinks)."""
        ...

    def prox(self, v: Tensor, r: float, target: Tensor, start: Tensor | None = None) -> Tensor:
        """``argmin_z R(z; y) + r/2 ||z - v||^2``, a row at a time (P2); iterative solvers begin at `start`."""
        ...

    def encode(self, labels: Tensor, outputs: int, dtype: torch.dtype) -> Tensor:
        """Class indices ``(N,)`` as targets ``(N, outputs)``."""
        ...


def one_hot(labels: Tensor, outputs: int, dtype: torch.dtype) -> Tensor:
    """Rows of the identity, ``(N, outputs)``."""
    return torch.nn.functional.one_hot(labels.long(), outputs).to(dtype)


@dataclass(frozen=True)
class SquaredLoss:
    """``1/2 ||z - y||^2``."""

    name = "squared"
    lipschitz = 1.0
    regression = True

    def __call__(self, z: Tensor, y: Tensor) -> Tensor:
        """``1/2 ||z - y||^2``, summed over samples."""
        return 0.5 * (z - y).square().sum()

    def grad(self, z: Tensor, y: Tensor) -> Tensor:
        """``z - y``."""
        return z - y

    def prox(self, v: Tensor, r: float, target: Tensor, start: Tensor | None = None) -> Tensor:
        """``(y + r v)/(1 + r)``."""
        return (target + r * v) / (1.0 + r)

    def encode(self, labels: Tensor, outputs: int, dtype: torch.dtype) -> Tensor:
        """One-hot rows; for one output, the label itself (0 or 1)."""
        return labels[:, None].to(dtype) if outputs == 1 else one_hot(labels, outputs, dtype)


@dataclass(frozen=True)
class CrossEntropy:
    """Softmax cross-entropy ``log sum exp z - <y, z>`` with one-hot `y`.

    Attributes:
        solver: How the prox is computed: ``"newton"`` (exact, the default) or ``"fista"`` (as the papers do).
    """

    solver: Literal["newton", "fista"] = "newton"

    name = "cross_entropy"
    lipschitz = 0.5
    regression = False

    def __post_init__(self):
        if self.solver not in ("newton", "fista"):
            raise ValueError(f"`solver` must be 'newton' or 'fista', got {self.solver!r}")

    def __call__(self, z: Tensor, y: Tensor) -> Tensor:
        """``sum (log sum exp z - <y, z>)``."""
        return -(torch.log_softmax(z, 1) * y).sum()

    def grad(self, z: Tensor, y: Tensor) -> Tensor:
        """``softmax(z) - y``."""
        return torch.softmax(z, 1) - y

    def prox(self, v: Tensor, r: float, target: Tensor, start: Tensor | None = None) -> Tensor:
        """``argmin_z log sum exp z - <y, z> + r/2 ||z - v||^2`` by the chosen solver."""
        solve = softmax_prox_newton if self.solver == "newton" else softmax_prox_fista
        return solve(v, r, target, start)

    def encode(self, labels: Tensor, outputs: int, dtype: torch.dtype) -> Tensor:
        """One-hot rows; a single output has no softmax."""
        if outputs == 1:
            raise ValueError("cross-entropy needs one output for each class, got a model with 1 output; use 'hinge'")
        return one_hot(labels, outputs, dtype)


@dataclass(frozen=True)
class Hinge:
    """``sum_j max(0, 1 - y_j z_j)`` with `y` in {-1, 1}: one class against the rest, or binary with one output."""

    name = "hinge"
    lipschitz = math.inf
    regression = False

    def __call__(self, z: Tensor, y: Tensor) -> Tensor:
        """``sum max(0, 1 - y z)``."""
        return (1.0 - y * z).clamp_min(0.0).sum()

    def grad(self, z: Tensor, y: Tensor) -> Tensor:
        """``-y`` where ``y z < 1``, else 0: a subgradient."""
        return torch.where(y * z < 1.0, -y, 0.0)

    def prox(self, v: Tensor, r: float, target: Tensor, start: Tensor | None = None) -> Tensor:
        """`v` where ``y v >= 1``, ``v + y/r`` where ``y v <= 1 - 1/r``, else `y`."""
        margin = target * v
        return torch.where(margin >= 1.0, v, torch.where(margin <= 1.0 - 1.0 / r, v + target / r, target))

    def encode(self, labels: Tensor, outputs: int, dtype: torch.dtype) -> Tensor:
        """-1/+1, the class's own column positive; for one output, class 1 is positive."""
        return 2.0 * (labels[:, None].to(dtype) if outputs == 1 else one_hot(labels, outputs, dtype)) - 1.0


LOSSES: dict[str, type[SquaredLoss] | type[CrossEntropy] | type[Hinge]] = {
    loss.name: loss for loss in (CrossEntropy, SquaredLoss, Hinge)
}


def make_loss(loss: str | Loss) -> Loss:
    """A loss from its name; an object is passed through.

    Raises:
        TypeError: Neither a name nor a loss.
        ValueError: An unknown name.
    """
    if not isinstance(loss, str):
        needs = ("name", "lipschitz", "regression", "grad", "prox", "encode")
        if isinstance(loss, type) or not all(hasattr(loss, need) for need in needs):
            raise TypeError(f"`loss` must be a name or an object such as altmin.CrossEntropy(), got {loss!r}")
        return loss
    if loss not in LOSSES:
        raise ValueError(f"unknown `loss` {loss!r}; {nearest(loss, list(LOSSES))}")
    return LOSSES[loss]()
