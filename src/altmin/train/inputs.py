"""What users hand in, checked before any work and turned into batches."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from altmin.convert import state_of
from altmin.core.batch import Batch
from altmin.core.forward import forward
from altmin.core.problem import Problem
from altmin.methods.base import Method
from altmin.train.conversion import converted, warn_of_conversion
from altmin.train.frames import is_frame, names_of
from altmin.train.pairs import NUMBERED, listed, tensors_of
from altmin.train.place import Place
from altmin.train.scale import warn_of_scale
from altmin.train.variance import BatchVariance


class SampleReader:
    """Turns samples into batches that fit the model, the loss and the samples that came before.

    Args:
        model: Through which they must pass.
        problem: Gives the widths and the encoding of the targets.
        place: Where they are to be.

    Attributes:
        classes: Whether the targets are classes; `None` before the first samples.
        variance: Whether batches of such samples have a variance for batch normalisation.
    """

    def __init__(self, model: nn.Sequential, problem: Problem, place: Place):
        self.model, self.problem, self.place = model, problem, place
        self.classes: bool | None = None
        self.variance = BatchVariance(problem)
        self._shape: torch.Size | None = None
        self._names: list[str] | None = None  # of a data frame's columns
        self._weighed: set[str] = set()
        self._converts = False

    def read(self, name: str, data: Any) -> Batch:
        """A batch of all samples of `data`.

        Args:
            name: The argument's name, for errors.
            data: A pair ``(x, y)`` of tensors or arrays, or a `Dataset` of such pairs.

        Raises:
            TypeError: Inputs that are no real numbers, targets of the wrong kind, a device that is not the model's.
            ValueError: Wrong shapes, no samples, nan or inf, labels outside the classes.

        Warns:
            ConversionWarning: Other numbers than the model's; once.
            ScaleWarning: Numbers far from unit scale; once.
        """
        x, y = tensors_of(name, data, self.place)
        self._compare_names(name, data)
        batch, classes = encoded(name, x, y, self.problem, self.place.like)
        if self._shape != batch.x.shape[1:]:
            self.variance.know(batch.x.shape[1:], check_shapes(name, batch.x, self.model, self.problem))
        if self.classes not in (None, classes):
            kinds = ("real-valued targets", "class labels")
            raise TypeError(f"`{name}` has {kinds[classes]}, what came before it {kinds[not classes]}")
        self.classes, self._shape = classes, batch.x.shape[1:]
        argument = name.partition("[")[0]
        self._compare(argument, {"x": x.dtype} if classes else {"x": x.dtype, "y": y.dtype})
        self._weigh(argument, batch)
        return batch

    def _compare_names(self, name: str, data: Any) -> None:
        """Refuse a data frame whose columns are others than those of the first one, or stand in another order."""
        x = data[0] if isinstance(data, tuple | list) else None
        names = names_of(x) if is_frame(x) else None
        if self._names is not None and names not in (None, self._names):
            raise ValueError(f"`{name}`: x has the columns {listed(names)}, what came before it {listed(self._names)}")
        self._names = self._names or names

    def _compare(self, argument: str, given: dict[str, torch.dtype]) -> None:
        """Warn of numbers that were converted, unless somebody asked for it; once in all."""
        dtype = self.place.like.dtype
        others = {part: own for part, own in given.items() if own != dtype}
        if others and not self._converts and not self.place.cast:
            self._converts = True
            warn_of_conversion(argument, others, dtype)

    def _weigh(self, argument: str, batch: Batch) -> None:
        """Warn of samples far from unit scale: of an argument's first ones, and once in all."""
        if argument not in self._weighed:
            self._weighed.add(argument)
            if warn_of_scale(argument, batch, self.problem, bool(self.classes)):
                self._weighed |= {"data", "batches", "validation"}


def batch_of(name: str, data: Any, problem: Problem, place: Place) -> tuple[Batch, bool]:
    """A batch of all samples of `data`, and whether its targets are classes.

    Args:
        name: The argument's name, for errors.
        data: A pair ``(x, y)`` of tensors or arrays, or a `Dataset` of such pairs.
        problem: Gives the widths and the encoding of the targets.
        place: Where it is to be.
    """
    return encoded(name, *tensors_of(name, data, place), problem, place.like)


def encoded(name: str, x: Tensor, y: Tensor, problem: Problem, like: Tensor) -> tuple[Batch, bool]:
    """Inputs and targets as a batch, and whether the targets are classes; see `batch_of`."""
    x = check_inputs(name, x, problem, like)
    if y.ndim == 0:
        raise ValueError(f"`{name}`: y must have shape (N,) or (N, n_L), got a single number")
    if len(y) != len(x):
        raise ValueError(f"`{name}`: {len(x)} inputs but {len(y)} targets")
    y, classes = encode(name, y, problem, like)
    return Batch(x, y), classes


def check_inputs(name: str, x: Tensor, problem: Problem, like: Tensor) -> Tensor:
    """Inputs as ``(N, n_0)``, or as they are where the network takes images or sequences, in the model's dtype."""
    if x.ndim < 2 or len(x) == 0:
        shape = f"(N, {problem.inputs or '...'})"
        raise ValueError(f"`{name}`: x must have shape {shape} with N > 0, got {tuple(x.shape)}")
    if x.device != like.device:
        raise TypeError(f"`{name}`: x is on {x.device}, the model on {like.device}; move one of them")
    if problem.inputs is not None:
        x, shape = x.flatten(1), tuple(x.shape)
        if x.shape[1] != problem.inputs:
            raise ValueError(f"`{name}`: the model takes {problem.inputs} features, x has {x.shape[1]} {shape}")
    return _numbers(name, "x", x, like.dtype)


def _numbers(name: str, part: str, t: Tensor, dtype: torch.dtype) -> Tensor:
    """Finite numbers in the model's dtype."""
    own = converted(name, part, t, dtype)
    check_finite(name, part if t.dtype == dtype else f"{part} as {dtype}", own)
    return own


def check_shapes(name: str, x: Tensor, model: nn.Sequential, problem: Problem) -> list[Tensor]:
    """The first sample's pre-activations; `ValueError` where it does not pass: the shapes inside depend on the data."""
    state = state_of(model).to(x)
    try:
        return forward(problem, state, x[:1])[0]
    except (RuntimeError, ValueError) as error:
        shape = tuple(x.shape[1:])
        raise ValueError(f"`{name}`: samples of shape {shape} do not fit the network: {error}") from error


def check_finite(name: str, part: str, t: Tensor) -> None:
    """Raise `ValueError` with the first place of a nan or inf."""
    if t.numel() == 0 or all(math.isfinite(extreme) for extreme in map(float, torch.aminmax(t))):
        return  # nothing of the data's size was made to see this
    bad = ~torch.isfinite(t)
    place = tuple(bad.nonzero()[0].tolist())
    raise ValueError(f"`{name}`: {part} holds {float(t[place])} at {place} ({int(bad.sum())} such values); remove them")


def encode(name: str, y: Tensor, problem: Problem, like: Tensor) -> tuple[Tensor, bool]:
    """Targets as ``(N, n_L)``, and whether they are classes: integers are, floats for a classifier of one output."""
    if y.device != like.device:
        raise TypeError(f"`{name}`: y is on {y.device}, the model on {like.device}; move one of them")
    if _names_two_classes(y, problem):
        y = y.reshape(len(y)).long()
    if y.is_floating_point():
        return _real(name, y, problem, like), False
    if y.is_complex():
        raise TypeError(f"`{name}`: y must be real, got {y.dtype}")
    y = y.long()
    if y.ndim != 1:
        raise ValueError(f"`{name}`: class labels must have shape (N,), got {tuple(y.shape)}")
    most = max(problem.outputs, 2) - 1
    low, high = int(y.min()), int(y.max())
    if low < 0 or high > most:
        advice = f"the model has {problem.outputs} output(s)"
        found = f"{low}..{high}; {_advice_on_labels(y.unique().tolist(), problem)}"
        raise ValueError(f"`{name}`: labels must lie in 0..{most} ({advice}), got {found}")
    return problem.loss.encode(y, problem.outputs, like.dtype), True


def _names_two_classes(y: Tensor, problem: Problem) -> bool:
    """Whether targets of any dtype are labels 0 and 1, in a row or a column, for the one output of a classifier."""
    alone = problem.outputs == 1 and not problem.loss.regression and y.shape in ((len(y),), (len(y), 1))
    return alone and not y.is_complex() and bool(((y == 0) | (y == 1)).all())


def _advice_on_labels(labels: list[int], problem: Problem) -> str:
    """What to do about class labels that the model has no outputs for."""
    found = f"there are {len(labels)} different ones, {listed(labels)}"
    real = "; targets that are numbers must be floating point: y.float()" if problem.loss.regression else ""
    if len(labels) > max(problem.outputs, 2):
        return f"{found}, and the model needs an output for each{real}"
    return f"{found}; {NUMBERED}{real}"


def _real(name: str, y: Tensor, problem: Problem, like: Tensor) -> Tensor:
    if not problem.loss.regression:
        advice = "use y.argmax(1) for one-hot rows, or loss='squared'"
        if problem.outputs == 1:
            advice = "of one output they are 0 and 1, or take loss='squared'"
        raise TypeError(f"`{name}`: {problem.loss.name} wants integer class labels, got {y.dtype}; {advice}")
    shape, given = tuple(y.shape), y.ndim
    y = y[:, None] if y.ndim == 1 else y
    if y.ndim != 2 or y.shape[1] != problem.outputs:
        advice = "; class labels must be integers: y.long()" if given == 1 else ""
        raise ValueError(f"`{name}`: the model has {problem.outputs} output(s), y has shape {shape}{advice}")
    return _numbers(name, "y", y, like.dtype)


def check_batch_size(batch_size: int | None, method: Method, n: int) -> int:
    """The samples a step of `n` in all, where `None` stands for the method's default."""
    if batch_size is None:
        return min(method.default_batch or n, n)
    if batch_size > n:
        raise ValueError(f"`batch_size` is {batch_size}, but there are {n} samples")
    if batch_size < n and not method.batched:
        raise ValueError(f"{type(method).__name__} works on the full batch; leave `batch_size` out (got {batch_size})")
    return int(batch_size)
