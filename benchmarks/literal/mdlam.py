"""Algorithms 1 to 3 of "Gradient-free neural network training by multi-convex alternating optimization".

They are printed without momentum; the acceleration is that of Wang, Li and Zhao (Neurocomputing 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from literal.shared import backtracked, softmax_prox


class MDLAM:
    """Softmax cross-entropy, no regulariser, a step size for each sample, `eps` by the mean loss."""

    def __init__(
        self,
        W: Sequence[Tensor],
        b: Sequence[Tensor],
        x: Tensor,
        y: Tensor,
        *,
        rho: float = 1e-6,
        eps: float = 10.0,
        start: float = 1.0,
        factor: float = 2.0,
        tol: float = 1e-6,
        accelerated: bool = True,
    ) -> None:
        self.accelerated = accelerated
        self.x, self.y, self.rho, self.eps, self.tol = x, y, rho, eps, tol
        self.start, self.factor, self.t = start, factor, 1.0
        self.W, self.b, self.z, self.a = list(W), list(b), [], []
        for i in range(len(W)):
            self.z.append(self.predict(i))
            self.a.append(torch.relu(self.z[i]))
        self.W_before, self.a_before, self.last = list(self.W), list(self.a), len(W) - 1

    def below(self, i: int) -> Tensor:
        """``A_{l-1}``."""
        return self.x if i == 0 else self.a[i - 1]

    def predict(self, i: int) -> Tensor:
        """``A_{l-1} W_l^T + b_l``."""
        return self.below(i) @ self.W[i].T + self.b[i]

    def step(self) -> None:
        """One sweep."""
        self.update_eps()
        if self.accelerated:
            self.sweep_ahead()
        else:
            self.sweep()

    def sweep(self) -> None:
        """Algorithm 1 as printed: every block once, first layer to last, each from where it is."""
        for i in range(self.last + 1):
            self.W[i] = self.trial_W(i, self.W[i])
            self.b[i] = (self.z[i] - self.below(i) @ self.W[i].T).mean(0)
            self.update_z(i)
            if i < self.last:
                self.a[i] = self.trial_a(i, self.a[i])

    def sweep_ahead(self) -> None:
        """The same with the momentum of 2022."""
        after = (1 + (1 + 4 * self.t**2) ** 0.5) / 2
        momentum, self.t = (self.t - 1) / after, after
        W_now, a_now = list(self.W), list(self.a)
        for i in range(self.last + 1):
            self.update_W(i, momentum)
            self.b[i] = (self.z[i] - self.below(i) @ self.W[i].T).mean(0)
            self.update_z(i)
            if i < self.last:
                self.update_a(i, momentum)
        self.W_before, self.a_before = W_now, a_now

    def update_eps(self) -> None:
        """The rule of section 4.1; the activations follow into a band that has changed."""
        R = float(-(torch.log_softmax(self.z[-1], 1) * self.y).sum() / len(self.y))
        if 10 * self.eps < R:
            self.eps = max(2 * self.eps, 1.0)
        elif self.eps > 10 * R:
            self.eps = min(self.eps / 2, 0.01)
        for i in range(self.last):
            self.a[i] = self.band(i)(self.a[i])

    def band(self, i: int) -> Callable[[Tensor], Tensor]:
        """The projection on ``|A_l - relu(Z_l)| <= eps``."""
        s = torch.relu(self.z[i])
        return lambda a: torch.clamp(a, s - self.eps, s + self.eps)

    def phi_W(self, i: int, W: Tensor) -> Tensor:
        """``rho/2 ||E_l||^2`` at weights."""
        return 0.5 * self.rho * ((self.z[i] - self.b[i] - self.below(i) @ W.T) ** 2).sum()

    def trial_W(self, i: int, W: Tensor) -> Tensor:
        """Algorithm 2 from a point."""
        A, V = self.below(i), self.z[i] - self.b[i]
        gradient = -self.rho * (V - A @ W.T).T @ A
        return backtracked(W, gradient, lambda W: self.phi_W(i, W), self.start, self.factor)

    def update_W(self, i: int, momentum: float) -> None:
        """Algorithm 2 from the point ahead, or from the present one where that raised the objective."""
        W = self.W[i]
        new = self.trial_W(i, W + momentum * (W - self.W_before[i]))
        self.W[i] = new if self.phi_W(i, new) <= self.phi_W(i, W) else self.trial_W(i, W)

    def update_z(self, i: int) -> None:
        """Equations (4) and (5)."""
        v = self.predict(i)
        if i == self.last:
            self.z[i] = softmax_prox(v, self.y, self.rho, self.z[i], self.tol)
            return
        low, high = self.a[i] - self.eps, self.a[i] + self.eps
        self.z[i] = torch.clamp(v, torch.where(low > 0, low, -torch.inf), high)

    def phi_a(self, i: int, a: Tensor) -> Tensor:
        """``rho/2 ||E_{l+1}||^2`` of each sample at activations."""
        return 0.5 * self.rho * ((self.z[i + 1] - self.b[i + 1] - a @ self.W[i + 1].T) ** 2).sum(1)

    def trial_a(self, i: int, a: Tensor) -> Tensor:
        """Algorithm 3 with the clip, from a point."""
        W, V = self.W[i + 1], self.z[i + 1] - self.b[i + 1]
        gradient = -self.rho * (V - a @ W.T) @ W
        return backtracked(a, gradient, lambda a: self.phi_a(i, a), self.start, self.factor, self.band(i))

    def update_a(self, i: int, momentum: float) -> None:
        """Algorithm 3 ahead; where a sample's objective rose, from the present point."""
        a = self.a[i]
        new = self.trial_a(i, a + momentum * (a - self.a_before[i]))
        self.a[i] = torch.where((self.phi_a(i, new) > self.phi_a(i, a))[:, None], self.trial_a(i, a), new)
