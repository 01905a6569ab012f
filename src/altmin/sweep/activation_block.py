"""The block of ``A_l`` for some samples: its objective, gradient and majorised step."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from altmin.maps import MapAt
from altmin.solvers.backtracking import activations_step, clipped_step, shortened_step
from altmin.sweep.penalty import row_squares

if TYPE_CHECKING:
    from altmin.sweep.step import StepVerbs


class ActivationBlock:
    """``sum c/2 ||E||^2 (+ <U, E_L>) + d/2 ||A - s(Z)||^2`` in the activations of a layer, for some samples.

    Args:
        layer: The layer.
        rows: The samples.
        band: Half-width of the constraint ``|A - s(Z)| <= band``; `None` for none.
        clip: Whether steps are clipped to it, or else shortened.

    Attributes:
        now: The present activations.
        E: The residuals of the layer above and of those that a residual connection reaches.
    """

    def __init__(self, layer: StepVerbs, rows: slice, band: float | None, clip: bool = True):
        self.layer, self.rows, self.above, self.clip = layer, rows, layer.above, clip
        self.batch = layer.sweep.batch
        self.moved = [self.above, *layer.skipped_to("a")]
        self.now, self.s = layer.a[rows], layer.activation(layer.z[rows])
        self.box = None if band is None else (self.s - band, self.s + band)
        self.c, self.d = [other.c for other in self.moved], layer.d
        self.E = [other.residual(rows) for other in self.moved]

    def residuals(self, a: Tensor) -> list[Tensor]:
        """The residuals at a value of the activations."""
        return [self.above.residual_at(a, self.rows), *(e + (self.now - a) for e in self.E[1:])]

    def residuals_after(self, new: Tensor, point: Tensor, image: Tensor, E: list[Tensor]) -> list[Tensor]:
        """The residuals at `new`, from those at `point` and from what the layer above makes of the movement."""
        if self.above.map.piecewise:
            return self.residuals(new)
        return [E[0] - image, *(e + (point - new) for e in E[1:])]

    def value(self, a: Tensor, E: list[Tensor]) -> Tensor:
        """Twice the objective over ``c_{l+1}`` for each sample, ``(N,)``."""
        total = sum((c / self.c[0]) * row_squares([e]) for c, e in zip(self.c, E, strict=True))
        if self.d:
            total = total + (self.d / self.c[0]) * row_squares([a - self.s])
        for other, e in zip(self.moved, E, strict=True):
            if other.u is not None:
                total = total + (2.0 / self.c[0]) * (other.u[self.rows] * e).sum(1)
        return torch.as_tensor(total)

    def step(self, point: Tensor, E: list[Tensor], some: Tensor | slice = slice(None)) -> tuple[Tensor, Tensor]:
        """The step from a point where the residuals are `E`, and what the layer above makes of the movement.

        Args:
            point: Activations, of `some` of the samples.
            E: Residuals there, of these samples.
            some: Which samples.
        """
        near, layer = self.above.map.at(point), self.layer
        grad = self._gradient(near, point, E, some)
        image = partial(near.image, self.above.W)
        weights, search, batch = (
            (self.c[0], self.d + sum(self.c[1:])),
            layer.sweep.search.at(self.rows, some),
            self.batch if self.batch.sample_weight is None else self.batch.part(self.rows).part(some),
        )
        if self.box is None:
            return activations_step(point, grad, image(grad), *weights, search, batch)
        low, high = (end[some] for end in self.box)
        if not self.clip:
            return shortened_step(point, grad, image(grad), *weights, low, high, search, batch)
        return clipped_step(point, grad, image, *weights, low, high, search, batch)

    def _gradient(self, near: MapAt, point: Tensor, E: list[Tensor], some: Tensor | slice) -> Tensor:
        force, c = E[0], self.c[0]
        if self.above.u is not None:
            force, c = torch.add(self.above.u[self.rows][some], E[0], alpha=c), 1.0
        back = near.adjoint(self.above.W, force)
        grad = back.mul_(-c) if not self.d else (point - self.s[some]).mul_(self.d).sub_(back, alpha=c)
        for other, weight, e in zip(self.moved[1:], self.c[1:], E[1:], strict=True):
            grad.sub_(e, alpha=weight)
            if other.u is not None:
                grad.sub_(other.u[self.rows][some])
        return grad
