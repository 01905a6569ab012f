"""What one iteration does: the matrix products it makes, and the bytes of the tensors that live meanwhile."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from altmin.onednn import products


@dataclass(frozen=True)
class Operand:
    """Shape, layout, dtype and device of a tensor: what a product's speed depends on."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    def make(self) -> Tensor:
        """Random numbers laid out so."""
        size = 1 + sum((n - 1) * step for n, step in zip(self.shape, self.stride, strict=True))
        return torch.randn(max(size, 0), dtype=self.dtype, device=self.device).as_strided(self.shape, self.stride)


@dataclass(frozen=True)
class MeasuredProduct:
    """A matrix product or convolution as PyTorch ran it.

    Attributes:
        op: PyTorch's operator.
        args: Its arguments, tensors as `Operand`.
        kwargs: Its named arguments.
        rounding: PyTorch's setting for products of float32 matrices, as it was then.
        flops: Floating-point operations, a multiplication and an addition counted as two.
    """

    op: Any
    args: tuple[Hashable, ...]
    kwargs: tuple[tuple[str, Hashable], ...]
    rounding: str
    flops: int = field(compare=False)

    @contextmanager
    def again(self) -> Iterator[Callable[[], object]]:
        """A context with a function that makes the same product of random operands, again and again."""
        args, kwargs = [_random(v) for v in self.args], {name: _random(v) for name, v in self.kwargs}
        with products(self.rounding):
            yield lambda: self.op(*args, **kwargs)


class Ledger(TorchDispatchMode):
    """Counts, while it is active, the products that PyTorch makes, and the bytes of tensors.

    Tensors that were there before count from their first use on: they lived all the time. What operators use inside
    (packed operands, LAPACK's workspaces) is not seen. Neither are the FLOPs of factorisations and elementwise work.

    Attributes:
        products: How often each product was made.
        existing: Bytes of the tensors that were used and had been there before: state and data.
        peak: The most bytes that lived at once, those included.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """PyTorch's switch: guarded against compilation, which it never is, a mode would import all of the compiler."""
        return False

    def __init__(self) -> None:
        super().__init__()
        self.products: Counter[MeasuredProduct] = Counter()
        self.existing = self._live = self._most = 0
        self._alive: dict[int, tuple[weakref.ref, int]] = {}

    @property
    def peak(self) -> int:
        """See the class."""
        return self.existing + self._most

    @property
    def flops(self) -> int:
        """Of all products."""
        return sum(count * product.flops for product, count in self.products.items())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator, and book it."""
        kwargs = kwargs or {}
        self._bury()
        self.existing += sum(self._meet(t) for t in _tensors((args, kwargs)))
        product = self._product(func, args, kwargs)  # before an operator in place can free or change its operands
        out = func(*args, **kwargs)
        if product is not None:
            self.products[product(out)] += 1
        self._bury()
        self._live += sum(self._meet(t) for t in _tensors(out))
        self._most = max(self._most, self._live)
        return out

    def __exit__(self, *error: Any) -> None:
        """End: what is freed from now on does not matter."""
        self._alive.clear()
        super().__exit__(*error)

    def _meet(self, t: Tensor) -> int:
        """The bytes of a tensor whose memory is seen for the first time; else 0."""
        storage = t.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._alive:
            return 0
        self._alive[key] = weakref.ref(storage), size
        return size

    def _bury(self) -> None:
        """Forget what was freed since the last look; a callback of its reference would swallow an interrupt."""
        freed = [key for key, (storage, _) in self._alive.items() if storage() is None]
        self._live -= sum(self._alive.pop(key)[1] for key in freed)

    @staticmethod
    def _product(func: Any, args: Any, kwargs: Any) -> Callable[[object], MeasuredProduct] | None:
        """What makes the entry of a product once its result is there; `None` for other operators."""
        name = func.overloadpacket.__name__.removesuffix("_")  # in place, the FLOPs are the same
        flops = flop_registry.get(getattr(torch.ops.aten, name, None))
        if flops is None:
            return None
        frozen = tuple(map(_frozen, args)), tuple((name, _frozen(v)) for name, v in kwargs.items())
        rounding = torch.get_float32_matmul_precision()
        return lambda out: MeasuredProduct(func, *frozen, rounding, flops(*args, **kwargs, out_val=out))


def _tensors(tree: Any) -> list[Tensor]:
    return [t for t in tree_leaves(tree) if isinstance(t, Tensor)]


def _frozen(value: Any) -> Hashable:
    if isinstance(value, Tensor):
        return Operand(tuple(value.shape), value.stride(), value.dtype, value.device)
    return tuple(map(_frozen, value)) if isinstance(value, (list, tuple)) else value


def _random(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_random(v) for v in value]
    return value.make() if isinstance(value, Operand) else value
