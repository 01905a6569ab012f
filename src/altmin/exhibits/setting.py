"""All that decides what one training gives, but its seed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from altmin.errors import nearest
from altmin.methods import Method

Changes = dict[str, Any]
"""Fields of a `Setting`, by name, with other values."""
CHOICE = "method", "trials", "validated"
"""The fields that the method, described apart, comes from."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Data, network, method and length of a training, as a paper states them.

    Attributes:
        data: A name in `altmin.data`, which stands for a split, too.
        method: How it is trained.
        model: A name in `altmin.study.networks`.
        options: The model's own, such as ``{"hidden": (100, 100)}``.
        init: What first weights are drawn from (`altmin.study.starts`); `None` for PyTorch's own draw.
        loss: By name.
        regularizer: By name and weight, such as ``"l1:0.01"``.
        epochs: Passes over the samples.
        batches: Mini-batches, instead of epochs: training ends after so many.
        batch_size: Samples a step; `None` for the method's own number.
        train_samples: How many are trained on at most, from the front; `None` for all.
        share: The share of these that is trained on.
        every: Epochs, or mini-batches, from one record to the next.
        record: The figures that records have; none at all where only time is measured. Those of ``weights`` are
            ``zero_weights`` and ``zero_units``, the shares of weights that are zero and of hidden units without others.
        center: Whether the training samples' mean is subtracted.
        trials: Methods of which the one that is best on validation, at the end of a training like this one, becomes
            `method`; the split then holds out validation samples, or the one that `validated` names does.
        validated: The data set on which trials are compared; `None` for `data`.
    """

    data: str
    method: Method
    model: str = "mlp"
    options: dict[str, Any] = field(default_factory=dict)
    init: str | None = None
    loss: str = "cross_entropy"
    regularizer: str | None = None
    epochs: int = 1
    batches: int | None = None
    batch_size: int | None = None
    train_samples: int | None = None
    share: float = 1.0
    every: int = 1
    record: tuple[str, ...] = ("objective", "train", "test")
    center: bool = False
    trials: tuple[Method, ...] = ()
    validated: str | None = None

    def changed(self, changes: Changes) -> Setting:
        """The setting with other values; of `options`, which it names alone change.

        Raises:
            TypeError: A field that does not exist.
        """
        known = [f.name for f in fields(self)]
        for name in changes:
            if name not in known:
                raise TypeError(f"a setting has no field `{name}`; {nearest(name, known)}")
        merged = dict(changes)
        if "options" in changes:
            merged["options"] = {**self.options, **changes["options"]}
        return replace(self, **merged)

    def on_trial(self) -> list[Setting]:
        """The trainings among which validation chooses; none where there is nothing to choose."""
        if not self.trials:
            return []
        own = {"data": self.validated or self.data, "record": ("validation",), "trials": (), "validated": None}
        return [replace(self, method=method, **own) for method in self.trials]

    def described(self) -> dict[str, Any]:
        """What decides the training once its method is chosen, as JSON has it."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in CHOICE}
        return json.loads(json.dumps({**values, "method": described(self.method)}))

    def digest(self, seed: int) -> str:
        """A name for the training with a seed, which no other training has."""
        text = json.dumps({**self.described(), "seed": seed}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def described(method: Method) -> dict[str, Any]:
    """A method's class and numbers, as JSON has them."""
    return {"class": type(method).__name__, **json.loads(json.dumps(asdict(method), default=repr))}


@dataclass(frozen=True, kw_only=True)
class ExhibitScale:
    """How much smaller than the paper's a setting is; `None` leaves it.

    Attributes:
        samples: At most so many training samples.
        width: No hidden layer is wider.
        epochs: At most so many.
        batches: At most so many, of a setting that counts batches.
        seeds: How many starts, where the user names no number.
        trials: At most so many methods are on trial.
        data: Another data set in place of all.
    """

    samples: int | None = None
    width: int | None = None
    epochs: int | None = None
    batches: int | None = None
    seeds: int = 3
    trials: int | None = None
    data: str | None = None

    def of(self, setting: Setting) -> Setting:
        """The setting at this scale."""
        options = dict(setting.options)
        if "hidden" in options and self.width is not None:
            options["hidden"] = tuple(min(width, self.width) for width in options["hidden"])
        trials = setting.trials[: self.trials]
        return replace(
            setting,
            options=options,
            train_samples=_least(setting.train_samples, self.samples),
            epochs=_least(setting.epochs, self.epochs),
            batches=setting.batches and _least(setting.batches, self.batches),
            data=self.data or setting.data,
            validated=self.data or setting.validated,
            trials=trials if len(trials) > 1 else (),
        )

    def words(self) -> str:
        """What is smaller, in words."""
        parts = {
            "training samples": self.samples,
            "units a layer": self.width,
            "epochs": self.epochs,
            "batches": self.batches,
        }
        limits = [f"{value:,} {name}" for name, value in parts.items() if value is not None]
        drawn = "" if self.data is None else f"drawn samples ({self.data}) in place of every data set, "
        return f"{drawn}at most {', '.join(limits)}" if limits else "as in the paper"


def _least(*values: int | None) -> Any:
    return min((value for value in values if value is not None), default=None)
