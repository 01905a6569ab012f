"""What a batch gives the layers to learn, by compiled code: the same numbers by fewer and larger operators."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode

from altmin import audit
from altmin.core.problem import Problem
from altmin.core.state import Norm, State
from altmin.core.variables import Variables
from altmin.layerwise.function import layer_functions
from altmin.online.codes import Mu
from altmin.online.rules import Rule
from altmin.online.targets import BatchTargets, LayerGradient
from altmin.sweep import Sweep

Prepare = Callable[[Sweep[Any]], BatchTargets]
COMPILERS = ("g++", "clang++", "c++", "cl")
SHAPES = 4  # of batches for which a run has compiled code; those of further shapes are not compiled

_RECORDED: WeakKeyDictionary[State[Any], dict[tuple[torch.Size, ...], Callable[..., Any]]] = WeakKeyDictionary()


def refuse(problem: Problem, rule: Rule[Any], mu: Mu, weight_steps: int) -> None:
    """Refuse to compile what changes from batch to batch, or is solved by other means.

    Raises:
        TypeError: The message has the names of what stands in the way.
    """
    reasons = {
        "`weight_steps` above 1": weight_steps > 1,
        "the memory rule": not rule.follows_gradients,
        "a `mu` that changes": mu.add > 0.0 or mu.factor != 1.0,
        "dropout": any(layer.random for layer in problem.layers),
        "recurrent layers": any(layer.map.recurrent for layer in problem.layers),
    }
    names = " and ".join(name for name, there in reasons.items() if there)
    if names:
        raise TypeError(f"`compile=True` does not support {names}; leave it out")


def require_compiler(device: torch.device) -> None:
    """Refuse to compile for a CPU without a C++ compiler.

    Raises:
        RuntimeError: `device` is a CPU, and none was found.
    """
    if device.type == "cpu" and not any(map(shutil.which, [os.environ.get("CXX", ""), *COMPILERS])):
        raise RuntimeError("`compile=True` needs a C++ compiler such as g++, and none was found; install one")


def prepare_compiled(prepare: Prepare, sweep: Sweep[Any]) -> BatchTargets:
    """``prepare(sweep)``, whose targets are gradients, by code that is compiled for the shape of the batch.

    It is compiled at the second step of a state, and lives as long as that state. An audit, and whatever else looks at
    every operator, has `prepare` as it is, and so has the first step.

    Args:
        prepare: It draws nothing, and what it depends on beside the tensors of the state (weights, norms and
            ``memory.power``) and of the batch never changes.
        sweep: The batch and the state.
    """
    if not sweep.state.k or audit.active() or _get_current_dispatch_mode() is not None:
        return prepare(sweep)
    recorded, given = _RECORDED.setdefault(sweep.whole, {}), _tensors(sweep)
    shapes = tuple(t.shape for t in given)
    if shapes not in recorded:
        if len(recorded) == SHAPES:
            return prepare(sweep)
        recorded[shapes] = _record(prepare, sweep, given)
    forward, outputs, codes, power, gradients = recorded[shapes](*given)
    weight = 1.0 / sweep.state.samples
    weights = [weight / sweep.memory.mu] * len(codes) + [weight]
    functions = zip(layer_functions(sweep.problem, sweep.state), gradients, weights, strict=True)
    layers = [LayerGradient(f, a, grads, w) for f, (a, grads), w in functions]
    return BatchTargets(forward, outputs, codes, power, layers)


def _record(prepare: Prepare, sweep: Sweep[Any], given: list[Tensor]) -> Callable[..., Any]:
    from torch.fx.experimental.proxy_tensor import make_fx  # slow to import, and seldom wanted

    def of_tensors(*tensors: Tensor) -> tuple[Any, ...]:
        found = prepare(_with_tensors(sweep, list(tensors)))
        layers = [target.gradient() for target in found.layers]
        gradients = [(layer.a, layer.grads) for layer in layers]
        return found.forward, found.outputs, found.codes, found.power, gradients

    copies = [t.clone() for t in given]  # recording runs it, and running statistics are written in place
    return torch.compile(make_fx(of_tensors)(*copies), dynamic=False)


def _tensors(sweep: Sweep[Any]) -> list[Tensor]:
    norms = [t for norm in sweep.state.norm if norm is not None for t in norm.tensors()]
    return [sweep.batch.x, sweep.batch.y, *sweep.state.W, *sweep.state.b, *norms, *sweep.memory.power]


def _with_tensors(sweep: Sweep[Any], given: list[Tensor]) -> Sweep[Any]:
    """The sweep with the tensors `given`, in the order of `_tensors`."""
    left, state = iter(given), sweep.state
    batch = replace(sweep.batch, x=next(left), y=next(left))
    W, b = (Variables([next(left) for _ in group]) for group in (state.W, state.b))
    norm = [None if n is None else Norm(*(next(left) for _ in n.tensors())) for n in state.norm]
    state = replace(state, W=W, b=b, norm=norm, memory=replace(sweep.memory, power=list(left)))
    return Sweep(sweep.method, sweep.problem, state, batch)
