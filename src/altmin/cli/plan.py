"""What the options of a command stand for: its folder, its methods, and what each of them is trained on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from altmin.cli.data import load_data
from altmin.cli.methods import numbers_of
from altmin.cli.network import chosen
from altmin.cli.numbers import configured
from altmin.cli.preflight import Plan
from altmin.cli.preset import ORIGIN
from altmin.cli.screen import Screen, complain
from altmin.cli.yaml_file import normal
from altmin.methods import Method
from altmin.methods.registry import METHODS, Entry, entry, listed
from altmin.study.claim import claimed
from altmin.study.description import NetworkDescription, Origin
from altmin.study.footprint import check_weights
from altmin.study.machine import free_memory
from altmin.study.setup import REFUSED, Setup
from altmin.train.place import check_device

YARDSTICK = "adam"


def seeds_of(options: Namespace) -> range:
    """The seeds of the runs.

    Raises:
        ValueError: The last one is too large.
    """
    seeds = range(options.seed, options.seed + options.seeds)
    if seeds[-1] >= 2**32:
        raise ValueError(f"`seeds={options.seeds}` leads from {options.seed} beyond the largest seed, {2**32 - 1:,}")
    return seeds


def folder_of(command: str, options: Namespace) -> AbstractContextManager[Path]:
    """The folder that a command writes into, which may be another than the one that is named: a line says so."""
    how = {name: bool(options.get(name)) for name in ("overwrite", "resume")}
    return claimed(command, options.out, tell=partial(complain, "note"), **how)


def methods_of(options: Namespace) -> dict[str, Method]:
    """The methods by name, with their numbers."""
    default = [e.name for e in listed() if e.method.gradients not in REFUSED]
    default += [] if options.get("audit") else [YARDSTICK]
    entries = [entry(name) for name in options.methods or default]
    for e in METHODS.values():
        if e not in entries:
            _require_none_of(e, options)
    return {e.name: _numbers_of(e, options) for e in entries}


def _require_none_of(e: Entry, options: Namespace) -> None:
    """Refuse numbers of a method that takes no part: all of the command line, of YAML those that are not the usual."""
    given = [name for name in options.given if name.partition(".")[0] == normal(e.name)]
    if given or _numbers_of(e, options) != e.method:
        name = f"`{given[0]}`" if given else f"a number of {e.name}"
        ways = f"add {e.name} behind {options.command}" if options.methods else f"name all methods, {e.name} among them"
        raise ValueError(f"{name} is given, but {e.name} takes no part; {ways}, or leave the number out")


def _numbers_of(named: Entry, options: Namespace) -> Method:
    """A method with the numbers that are given under its name."""
    return configured(named.method, options[named.name.replace("-", "_")], f"{named.name}.")


def plan_of(methods: dict[str, Method], setup: Setup, screen: Screen, listed: bool) -> Plan:
    """Each method and what it is trained on, checked; those that nobody listed may lack support for the network."""
    whole = replace(setup, batch_size=None)  # for methods that do not take batches
    plan = {name: (setup if method.batched else whole, method) for name, method in methods.items()}
    for name, (own, method) in list(plan.items()):
        problem = own.problem(name)
        try:
            own.check(name, method, problem)
        except TypeError as error:
            if listed or name == YARDSTICK or len(plan) == 1:
                raise
            screen.say(f"{name} is left out: {error}")
            del plan[name]
    return plan


def setup_of(options: Namespace, screen: Screen, data: str = "digits", **shared: Any) -> Setup:
    """What the options say about data, network and training, with their seed; see `setups_of`."""
    return setups_of(options, screen, data, **shared)(options.seed)


def setups_of(options: Namespace, screen: Screen, data: str = "digits", **shared: Any) -> Callable[[int], Setup]:
    """A function that reads the data with a seed, for all that the options say beside them; that is checked here.

    Args:
        options: Those of a command; what it does not have stays as `Setup` has it.
        screen: Where downloads are shown.
        data: The data set where none is named.
        **shared: What else `Setup` has, which no option says.
    """
    own_numbers = numbers_of(options.get("method"))
    flags = (f.name for f in Setup.listed() if f.metadata["flag"] is not None)
    names = [name for name in flags if name not in own_numbers]
    known: dict[str, Any] = (
        shared | {"preset": options.get(ORIGIN)} | {name: options[name] for name in names if name in options}
    )
    model, own = chosen(options)  # first: the model's file may register the loss and the regulariser
    Setup.check_each(known)
    dtype = {None: options.dtype, "bf16": "float32"}.get(options.precision, options.precision)

    def with_seed(seed: int) -> Setup:
        seeded = options.clone()
        seeded.seed = seed
        dataset, origin = load_data(seeded, dtype, screen, Origin(name=data))
        network = NetworkDescription(
            model=model,
            inputs=dataset.image or (dataset.features,),
            outputs=dataset.outputs,
            options=own,
            dtype=dtype,
            classes=dataset.classes,
            data=origin,
            init=options.get("init"),
            encoder=dataset.encoder,
        )
        check_weights(network, free_memory(check_device(options.device)))
        return Setup(dataset=dataset, network=network, **known, seed=seed)

    return with_seed
