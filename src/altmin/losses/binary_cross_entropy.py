"""Binary cross-entropy, behind a sigmoid."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from altmin.losses.base import Loss, one_hot, register_loss
from altmin.prox.sigmoid import bce_derivative, sigmoid_prox


@register_loss("binary_cross_entropy", "bce")
@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """``sum_j log(1 + exp z_j) - y_j z_j`` with `y` in {0, 1}: two classes by one output, or one against the rest.

    The sigmoid is a part of it, so that a network ends with a `Linear`: class 1 is named where the output is positive.
    PyTorch's ``nn.BCEWithLogitsLoss()`` stands for it, though that is the mean over outputs and samples.

    Examples:
        >>> import torch
        >>> BinaryCrossEntropy().grad(torch.tensor([[0.0]]), torch.tensor([[1.0]]))
        tensor([[-0.5000]])
    """

    lipschitz = 0.25
    module = nn.BCEWithLogitsLoss

    def __call__(self, z: Tensor, y: Tensor) -> Tensor:
        """``sum log(1 + exp z) - y z`` over samples ``(N, q)``, a scalar."""
        return functional.binary_cross_entropy_with_logits(z, y, reduction="sum")

    def grad(self, z: Tensor, y: Tensor) -> Tensor:
        """``dR/dz = sigmoid(z) - y``, ``(N, q)``."""
        return bce_derivative(z, y)

    def prox(self, v: Tensor, r: float, target: Tensor, start: Tensor | None = None) -> Tensor:
        """``argmin_z sum log(1 + exp z) - target z + r/2 ||z - v||^2``, ``(N, q)``, by Newton's method (P2)."""
        return sigmoid_prox(v, r, target)

    def encode(self, labels: Tensor, outputs: int, dtype: torch.dtype) -> Tensor:
        """Class indices ``(N,)`` as one-hot rows ``(N, outputs)``; for one output, the label itself (0 or 1)."""
        return labels[:, None].to(dtype) if outputs == 1 else one_hot(labels, outputs, dtype)

    def probabilities(self, z: Tensor) -> Tensor:
        """The sigmoid of one output beside its complement; of several their sigmoids, made to sum to 1."""
        return super().probabilities(z) if z.shape[1] == 1 else torch.softmax(functional.logsigmoid(z), 1)
