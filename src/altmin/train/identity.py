"""What makes a run the run that it is: two that agree in it compute the same, whoever watches."""

from __future__ import annotations

import hashlib
import inspect
import platform
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from altmin.core.batch import Batch
from altmin.errors import CheckpointError, CheckpointWarning
from altmin.train.driver import Driver
from altmin.train.options import LoopOptions

Facts = dict[str, Any]
STRETCH = 2**24  # numbers that are hashed at once
DEEPEST = 8  # objects within objects that are looked into


def facts_of(trainer: Driver) -> Facts:
    """What every step of a trainer depends on beside its state and samples, by names for error messages."""
    problem, facts = trainer.problem, {}
    parts = {
        "method": trainer.method,
        "loss": problem.loss,
        "regularizer": problem.regularizer,
        **{f"model.layer {i + 1}": layer for i, layer in enumerate(problem.layers)},
    }
    for name, part in parts.items():
        facts |= dict(_facts(name, part))
    dtype, bf16 = trainer.place.like.dtype, trainer.options.precision == "bf16"
    return facts | {"model.layers": len(problem.layers), "precision": "bf16" if bf16 else str(dtype).split(".")[-1]}


def loop_facts(options: LoopOptions, held: Mapping[str, Batch], data: Batch, **more: Any) -> Facts:
    """What the records and the order of the samples depend on.

    Args:
        options: Of the loop.
        held: The samples that are evaluated, by name.
        data: The samples that are trained on; of a stream, the first batch.
        more: Numbers of the loop.
    """
    samples = {"data": fingerprint(data), "validation": None} | {k: fingerprint(batch) for k, batch in held.items()}
    record = None if options.record is None else list(options.record)
    diagnose = options.diagnose or None  # as of a checkpoint that knows no such option
    chosen = {"keep": options.keep, "record": record, "diagnose": diagnose, "generator": options.initial_seed}
    return {**samples, **chosen, **more}


def circumstances(trainer: Driver) -> Facts:
    """What a run may go on without, though not always to the bit."""
    from altmin import __version__

    return {
        "altmin": __version__,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "device": trainer.place.like.device.type,
        "threads": torch.get_num_threads(),
    }


def check_same(folder: Path, saved: Mapping[str, Facts], now: Mapping[str, Facts]) -> None:
    """Compare what a checkpoint says of its run with the run that is to go on.

    Args:
        folder: Where it lies, for messages.
        saved: Facts of the run by kind, those of ``"circumstances"`` being such as only the last bits depend on.
        now: The same of the present run, of those kinds that are compared.

    Raises:
        CheckpointError: It is another run's; the message says what differs, with both values.

    Warns:
        CheckpointWarning: The circumstances differ.
    """
    found = {kind: _differences(saved.get(kind, {}), facts) for kind, facts in now.items()}
    if other := [line for kind, lines in found.items() if kind != "circumstances" for line in lines]:
        raise CheckpointError(f"{folder} holds the checkpoints of another run: {'; '.join(other)}")
    if found["circumstances"]:
        text = f"{folder}: training goes on, though perhaps not to the bit: {'; '.join(found['circumstances'])}"
        warnings.warn(text, CheckpointWarning, stacklevel=2)


def _differences(saved: Facts, now: Facts) -> list[str]:
    names = [name for name in {**now, **saved} if not _same(saved.get(name), now.get(name))]
    return [f"`{name}` was {_shown(saved, name)} and is {_shown(now, name)}" for name in names]


def fingerprint(batch: Batch | None) -> str | None:
    """The SHA-256 of samples with their targets and weights; `None` where there are none."""
    if batch is None:
        return None
    found = hashlib.sha256()
    for t in (batch.x, batch.y, *([] if batch.sample_weight is None else [batch.sample_weight])):
        found.update(f"{t.dtype} {tuple(t.shape)}".encode())
        for part in t.contiguous().view(-1).split(STRETCH):
            found.update(part.cpu().numpy().data)
    return f"{len(batch.x)} samples {found.hexdigest()[:16]}"


def _facts(name: str, value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The kind of an object and its numbers, each under its own name."""
    if value is None or isinstance(value, bool | int | float | str):
        yield name, value
    elif isinstance(value, Tensor):
        yield name, fingerprint(Batch(value.detach(), value.new_empty(0)))
    elif isinstance(value, type) or inspect.isroutine(value):
        yield name, f"{value.__module__}.{value.__qualname__}"
    elif depth < DEEPEST:
        yield from _members(name, value, depth)


def _members(name: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list | tuple):
        members: Mapping[Any, Any] = dict(enumerate(value))
    elif isinstance(value, Mapping):
        members = value
    else:
        yield name, type(value).__qualname__
        members = _attributes(value)
    for key, member in members.items():
        yield from _facts(f"{name}.{key}", member, depth + 1)


def _attributes(value: Any) -> dict[str, Any]:
    """What an object was made of: not what it keeps for itself, or has computed on the way."""
    if isinstance(value, partial):
        return {"func": value.func, "args": value.args, "keywords": value.keywords}
    if is_dataclass(value):
        return {f.name: getattr(value, f.name) for f in fields(value) if f.compare}
    computed = {name for name, member in vars(type(value)).items() if isinstance(member, cached_property)}
    return {k: v for k, v in getattr(value, "__dict__", {}).items() if not k.startswith("_") and k not in computed}


def _same(one: Any, other: Any) -> bool:
    return one == other or repr(one) == repr(other)  # nan is equal to nothing, and is the same as before


def _shown(facts: Mapping[str, Any], name: str) -> str:
    return repr(facts[name]) if name in facts else "not there"
