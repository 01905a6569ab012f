"""An audit that refuses backpropagation while it happens: no gradient is to pass through more than one layer.

Two things are refused. One is autograd: a graph that is run, in reverse or forward mode. The other is a chain in closed
form, a gradient that came out of one layer and is handed to the next, ``W_2^T (s'(z_1) W_1^T r)``. A gradient *step*
ends such a chain: ``c - lr g`` is a variable, and alternating minimisation may hand its residual to the layer below.

What is followed is what tensors say of themselves. The audit loses sight of numbers that leave PyTorch (`tolist`,
`numpy`), that are copied where subclasses are not asked (`torch.tensor`, ``t.data = ...``, `torch.vmap`), that are
written into a tensor in place, and of gradients added to a tensor that is none (``zeros + g``): a step looks like that.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from enum import StrEnum
from functools import wraps
from types import ModuleType
from typing import Any, Self

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.autograd.graph import saved_tensors_hooks


class Gradients(StrEnum):
    """How far gradients reach in a method: its label.

    Example:
        >>> print(Gradients.LAYER)
        gradients within a layer
    """

    NONE = "no gradients at all"
    LAYER = "gradients within a layer"
    STRAIGHT_THROUGH = "straight-through"
    BACKPROP = "full backpropagation"


class BackpropError(RuntimeError):
    """Backpropagation where an audit forbids it."""

    def __init__(self, what: str):
        label = f"Gradients.BACKPROP, {Gradients.BACKPROP.value!r}"
        super().__init__(f"{what}: `audit=True` and `no_backprop()` forbid it; the label of such a method is {label}")


def no_backprop() -> AbstractContextManager[object]:
    """A context in which backpropagation raises an error: autograd, or a closed form through more than one layer.

    It holds for the thread that enters it; contexts may be nested. A graph may be built in it (a forward pass of a
    module is harmless) but not run; optimisers may step on gradients that are set by hand.

    Returns:
        The context manager. It raises `BackpropError` where the forbidden thing happens, and on leaving restores
        PyTorch as it was.

    Example:
        >>> x = torch.ones(2, requires_grad=True)
        >>> with no_backprop():
        ...     x.square().sum().backward()
        Traceback (most recent call last):
        ...
        altmin.audit.BackpropError: an autograd graph is run...
    """
    return _Audit()


def active() -> bool:
    """Whether there is an audit on this thread."""
    return _here.depth > 0


def passed(g: Tensor) -> Tensor:
    """`g`, marked as a gradient that came out of a layer; as it is where no audit is active.

    Call it directly in the function that pulls gradients back through a layer; the mark names that function's caller.
    """
    return _mark(g, _place()) if _here.depth else g


def require_local(r: Tensor) -> None:
    """Refuse `r`, about to be pulled back through a layer, if it came out of another one.

    Call it at the head of the function that does so; without an audit it does nothing.

    Raises:
        BackpropError: `r` is a gradient that came out of a layer, or linear in one.
    """
    if _here.depth and isinstance(r, MarkedGradient):
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
            return _mark(out, gradient.origin) if _here.depth and gradient is not None else out

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


class _Here(threading.local):
    """How many audits are active on this thread."""

    depth = 0


_here = _Here()


class _Audit:
    """The context of `no_backprop`; it has no state of its own, so that one may be entered twice."""

    def __enter__(self) -> Self:
        _guards.add()
        _HOOKS.__enter__()
        _here.depth += 1
        return self

    def __exit__(self, *error: object) -> None:
        _HOOKS.__exit__()
        _here.depth -= 1
        _guards.remove()


def _unpack(t: Tensor) -> Tensor:
    """What a graph saved, when it is run. Packing is no offence: most graphs that are built are never run."""
    if _here.depth:
        raise BackpropError("an autograd graph is run")
    return t


_HOOKS = saved_tensors_hooks(lambda t: t, _unpack)

# Autograd that starts from Python goes through one of these, however `backward`, `grad`, `vjp`, `jvp` were imported;
# only `enter_dual_level` and `make_dual` are seen by these names alone.
_DOORS: tuple[tuple[ModuleType, str, str], ...] = (
    (torch.autograd, "_engine_run_backward", "an autograd graph is run (torch.autograd.backward, grad)"),
    (torch.autograd.graph, "disable_saved_tensors_hooks", "a transform of torch.func is called (grad, vjp, jacrev)"),
    (forward_ad, "enter_dual_level", "forward-mode differentiation is entered (torch.func.jvp, dual_level)"),
    (forward_ad, "make_dual", "a tensor is given a tangent (torch.autograd.forward_ad.make_dual)"),
)


class _Guards:
    """The doors' guards: in place while there is an audit on any thread, in force on those threads."""

    def __init__(self) -> None:
        self.lock, self.count, self.kept = threading.Lock(), 0, []

    def add(self) -> None:
        with self.lock:
            if not self.count:
                self.kept = [getattr(module, name) for module, name, _ in _DOORS]
                for (module, name, what), original in zip(_DOORS, self.kept, strict=True):
                    setattr(module, name, _guarded(original, what))
            self.count += 1

    def remove(self) -> None:
        with self.lock:
            self.count -= 1
            if not self.count:
                for (module, name, _), original in zip(_DOORS, self.kept, strict=True):
                    setattr(module, name, original)


_guards = _Guards()


def _guarded(original: Callable[..., Any], what: str) -> Callable[..., Any]:
    @wraps(original)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if _here.depth:
            raise BackpropError(what)
        return original(*args, **kwargs)

    return guarded
