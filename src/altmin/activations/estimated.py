"""The straight-through estimator: a step function with the derivative of hard tanh."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from altmin.activations.base import Activation


@dataclass(frozen=True)
class Estimated(Activation):
    """The value of `inner` with another derivative: `height` where ``|z| <= 1``, else 0.

    Autograd finds that derivative in the graph of a call; `derivative` has it in closed form. Bengio, Léonard and
    Courville, "Estimating or propagating gradients through stochastic neurons" (arXiv:1308.3432); with the derivative
    of hard tanh in Hubara et al., "Binarized neural networks" (arXiv:1602.02830), equation 4.

    Attributes:
        inner: The function whose values and proxes stay.
        height: The derivative where ``|z| <= 1``.

    Examples:
        >>> import torch
        >>> from altmin.activations import Sign
        >>> Estimated(Sign(), 1.0).derivative(torch.tensor([-2.0, 0.5]))
        tensor([0., 1.])
    """

    inner: Activation
    height: float

    def __call__(self, z: Tensor) -> Tensor:
        """``s(z)``, elementwise; where autograd watches, its derivative is the estimator's."""
        t = self.height * z.clamp(-1.0, 1.0)
        return self.inner(z).detach() + (t - t.detach())

    def derivative(self, z: Tensor) -> Tensor:
        """`height` where ``|z| <= 1``, else 0: the estimator's derivative, not that of ``s``."""
        return (z.abs() <= 1.0).to(z.dtype).mul_(self.height)

    def prox(self, v: Tensor, r: float, target: Tensor, start: Tensor | None = None) -> Tensor:
        """``argmin_z 1/2 (s(z) - target)^2 + r/2 (z - v)^2``, elementwise: the prox of `inner` (P1)."""
        return self.inner.prox(v, r, target)

    def interval(self, a: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        """Ends of ``{z : |s(z) - a| <= eps}``: the interval of `inner`."""
        return self.inner.interval(a, eps)
