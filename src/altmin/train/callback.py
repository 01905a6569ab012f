"""What looks at a training on its way: an object with hooks, or a function of the records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from altmin.core.state import State
    from altmin.train.history import History
    from altmin.train.trainer import Trainer

Observer = Callable[["History", "State[Any]"], "bool | None"]


class Callback:
    """Base of the objects that the option `callbacks` takes: override the hooks that you need.

    Every hook has the trainer, whose ``model`` is current and whose ``state``, ``objective()`` and ``residuals()`` can
    be asked, and the history so far, with its earlier records where a run goes on from a checkpoint. What a callback
    itself remembers is not saved.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from altmin import Callback, fit
        >>> class Norm(Callback):
        ...     def start(self, trainer, history):
        ...         self.norms = []
        ...
        ...     def epoch(self, trainer, history):
        ...         self.norms.append(trainer.model[0].weight.norm().item())
        ...         return len(self.norms) == 3  # ends training
        >>> norm, x = Norm(), torch.randn(20, 2)
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> history = fit(model, "bcd", x, (x[:, 0] > 0).long(), epochs=100, callbacks=[norm])
        >>> history.status, len(norm.norms)
        ('stopped', 3)
    """

    def start(self, trainer: Trainer, history: History) -> None:
        """Before the first step, with the method's variables made."""

    def batch(self, trainer: Trainer, history: History) -> None:
        """After every step on a batch, of which the latest record knows nothing yet."""

    def epoch(self, trainer: Trainer, history: History) -> bool | None:
        """After every record, by default once an epoch, in `fit_stream` every so many batches; `True` ends training."""

    def end(self, trainer: Trainer, history: History) -> None:
        """After training, whatever ended it; the model has the weights that it keeps, and `history` its status."""


class Observed(Callback):
    """A function ``f(history, state)`` as a callback: it is called after every record.

    Args:
        function: The function.
    """

    def __init__(self, function: Observer) -> None:
        self._function = function

    def epoch(self, trainer: Trainer, history: History) -> bool | None:
        """What the function says."""
        return self._function(history, trainer.state)


def check_callbacks(name: str, value: Any) -> None:
    """Raise `TypeError` where an argument is no sequence of callbacks and functions."""
    if not isinstance(value, Sequence):
        raise TypeError(f"`{name}` must be a sequence of functions and altmin.Callback objects, got {value!r}")
    for one in value:
        if isinstance(one, type):
            raise TypeError(f"`{name}` must hold objects, such as {one.__name__}(...), got the class {one.__name__}")
        if not isinstance(one, Callback) and not callable(one):
            raise TypeError(f"`{name}` must hold functions and altmin.Callback objects, got {one!r}")
