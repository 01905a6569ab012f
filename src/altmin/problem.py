"""What is minimised, and over which samples."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor

from altmin.activations import Activation
from altmin.losses import CrossEntropy, Loss
from altmin.maps import Linear
from altmin.regularizers import NoRegularizer, Regularizer

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalisation after a layer's map: its numbers, as in `torch.nn.BatchNorm1d`."""

    eps: float = 1e-5
    momentum: float = 0.1


@dataclass(frozen=True)
class Layer:
    """An affine map, batch normalisation where there is any, and the activation behind it."""

    map: Linear
    activation: Activation
    norm: BatchNorm | None = None


@dataclass(frozen=True)
class Problem:
    """``min R(f(X); Y) + sum_l Omega(W_l)`` for a network `f` of layers.

    Attributes:
        layers: From the input to the output; the last one's activation is the identity.
        loss: ``R``, a sum over samples.
        regularizer: ``Omega``, the same for every layer.
    """

    layers: tuple[Layer, ...]
    loss: Loss = field(default_factory=CrossEntropy)
    regularizer: Regularizer = field(default_factory=NoRegularizer)

    @classmethod
    def from_module(
        cls, model: nn.Sequential, loss: str | Loss = "cross_entropy", regularizer: str | Regularizer | None = None
    ) -> Problem:
        """The problem that training `model` poses.

        Args:
            model: `Linear`, activations, `Flatten`, `Identity`, and `BatchNorm1d` right after a `Linear`.
            loss: A name (``"cross_entropy"``, ``"squared"``, ``"hinge"``) or an object.
            regularizer: `None`, ``"l1:WEIGHT"``, ``"l2:WEIGHT"`` or an object.

        Raises:
            TypeError: A module that is not supported; the message names it, its place, and what is.
        """
        from altmin.modules import layers_of, make_loss, make_regularizer

        return cls(layers_of(model), make_loss(loss), make_regularizer(regularizer))

    @property
    def inputs(self) -> int:
        """Width of the input."""
        return self.layers[0].map.inputs

    @property
    def outputs(self) -> int:
        """Width of the output."""
        return self.layers[-1].map.outputs


@dataclass(frozen=True)
class Batch:
    """The samples that this process holds.

    Attributes:
        x: Inputs, ``(N, n_0)``.
        y: Encoded targets, ``(N, n_L)`` (`Loss.encode`).
        rows: Which rows of the state these samples are, where the batch is a part of the data; `None` for all.
        group: The processes that hold the other samples; `None` where this process holds all of them.
        ends_epoch: Whether this is the last batch of a pass over the data.
    """

    x: Tensor
    y: Tensor
    rows: Tensor | slice | None = None
    group: dist.ProcessGroup | None = None
    ends_epoch: bool = True

    def sum(self, t: Tensor) -> Tensor:
        """The sum of `t` over processes: the only reduction over processes in the library."""
        if self.group is None:
            return t
        total = t.detach().clone()
        dist.all_reduce(total, group=self.group)
        return total

    def any(self, flags: Tensor) -> bool:
        """Whether a flag is set on any process: every process takes the same branch."""
        return bool(self.sum(flags.any().to(torch.int32)))

    @property
    def count(self) -> int:
        """The number of samples over all processes."""
        local = len(self.x)
        return local if self.group is None else int(self.sum(torch.tensor(local, device=self.x.device)))

    def select(self, rows: Tensor | slice, ends_epoch: bool) -> Batch:
        """The batch of some of these rows."""
        return replace(self, x=self.x[rows], y=self.y[rows], rows=rows, ends_epoch=ends_epoch)
