"""CPU seconds to a test accuracy, 500-500: the online rules beside Adam, each with its numbers tuned on validation.

For every rule the same number of trials: learning rates, batch sizes and lengths of the run, over which the rate falls
linearly to zero. A goal's trial is the one that was first to pass the goal by a margin on validation, the later of two
seeds; it is then run with five others, and the median of the times to the goal on test is what counts. Only training
steps are timed. Adam runs in plain PyTorch, fused; the others take `altmin`'s steps. All have the samples in memory.

    python experiments/clock.py [mnist | fashion-mnist] [--rules RULE ...] [--data-dir DIR] [--smoke]
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from statistics import median

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

import altmin
from altmin.data import Dataset, Split
from altmin.study import networks
from trials import judge, load, online_am, parser

LOOKS, LIMIT = 8, 60.0
NEVER = math.inf
AHEAD = 1.25

Step = Callable[[Tensor, float], None]
Outputs = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Rule:
    """A rule and its grid.

    Attributes:
        make: The method of a learning rate; `None` for plain PyTorch's Adam.
        rates: Learning rates.
        batches: Batch sizes.
        patience: What the lengths are multiplied by.
    """

    make: Callable[[float], altmin.OnlineAM] | None
    rates: tuple[float, ...]
    batches: tuple[int, ...] = (128, 256)
    patience: float = 1.0


@dataclass(frozen=True)
class Race:
    """What the rules run for on a data set.

    Attributes:
        goals: Test accuracies.
        lengths: Epochs of a run.
        margin: By how much a goal must be passed on validation.
        tuning: Seeds of the trials.
        seeds: Seeds of the runs that count.
    """

    goals: tuple[float, ...]
    lengths: tuple[float, ...]
    margin: float
    tuning: tuple[int, ...] = (0, 6)
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)


RACES = {
    "mnist": Race((0.97, 0.98), (1.0, 1.5, 2.0, 3.0), 0.002),
    # Its test samples are harder than those that are held out for validation.
    "fashion-mnist": Race((0.88,), (1.5, 3.0, 4.5, 6.0), 0.006),
}
SMOKE = Race((0.0,), (1.0,), 0.0, (0,), (1,))


def online(hidden: Callable[[float], altmin.Adam | altmin.SGD], last: float, lr: float) -> altmin.OnlineAM:
    """Online alternating minimisation with one code step."""
    codes = altmin.Codes(steps=1, scaling="samples")
    return online_am(rule=hidden(lr), last=type(hidden(lr))(lr * last), codes=codes, decay="linear")


def memory(lr: float) -> altmin.OnlineAM:
    """AM-mem with one sweep a batch (more cost more and gain nothing); the last layer's learning rate is tuned."""
    rule, last = altmin.CoActivationMemory(sweeps=1), altmin.Adam(lr)
    return online_am(rule=rule, last=last, codes=altmin.Codes(steps=1, scaling="samples"), decay="linear")


def newton(lr: float) -> altmin.OnlineAM:
    """AM-Newton as it comes, but for the learning rate."""
    return altmin.OnlineAM.newton(altmin.Newton(lr))


RULES = {
    "adam": Rule(None, (0.002, 0.003, 0.005)),
    "am-newton": Rule(newton, (0.2, 0.3, 0.45), (200, 300)),
    "am-adam": Rule(partial(online, altmin.Adam, 1.0), (0.002, 0.004, 0.008), patience=4.0),
    "am-sgd": Rule(partial(online, altmin.SGD, 0.1), (1.0, 2.0, 4.0), patience=4.0),
    "am-mem": Rule(memory, (0.002, 0.004, 0.008), (200, 300), patience=1.3),
}


def smallest(rule: Rule) -> Rule:
    """The rule with one trial, for a smoke run."""
    return replace(rule, rates=rule.rates[:1], batches=rule.batches[:1], patience=1.0)


def by_adam(lr: float, train: Split, seed: int) -> tuple[Step, Outputs]:
    """A step on some rows when a share of the run is done, and the network, in plain PyTorch."""
    torch.manual_seed(seed)
    model = networks.mlp((train.x.shape[1],), 10, (500, 500))
    optimizer = torch.optim.Adam(model.parameters(), lr, fused=True)

    def step(rows: Tensor, done: float) -> None:
        optimizer.param_groups[0]["lr"] = (1.0 - done) * lr
        optimizer.zero_grad()
        cross_entropy(model(train.x.index_select(0, rows)), train.y.index_select(0, rows)).backward()
        optimizer.step()

    return step, model


def by_rule(method: altmin.OnlineAM, train: Split, seed: int) -> tuple[Step, Outputs]:
    """The same by a method of the library."""
    torch.manual_seed(seed)
    model = networks.mlp((train.x.shape[1],), 10, (500, 500))
    trainer = altmin.Trainer(model, method, generator=torch.Generator().manual_seed(seed))

    def step(rows: Tensor, done: float) -> None:
        trainer.step(train.x, train.y, rows=rows, done=done)

    return step, model


def train(rule: Rule, setting: tuple[float, float, int], split: Split, seed: int) -> Iterator[tuple[float, Outputs]]:
    """CPU seconds so far and the network, `LOOKS` times an epoch."""
    length, lr, size = setting
    step, outputs = by_adam(lr, split, seed) if rule.make is None else by_rule(rule.make(lr), split, seed)
    generator, n = torch.Generator().manual_seed(seed), len(split.x)
    steps, look, seconds = round(length * n / size), max(1, n // (LOOKS * size)), 0.0
    order: list[Tensor] = []
    start = time.process_time()
    for k in range(steps):
        if not order:
            order = list(torch.randperm(n, generator=generator).split(size))[: n // size]
        step(order.pop(), k / steps)
        if (k + 1) % look == 0 or k + 1 == steps:
            seconds += time.process_time() - start
            yield seconds, outputs
            start = time.process_time()


@torch.no_grad()
def accuracy(outputs: Outputs, split: Split) -> float:
    """The share of samples that are classified as their label says."""
    return float((outputs(split.x).argmax(1) == split.y).double().mean())


def clock(run: Iterator[tuple[float, Outputs]], held: Split, goals: Sequence[float], limit: float) -> list[float]:
    """CPU seconds until each goal was first reached on the samples `held`; a run ends when none is left to reach."""
    reached = [NEVER] * len(goals)
    for seconds, outputs in run:
        score = accuracy(outputs, held)
        reached = [min(at, seconds) if score >= goal else at for at, goal in zip(reached, goals, strict=True)]
        if seconds > limit or max(reached) < NEVER:
            break
    return reached


def tune(rule: Rule, whole: Dataset, race: Race) -> list[tuple[float, float, int]]:
    """For each goal the setting that was first to pass it by the margin on validation."""
    goals = [goal + race.margin for goal in race.goals]
    best, chosen = [LIMIT] * len(goals), [(NEVER, 0.0, 0)] * len(goals)
    lengths = [rule.patience * length for length in race.lengths]
    for setting in product(lengths, rule.rates, rule.batches):
        found = [0.0] * len(goals)
        for seed in race.tuning:
            if min(found) < NEVER:
                reached = clock(train(rule, setting, whole.train, seed), whole.validation, goals, max(best))
                found = [max(pair) for pair in zip(found, reached, strict=True)]
        for i, at in enumerate(found):
            if at < best[i]:
                best[i], chosen[i] = at, setting
    return chosen


def compare(
    goal: float, settings: dict[str, tuple[float, float, int]], whole: Dataset, seeds: Sequence[int]
) -> dict[str, float]:
    """A row for every rule: its setting, the median of the times to the goal on test, and all of them; the medians."""
    times: dict[str, list[float]] = {name: [] for name in settings}
    for seed, (name, setting) in product(seeds, settings.items()):  # what else the machine does meets all rules alike
        if setting[0] < NEVER:
            times[name] += clock(train(RULES[name], setting, whole.train, seed), whole.test, [goal], NEVER)
    for name, found in times.items():
        length, lr, size = settings[name]
        if found:
            row = f"{name:12}{goal:6.2f}{length:8.2f}{lr:7.3g}{size:7d}{median(found):9.2f}   "
            print(row + " ".join(f"{at:.2f}" for at in found), flush=True)
        else:
            print(f"{name:12}{goal:6.2f}    no trial passed it", flush=True)
    return {name: median(found) for name, found in times.items() if found}


def main() -> None:
    """Tune every rule, print the table."""
    options = parser("CPU seconds to a test accuracy.", seed=False)
    options.add_argument("kind", nargs="?", default="mnist", choices=RACES)
    options.add_argument("--rules", nargs="+", default=list(RULES), choices=RULES)
    given = options.parse_args()
    race, whole = SMOKE if given.smoke else RACES[given.kind], load(given.kind, given)
    rules = {name: smallest(rule) if given.smoke else rule for name, rule in RULES.items() if name in given.rules}
    settings = {name: tune(rule, whole, race) for name, rule in rules.items()}
    print(f"{given.kind}, 784-500-500-10, one thread; CPU seconds to a test accuracy, {len(race.seeds)} seeds")
    print(f"{'':12}{'goal':>6}{'epochs':>8}{'rate':>7}{'batch':>7}{'median':>9}   seconds by seed")
    medians: dict[str, float] = {}
    for i, goal in enumerate(race.goals):
        medians = compare(goal, {name: chosen[i] for name, chosen in settings.items()}, whole, race.seeds)
    others = {name: at for name, at in medians.items() if name != "adam"}
    if others and "adam" in medians:
        ahead = min(others, key=lambda name: others[name])
        judge({f"Adam's time over {ahead}'s, to {race.goals[-1]}": (medians["adam"] / others[ahead], AHEAD)}, given)


if __name__ == "__main__":
    main()
