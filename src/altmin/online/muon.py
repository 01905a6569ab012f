"""Muon for networks that have more than matrices."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class MuonWithAdam(torch.optim.Optimizer):
    """`torch.optim.Muon` for matrices and Adam for everything else: intercepts, scales, kernels of images.

    Jordan, "Muon: an optimizer for hidden layers in neural networks" (2024): a matrix moves along its momentum, all
    singular values of which are brought near 1. The last layer's matrix moves so, too.

    Args:
        params: Tensors; those of two axes are matrices.
        lr: Learning rate of the matrices, whose steps are scaled to the size of Adam's (``"match_rms_adamw"``).
        adam_lr: Learning rate of the others, relative to `lr`.

    Example:
        >>> W, b = torch.ones(2, 2), torch.ones(2)
        >>> optimizer = MuonWithAdam([W, b], lr=0.1)
        >>> W.grad, b.grad = torch.eye(2), torch.ones(2)
        >>> optimizer.step()
        >>> bool((W.diagonal() < 1).all() and (b < 1).all())
        True
    """

    def __init__(self, params: Iterable[Tensor], lr: float = 5e-3, adam_lr: float = 1.0) -> None:
        params = list(params)
        super().__init__(params, {"lr": lr, "adam_lr": adam_lr})
        matrices, others = [p for p in params if p.ndim == 2], [p for p in params if p.ndim != 2]
        self.parts: list[torch.optim.Optimizer] = []
        if matrices:
            self.parts.append(torch.optim.Muon(matrices, lr, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"))
        if others:
            self.parts.append(torch.optim.Adam(others, lr, fused=True))

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step of both, at the present learning rate."""
        if closure is not None:
            raise TypeError("MuonWithAdam takes no closure")
        group = self.param_groups[0]
        for part in self.parts:
            own = part.param_groups[0]
            own["lr"] = group["lr"] * (group["adam_lr"] if isinstance(part, torch.optim.Adam) else 1.0)
            part.step()

    def __getstate__(self) -> dict[str, Any]:
        """What a copy is made of."""
        return {**super().__getstate__(), "parts": self.parts}

    def state_dict(self) -> dict[str, Any]:
        """Learning rates, and the states of both."""
        return {**super().state_dict(), "parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what `state_dict` gave."""
        rest = dict(state_dict)
        for part, saved in zip(self.parts, rest.pop("parts"), strict=True):
            part.load_state_dict(saved)
        super().load_state_dict(rest)
