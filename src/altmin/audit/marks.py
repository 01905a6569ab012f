"""Gradients that came out of a layer, marked so that the next layer knows them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from altmin.audit.labels import BackpropError
from altmin.audit.threads import here


def passed(g: Tensor) -> Tensor:
    """`g`, marked as a gradient that came out of a layer; as it is where no audit is active.

    Call it directly in the function that pulls gradients back through a layer; the mark names that function's caller.
    """
    return _mark(g, _place()) if here.audited else g


def require_local(r: Tensor) -> None:
    """Refuse `r`, about to be pulled back through a layer, if it came out of another one.

    Call it at the head of the function that does so; without an audit it does nothing.

    Raises:
        BackpropError: `r` is a gradient that came out of a layer, or linear in one.
    """
    if here.audited and isinstance(r, MarkedGradient):
        what = f"a gradient of shape {tuple(r.shape)} that came out of {r.origin}"
        raise BackpropError(f"{what} is handed to {_place()}, a chain through more than one layer")


def plain(t: Tensor) -> Tensor:
    """`t` without its mark, sharing its numbers: for what outlives an audit, such as an optimiser's gradients."""
    if not isinstance(t, MarkedGradient):
        return t
    with torch._C.DisableTorchFunctionSubclass():
        return t.as_subclass(Tensor)


# The first operand alone says what these make: steps from a variable, and another tensor's shape or type.
_STEPS = {"add", "sub", "subtract", "lerp", "copy", "addcmul", "addcdiv"}
_STEPS |= {"addmm", "addmv", "addr", "addbmm", "baddbmm"}
_FIRST = frozenset(_STEPS | {"view_as", "reshape_as", "expand_as", "type_as", "to"})


class MarkedGradient(Tensor):
    """A gradient that came out of a layer, and what operations make of it.

    A floating-point result is a gradient if any operand is one (``slope * g``, ``W @ g``, ``where(mask, g, h)``), but
    where the first operand of a sum is none, the result is none: ``c - lr g`` is a variable. A tensor that is written
    in place stays what it was. Marks die with the audit.

    Attributes:
        origin: The layer call it came out of.
    """

    origin: str = "a layer"

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run `func` on plain tensors, and mark what it makes of gradients."""
        kwargs = kwargs or {}
        with torch._C.DisableTorchFunctionSubclass():
            out = func(*args, **kwargs)
            operands = [*args, kwargs.get("input"), *kwargs.values()]
            if _name(func) in _FIRST:
                operands = [t for t in operands if isinstance(t, (Tensor, list, tuple))][:1]
            gradient = next(_gradients(operands), None)
            return _mark(out, gradient.origin) if here.audited and gradient is not None else out

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        """A copy with the mark; PyTorch's own wants `new_empty` to return the subclass."""
        memo[id(self)] = copy = self.clone()
        return copy

    def __format__(self, spec: str) -> str:
        """As a plain tensor; PyTorch formats no subclass."""
        return format(plain(self), spec)


def _name(func: Callable[..., Any]) -> str:
    """An operation's name, the same for function, method, in-place form, overload and list form."""
    return func.__name__.split(".")[0].strip("_").removeprefix("foreach_")


def _gradients(operands: Any) -> Iterator[MarkedGradient]:
    for t in operands:
        if isinstance(t, MarkedGradient):
            yield t
        elif isinstance(t, (list, tuple)):
            yield from _gradients(t)


def _mark(out: Any, origin: str) -> Any:
    """Floating-point tensors of `out`, where they are no gradients yet, as gradients from `origin`."""
    if isinstance(out, (list, tuple)):
        return getattr(type(out), "_make", type(out))([_mark(t, origin) for t in out])
    if (
        isinstance(out, Tensor)
        and not isinstance(out, MarkedGradient)
        and (out.is_floating_point() or out.is_complex())
    ):
        out = out.as_subclass(MarkedGradient)
        out.origin = origin
    return out


def _place() -> str:
    """The function that called `passed` or `require_local`, and where it was called."""
    layer = sys._getframe(2)
    caller = layer.f_back or layer
    return f"{layer.f_code.co_qualname} (called in {caller.f_code.co_filename}, line {caller.f_lineno})"
