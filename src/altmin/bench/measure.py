"""Timing side by side: every round runs every contender once, so that what disturbs one disturbs all."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import torch

from altmin.bench.contenders import ADAM, Contender
from altmin.precision import computing
from altmin.study.ledger import Ledger, MeasuredProduct

LEAST = 5e-3  # seconds that a product is repeated for: clocks are no finer than some microseconds
SIDE = 2048  # of the square product that says how fast the machine is
Report = Callable[[str], None]


class Times(NamedTuple):
    """What one run took: seconds on the wall's clock, and of all this process's threads on CPUs."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class BenchRow:
    """One contender's figures; seconds are medians over the rounds.

    Attributes:
        name: Who.
        batch_size: Samples a step.
        cpu_seconds: Of a pass over the samples: many steps on batches, or one on all samples.
        seconds: The same on the wall's clock.
        cost: Whichever of the two is compared: CPU seconds, the wall's where a device works beside the CPUs.
        ratio: The median over the rounds of its cost over that of the faster Adam on batches of that size.
        flops: Of the pass's matrix products.
        product_seconds: What these products cost alone, one after the other, on this machine in this run.
        share: The median over the rounds of the products' part of its cost: 1 is the machine's limit.
        existing_bytes: Of state and data.
        peak_bytes: Of tensors at worst, state and data included.
        rounds: CPU seconds of each round.
    """

    name: str
    batch_size: int
    cpu_seconds: float
    seconds: float
    cost: float
    ratio: float
    flops: int
    product_seconds: float
    share: float
    existing_bytes: int
    peak_bytes: int
    rounds: list[float]


class Samples(NamedTuple):
    """What was measured of a contender: one iteration's ledger, and for each round its times and its products'."""

    contender: Contender
    ledger: Ledger
    own: list[Times]
    products: list[float]


def bench(
    contenders: Sequence[Contender], rounds: int, device: str, report: Report = lambda text: None
) -> list[BenchRow]:
    """A row for each contender, from `rounds` passes after one that warms up and is looked into.

    Args:
        contenders: Who; an `ADAM` among them is the yardstick of those with its batch size.
        rounds: How many timed passes each; they take turns.
        device: Where they run. On CPUs costs are CPU seconds, elsewhere the wall's.
        report: Called with what is done next.
    """
    samples = []
    for contender in contenders:
        report(f"looking into {contender.name}")
        samples.append(Samples(contender, looked_into(contender), [], []))
    for i in range(rounds):
        report(f"round {i + 1} of {rounds}")
        for watched in samples:
            watched.own.append(timed(watched.contender.epoch, device))
            watched.products.append(sum(n * cost_of(product, device) for product, n in watched.ledger.products.items()))
    return [_row(watched, _yardstick(watched, samples, device), device) for watched in samples]


def looked_into(contender: Contender) -> Ledger:
    """What a pass does. It is the second one: the first makes optimizers' memories and statistics that are kept."""
    contender.epoch()
    with Ledger() as ledger:
        contender.epoch()
    return ledger


def timed(run: Callable[[], object], device: str) -> Times:
    """What `run` takes, once the device has finished."""
    start = _clock(device)
    run()
    return Times(*(end - begin for begin, end in zip(start, _clock(device), strict=True)))


def cost_of(product: MeasuredProduct, device: str) -> float:
    """Seconds of one product: repeated, until clocks can tell."""
    count = 1
    with product.again() as run:
        run()
        while (cost := _cost(timed(partial(_repeat, run, count), device), device)) < LEAST:
            count *= 4
    return cost / count


def _repeat(run: Callable[[], object], count: int) -> None:
    for _ in range(count):
        run()  # its result is dropped at once, so that the next one is written into the same memory


def machine(dtype: torch.dtype, device: str) -> dict[str, Any]:
    """How fast this machine multiplies square matrices, as methods have it do, and by what."""
    a = torch.randn(SIDE, SIDE, dtype=dtype, device=device)
    with computing(None, torch.device(device), a.numel()):
        costs = [_cost(timed(lambda: a @ a, device), device) for _ in range(3)]
    where = torch.cuda.get_device_name(device) if "cuda" in device else torch.backends.cpu.get_cpu_capability()
    return {"device": where, "threads": torch.get_num_threads(), "gflops": 2e-9 * SIDE**3 / min(costs)}


def _clock(device: str) -> Times:
    if "cuda" in device:
        torch.cuda.synchronize(device)
    return Times(time.perf_counter(), time.process_time())


def _cost(times: Times, device: str) -> float:
    """A device works beside the CPUs, whose seconds say nothing about it."""
    return times.cpu if device == "cpu" else times.wall


def _costs(watched: Samples, device: str) -> list[float]:
    return [_cost(times, device) for times in watched.own]


def _yardstick(watched: Samples, samples: Sequence[Samples], device: str) -> list[float]:
    """The costs, round by round, of the faster Adam on batches of the same size."""
    same = [s for s in samples if s.contender.name.startswith(ADAM)]
    same = [s for s in same if s.contender.batch_size == watched.contender.batch_size]
    return min((_costs(s, device) for s in same), key=median)


def _row(watched: Samples, adam: list[float], device: str) -> BenchRow:
    costs, ledger = _costs(watched, device), watched.ledger
    return BenchRow(
        name=watched.contender.name,
        batch_size=watched.contender.batch_size,
        cpu_seconds=median(times.cpu for times in watched.own),
        seconds=median(times.wall for times in watched.own),
        cost=median(costs),
        ratio=median(own / other for own, other in zip(costs, adam, strict=True)),
        flops=ledger.flops,
        product_seconds=median(watched.products),
        share=median(part / own for part, own in zip(watched.products, costs, strict=True)),
        existing_bytes=ledger.existing,
        peak_bytes=ledger.peak,
        rounds=[times.cpu for times in watched.own],
    )
