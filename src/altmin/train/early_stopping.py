"""An end of training where validation no longer improves."""

from __future__ import annotations

from altmin.train.callback import Callback
from altmin.train.history import History
from altmin.train.option_field import check_positive
from altmin.train.trainer import Trainer


class EarlyStopping(Callback):
    """A callback that ends training where none of the last `patience` records is the best one on validation.

    The best one is that of the highest accuracy, of equals of the lowest loss; in regression that of the lowest loss.
    It remembers nothing, so a run that goes on from a checkpoint ends where it would have ended. With ``keep="best"``
    the model ends with that record's weights.

    Args:
        patience: How many records without a better one end training.

    Raises:
        ValueError: `patience` is no positive integer; from `fit`, after the first record: there are no validation
            samples.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from altmin import EarlyStopping, fit
        >>> x, model = torch.randn(40, 2), nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> options = {"validation": 0.25, "keep": "best", "callbacks": [EarlyStopping(patience=5)]}
        >>> history = fit(model, "bcd", x, (x[:, 0] > 0).long(), epochs=2000, seed=0, **options)
        >>> history.status, history.iterations - history.best
        ('stopped', 5)
    """

    def __init__(self, patience: int = 10) -> None:
        check_positive("patience", patience)
        self.patience = patience

    def epoch(self, trainer: Trainer, history: History) -> bool:
        """Whether it is time to end."""
        best = history.best
        if best is None:
            raise ValueError("EarlyStopping needs `validation` samples whose figures are recorded")
        return sum(record["iteration"] > best for record in history.records) >= self.patience
