"""What is looked at before the first epoch, so that nothing fails behind it: samples, the way back, memory, disk."""

from __future__ import annotations

import shutil
import tempfile
from functools import reduce
from pathlib import Path

from safetensors.torch import load_file

from altmin.cli.failures import reason
from altmin.cli.screen import Screen
from altmin.methods import Method
from altmin.study.description import NetworkDescription
from altmin.study.footprint import Footprint, cure_of, footprint
from altmin.study.machine import free_memory, in_units
from altmin.study.run_files import START
from altmin.study.saved_network import WEIGHTS, save
from altmin.study.setup import Setup

RECORD = 1000  # bytes of an iteration in results.json and curves.csv
FIXED = 2**20  # bytes of descriptions and pictures

Plan = dict[str, tuple[Setup, Method]]


def check_start(plan: Plan, out: Path, screen: Screen, at_once: bool = False, seeds: int = 1) -> dict[str, int]:
    """Refuse what is known to fail later, and say what memory will be needed.

    Args:
        plan: Each method and what it is trained on.
        out: The folder for the results, which exists.
        screen: Where the need is said.
        at_once: All methods are held in memory together.
        seeds: How many times each will be trained, one after the other.

    Returns:
        The bytes of memory that each method will need, as far as they can be foreseen.

    Raises:
        ValueError: Samples of any split that do not fit, a network that cannot be saved and read back, or too little
            memory or disk.
    """
    for name in {setup.loss_of(name): name for name, (setup, _) in plan.items()}.values():
        plan[name][0].check_samples(name)
    setup = next(iter(plan.values()))[0]
    _check_disk(plan, out, _check_way_back(setup.network, out), seeds)
    return {name: round(found.total) for name, found in _check_memory(plan, screen, at_once).items()}


def _check_way_back(network: NetworkDescription, out: Path) -> int:
    """Save the network and read it back, in a folder that is gone behind it; the bytes that takes."""
    with tempfile.TemporaryDirectory(dir=out, prefix=START) as folder:
        try:
            save(network, network.build(), folder)
            network.build().load_state_dict(load_file(Path(folder) / WEIGHTS))
        except (OSError, RuntimeError) as error:
            raise ValueError(f"the network cannot be saved in {out} and read back: {error}") from error
        return sum(path.stat().st_size for path in Path(folder).iterdir())


def _check_disk(plan: Plan, out: Path, network: int, seeds: int) -> None:
    records = sum(setup.epochs_of(name) for name, (setup, _) in plan.items())
    needed, free = FIXED + seeds * (2 * network * len(plan) + RECORD * records), shutil.disk_usage(out).free
    if needed > free:
        raise ValueError(
            f"--out {out}: about {in_units(needed)} will be written there, and {in_units(free)} are free; "
            "name a folder on another disk"
        )


def _check_memory(plan: Plan, screen: Screen, at_once: bool) -> dict[str, Footprint]:
    device = next(iter(plan.values()))[0].device
    free, found = free_memory(device), dict[str, Footprint]()
    for name, (setup, method) in plan.items():
        try:
            found[name] = footprint(setup, name, method)
        except Exception as error:  # noqa: BLE001 - what a method raises in its trial it raises in its run, too
            screen.say(f"{name}: the memory that it will need cannot be foreseen; a trial failed: {reason(error)}")
            continue
        found[name].check(name, free, cure_of(found[name], setup, method))
    if not found:
        return found
    name = max(found, key=lambda name: found[name].total)
    most = reduce(Footprint.together, found.values()) if at_once else found[name]
    if at_once:
        most.check("all methods at once", free, "fewer methods, or fewer samples (`train_samples`)")
    whose = "" if len(plan) == 1 else " for all at once" if at_once else f" for {name}, the most of all"
    screen.say(f"memory: {most}{whose}" + ("" if free is None else f"; {in_units(free)} are free"))
    return found
