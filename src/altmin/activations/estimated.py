"""The straight-through estimator: a step function with the derivative of hard tanh."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from altmin.activations.base import Activation
from altmin.activations.dropout import DropoutBefore
from altmin.activations.piecewise import Sign, Step

SLOPES: dict[type, float] = {Sign: 1.0, Step: 0.5}


@dataclass(frozen=True)
class Estimated:
    """The value of `inner` with another derivative: `height` where ``|z| <= 1``, else 0.

    Autograd finds that derivative in the graph of a call; `slope` has it in closed form.
    """

    inner: Activation
    height: float
    differentiable = True

    def __call__(self, z: Tensor) -> Tensor:
        """``s(z)``."""
        t = self.height * z.clamp(-1.0, 1.0)
        return self.inner(z).detach() + (t - t.detach())

    def derivative(self, z: Tensor) -> Tensor:
        """The estimator's derivative, not that of ``s``."""
        return (z.abs() <= 1.0).to(z.dtype).mul_(self.height)

    def vjp(self, g: Tensor, z: Tensor) -> Tensor:
        """``s'(z) g`` with the estimator's derivative."""
        return g * self.derivative(z)

    def prox(self, v: Tensor, r: float, target: Tensor, start: Tensor | None = None) -> Tensor:
        """The inner one's (P1)."""
        return self.inner.prox(v, r, target)

    def interval(self, a: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        """The inner one's."""
        return self.inner.interval(a, eps)


def estimated(s: Activation) -> Activation:
    """`s` itself where it has a derivative; sign and step, also behind dropout, with the estimator's."""
    if isinstance(s, DropoutBefore):
        return replace(s, inner=estimated(s.inner))
    return Estimated(s, SLOPES[type(s)]) if type(s) in SLOPES else s
