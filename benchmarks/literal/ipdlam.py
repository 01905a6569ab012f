"""Algorithm 1 of Qiao et al., "Inertial proximal deep learning alternating minimization" (ICASSP 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from literal.shared import relu_prox


class IPDLAM:
    """Squared loss, full batch; `delta` > 0, one inertial factor for all variables."""

    def __init__(
        self,
        W: Sequence[Tensor],
        b: Sequence[Tensor],
        x: Tensor,
        y: Tensor,
        *,
        factor: float = 0.7,
        delta: float = 1.0,
        rho: float = 1.0,
    ) -> None:
        self.x, self.y, self.factor, self.delta, self.rho = x, y, factor, delta, rho
        self.W, self.b, self.z, self.a = list(W), list(b), [], []
        for i in range(len(W)):
            self.z.append(self.predict(i))
            self.a.append(torch.relu(self.z[i]))
        self.before = self.copies()

    def copies(self) -> dict[str, list[Tensor]]:
        """All variables as they are."""
        return {name: [t.clone() for t in getattr(self, name)] for name in ("W", "b", "z", "a")}

    def below(self, i: int) -> Tensor:
        """``A_{l-1}``."""
        return self.x if i == 0 else self.a[i - 1]

    def predict(self, i: int) -> Tensor:
        """``A_{l-1} W_l^T + b_l``."""
        return self.below(i) @ self.W[i].T + self.b[i]

    def step(self) -> None:
        """One iteration, layers in increasing order."""
        now, delta = self.copies(), self.delta

        def ahead(name: str, i: int) -> Tensor:
            return now[name][i] + self.factor * (now[name][i] - self.before[name][i])

        last = len(self.W) - 1
        for i in range(last):
            v = (self.predict(i) + delta * ahead("z", i)) / (1 + delta)
            self.z[i] = relu_prox(self.a[i], v, 1 + delta)
        v, r = (self.predict(last) + delta * ahead("z", last)) / (1 + delta), self.rho * (1 + delta)
        self.z[last] = (self.y + r * v) / (1 + r)
        for i in range(last + 1):
            A, V = self.below(i), self.z[i] - self.b[i]
            normal = A.T @ A + delta * torch.eye(A.shape[1], dtype=A.dtype)
            self.W[i] = (V.T @ A + delta * ahead("W", i)) @ torch.linalg.inv(normal)
            residual = (self.z[i] - A @ self.W[i].T).sum(0)
            self.b[i] = (residual + delta * ahead("b", i)) / (len(A) + delta)
        for i in range(last):
            W, V = self.W[i + 1], self.z[i + 1] - self.b[i + 1]
            normal = W.T @ W + (1 + delta) * torch.eye(W.shape[1], dtype=W.dtype)
            self.a[i] = (V @ W + torch.relu(self.z[i]) + delta * ahead("a", i)) @ torch.linalg.inv(normal)
        self.before = now
