"""The proof that a model and the layers that are trained in its place compute one function, as far as samples tell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn

from altmin.convert.weights import norm_of, state_of, weights_of
from altmin.core.forward import forward
from altmin.core.problem import Problem
from altmin.nn import Residual
from altmin.precision import exact
from altmin.registration import conversion_of

SAMPLES = 4
SAME = 1e-3  # what a module's values may differ by, relative to the largest sum that rounding can act on
SAME_WHOLE = 1e-2  # the same of the outputs, relative to the largest: rounding adds up from layer to layer


@torch.no_grad()
def check_same_function(model: nn.Sequential, problem: Problem, x: Tensor) -> None:
    """Run a model on a few samples, module by module, beside what is trained in its place.

    Every module is compared at the input that it has in the model, so that neither rounding nor the jumps of a sign add
    up; a sequence is compared with its modules in turn; at last the outputs are compared with the library's forward
    pass, where a sample may differ by a jump, but not all. This is done in evaluation and in training mode, but for
    batch normalisation and dropout, which in training depend on the batch. The model, its buffers, its modes and
    PyTorch's random numbers are left as they were.

    Args:
        model: A network that `altmin.convert.reading.layers_of` reads.
        problem: What was read.
        x: Samples, ``(N, ...)``, as the library takes them; the first few are used.

    Raises:
        TypeError: The first module that computes something else, by its place and class.

    Example:
        >>> from altmin import problem_of
        >>> model = nn.Sequential(nn.Linear(2, 1))
        >>> check_same_function(model, problem_of(model), torch.ones(4, 2))
    """
    x = x[:SAMPLES].to(next(model.parameters()))
    with _unchanged(model, x.device), _uncompiled(model), exact():
        for training in (False, True):
            _set_modes(model, training)
            out = _run(model, x, f"`model` ({type(model).__name__})", "")
            ours = forward(problem, state_of(model), x)[0][-1]
            if not _near(out, ours, out.abs(), SAME_WHOLE).flatten(1).all(1).any():
                raise TypeError(
                    f"`model` computes another function than its modules are read as: outputs differ by up to "
                    f"{float((out - ours).abs().max()):.3g}; a registered class takes an order of modules for another"
                )


def _run(module: nn.Module, x: Tensor, name: str, prefix: str) -> Tensor:
    """What a module gives, once it is known to be what is trained in its place."""
    if isinstance(module, nn.Sequential):
        ours = x
        for place, child in enumerate(module):
            ours = _run(child, ours, f"module {prefix}{place} ({type(child).__name__})", f"{prefix}{place}.")
        ours = x + ours if isinstance(module, Residual) else ours
        size = ours.abs()
    else:
        ours, size = _converted(module, x)
    theirs = _call(module, x.clone(), name)
    if theirs.shape != ours.shape or theirs.dtype != ours.dtype:
        kinds = [f"{tuple(t.shape)} of {t.dtype}" for t in (theirs, ours)]
        raise TypeError(f"{name} gives {kinds[0]}, what altmin would train in its place {kinds[1]}")
    if not _near(theirs, ours, size, SAME).all():
        raise TypeError(
            f"{name} computes another function than what altmin would train in its place: values differ by up to "
            f"{float((theirs - ours).abs().max()):.3g} on the first samples"
        )
    return theirs


def _call(module: nn.Module, x: Tensor, name: str) -> Tensor:
    try:
        value = module(x)
    except (RuntimeError, ValueError) as error:
        raise TypeError(f"{name} fails on the first samples, shaped {tuple(x.shape)} here: {error}") from error
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} gives a {type(value).__name__}, not a tensor")
    return value


def _converted(module: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """What the library computes in a module's place, and the size of the sums that it is rounded by."""
    conversion = conversion_of(type(module))
    if conversion is None:  # nn.Identity
        return x, x.abs()
    part = conversion.of(module)
    if conversion.kind.role == "map":
        W, b = weights_of(part, module)
        return part(W, b, x), part(W.abs(), b.abs(), x.abs()).abs()
    if conversion.kind.role == "normalisation":
        norm = norm_of(module)
        return part.value(x, norm), part.magnitude(x, norm)
    ours = part(x)
    return ours, ours.abs() if conversion.kind.role == "activation" else x.abs()


def _near(theirs: Tensor, ours: Tensor, size: Tensor, part: float) -> Tensor:
    """Where values differ by rounding at most; what is not finite is equal to itself."""
    bound = part * max(float(size.max()), float(ours.abs().max()))
    largest = torch.finfo(ours.dtype).max  # where sums overflow, so may what rounding does
    return torch.isclose(theirs, ours, rtol=0.0, atol=bound if bound < largest else largest, equal_nan=True)


def _set_modes(model: nn.Module, training: bool) -> None:
    """Evaluation mode, or training mode but for what then depends on the batch."""
    for module in model.modules():
        conversion = conversion_of(type(module))
        by_batch = conversion is not None and (
            conversion.kind.role == "normalisation" or conversion.of(module).random  # a mask is drawn
        )
        module.training = training and not by_batch


@contextmanager
def _unchanged(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Give back modes, buffers and the state of random generators."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(t, t.clone()) for t in model.buffers()]
    kind, drawn = ("cuda", []) if device.type == "cpu" else (device.type, [device])
    try:
        with torch.random.fork_rng(drawn, device_type=kind):
            yield
    finally:
        for module, training in modes:
            module.training = training
        for t, value in buffers:
            if not torch.equal(t, value):
                t.copy_(value)


def _uncompiled(model: nn.Module) -> AbstractContextManager[object]:
    """A context in which modules that `nn.Module.compile` was called on run as they are written."""
    compiled = any(module._compiled_call_impl is not None for module in model.modules())
    return torch.compiler.set_stance("force_eager") if compiled else nullcontext()
