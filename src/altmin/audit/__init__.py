"""A check that refuses backpropagation while it happens: no gradient is to pass through more than one layer.

It checks this library's own methods, and is a lint for yours: it finds what is done in the usual ways, and is no proof
against a method that hides a gradient. Two things are refused. One is autograd: a graph that is run, in reverse or
forward mode. The other is a chain in closed form, a gradient that came out of one layer and is handed to the next,
``W_2^T (s'(z_1) W_1^T r)``, where both layers are differentiated by `altmin.layerwise.function`, or by functions that
call `passed` and `require_local`. A gradient *step* ends such a chain: ``c - lr g`` is a variable, and alternating
minimisation may hand its residual to the layer below.

It holds on the thread that enters it and on threads that are started inside; a thread that ran before (a pool's worker)
and another process are not followed. It loses sight of

- chains by hand whose functions do not make the two calls;
- numbers that leave PyTorch (`tolist`, `numpy`, `dlpack`), that are copied where subclasses are not asked
  (`torch.tensor`, ``t.data = ...``, ``t.set_``, `torch.vmap`, TorchScript), that are read as another class or dtype
  (`as_subclass`, ``view(torch.int64)``), or written into a tensor in place;
- gradients added to a tensor that is none (``zeros + g``): a step looks like that;
- autograd below Python: dual numbers of `torch._C._VariableFunctions`, an engine that C++ code runs, and on threads
  started inside a graph that TorchScript or a single node's call runs.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Self

from altmin.audit.autograd import guards, hooks
from altmin.audit.labels import BackpropError, Gradients
from altmin.audit.marks import MarkedGradient, passed, plain, require_local
from altmin.audit.threads import Scope, here

__all__ = [
    "BackpropError",
    "Gradients",
    "MarkedGradient",
    "active",
    "no_backprop",
    "passed",
    "plain",
    "require_local",
]


def no_backprop() -> AbstractContextManager[object]:
    """A context in which backpropagation raises an error: autograd, or a closed form through more than one layer.

    It holds for the thread that enters it and for threads started inside, until it is left; contexts may be nested. A
    graph may be built in it (a forward pass of a module is harmless) but not run; optimisers may step on gradients that
    are set by hand. It checks the library's own methods and is a lint for yours; `altmin.audit` says what it misses.

    Returns:
        The context manager. It raises `BackpropError` where the forbidden thing happens, and on leaving restores
        PyTorch as it was.

    Example:
        >>> import torch
        >>> x = torch.ones(2, requires_grad=True)
        >>> with no_backprop():
        ...     x.square().sum().backward()
        Traceback (most recent call last):
        ...
        altmin.audit.labels.BackpropError: an autograd graph is run...
    """
    return _Audit()


def active() -> bool:
    """Whether there is an audit on this thread."""
    return here.audited


class _Audit:
    """The context of `no_backprop`; it has no state of its own, so that one may be entered twice."""

    def __enter__(self) -> Self:
        guards.add()
        hooks.__enter__()
        here.own.append(Scope())
        return self

    def __exit__(self, *error: object) -> None:
        hooks.__exit__()
        here.own.pop().active = False
        guards.remove()
