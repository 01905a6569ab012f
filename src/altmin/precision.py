"""In what numbers to compute: the dtype of everything, or products in bfloat16 summed up in float32.

``"bf16"`` rounds the operands of matrix products to bfloat16 (8 bits); a product of two such numbers is exact in
float32, in which it is added up and returned. All else is float32: elementwise work, factorisations, and the products
of small matrices that go with them (`exact`), where an error would be multiplied by a condition number.

Products of float32 matrices on a CPU are PyTorch's by MKL or by oneDNN, whichever is faster (`altmin.onednn`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from functools import cache
from typing import Any, Literal, TypeVar, get_args

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from altmin.errors import DivergenceError, PrecisionWarning
from altmin.onednn import LARGE, default_setting, onednn_is_faster, products

Precision = Literal["float32", "float64", "bf16"]
T = TypeVar("T")

_rounding: ContextVar[bool] = ContextVar("rounding", default=False)  # whether products are to be rounded here
_aten = torch.ops.aten


def dtype_of(precision: Precision | None) -> torch.dtype | None:
    """The dtype of model and data; `None` leaves them as they are.

    Raises:
        ValueError: An unknown name.
    """
    if precision not in (None, *get_args(Precision)):
        raise ValueError(f"`precision` must be one of {', '.join(get_args(Precision))} or None, got {precision!r}")
    return {"float32": torch.float32, "float64": torch.float64, "bf16": torch.float32}.get(precision or "")


def computing(precision: Precision | None, device: torch.device, largest: int = 0) -> AbstractContextManager[None]:
    """A context in which matrix products on `device` have the `precision`; on leaving PyTorch's setting is restored.

    On a CPU oneDNN rounds (`torch.set_float32_matmul_precision`), where the processor has bfloat16 products; on CUDA,
    where that setting stands for TF32, `RoundedProducts` does. Without such hardware products stay in float32.

    Args:
        precision: The name.
        device: Where products are made.
        largest: The numbers of the largest weight matrix, for the choice of float32 products on a CPU.

    Warns:
        PrecisionWarning: ``"bf16"``, and the hardware has no such products.
    """
    if precision != "bf16":
        return _in_float32(device, largest)
    if device.type == "cuda":
        known = "dtype" in _aten.mm.overloads()  # PyTorch 2.8
        capable, mode = known and torch.cuda.is_bf16_supported(including_emulation=False), RoundedProducts()
    else:
        capable, mode = cpu_rounds(), None
    if not capable:
        text = f"`precision='bf16'`: no products in bfloat16 on this {device.type} by this PyTorch; float32 it is"
        warnings.warn(text, PrecisionWarning, stacklevel=3)
        return _in_float32(device, largest)
    return rounded(mode)


@contextmanager
def rounded(mode: AbstractContextManager[Any] | None = None) -> Iterator[None]:
    """Products as PyTorch's setting "medium" makes them, or as `mode` does."""
    with ExitStack() as stack:
        stack.enter_context(_setting("medium", True))
        stack.enter_context(mode or nullcontext())
        yield


@contextmanager
def exact() -> Iterator[None]:
    """A context, or a decorator, in which a run in bf16 multiplies in float32; elsewhere it changes nothing."""
    with _setting("highest", False) if _rounding.get() else nullcontext():
        yield


def or_exact(solve: Callable[[], T], again: Callable[[], T]) -> T:
    """`solve()`; where it fails under bf16, what `again` makes of products in float32.

    Warns:
        PrecisionWarning: `again` was needed.

    Raises:
        DivergenceError: Without bf16, or from `again`.
    """
    try:
        return solve()
    except DivergenceError as error:
        if not _rounding.get():
            raise
        warnings.warn(f"with products in bfloat16, {error}. Once more in float32", PrecisionWarning, stacklevel=2)
    with exact():
        return again()


@cache
def cpu_rounds() -> bool:
    """Whether this CPU multiplies in bfloat16 where it may: seen by a product that rounding changes."""
    fine = torch.full((256, 256), 1 + 2.0**-10, dtype=torch.float32, device="cpu")
    with rounded():
        return bool((fine @ fine == 256).all())


def _in_float32(device: torch.device, largest: int) -> AbstractContextManager[None]:
    """Products with all digits, by oneDNN where it is faster for such matrices and nobody chose otherwise."""
    chosen = device.type == "cpu" and largest >= LARGE and default_setting() and onednn_is_faster()
    return _setting("medium", False) if chosen else nullcontext()


@contextmanager
def _setting(setting: str, rounding: bool) -> Iterator[None]:
    token = _rounding.set(rounding)
    try:
        with products(setting):
            yield
    finally:
        _rounding.reset(token)


def bf16_product(a: Tensor, b: Tensor) -> Tensor:
    """``a b`` of bfloat16 matrices (or stacks of them), summed up and returned in float32."""
    return (torch.mm if a.ndim == 2 else torch.bmm)(a, b, out_dtype=torch.float32)


class RoundedProducts(TorchDispatchMode):
    """A context in which products of float32 matrices round their operands to bfloat16, but for those in `exact`.

    Args:
        product: Multiplies bfloat16 matrices into a float32 one.
    """

    def __init__(self, product: Callable[[Tensor, Tensor], Tensor] = bf16_product):
        super().__init__()
        self.product = product

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """`func`, by way of bfloat16 where it is a product."""
        kwargs = dict(kwargs or {})
        if func not in _PRODUCTS or not _rounding.get() or args[-1].dtype != torch.float32:
            return func(*args, **kwargs)
        *start, a, b = args
        out = kwargs.pop("out", start[0] if func in _IN_PLACE else None)
        product = self.product(a.bfloat16(), b.bfloat16())
        if start:
            product = torch.add(kwargs.get("beta", 1) * start[0], product, alpha=kwargs.get("alpha", 1))
        return product if out is None else out.copy_(product)


_IN_PLACE = {_aten.addmm_.default, _aten.baddbmm_.default}
_NAMES = (_aten.mm, _aten.bmm, _aten.addmm, _aten.baddbmm)
_PRODUCTS = _IN_PLACE | {getattr(name, form) for name in _NAMES for form in ("default", "out")}
