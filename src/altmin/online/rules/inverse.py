"""``(M + d I)^{-1}`` of a positive semidefinite matrix for each group of units, whole or along leading eigenvectors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from altmin.core.memory import Memory
from altmin.precision import exact
from altmin.solvers.weight_least_squares import cholesky

FIRST_POWERS = 4


@dataclass(eq=False)
class Whole(Memory):
    """``(M + d I)^{-1}`` as a matrix for each group.

    Attributes:
        inverse: ``(..., p, p)``.
    """

    inverse: Tensor

    @classmethod
    def empty(cls, M: Tensor) -> Whole:
        """Zeros, until the first `update`; in the order of columns, which is that of the factors' library."""
        return cls(torch.zeros_like(M).mT)

    @exact()
    def update(self, M: Tensor, d: Tensor, first: bool) -> None:
        """Become that of a positive semidefinite ``M``, ``(..., p, p)``, and ``d``, ``(..., 1, 1)``."""
        damped = M + d * torch.eye(M.shape[-1], dtype=d.dtype, device=d.device)
        self.inverse.copy_(torch.cholesky_inverse(cholesky(damped, "W")))

    def add(self, velocity: Tensor, G: Tensor) -> None:
        """``velocity + G (M + d I)^{-1}``, in place; both ``(groups, units, p)``."""
        velocity.add_(G @ self.inverse)


@dataclass(eq=False)
class Leading(Memory):
    """``(I - Q diag(m/(m + d)) Q^T)/d``, with about the leading eigenvectors ``Q`` of ``M`` and their eigenvalues.

    Attributes:
        Q: Orthonormal columns, ``(..., p, rank)``.
        right: ``Q diag(m/(m + d))/d``.
        d: ``(..., 1, 1)``.
    """

    Q: Tensor
    right: Tensor
    d: Tensor

    @classmethod
    def empty(cls, M: Tensor, rank: int) -> Leading:
        """Zeros, until the first `update`."""
        Q = M.new_zeros(*M.shape[:-1], rank)
        return cls(Q, Q.clone(), M.new_zeros(*M.shape[:-2], 1, 1))

    @exact()
    def update(self, M: Tensor, d: Tensor, first: bool) -> None:
        """Become that of a positive semidefinite ``M`` by power steps with Rayleigh and Ritz's.

        Args:
            M: ``(..., p, p)``.
            d: ``(..., 1, 1)``.
            first: Whether there is none yet; from that of nearly the same ``M`` one power step is enough.
        """
        Q, powers = self.Q, 1
        if first:
            largest = M.diagonal(dim1=-2, dim2=-1).topk(Q.shape[-1]).indices
            Q, powers = torch.take_along_dim(M, largest[..., None, :], -1), FIRST_POWERS
        for _ in range(powers):
            Q = torch.linalg.qr(M @ Q).Q
        m, U = torch.linalg.eigh(Q.mT @ M @ Q)
        self.Q, m = Q @ U, m.clamp_min(0.0)[..., None, :]
        self.right, self.d = self.Q * (m / (m + d) / d), d

    def add(self, velocity: Tensor, G: Tensor) -> None:
        """``velocity + G (M + d I)^{-1}``, in place; both ``(groups, units, p)``."""
        along = G @ self.right
        velocity.addcdiv_(G, self.d).baddbmm_(along, self.Q.mT.expand(len(G), -1, -1), alpha=-1.0)
