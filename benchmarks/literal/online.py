"""AM-Adam, Algorithms 1 and 2 of Choromanska et al., "Beyond backprop" (ICML 2019), with autograd and optimisers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear, mse_loss


class OnlineAM:
    """Cross-entropy with class indices, means over batch and entries as the authors have them."""

    def __init__(
        self,
        W: Sequence[Tensor],
        b: Sequence[Tensor],
        *,
        lr: float = 0.002,
        code_lr: float = 0.3,
        code_steps: int = 5,
        mu: float = 0.003,
    ) -> None:
        self.W, self.b = ([t.clone().requires_grad_() for t in group] for group in (W, b))
        self.code_lr, self.code_steps, self.mu = code_lr, code_steps, mu
        self.optimizers = [torch.optim.Adam(pair, lr=lr) for pair in zip(self.W, self.b, strict=True)]

    def layer(self, i: int, a: Tensor) -> Tensor:
        """``W_l a + b_l``."""
        return linear(a, self.W[i], self.b[i])

    def step(self, x: Tensor, labels: Tensor) -> None:
        """One mini-batch."""
        codes = self.find_codes(self.encode(x), labels)
        inputs = [x, *(torch.relu(c) for c in codes)]
        losses = [mse_loss(self.layer(i, inputs[i]), c) for i, c in enumerate(codes)]
        losses.append(cross_entropy(self.layer(-1, inputs[-1]), labels))
        for loss, optimizer in zip(losses, self.optimizers, strict=True):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    @torch.no_grad()
    def encode(self, x: Tensor) -> list[Tensor]:
        """Codes by a forward pass."""
        codes: list[Tensor] = []
        for i in range(len(self.W) - 1):
            codes.append(self.layer(i, torch.relu(codes[-1]) if codes else x))
        return codes

    def find_codes(self, codes: list[Tensor], labels: Tensor) -> list[Tensor]:
        """Algorithm 2: codes last to first, each by steps of SGD with Nesterov momentum."""
        for i in reversed(range(len(codes))):
            start, code = codes[i], codes[i].clone().requires_grad_()
            optimizer = torch.optim.SGD([code], lr=self.code_lr, momentum=0.9, nesterov=True)
            for _ in range(self.code_steps):
                out = self.layer(i + 1, torch.relu(code))
                fit = mse_loss(out, codes[i + 1]) if i + 1 < len(codes) else cross_entropy(out, labels) / self.mu
                optimizer.zero_grad()
                (fit + mse_loss(code, start)).backward()
                optimizer.step()
            codes[i] = code.detach()
        return codes
