"""What every loss offers, and their names."""

from __future__ import annotations

import inspect
import math
from typing import ClassVar

import torch
from torch import Tensor, nn

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
        module: PyTorch's module of the same loss, which then may stand in its place; `None` where there is none.
        middle: Between the targets of the two classes where there is one output: what is above is class 1.
    """

    name: ClassVar[str] = "a loss"
    lipschitz: ClassVar[float] = math.inf
    regression: ClassVar[bool] = False
    module: ClassVar[type[nn.Module] | None] = None
    middle: ClassVar[float] = 0.0

    def __call__(self, z: Tensor, y: Tensor) -> Tensor:
        """``R(z; y)``, a scalar, the sum over samples.

        Args:
            z: Outputs, ``(N, q)``.
            y: Targets, ``(N, q)``.
        """
        raise absent(self, "__call__")

    def of_each(self, z: Tensor, y: Tensor) -> Tensor:
        """``R(z; y)`` of each sample, ``(N,)``: `torch.vmap` of the call, which may take one sample.

        Args:
            z: Outputs, ``(N, q)``.
            y: Targets, ``(N, q)``.
        """
        return torch.vmap(lambda z, y: self(z[None], y[None]))(z, y)

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


def make_loss(loss: str | Loss | nn.Module) -> Loss:
    """A loss from its name and numbers, such as ``"huber:0.5"``; an object is passed through.

    PyTorch's own modules stand for the same losses, which here are sums over samples and not means.

    Raises:
        TypeError: Neither text nor a loss.
        ValueError: An unknown name; the message has the nearest known one. Or numbers that the loss does not take, or
            a module of PyTorch's with an option that is not its default.

    Example:
        >>> make_loss("mse") == make_loss(torch.nn.MSELoss()) == make_loss("squared")
        True
    """
    if isinstance(loss, str):
        return LOSSES.make(loss) if ":" in loss else LOSSES.find(loss)()
    if isinstance(loss, nn.Module):
        return _of_module(loss)
    if not isinstance(loss, Loss):
        raise TypeError(f"`loss` must be a name or an object such as altmin.CrossEntropy(), got {loss!r}")
    return loss


def _of_module(module: nn.Module) -> Loss:
    """The loss that a module of PyTorch's is."""
    kinds = {kind.module: kind for kind in LOSSES.values() if kind.module is not None}
    if type(module) not in kinds:
        known = ", ".join(f"nn.{kind.__name__}()" for kind in kinds)
        raise TypeError(f"`loss`: {type(module).__name__} stands for no loss; known: {known}, {', '.join(LOSSES)}")
    for name, parameter in inspect.signature(type(module)).parameters.items():
        value = getattr(module, name, parameter.default)
        if isinstance(value, Tensor) or value != parameter.default:
            found = f"{type(module).__name__} has {name}={value!r}"
            raise ValueError(f"`loss`: {found}, which the methods do not know; leave `{name}` out")
    return kinds[type(module)]()


def one_hot(labels: Tensor, outputs: int, dtype: torch.dtype) -> Tensor:
    """Rows of the identity, ``(N, outputs)``: a one in the column of each label."""
    return torch.nn.functional.one_hot(labels.long(), outputs).to(dtype)
