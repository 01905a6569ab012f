"""From an `nn.Sequential` to a problem and its weights."""

from __future__ import annotations

from torch import nn

from altmin.convert.reading import layers_of
from altmin.convert.weights import state_of
from altmin.core.problem import Problem
from altmin.losses import Loss, make_loss
from altmin.regularizers import Regularizer, make_regularizer

__all__ = ["layers_of", "problem_of", "state_of"]


def problem_of(
    model: nn.Sequential, loss: str | Loss | nn.Module = "cross_entropy", regularizer: str | Regularizer | None = None
) -> Problem:
    """The problem that training `model` poses.

    Args:
        model: An `nn.Sequential`; `altmin.convert.reading` says of what.
        loss: A name (``"cross_entropy"``, ``"squared"``, ``"hinge"``) or an object; also PyTorch's
            ``nn.CrossEntropyLoss()`` and ``nn.MSELoss()``.
        regularizer: `None`, text such as ``"l1:WEIGHT"``, or an object.

    Raises:
        TypeError: A module that is not supported; the message names it, its place, and what is.
        ValueError: An unknown name.

    Example:
        >>> problem_of(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), "squared").outputs
        2
    """
    return Problem(layers_of(model), make_loss(loss), make_regularizer(regularizer))
