"""What users hand to `fit`, checked before any work and turned into batches."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset

from altmin.core.batch import Batch
from altmin.core.problem import Problem
from altmin.core.state import State, forward
from altmin.methods.base import Method
from altmin.precision import Precision, dtype_of

Pair = tuple[Any, Any]


@dataclass(frozen=True)
class Place:
    """Where training takes place, and in what numbers.

    Attributes:
        like: A tensor there: its dtype and device are expected.
        move: Move tensors to that device; arrays and samples of a `Dataset` always are.
        cast: Convert floating-point numbers to that dtype.
    """

    like: Tensor
    move: bool = False
    cast: bool = False

    @classmethod
    def of(cls, model: nn.Sequential, device: str | torch.device | None, precision: Precision | None) -> Place:
        """Where `model` lies and what it consists of, but for what is asked for."""
        like, dtype = check_model(model), dtype_of(precision)
        name = like.device if device is None else check_device(device)
        return cls(like.new_empty(0, device=name, dtype=dtype), device is not None, dtype is not None)

    def take(self, model: nn.Sequential) -> None:
        """Move and convert the model."""
        model.to(self.like)

    def tensor(self, t: Tensor, always: bool) -> Tensor:
        """`t`, moved and converted where it is to be, or moved `always`."""
        t = t.to(self.like.device) if self.move or always else t
        return t.to(self.like.dtype) if self.cast and t.is_floating_point() else t


@dataclass(frozen=True)
class Prepared:
    """Everything that `fit` needs, checked.

    Attributes:
        problem: What is minimised.
        train: All training samples, targets encoded.
        validation: All validation samples, or `None`.
        classes: Whether the targets are classes.
        batch_size: Samples a step.
    """

    problem: Problem
    train: Batch
    validation: Batch | None
    classes: bool
    batch_size: int


def prepare(
    model: nn.Sequential,
    problem: Problem,
    method: Method,
    data: Any,
    validation: Any,
    batch_size: int | None,
    place: Place,
) -> Prepared:
    """Check the data against the model, the loss and the method.

    Raises:
        TypeError: Integer inputs, targets of the wrong kind, a dtype or device that is not the model's.
        ValueError: Wrong shapes, no samples, nan or inf, labels outside the classes, one class only, a batch size that
            does not fit.
    """
    method.check(problem)
    train, classes = batch_of("data", data, problem, place)
    check_shapes("data", train.x, model, problem)
    if classes and len(torch.unique(train.y, dim=0)) < 2:
        raise ValueError("`data` holds one class only; a classifier needs two or more")
    held = None
    if validation is not None:
        held, held_classes = batch_of("validation", validation, problem, place)
        check_shapes("validation", held.x, model, problem)
        if held_classes != classes:
            raise TypeError("`validation` and `data` must both have class labels or both real-valued targets")
    return Prepared(problem, train, held, classes, check_batch_size(batch_size, method, len(train.x)))


def check_device(name: str | torch.device) -> str:
    """`name`, if there is such a device.

    Raises:
        ValueError: No device of PyTorch's, or a CUDA device that is not there.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"`device` must be such as cpu, cuda or cuda:1, got {name!r}") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"`device` {name}: PyTorch finds {torch.cuda.device_count()} CUDA device(s) here")
    return str(name)


def check_model(model: nn.Sequential) -> Tensor:
    """The first parameter, once all are trainable, finite, and of one dtype and device."""
    params = list(model.parameters())
    if any(not p.requires_grad for p in params):
        raise ValueError("`model` has frozen parameters (requires_grad=False); altmin trains all layers")
    for what in ("dtype", "device"):
        kinds = list(dict.fromkeys(str(getattr(p, what)) for p in params))
        if len(kinds) > 1:
            raise TypeError(f"`model` has parameters of more than one {what}: {', '.join(kinds)}; make them one")
    if params[0].dtype not in (torch.float32, torch.float64):
        raise TypeError(f"`model` must be float32 or float64, got {params[0].dtype}")
    for name, p in model.named_parameters():
        if not p.is_meta and not bool(torch.isfinite(p).all()):
            raise ValueError(f"`model`: parameter {name} holds nan or inf")
    return params[0]


def batch_of(name: str, data: Any, problem: Problem, place: Place) -> tuple[Batch, bool]:
    """A batch of all samples of `data`, and whether its targets are classes.

    Args:
        name: The argument's name, for errors.
        data: A pair ``(x, y)`` of tensors or arrays, or a `Dataset` of such pairs.
        problem: Gives the widths and the encoding of the targets.
        place: Where it is to be.
    """
    like, (x, y) = place.like, pair_of(name, data)
    x = place.tensor(_tensor(name, "x", x), _is_array(data, 0))
    y = place.tensor(_tensor(name, "y", y), _is_array(data, 1))
    x = check_inputs(name, x, problem, like)
    if y.ndim == 0:
        raise ValueError(f"`{name}`: y must have shape (N,) or (N, n_L), got a single number")
    if len(y) != len(x):
        raise ValueError(f"`{name}`: {len(x)} inputs but {len(y)} targets")
    y, classes = encode(name, y, problem, like)
    return Batch(x, y), classes


def pair_of(name: str, data: Any) -> Pair:
    """The pair ``(x, y)`` that `data` is or holds."""
    if isinstance(data, TensorDataset) and len(data.tensors) == 2:
        return data.tensors[0], data.tensors[1]
    if isinstance(data, (tuple, list)) and len(data) == 2:
        return data[0], data[1]
    if isinstance(data, Dataset) and hasattr(data, "__len__"):
        samples = [data[i] for i in range(len(data))]  # type: ignore[arg-type]
        if samples and all(isinstance(s, (tuple, list)) and len(s) == 2 for s in samples):
            return _stack(name, "x", [s[0] for s in samples]), _stack(name, "y", [s[1] for s in samples])
    raise TypeError(
        f"`{name}` must be a pair (x, y) of tensors or arrays, or a non-empty Dataset of pairs; got {_kind(data)}"
    )


def _kind(data: Any) -> str:
    return f"{type(data).__name__} of length {len(data)}" if hasattr(data, "__len__") else type(data).__name__


def _is_array(data: Any, i: int) -> bool:
    return not (isinstance(data, (tuple, list)) and isinstance(data[i], Tensor))


def _stack(name: str, part: str, values: list) -> Tensor:
    try:
        return torch.stack([torch.as_tensor(v) for v in values])
    except RuntimeError as error:
        raise ValueError(f"`{name}`: the samples' {part} cannot be stacked: {error}") from error


def _tensor(name: str, part: str, values: Any) -> Tensor:
    if isinstance(values, Tensor):
        return values.detach()
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"`{name}`: {part} is no array: {error}") from error
    if array.dtype.kind not in "biuf":
        raise TypeError(f"`{name}`: {part} must hold numbers, got an array of dtype {array.dtype}")
    array = np.require(array, array.dtype.newbyteorder("="), ["C", "W"])
    return torch.as_tensor(array)


def check_inputs(name: str, x: Tensor, problem: Problem, like: Tensor) -> Tensor:
    """Inputs as ``(N, n_0)``, or as they are where the network takes images or sequences, in the model's dtype."""
    if not x.is_floating_point():
        raise TypeError(f"`{name}`: x must be floating point, got {x.dtype}; convert it: x.to({like.dtype})")
    if x.ndim < 2 or len(x) == 0:
        shape = f"(N, {problem.inputs or '...'})"
        raise ValueError(f"`{name}`: x must have shape {shape} with N > 0, got {tuple(x.shape)}")
    if x.device != like.device:
        raise TypeError(f"`{name}`: x is on {x.device}, the model on {like.device}; move one of them")
    if x.dtype != like.dtype:
        raise TypeError(f"`{name}`: x has dtype {x.dtype}, the model {like.dtype}; convert one of them")
    if problem.inputs is not None:
        x, shape = x.flatten(1), tuple(x.shape)
        if x.shape[1] != problem.inputs:
            raise ValueError(f"`{name}`: the model takes {problem.inputs} features, x has {x.shape[1]} {shape}")
    check_finite(name, "x", x)
    return x


def check_shapes(name: str, x: Tensor, model: nn.Sequential, problem: Problem) -> None:
    """Raise `ValueError` where a sample does not pass through the network: the shapes inside depend on the data."""
    state = State.from_module(model).to(x)
    try:
        forward(problem, state, x[:1])
    except (RuntimeError, ValueError) as error:
        shape = tuple(x.shape[1:])
        raise ValueError(f"`{name}`: samples of shape {shape} do not fit the network: {error}") from error


def check_finite(name: str, part: str, t: Tensor) -> None:
    """Raise `ValueError` with the first place of a nan or inf."""
    bad = ~torch.isfinite(t)
    if bad.any():
        place = tuple(bad.nonzero()[0].tolist())
        raise ValueError(
            f"`{name}`: {part} holds {float(t[place])} at {place} ({int(bad.sum())} such values); remove them"
        )


def encode(name: str, y: Tensor, problem: Problem, like: Tensor) -> tuple[Tensor, bool]:
    """Targets as ``(N, n_L)``, and whether they are classes: integers are, floats are not."""
    if y.device != like.device:
        raise TypeError(f"`{name}`: y is on {y.device}, the model on {like.device}; move one of them")
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
        raise ValueError(f"`{name}`: labels must lie in 0..{most} ({advice}), got {low}..{high}")
    return problem.loss.encode(y, problem.outputs, like.dtype), True


def _real(name: str, y: Tensor, problem: Problem, like: Tensor) -> Tensor:
    if not problem.loss.regression:
        advice = "use y.argmax(1) for one-hot rows, or loss='squared'"
        raise TypeError(f"`{name}`: {problem.loss.name} wants integer class labels, got {y.dtype}; {advice}")
    y = y[:, None] if y.ndim == 1 else y
    if y.ndim != 2 or y.shape[1] != problem.outputs:
        raise ValueError(f"`{name}`: the model has {problem.outputs} output(s), y has shape {tuple(y.shape)}")
    if y.dtype != like.dtype:
        raise TypeError(f"`{name}`: y has dtype {y.dtype}, the model {like.dtype}; convert one of them")
    check_finite(name, "y", y)
    return y


def check_batch_size(batch_size: int | None, method: Method, n: int) -> int:
    """The samples a step, where `None` stands for the method's default."""
    if batch_size is None:
        return min(method.default_batch or n, n)
    if isinstance(batch_size, bool) or not isinstance(batch_size, Integral) or batch_size < 1:
        raise ValueError(f"`batch_size` must be a positive integer or None, got {batch_size!r}")
    if batch_size > n:
        raise ValueError(f"`batch_size` is {batch_size}, but there are {n} samples")
    if batch_size < n and not method.batched:
        raise ValueError(f"{type(method).__name__} works on the full batch; leave `batch_size` out (got {batch_size})")
    return int(batch_size)
