"""What every loss offers, and their names."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from altmin.checks import Checked
from altmin.errors import absent
from altmin.registration import Registry


class Loss(Checked):
    """A convex function ``R(z; y)`` of outputs and targets, a sum over samples, with its gradient and its prox.

    A subclass gives a call, `grad`, `prox` and `encode`; `altmin.register_loss` gives it a name. In a dataclass, fields
    made by `altmin.checks.number` are checked, and text such as ``"huber:0.5"`` gives them values.

    Class attributes:
        name: What it is called in errors and on the command line.
        lipschitz: ``H``, the Lipschitz constant of the gradient in `z`; infinite where the loss is not smooth.
        regression: Whether real-valued targets make sense.
        middle: Between the targets of the two classes where there is one output: what is above is class 1.
    """

    name: ClassVar[str] = "a loss"
    lipschitz: ClassVar[float] = math.inf
    regression: ClassVar[bool] = False
    middle: ClassVar[float] = 0.0

    def __call__(self, z: Tensor, y: Tensor) -> Tensor:
        """``R(z; y)``, a scalar, the sum over samples.

        Args:
            z: Outputs, ``(N, q)``.
            y: Targets, ``(N, q)``.
        """
        raise absent(self, "__call__")

    def grad(self, z: Tensor, y: Tensor) -> Tensor:
        """``dR/dz``, ``(N, q)``; a subgradient where the loss has kinks.

        Args:
            z: Outputs, ``(N, q)``.
            y: Targets, ``(N, q)``.
        """
        raise absent(self, "grad")

    def least_subgradient(self, z: Tensor, y: Tensor, g: Tensor) -> Tensor:
        """The element of least norm of ``g + dR(z)``, ``(N, q)``; a loss with kinks has a set of subgradients there.

        Args:
            z: Outputs, ``(N, q)``.
            y: Targets, ``(N, q)``.
            g: A further gradient, ``(N, q)``.
        """
        return g + self.grad(z, y)

    def prox(self, v: Tensor, r: float, target: Tensor, start: Tensor | None = None) -> Tensor:
        """``argmin_z R(z; target) + r/2 ||z - v||^2``, ``(N, q)``, each row by itself (P2).

        Args:
            v: Centres, ``(N, q)``.
            r: Weight of the proximal term, > 0.
            target: Targets, ``(N, q)``.
            start: Where an iterative solver begins, ``(N, q)``; closed forms need none.
        """
        raise absent(self, "prox")

    def encode(self, labels: Tensor, outputs: int, dtype: torch.dtype) -> Tensor:
        """Class indices ``(N,)`` as the targets that this loss wants, ``(N, outputs)``.

        Args:
            labels: Classes from 0; with one output 0 and 1.
            outputs: Width of the network's output.
            dtype: Of the result.

        Raises:
            ValueError: A number of outputs that the loss cannot take.
        """
        raise absent(self, "encode")

    def signs(self, y: Tensor) -> Tensor:
        """Encoded class labels ``(N, q)`` as 1 for a sample's class and -1 for the others.

        Raises:
            ValueError: Targets that are no class labels.
        """
        if not (((y == 0) | (y == 1)).all() or (y.abs() == 1).all()):
            raise ValueError("`outputs`: class labels alone have signs, and these targets are none; use 'forward'")
        return torch.where(y > 0, 1.0, -1.0).to(y.dtype)

    def probabilities(self, z: Tensor) -> Tensor:
        """Outputs ``(N, q)`` as the share of each class, ``(N, max(q, 2))``, rows that sum to 1.

        The softmax of several outputs, the sigmoid of one beside its complement: the model's probabilities under
        cross-entropy, and under losses that know none (hinge) only an order.
        """
        one = z.shape[1] == 1
        return torch.softmax(torch.cat([torch.zeros_like(z), z - self.middle], 1) if one else z, 1)


LOSSES: Registry[Loss] = Registry("loss")
"""The losses by name."""
register_loss = LOSSES.register


def make_loss(loss: str | Loss) -> Loss:
    """A loss from its name and numbers, such as ``"huber:0.5"``; an object is passed through.

    Raises:
        TypeError: Neither text nor a loss.
        ValueError: An unknown name; the message has the nearest known one. Or numbers that the loss does not take.
    """
    if isinstance(loss, str):
        return LOSSES.make(loss) if ":" in loss else LOSSES.find(loss)()
    if not isinstance(loss, Loss):
        raise TypeError(f"`loss` must be a name or an object such as altmin.CrossEntropy(), got {loss!r}")
    return loss


def one_hot(labels: Tensor, outputs: int, dtype: torch.dtype) -> Tensor:
    """Rows of the identity, ``(N, outputs)``: a one in the column of each label."""
    return torch.nn.functional.one_hot(labels.long(), outputs).to(dtype)
