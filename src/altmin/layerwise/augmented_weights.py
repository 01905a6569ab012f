"""A layer's weights and intercept as one matrix, for solvers that treat them alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from altmin.core.batch import Batch
from altmin.maps import LinearMap
from altmin.solvers.activation_least_squares import conjugate_gradients
from altmin.solvers.statistics import design, pieces, row_sums, self_product


@dataclass(frozen=True)
class AugmentedWeights:
    """A layer's weights as ``theta``, ``(units, p)``: a row for each unit or channel, the intercept as one more column.

    Attributes:
        map: The layer's map.
    """

    map: LinearMap

    def join(self, W: Tensor, b: Tensor) -> Tensor:
        """Weights and intercept as ``theta``."""
        rows = W.flatten(0, -2)
        return torch.cat([rows, b[:, None]], 1) if self.map.bias else rows

    def split(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """What `join` joins."""
        p = self.map.shape[-1]
        b = theta[:, p] if self.map.bias else theta.new_zeros(len(theta))
        return theta[:, :p].reshape(self.map.shape), b.clone()

    def __call__(self, theta: Tensor, a: Tensor) -> Tensor:
        """The pre-activation of input `a`, linear in ``theta``."""
        return self.map(*self.split(theta), a)

    def gradient(self, r: Tensor, a: Tensor) -> Tensor:
        """The transpose: the product of the value with `r` is that of ``theta`` with the result."""
        return self.join(self.map.gradient(r, a), r.sum((0, *range(2, r.ndim))))

    def gram(self, a: Tensor, batch: Batch) -> Tensor:
        """``D^T D`` of the design `D` that ``theta`` acts on, over all processes; a matrix for each group."""
        total, sums, count = a.new_zeros(()), a.new_zeros(()), 0
        for part in pieces(self.map, a):
            rows = design(self.map, a, batch, part)
            total, count = total + self_product(rows), count + rows.shape[-2]
            sums = sums + row_sums(self.map.rows, a, batch, part, rows)
        if self.map.bias:
            count = count if batch.sample_weight is None else count // len(a) * batch.size
            border = torch.cat([sums, sums.new_full((*sums.shape[:-1], 1), count)], -1)[..., None, :]
            total = torch.cat([torch.cat([total, sums[..., None]], -1), border], -2)
        return batch.sum(total)

    def grouped(self, theta: Tensor) -> Tensor:
        """``theta`` as a matrix for each group of units, ``(groups, units of a group, p)``."""
        return theta.view(-1, self.map.shape[-2], theta.shape[1])

    def divide(self, theta: Tensor, root: Tensor, upper: bool = False) -> Tensor:
        """``theta`` times ``C^{-1}`` for a lower triangular `C` of each group; with `upper` times ``C^{-T}``."""
        right = root.mT if upper else root
        solved = torch.linalg.solve_triangular(right, self.grouped(theta), upper=upper, left=False)
        return solved.reshape(theta.shape)

    def solve(self, normal: Callable[[Tensor], Tensor], rhs: Tensor, root: Tensor, block: str, steps: int) -> Tensor:
        """``H theta = rhs`` for each unit by conjugate gradients in ``y = theta C``: ``C C^T`` preconditions `H`.

        Pixels have a large mean, on which plain conjugate gradients lose their digits within ten steps.
        """

        def inner(y: Tensor) -> Tensor:
            return self.divide(normal(self.divide(y, root)), root, upper=True)

        start = torch.zeros_like(rhs)
        return self.divide(conjugate_gradients(inner, self.divide(rhs, root, upper=True), start, block, steps), root)

    def decay(self, weight: float, like: Tensor) -> Tensor:
        """The weights of squares of the columns of ``theta``, ``(p,)``: `weight`, and none for the intercept's."""
        columns = like.new_full((self.map.shape[-1] + self.map.bias,), weight)
        columns[self.map.shape[-1] :] = 0.0
        return columns

    def times_inverse(self, cross: Tensor, inverse: Tensor) -> Tensor:
        """``argmin_D 1/2 <D (G + d I), D> - <cross, D>`` (P3), given ``(G + d I)^{-1}`` of each group."""
        return (cross.view(*self.map.shape[:-1], -1) @ inverse).reshape(cross.shape)
