"""The options of training, each with its meaning, its default and its check in one place.

`fit`, `fit_stream` and `Trainer` take them as named arguments, a study's `Setup` inherits them, and the command line
makes its own of them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from numbers import Integral, Real
from typing import Any, Literal, Self

import torch
from torch import nn

from altmin.errors import nearest
from altmin.losses import Loss, make_loss
from altmin.precision import Precision, dtype_of
from altmin.regularizers import Regularizer, make_regularizer
from altmin.train.callback import Callback, check_callbacks
from altmin.train.holdout import check_no_share, check_share
from altmin.train.metrics import check_metrics
from altmin.train.option_field import check_bool, check_positive, check_positive_or_none, described, option
from altmin.train.place import check_device
from altmin.train.weights import check_class_weight


def _check_keep(name: str, value: object) -> None:
    if value not in ("last", "best"):
        raise ValueError(f"`{name}` must be 'last' or 'best', got {value!r}")


def _check_generator(name: str, value: object) -> None:
    if value is not None and not isinstance(value, torch.Generator):
        raise TypeError(f"`{name}` must be a torch.Generator or None, got {value!r}")


def _check_seed(name: str, value: Any) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or not 0 <= int(value) < 2**64:
        raise ValueError(f"`{name}` must be an integer from 0 to 2**64 - 1 or None, got {value!r}")


def _check_folder(name: str, value: object) -> None:
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"`{name}` must be the path of a folder or None, got {value!r}")


def _check_tol(name: str, value: Any) -> None:
    if not isinstance(value, Real) or isinstance(value, bool) or not 0.0 < float(value) < math.inf:
        raise ValueError(f"`{name}` must be a number above 0 or None, got {value!r}")


@dataclass(frozen=True)
class Options:
    """What every way of training has in common.

    Example:
        >>> Options(loss="squared").regularizer is None
        True
        >>> Options(loss="square")
        Traceback (most recent call last):
        ...
        altmin.errors.UnknownNameError: unknown `loss` 'square'; did you mean 'squared'? ...
    """

    loss: str | Loss | nn.Module = option(
        "by name, cross_entropy, squared (or mse), hinge or binary_cross_entropy (or bce), or an object, also "
        "PyTorch's nn.CrossEntropyLoss(), nn.MSELoss() or nn.BCEWithLogitsLoss(); each is a sum over samples, squared "
        "half the sum of squares over outputs",
        default="cross_entropy",
        check=lambda _, value: make_loss(value),
        flag=str | None,
    )
    regularizer: str | Regularizer | None = option(
        "of all layers, none, l1:WEIGHT, l2:WEIGHT, group:WEIGHT, nonnegative, box:LOW:HIGH, binary:SIZE, or an "
        "object; it is added to the sum of the losses",
        default=None,
        check=lambda _, value: make_regularizer(value),
        flag=str,
    )
    generator: torch.Generator | None = option(
        "draws the order of the samples, noise and random starts; none: one seeded from PyTorch's global generator",
        default=None,
        check=_check_generator,
    )
    seed: int | None = option(
        "makes the generator, for runs that draw the same; it touches neither the model's weights, which `fit` begins "
        "with as they are, nor PyTorch's global generator; none: `generator`",
        default=None,
        check=_check_seed,
    )
    device: str | torch.device | None = option(
        "where to train: model and data are moved to cpu, cuda or cuda:N, or by auto to cuda where there is one, else "
        "to cpu; none: they stay where they are",
        default=None,
        check=lambda _, value: value is None or check_device(value),
        flag=str,
    )
    precision: Precision | None = option(
        "of training; float32, float64: model, for good, and data are converted; bf16: float32 with matrix products in "
        "bfloat16, added up in float32, where the hardware has them; none: as the model is",
        default=None,
        check=lambda _, value: dtype_of(value),
        flag=Precision | None,
    )
    diagnose: bool = option(
        "watch every iteration of a method with a penalty objective, and record step sizes, `c_k`, stationarity and "
        "whether the inequalities of its convergence theory hold; some passes over the samples more for each",
        default=False,
        check=check_bool,
        flag=bool,
    )
    audit: bool = option(
        "train under `altmin.no_backprop`, which raises where gradients pass through several layers",
        default=False,
        check=check_bool,
        flag=bool,
    )

    def __post_init__(self) -> None:
        self.check_each({f.name: getattr(self, f.name) for f in self.listed()})
        if self.device == "auto":
            object.__setattr__(self, "device", check_device(self.device))
        self.check_together()

    def check_together(self) -> None:
        """Raise `ValueError` for what no option can tell alone."""
        if self.seed is not None and self.generator is not None:
            raise ValueError("`seed` makes a generator, and `generator` is one; name one of the two")

    @property
    def initial_seed(self) -> int | None:
        """What the numbers drawn begin with; `None` where nobody said."""
        if self.generator is not None:
            return self.generator.initial_seed()
        return None if self.seed is None else int(self.seed)

    @classmethod
    def check_each(cls, values: Mapping[str, Any]) -> None:
        """Raise what an object with these values would about any of them alone."""
        for f in cls.listed():
            check = f.metadata["check"]
            if f.name in values and check is not None and not (values[f.name] is None and f.default is None):
                check(f.name, values[f.name])

    @classmethod
    def given(cls, caller: str, options: dict[str, Any]) -> Self:
        """The options that a caller was given by name.

        Args:
            caller: Its name, for errors.
            options: What it was given.

        Raises:
            TypeError: An option that does not exist, or one that has no default and is not named.
        """
        known = {f.name: f for f in cls.listed()}
        for name in options:
            if name not in known:
                raise TypeError(f"{caller} has no option `{name}`; {nearest(name, list(known))}")
        for name, f in known.items():
            if f.default is MISSING and name not in options:
                raise TypeError(f"{caller} needs `{name}`: {described(f)}")
        return cls(**options)

    @classmethod
    def listed(cls) -> Iterator[Field[Any]]:
        """The options among the fields."""
        return (f for f in fields(cls) if "flag" in f.metadata)

    def of(self, kind: type[Options]) -> dict[str, Any]:
        """Those of its values that are options of `kind`."""
        return {f.name: getattr(self, f.name) for f in kind.listed() if hasattr(self, f.name)}


@dataclass(frozen=True)
class TrainerOptions(Options):
    """What a `Trainer` takes."""

    samples: int | None = option(
        "how many the training set has, over which the regulariser is spread and which make an epoch; "
        "none: those of the first step",
        default=None,
        check=check_positive_or_none,
    )


FIGURES = "objective", "train", "validation", "test"


def _check_record(name: str, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(figure in FIGURES for figure in value):
        raise ValueError(f"`{name}` must hold names among {', '.join(FIGURES)}, or be None, got {value!r}")


@dataclass(frozen=True)
class LoopOptions(Options):
    """What a loop over a `Trainer` takes that keeps records."""

    record: Sequence[str] | None = option(
        "figures that a record has, each over all samples with the weights that are there then: objective (with "
        "residuals), train (with the gap), validation, test; none: all of them, but objective and train of an online "
        "method are those of the forward passes that its steps began with, as is usual: dropout drawn, weights still "
        "moving; those of other methods are estimated, of more than 10,000 training samples, from every eleventh of "
        "them, the same ones each time, but in the last record",
        default=None,
        check=_check_record,
    )

    validation: Any = option(
        "samples that are evaluated for every record, in the form of the data", default=None, check=check_no_share
    )
    test: Any = option(
        "samples that are evaluated for every record and used for nothing else, in the form of the data", default=None
    )
    keep: Literal["last", "best"] = option(
        "which weights the model ends with: the last ones, or those of the record best on validation",
        default="last",
        check=_check_keep,
        flag=Literal["best", "last"],
    )
    metrics: Mapping[str, str | Callable[..., Any]] | Sequence[str | Callable[..., Any]] = option(
        "functions f(y_true, y_pred) of labels, or in regression numbers, that every record has of the validation and "
        "test samples, or without such of the training samples: a list of functions and of names of sklearn.metrics, "
        "such as balanced_accuracy or r2, or a dict of names to functions; they know no weights of samples",
        default=(),
        check=check_metrics,
    )
    verbose: bool = option("print a line for every record", default=False, check=check_bool)
    callbacks: Sequence[Callback | Callable[..., Any]] = option(
        "objects with hooks (`altmin.Callback`), and functions that are called as callback(history, state) after every "
        "record; one that returns True stops training",
        default=(),
        check=check_callbacks,
    )

    checkpoint: str | os.PathLike[str] | None = option(
        "a folder for checkpoints, from which a run that was ended goes on by `resume`; none: nothing is saved",
        default=None,
        check=_check_folder,
    )
    resume: bool = option(
        "go on from the newest checkpoint that is whole; begin where there is none",
        default=False,
        check=check_bool,
    )
    checkpoints_kept: int = option("the newest checkpoints, which stay", default=2, check=check_positive)

    @property
    def recorded(self) -> Sequence[str]:
        """The figures that records have."""
        return FIGURES if self.record is None else self.record

    def check_together(self) -> None:
        """Raise `ValueError` for what no option can tell alone."""
        super().check_together()
        if self.keep == "best" and (self.validation is None or "validation" not in self.recorded):
            raise ValueError("`keep='best'` needs a `validation` set to be best on, and its figures in `record`")
        if self.resume and self.checkpoint is None:
            raise ValueError("`resume=True` needs the folder of the run's checkpoints, `checkpoint`")


@dataclass(frozen=True)
class FitOptions(LoopOptions):
    """What `fit` takes."""

    validation: Any = option(
        "samples that are evaluated for every record, in the form of the data; or a share of the data such as 0.1, "
        "which is drawn by the generator, of every class alike, and held out of training",
        default=None,
        check=check_share,
    )
    epochs: int = option(
        "passes over the data; for full-batch methods iterations", check=check_positive, flag=int | None
    )
    batch_size: int | None = option(
        "samples a step; none: the method's own number, for full-batch methods all",
        default=None,
        check=check_positive_or_none,
        flag=int | None,
    )

    sample_weight: Any = option(
        "what each sample of the data counts by, N numbers >= 0: a sample of weight 2 is one that is there twice, and "
        "one of weight 0 is left out; they weigh losses, all other sums over samples, and the training figures, with a "
        "share held out for validation its figures too",
        default=None,
    )
    class_weight: Mapping[int, float] | str | None = option(
        "what the samples of each class count by, a dict of class index to weight (1 where it names none), or "
        "balanced: inversely to how many there are; beside `sample_weight` both are multiplied",
        default=None,
        check=check_class_weight,
    )

    record_every: int = option(
        "epochs from one record to the next, callbacks included; there is always one at the end",
        default=1,
        check=check_positive,
        flag=int,
    )
    tol: float | None = option(
        "end training where the relative stationarity of a method with a penalty objective is below it at a record; "
        "none: after all epochs",
        default=None,
        check=_check_tol,
        flag=float | None,
    )
    every: int | None = option(
        "epochs from one checkpoint to the next; none: so many that writing takes a twentieth of the time; there is "
        "always one at the end",
        default=None,
        check=check_positive_or_none,
        flag=int | None,
    )

    @property
    def weighed(self) -> bool:
        """Whether samples have weights."""
        return self.sample_weight is not None or self.class_weight is not None

    def check_together(self) -> None:
        """Raise `ValueError` for what no option can tell alone."""
        super().check_together()
        if self.weighed and (self.diagnose or self.tol is not None):
            name = "diagnose" if self.diagnose else "tol"
            raise ValueError(f"`{name}` takes distances that know no weights of samples; leave it or them out")
        if self.every is not None and self.checkpoint is None:
            raise ValueError(
                "`every` says how often checkpoints are written, and needs a folder for them, `checkpoint`"
            )


@dataclass(frozen=True)
class StreamOptions(LoopOptions):
    """What `fit_stream` takes."""

    steps: int = option("the most batches to train on; a stream that ends earlier ends training", check=check_positive)
    every: int = option("batches from one record to the next", default=100, check=check_positive)
