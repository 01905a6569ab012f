"""Algorithm 1 of Qiao et al., "Inertial proximal deep learning alternating minimization" (ICASSP 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from literal.shared import relu_prox


class IPDLAM:
    """Squared loss, full batch; `delta` > 0, one inertial factor for all variables; the orders of section 3.5."""

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
        order: str = "increase",
    ) -> None:
        self.order, self.last = order, len(W) - 1
        self.x, self.y, self.factor, self.delta, self.rho = x, y, factor, delta, rho
        self.W, self.b, self.z, self.a = list(W), list(b), [], []
        for i in range(len(W)):
            self.z.append(self.predict(i))
            self.a.append(torch.relu(self.z[i]))
        self.before = self.now = self.copies()

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
        """One iteration."""
        self.now, last = self.copies(), self.last
        if self.order == "nested":  # z_L W_L a_{L-1} z_{L-1} W_{L-1} ... a_1 z_1 W_1
            self.update_z(last)
            self.update_W(last)
            for i in range(last - 1, -1, -1):
                self.update_a(i)
                self.update_z(i)
                self.update_W(i)
        else:
            layers = list(range(last + 1)) if self.order == "increase" else list(range(last, -1, -1))
            for i in layers:
                self.update_z(i)
            for i in layers:
                self.update_W(i)
            for i in layers:
                if i < last:
                    self.update_a(i)
        self.before = self.now

    def ahead(self, name: str, i: int) -> Tensor:
        """``v_k + factor (v_k - v_{k-1})`` of the iterate that the iteration began with."""
        return self.now[name][i] + self.factor * (self.now[name][i] - self.before[name][i])

    def update_z(self, i: int) -> None:
        """``Z_l`` by its two candidates, ``Z_L`` by the prox of the squared loss."""
        v = (self.predict(i) + self.delta * self.ahead("z", i)) / (1 + self.delta)
        if i < self.last:
            self.z[i] = relu_prox(self.a[i], v, 1 + self.delta)
        else:
            r = self.rho * (1 + self.delta)
            self.z[i] = (self.y + r * v) / (1 + r)

    def update_W(self, i: int) -> None:
        """``W_l`` by its normal equations, then ``b_l``."""
        A, V = self.below(i), self.z[i] - self.b[i]
        normal = A.T @ A + self.delta * torch.eye(A.shape[1], dtype=A.dtype)
        self.W[i] = (V.T @ A + self.delta * self.ahead("W", i)) @ torch.linalg.inv(normal)
        residual = (self.z[i] - A @ self.W[i].T).sum(0)
        self.b[i] = (residual + self.delta * self.ahead("b", i)) / (len(A) + self.delta)

    def update_a(self, i: int) -> None:
        """``A_l`` by its normal equations."""
        W, V = self.W[i + 1], self.z[i + 1] - self.b[i + 1]
        normal = W.T @ W + (1 + self.delta) * torch.eye(W.shape[1], dtype=W.dtype)
        pull = V @ W + torch.relu(self.z[i]) + self.delta * self.ahead("a", i)
        self.a[i] = pull @ torch.linalg.inv(normal)
