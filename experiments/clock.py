"""CPU seconds to a test accuracy on multi-layer perceptrons: AM-Newton, AM-Adam and AMRidge beside what they must beat.

The protocol, which was written down before any figure below it was seen:

1. *Contenders* (`contenders.py`). In plain PyTorch, by backpropagation: Adam; Adam under autocast to bfloat16; AdamW
   and SGD with Nesterov's momentum, each over one cycle; Muon, with Adam for intercepts and the last layer; and
   AM-Newton's rule on autograd's gradients. By this library's steps, as they come but for the rate: AM-Newton,
   AM-Newton with products in bfloat16, AM-Adam, AMRidge. The loss is cross-entropy, which is AMRidge's default too.
   But in the cycles the rate falls linearly to zero.
2. *Tasks* (`RACES`). 784-500-500-10 on MNIST and Fashion-MNIST, 3072-500-500-10 on CIFAR-10, 28-300-300-2 on the
   table of HIGGS, rectified. CIFAR-10's test samples are batch 5, its validation samples the last 5,000 of batch 4,
   since not all copies have the whole test batch. HIGGS' goal is what Adam reaches on validation in 5 epochs at
   PyTorch's constant rate of 0.001 in batches of 128, the mean of the tuning seeds rounded down to half a point.
3. *Tuning.* Each contender has 18 trials on a task: 3 rates, each twice the one before, 2 batch sizes, and 3 lengths
   of the run, over which the rate falls or one cycle goes; on images 18 with pixels from 0 to 1, and 18 with pixels
   standardised, less the mean of all over their standard deviation, since contenders differ in what suits them.
   HIGGS' features are standardised. Rates and lengths were placed around what a few runs on validation, with another
   seed, showed to be good; those of HIGGS after a first tuning, whose choices all lay at the edge. A trial is run
   with two seeds (CIFAR-10: one) and looked at on validation eight times an epoch. For each goal the setting is
   chosen whose later seed was first to pass the goal by a margin: MNIST .002; Fashion-MNIST .006, since its test
   samples are harder than those held out; CIFAR-10 .007 and HIGGS .006, a standard error of the validation accuracy.
   A run ends at a limit, the same for all contenders, and once it has taken longer than the best trial so far for
   every goal; where the first seed was too late, the second is left out. But for the limit this changes no choice.
4. *Runs that count.* Five other seeds, all contenders in turn with each, which share start and order of the samples.
   What counts is the median of the seconds until a look at the test samples, eight times an epoch, finds the goal
   reached. A seed that does not get there in its length is shown as ``-`` and counts as infinite; where no trial
   passed a goal, all are.
5. *The clock.* One thread; `time.process_time` of the training steps alone, looks, start of the network and order of
   the samples left out. The library's first step looks through the samples, and is timed. Before a run two steps are
   made with another network and not timed: kernels are compiled, and modules imported, at their first use. Products
   of float32 matrices are made for all by the library that is faster here (`altmin.onednn`).

The bar: to 98 % on MNIST, AM-Newton takes less time than Adam.

    python experiments/clock.py [mnist | fashion-mnist | cifar10 | higgs] [--contenders NAME ...] [--data-dir DIR]
        [--out FILE] [--smoke]
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

import torch
from torch import nn

import altmin
from altmin.audit import Gradients
from altmin.data import Dataset, Split
from altmin.files import read_json, write_json
from altmin.onednn import largest_weights
from altmin.precision import computing
from altmin.study import networks
from contenders import CONTENDERS, Contender, Task, adam, by_torch, constant
from trials import accuracy, judge, load, parser

LOOKS = 8
NEVER = math.inf
BAR = 1.0
UNIT, STANDARD, AS_THEY_ARE = "0..1", "st.", "-"


class Setting(NamedTuple):
    """What is chosen on validation."""

    pixels: str
    epochs: float
    rate: float
    batch: int


PLAIN_ADAM = Contender(partial(by_torch, adam, constant), Gradients.BACKPROP, {})
PLAIN, HALF_POINT = Setting(AS_THEY_ARE, 5.0, 0.001, 128), 0.005


@dataclass(frozen=True)
class Race:
    """What the contenders run for on a data set.

    Attributes:
        name: The data set.
        goals: Test accuracies; none: one that plain Adam sets.
        lengths: Epochs of a run.
        margin: By how much a goal must be passed on validation.
        limit: CPU seconds after which a trial counts as one that does not get there.
        hidden: Widths of the hidden layers.
        pixels: Whether inputs are pixels, from 0 to 1.
        tuning: Seeds of the trials.
        seeds: Seeds of the runs that count.
    """

    name: str
    goals: tuple[float, ...]
    lengths: tuple[float, ...]
    margin: float
    limit: float
    hidden: tuple[int, ...] = (500, 500)
    pixels: bool = True
    tuning: tuple[int, ...] = (0, 6)
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)

    def smallest(self) -> Race:
        """What a smoke run is for."""
        return replace(self, goals=self.goals and (0.0,), lengths=(1.0,), margin=0.0, tuning=(0,), seeds=(1,))


RACES = {
    race.name: race
    for race in (
        Race("mnist", (0.97, 0.98), (1.0, 2.0, 3.0), 0.002, 20.0),
        Race("fashion-mnist", (0.88, 0.89), (2.0, 4.0, 7.0), 0.006, 30.0),
        Race("cifar10", (0.53,), (2.0, 4.0, 6.0), 0.007, 40.0, tuning=(0,)),
        Race("higgs", (), (2.0, 4.0, 8.0), 0.006, 10.0, hidden=(300, 300), pixels=False),
    )
}


def samples(kind: str, given: argparse.Namespace) -> Dataset:
    """The data set; of CIFAR-10 batch 5 for test, and an eighth of the others for validation."""
    whole = load(kind, given)
    if kind != "cifar10":
        return whole
    x, y = whole.train.x, whole.train.y
    kept = len(x) - len(x) // 8
    return replace(whole, train=Split(x[:kept], y[:kept]), validation=Split(x[kept:], y[kept:]), test=whole.validation)


def scaled(whole: Dataset, race: Race) -> dict[str, Dataset]:
    """The samples in all ways that a contender may have them."""
    if not race.pixels:
        return {AS_THEY_ARE: whole}
    sd, mean = (float(number) for number in torch.std_mean(whole.train.x))
    few = {part: getattr(whole, part) for part in ("train", "validation", "test")}
    standard = {part: Split((s.x - mean) / sd, s.y) for part, s in few.items()}
    return {UNIT: whole, STANDARD: replace(whole, **standard)}


def grid(contender: Contender, race: Race) -> list[Setting]:
    """The trials, short ones first, so that long ones end early."""
    ways = (UNIT, STANDARD) if race.pixels else (AS_THEY_ARE,)
    numbers = product(race.lengths, contender.rates(race.name), contender.batches, ways)
    return [Setting(way, epochs, rate, batch) for epochs, rate, batch, way in numbers]


def network(split: Split, whole: Dataset, race: Race, seed: int) -> nn.Sequential:
    """A network for these samples with PyTorch's start."""
    torch.manual_seed(seed)
    return networks.mlp((split.x.shape[1],), whole.outputs, race.hidden)


def fastest_products(model: nn.Module) -> AbstractContextManager[None]:
    """A context with the library's choice of products for a network of this size, for whoever trains it."""
    return computing(None, torch.device("cpu"), largest_weights(model))


def rehearse(contender: Contender, setting: Setting, whole: Dataset, race: Race) -> None:
    """Two steps of another network, so that what is done once for all is not timed."""
    few = Split(whole.train.x[: setting.batch], whole.train.y[: setting.batch])
    model = network(few, whole, race, 0)
    step = contender.start(Task(model, few, setting.rate, 3))
    for k in range(2):
        with fastest_products(model):
            step(torch.arange(len(few.x)), k / 3)


def train(
    contender: Contender, setting: Setting, whole: Dataset, race: Race, seed: int
) -> Iterator[tuple[float, nn.Sequential]]:
    """CPU seconds so far and the network, `LOOKS` times an epoch and at the end."""
    rehearse(contender, setting, whole, race)
    n, size = len(whole.train), min(setting.batch, len(whole.train))
    steps, look, seconds = round(setting.epochs * n / size), max(1, n // (LOOKS * size)), 0.0
    model = network(whole.train, whole, race, seed)
    step = contender.start(Task(model, whole.train, setting.rate, steps))
    generator, order = torch.Generator().manual_seed(seed), []
    for k in range(steps):
        if not order:
            order = list(torch.randperm(n, generator=generator).split(size))[: n // size]
        rows, start = order.pop(), time.process_time()
        with fastest_products(model):
            step(rows, k / steps)
        seconds += time.process_time() - start
        if (k + 1) % look == 0 or k + 1 == steps:
            yield seconds, model


def clock(
    run: Iterator[tuple[float, nn.Sequential]], held: Split, goals: Sequence[float], limit: float = NEVER
) -> list[float]:
    """CPU seconds until each goal was first reached on the samples `held`; a run ends when none is left to reach."""
    reached = [NEVER] * len(goals)
    with suppress(altmin.DivergenceError):  # it gets nowhere any more
        for seconds, model in run:
            if seconds > limit:
                break
            score = accuracy(model, held)
            reached = [min(at, seconds) if score >= goal else at for at, goal in zip(reached, goals, strict=True)]
            if max(reached) < NEVER:
                break
    return reached


def final(contender: Contender, setting: Setting, whole: Dataset, race: Race, seed: int) -> float:
    """The accuracy on validation in the end; none for a run that diverged."""
    with suppress(altmin.DivergenceError):
        *_, (_, model) = train(contender, setting, whole, race, seed)
        return accuracy(model, whole.validation)
    return 0.0


def plain_goal(whole: Dataset, race: Race) -> float:
    """What plain Adam reaches on validation, rounded down to half a point."""
    found = mean(final(PLAIN_ADAM, PLAIN, whole, race, seed) for seed in race.tuning)
    return round(math.floor(found / HALF_POINT) * HALF_POINT, 4)


def tune(contender: Contender, ways: dict[str, Dataset], race: Race) -> dict[str, list[Any]]:
    """For each goal the setting that was first to pass it by the margin, or none; and what became of all trials."""
    goals = [goal + race.margin for goal in race.goals]
    best, trials = [race.limit] * len(goals), []
    chosen: list[Setting | None] = [None] * len(goals)
    for setting in grid(contender, race):
        whole = ways[setting.pixels]
        later, by_seed = [0.0] * len(goals), []
        for seed in race.tuning:
            if any(at < first for at, first in zip(later, best, strict=True)):
                run = train(contender, setting, whole, race, seed)
                by_seed.append(clock(run, whole.validation, goals, max(best)))
                later = [max(pair) for pair in zip(later, by_seed[-1], strict=True)]
        for i, at in enumerate(later):
            if at < best[i]:
                best[i], chosen[i] = at, setting
        trials.append({"setting": setting, "seconds": [[finite(at) for at in reached] for reached in by_seed]})
    return {"chosen": chosen, "trials": trials}


def run_all(tuning: dict[str, Any], ways: dict[str, Dataset], race: Race, seed: int) -> dict[str, list[Any]]:
    """Seconds of every contender to each goal on test, one contender after the other; a setting is run once."""
    found: dict[str, list[Any]] = {name: [None] * len(race.goals) for name in tuning}
    for name, own in tuning.items():
        settings = [at and Setting(*at) for at in own["chosen"]]
        for setting in dict.fromkeys(filter(None, settings)):
            wanted = [i for i, other in enumerate(settings) if other == setting]
            run = train(CONTENDERS[name], setting, ways[setting.pixels], race, seed)
            reached = clock(run, ways[setting.pixels].test, [race.goals[i] for i in wanted])
            for i, at in zip(wanted, reached, strict=True):
                found[name][i] = finite(at)
    return found


def finite(seconds: float) -> float | None:
    """Seconds for a file, which cannot say never."""
    return round(seconds, 3) if seconds < NEVER else None


def words(seconds: float | None) -> str:
    """Seconds for a table."""
    return "-" if seconds is None or not seconds < NEVER else f"{seconds:.2f}"


def table(found: dict[str, Any], i: int) -> dict[str, float]:
    """Print a row for every contender's way to goal `i`; the medians."""
    goal, runs = found["goals"][i], found["test"].values()
    times = {name: [run[name][i] for run in runs] for name in found["tuning"]}
    medians = {name: median(NEVER if at is None else at for at in own) for name, own in times.items()}
    print(f"\n{'to ' + format(goal, 'g'):18}{'gradients':24}{'pixels':>7}{'epochs':>7}{'rate':>9}{'batch':>7}", end="")
    print(f"{'median':>8}{'ratio':>7}   seconds by seed")
    for name, own in times.items():
        setting = found["tuning"][name]["chosen"][i]
        numbers = "{:>7}{:7g}{:9g}{:7d}".format(*setting) if setting else f"{'no trial passed it':>30}"
        others = min((at for other, at in medians.items() if other != name), default=NEVER)
        ratio = words(medians[name] / others if others < NEVER else None)
        seconds = " ".join(f"{words(at):>6}" for at in own)
        label = CONTENDERS[name].gradients
        print(f"{name:18}{label:24}{numbers}{words(medians[name]):>8}{ratio:>7}   {seconds}", flush=True)
    return medians


def race_of(given: argparse.Namespace, found: dict[str, Any], whole: Dataset) -> Race:
    """The race on this data set, with goals."""
    race = RACES[given.kind].smallest() if given.smoke else RACES[given.kind]
    goals = found.get("goals") or race.goals or (plain_goal(whole, race),)
    return replace(race, goals=tuple(goals))


def compete(given: argparse.Namespace) -> dict[str, Any]:
    """Tune, then run what counts; what the file has is not run again."""
    found: dict[str, Any] = read_json(given.out) if given.out and given.out.exists() else {}
    whole = samples(given.kind, given)
    race = race_of(given, found, whole)
    ways = scaled(whole, race)
    found = {"data": given.kind, "goals": race.goals, "torch": torch.__version__, "tuning": {}, "test": {}} | found

    def keep() -> None:
        if given.out:
            write_json(given.out, found)

    for name in given.contenders:
        if name not in found["tuning"]:
            contender = CONTENDERS[name].smallest() if given.smoke else CONTENDERS[name]
            found["tuning"][name] = tune(contender, ways, race)
            print(f"  {name} tuned: {found['tuning'][name]['chosen']}", flush=True)
            keep()
    for seed in race.seeds:
        if str(seed) not in found["test"]:
            found["test"][str(seed)] = run_all(found["tuning"], ways, race, seed)
            keep()
    return found


def main() -> None:
    """Compete, print a table for each goal; the exit status says whether the bar was reached."""
    options = parser("CPU seconds to a test accuracy.", seed=False)
    options.add_argument("kind", nargs="?", default="mnist", choices=RACES)
    options.add_argument("--contenders", nargs="+", default=list(CONTENDERS), choices=CONTENDERS)
    options.add_argument("--out", type=Path, help="JSON file of all figures; a call that was ended goes on from it")
    given = options.parse_args()
    found = compete(given)
    print(f"{given.kind}, one thread; CPU seconds to a test accuracy, by seed, and the median over the fastest other's")
    medians = [table(found, i) for i in range(len(found["goals"]))][-1]
    if given.kind == "mnist" and {"adam", "am-newton"} <= medians.keys():
        ahead = medians["adam"] / medians["am-newton"] if medians["am-newton"] < NEVER else 0.0
        judge({"adam's time over am-newton's": (ahead, BAR)}, given)


if __name__ == "__main__":
    main()
