"""Whether a step's samples are those of the steps before, as methods need that keep variables of every sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from altmin.core.batch import Batch
from altmin.methods.base import Method
from altmin.train.conversion import holds


class TrainingSamples:
    """The samples of an earlier step, and the batch that was made of them."""

    def __init__(self) -> None:
        self._given: tuple[Any, Any] | None = None  # held, so that no other samples can lie where they lie
        self._versions: list[int | None] = []
        self._targets: NDArray | None = None  # a copy: of arrays nobody knows when they were written to
        self._batch: Batch | None = None

    def again(self, x: Any, y: Any) -> Batch | None:
        """The batch of these very numbers; `None` where that is not known without reading all of them anew.

        It is known of tensors that nobody wrote to meanwhile. Inputs that were converted are compared with what became
        of them, and arrays of targets with a copy.
        """
        if self._given is None or self._batch is None:
            return None
        same_x = self._same_tensor(0, x) if isinstance(x, Tensor) else _is_array(x) and holds(self._batch.x, _array(x))
        return self._batch if same_x and self._same_targets(y) else None

    def _same_tensor(self, part: int, t: Tensor) -> bool:
        assert self._given is not None
        return _same_place(t, self._given[part]) and _version(t) == self._versions[part]

    def _same_targets(self, y: Any) -> bool:
        if isinstance(y, Tensor):
            return self._same_tensor(1, y)
        return _is_array(y) and self._targets is not None and np.array_equal(_array(y), self._targets)

    def remember(self, x: Any, y: Any, batch: Batch) -> None:
        """Know `x` and `y` again."""
        self._given, self._versions, self._batch = (x, y), [_version(x), _version(y)], batch
        self._targets = _array(y).copy() if _is_array(y) else None

    def require(self, x: Any, y: Any, batch: Batch, method: Method) -> None:
        """Raise `ValueError` where the samples, and the batch made of them, are others than before."""
        if self._batch is None or self._given is None:
            return
        if all(map(_same_place, (x, y), self._given)):
            raise ValueError("`data`: the samples were written to since the last step")
        advice = ", and name a part of it by `rows`" if method.batched else ""
        for name, t, own in (("x", batch.x, self._batch.x), ("y", batch.y, self._batch.y)):
            if t.shape != own.shape or not torch.equal(t, own):
                raise ValueError(
                    f"`data`: {name} is not that of the first step, of which {type(method).__name__} keeps variables; "
                    f"hand in the whole training set every time{advice}"
                )


def rows_of(rows: Tensor | slice, x: Tensor) -> Tensor | slice:
    """The rows of samples that a user names, as a slice or as indices, once they are known to be there.

    Args:
        rows: A slice, integers ``(M,)``, or a mask ``(N,)`` of truth values; a tensor, an array or a list.
        x: The inputs of all samples.

    Raises:
        TypeError: Something else.
        ValueError: No rows, or some that are not there.
    """
    count = len(x)
    if isinstance(rows, slice):
        if not range(count)[rows]:
            raise ValueError(f"`rows` is {rows}, which names none of the {count} samples")
        return rows
    indices = _indices(rows, count)
    if not len(indices) or int(indices.min()) < 0 or int(indices.max()) >= count:
        raise ValueError(f"`rows` must name one or more of the {count} samples, by numbers from 0 to {count - 1}")
    return indices.to(x.device)


def _indices(rows: Any, count: int) -> Tensor:
    try:
        given = torch.as_tensor(rows)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"`rows` must be a slice, or a tensor of indices or truth values, got {rows!r}") from error
    if given.ndim != 1 or given.is_floating_point() or given.is_complex():
        kind = f"a tensor of {given.dtype} and shape {tuple(given.shape)}"
        raise TypeError(f"`rows` must be a slice, or a tensor (M,) of indices or truth values, got {kind}")
    if given.dtype != torch.bool:
        return given.long()
    if len(given) != count:
        raise ValueError(f"`rows`: a mask must have a value for each of the {count} samples, got {len(given)}")
    return given.nonzero().flatten()


def _is_array(values: Any) -> bool:
    """Whether these are the numbers of an array, such as a frame's, but of no tensor."""
    return hasattr(values, "__array__") and not isinstance(values, Tensor)


def _array(values: Any) -> NDArray:
    return np.asarray(values)


def _same_place(one: Any, other: Any) -> bool:
    """Whether both are tensors of the same numbers in memory; of arrays nobody knows when they were written to."""
    if not isinstance(one, Tensor) or not isinstance(other, Tensor) or one.is_inference() or other.is_inference():
        return False
    return one.data_ptr() == other.data_ptr() and _layout(one) == _layout(other)


def _layout(t: Tensor) -> tuple[Any, ...]:
    return t.shape, t.stride(), t.dtype, t.device


def _version(t: Any) -> int | None:
    return t._version if isinstance(t, Tensor) and not t.is_inference() else None
