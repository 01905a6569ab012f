"""A line for every record, for people who wait."""

from __future__ import annotations

from altmin.train.history import Record

SAID = "train_loss", "train_accuracy", "validation_loss", "validation_accuracy"


def line_of(record: Record) -> str:
    """The iteration and the figures that are known, in one line.

    Example:
        >>> line_of({"iteration": 3, "train_loss": 0.25, "validation_loss": None, "metrics": {"validation_f1": 0.9}})
        'iteration 3: train loss 0.25, validation f1 0.9'
    """
    figures = {name: record.get(name) for name in SAID} | record.get("metrics", {})
    known = [f"{name.replace('_', ' ')} {value:.6g}" for name, value in figures.items() if value is not None]
    return f"iteration {record['iteration']}: {', '.join(known) or 'nothing recorded'}"
