"""A network with what its outputs mean: the module that is exported."""

from __future__ import annotations

from copy import deepcopy
from math import prod

import torch
from torch import Tensor, nn

from altmin.data import TargetScale
from altmin.losses import make_loss
from altmin.nn import Elman
from altmin.study.description import DTYPES, NetworkDescription


class Answering(nn.Module):
    """Of samples ``(N, d)`` the outputs ``(N, q)``, and what they say: ``(N, c)`` probabilities, or ``(N, q)`` numbers.

    Args:
        model: The network, which is copied.
        network: What it is.
    """

    def __init__(self, model: nn.Sequential, network: NetworkDescription):
        super().__init__()
        self.model = deepcopy(model).cpu().eval()
        self.inputs, self.dtype = prod(network.inputs), DTYPES[network.dtype]
        self.classes = network.classes
        self.eval()
        self._loss = make_loss(network.loss)
        units = getattr(getattr(network.encoder, "target", None), "units", None)
        self._units = units or TargetScale(0.0, 1.0)

    @property
    def names(self) -> list[str]:
        """What the two are called."""
        return ["outputs", "predicted" if self.classes is None else "probabilities"]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both, for samples ``(N, d)``."""
        z = self.model(x)
        if self.classes is None:
            return z, self._units.units(z)
        return z, self._loss.probabilities(z)

    def samples(self) -> Tensor:
        """Two samples of the right shape and type."""
        return torch.zeros(2, self.inputs, dtype=self.dtype)


class OnnxElman(nn.Module):
    """`Elman` as ONNX's operator ``RNN``, a loop whose size does not grow with the sequence; it computes only there.

    Args:
        of: The layer.
    """

    driving: Tensor
    recurrent: Tensor
    bias: Tensor

    def __init__(self, of: Elman):
        super().__init__()
        self.inputs, self.hidden = of.inputs, of.hidden
        driving, recurrent = of.weight.detach().split([of.inputs, of.hidden], 1)
        bias = of.weight.new_zeros(of.hidden) if of.bias is None else of.bias.detach()
        self.register_buffer("driving", driving[None].clone())
        self.register_buffer("recurrent", recurrent[None].clone())
        self.register_buffer("bias", torch.cat([bias, torch.zeros_like(bias)])[None])

    def forward(self, x: Tensor) -> Tensor:
        """The states, ``(N, T, hidden)``, of sequences ``(N, T, inputs)``, which may be flat."""
        sequence = x.reshape(x.shape[0], -1, self.inputs).transpose(0, 1)  # `len` would fix the number of samples
        states = torch.onnx.ops.symbolic(
            "RNN",
            [sequence, self.driving, self.recurrent, self.bias],
            {"hidden_size": self.hidden},
            dtype=x.dtype,
            shape=[sequence.shape[0], 1, sequence.shape[1], self.hidden],
            version=14,
        )
        return states.squeeze(1).transpose(0, 1)


def with_loops(module: nn.Module) -> nn.Module:
    """The module with its recurrences as loops, changed in place."""
    for name, child in module.named_children():
        setattr(module, name, OnnxElman(child) if isinstance(child, Elman) else with_loops(child))
    return module
