"""Softmax cross-entropy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from altmin.checks import number
from altmin.losses.base import Loss, one_hot, register_loss
from altmin.prox.softmax import FISTA_STEPS, softmax_prox_fista, softmax_prox_newton


@register_loss("cross_entropy")
@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Softmax cross-entropy ``log sum exp z - <y, z>`` with one-hot `y`.

    Attributes:
        solver: How the prox is computed: ``"newton"`` (exact, the default) or ``"fista"`` (as the papers do). As text
            the loss is ``"cross_entropy:fista"``, or ``"cross_entropy:fista:100"`` with so many iterations.
        iterations: The most of FISTA.

    Raises:
        ValueError: Another solver, or less than one iteration.

    Examples:
        >>> import torch
        >>> CrossEntropy().grad(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
        tensor([[-0.5000,  0.5000]])
    """

    solver: Literal["newton", "fista"] = "newton"
    iterations: int = number(FISTA_STEPS, "most iterations of FISTA", least=1, paper="the authors' code: 500")
    lipschitz = 0.5
    module = nn.CrossEntropyLoss

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.solver not in ("newton", "fista"):
            raise ValueError(f"`solver` must be 'newton' or 'fista', got {self.solver!r}")

    def __call__(self, z: Tensor, y: Tensor) -> Tensor:
        """``sum (log sum exp z - <y, z>)`` over samples ``(N, q)``, a scalar."""
        return -(torch.log_softmax(z, 1) * y).sum()

    def grad(self, z: Tensor, y: Tensor) -> Tensor:
        """``dR/dz = softmax(z) - y``, ``(N, q)``."""
        return torch.softmax(z, 1) - y

    def prox(self, v: Tensor, r: float, target: Tensor, start: Tensor | None = None) -> Tensor:
        """``argmin_z log sum exp z - <target, z> + r/2 ||z - v||^2``, ``(N, q)``, from `start`, by the solver (P2)."""
        if self.solver == "newton":
            return softmax_prox_newton(v, r, target, start)
        return softmax_prox_fista(v, r, target, start, iterations=self.iterations)

    def encode(self, labels: Tensor, outputs: int, dtype: torch.dtype) -> Tensor:
        """Class indices ``(N,)`` as one-hot rows ``(N, outputs)``; `ValueError` for a single output."""
        if outputs == 1:
            raise ValueError(
                "cross-entropy needs one output for each class, got a model with 1 output; use 'binary_cross_entropy' "
                "or 'hinge'"
            )
        return one_hot(labels, outputs, dtype)
