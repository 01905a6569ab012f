"""Algorithms 1 to 3 of Wang et al., "ADMM for efficient deep learning with global convergence" (KDD 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from literal.shared import backtracked, relu_prox, softmax_prox, total


class DLADMM:
    """Softmax cross-entropy, no regulariser, constant `rho` and `nu`; `per_sample` gives each row its own ``tau``."""

    def __init__(
        self,
        W: Sequence[Tensor],
        b: Sequence[Tensor],
        x: Tensor,
        y: Tensor,
        *,
        rho: float = 1e-6,
        nu: float = 1e-6,
        start: float = 1.0,
        factor: float = 2.0,
        per_sample: bool = True,
        tol: float = 1e-6,
    ) -> None:
        self.x, self.y, self.rho, self.nu, self.tol = x, y, rho, nu, tol
        self.start, self.factor, self.per_sample = start, factor, per_sample
        self.W, self.b, self.z, self.a = list(W), list(b), [], []
        for i in range(len(W)):
            self.z.append(self.below(i) @ W[i].T + b[i])
            self.a.append(torch.relu(self.z[i]))
        self.u, self.last = torch.zeros_like(self.z[-1]), len(W) - 1

    def below(self, i: int) -> Tensor:
        """``A_{l-1}``."""
        return self.x if i == 0 else self.a[i - 1]

    def step(self) -> None:
        """One iteration: backward, forward, and the dual variable."""
        for i in range(self.last, -1, -1):
            if i < self.last:
                self.update_a(i)
            self.update_z(i)
            self.update_b(i)
            self.update_W(i)
        for i in range(self.last + 1):
            self.update_W(i)
            self.update_b(i)
            self.update_z(i)
            if i < self.last:
                self.update_a(i)
        self.u = self.u + self.rho * self.residual(self.last, self.below(self.last), self.W[self.last])

    def penalty(self, i: int) -> float:
        """``rho`` for the last layer, else ``nu``."""
        return self.rho if i == self.last else self.nu

    def residual(self, i: int, a: Tensor, W: Tensor) -> Tensor:
        """``Z_l - A W^T - b_l``."""
        return self.z[i] - a @ W.T - self.b[i]

    def phi(self, i: int, a: Tensor, W: Tensor, per_row: bool) -> Tensor:
        """``c_l/2 ||E_l||^2``, and ``<U, E_L>`` in the last layer: of each row, or of all."""
        E = self.residual(i, a, W)
        value = 0.5 * self.penalty(i) * E * E + (self.u * E if i == self.last else 0.0)
        return value.sum(1) if per_row else value.sum()

    def force(self, i: int, a: Tensor, W: Tensor) -> Tensor:
        """Minus the derivative of `phi` in ``A W^T``."""
        E = self.penalty(i) * self.residual(i, a, W)
        return E + self.u if i == self.last else E

    def update_a(self, i: int) -> None:
        """Algorithm 2."""
        above, target = self.W[i + 1], torch.relu(self.z[i])

        def phi(a: Tensor) -> Tensor:
            value = self.phi(i + 1, a, above, self.per_sample)
            return value + 0.5 * self.nu * total((a - target) ** 2, value)

        grad = self.nu * (self.a[i] - target) - self.force(i + 1, self.a[i], above) @ above
        self.a[i] = backtracked(self.a[i], grad, phi, self.start, self.factor)

    def update_z(self, i: int) -> None:
        """Equations for ``Z_l``."""
        v = self.below(i) @ self.W[i].T + self.b[i]
        if i == self.last:
            self.z[i] = softmax_prox(v - self.u / self.rho, self.y, self.rho, self.z[i], self.tol)
        else:
            self.z[i] = relu_prox(self.a[i], v, 1.0)

    def update_b(self, i: int) -> None:
        """The gradient step of length ``1/c_l``, which is the minimiser."""
        self.b[i] = self.b[i] + self.force(i, self.below(i), self.W[i]).mean(0) / self.penalty(i)

    def update_W(self, i: int) -> None:
        """Algorithm 3."""
        A = self.below(i)
        grad = -self.force(i, A, self.W[i]).T @ A
        self.W[i] = backtracked(self.W[i], grad, lambda W: self.phi(i, A, W, False), self.start, self.factor)
