"""Catastrophic forgetting: tasks in turn, and what is left of the first ones; AM-mem's memory beside Adam and replay.

The online paper hopes that the memory retains "prior learning experience", and never tried. Tasks are MNIST with its
pixels permuted, another permutation for each, or MNIST split into pairs of classes; a task's samples are seen for one
epoch and never again. All networks have one output layer for all tasks. Replay keeps some samples of each task and adds
as many of them to a batch as are new. Learning rates are chosen on the validation samples of all tasks.

    python experiments/forgetting.py [permuted | split] [--tasks 5] [--data-dir DIR] [--smoke]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from statistics import fmean, stdev

import torch
from torch import Tensor, nn

import altmin
from altmin.data import Dataset, Split
from altmin.study import networks
from trials import accuracy, load, online_am, parser

SEEDS, TUNING, BATCH, KEPT = (1, 2, 3, 4, 5), 0, 200, 100  # KEPT: samples of a task that replay keeps
TRAIN = 11_000  # samples of a permuted task


@dataclass(frozen=True)
class Contender:
    """A way to learn tasks in turn.

    Attributes:
        make: The method at a learning rate.
        rates: Those that are tried.
        replay: Whether samples of earlier tasks are kept and learned again.
    """

    make: Callable[[float], altmin.Method]
    rates: tuple[float, ...]
    replay: bool = False


def memory(forget: float) -> Callable[[float], altmin.Method]:
    """AM-mem with a memory that keeps a share of itself at each batch; the rate is that of the last layer's SGD."""
    rule = altmin.CoActivationMemory(forget=forget, sweeps=2)
    return lambda lr: online_am(rule=rule, last=altmin.SGD(lr))


def by_adam(lr: float) -> altmin.Method:
    """AM-Adam as the paper has it."""
    return online_am(rule=altmin.Adam(lr), last=altmin.SGD(0.1))


def plain(lr: float) -> altmin.Method:
    """Backpropagation by Adam."""
    return altmin.Backprop("adam", lr=lr)


CONTENDERS = {
    "am-mem, forgets nothing": Contender(memory(1.0), (0.03, 0.1, 0.3)),
    "am-mem, keeps .95 a batch": Contender(memory(0.95), (0.03, 0.1, 0.3)),
    "am-adam": Contender(by_adam, (5e-4, 2e-3, 8e-3)),
    "adam": Contender(plain, (3e-4, 1e-3, 3e-3)),
    f"adam, replay of {KEPT} a task": Contender(plain, (3e-4, 1e-3, 3e-3), replay=True),
}


def permuted(whole: Dataset, tasks: int) -> list[Dataset]:
    """The data set with its pixels in another order for each task; the first has them as they are."""
    generator = torch.Generator().manual_seed(0)
    orders = [torch.arange(whole.features)]
    orders += [torch.randperm(whole.features, generator=generator) for _ in range(tasks - 1)]
    train = Split(whole.train.x[:TRAIN], whole.train.y[:TRAIN])
    return [
        replace(
            whole,
            **{
                name: Split(split.x[:, order], split.y)
                for name, split in (("train", train), ("validation", whole.validation), ("test", whole.test))
            },
        )
        for order in orders
    ]


def split(whole: Dataset, tasks: int) -> list[Dataset]:
    """The samples of two classes for each task."""

    def part(samples: Split, task: int) -> Split:
        rows = samples.y // 2 == task
        return Split(samples.x[rows], samples.y[rows])

    return [
        replace(whole, **{name: part(getattr(whole, name), task) for name in ("train", "validation", "test")})
        for task in range(min(tasks, 5))
    ]


TASKS = {"permuted": permuted, "split": split}


def batches(task: Split, kept: list[Split], generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """A task's batches, each with as many samples of those that are kept."""
    for rows in torch.randperm(len(task), generator=generator).split(BATCH):
        x, y = task.x[rows], task.y[rows]
        if kept:
            old = Split(torch.cat([k.x for k in kept]), torch.cat([k.y for k in kept]))
            again = torch.randint(len(old), (len(rows),), generator=generator)
            x, y = torch.cat([x, old.x[again]]), torch.cat([y, old.y[again]])
        yield x, y


def learn(contender: Contender, lr: float, tasks: list[Dataset], seed: int) -> nn.Sequential:
    """The network that has seen all tasks in turn."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = networks.mlp((tasks[0].features,), tasks[0].outputs, (100, 100))
    generator, kept = torch.Generator().manual_seed(seed), []
    count = sum(len(task.train) for task in tasks)
    trainer = altmin.Trainer(model, contender.make(lr), generator=generator, samples=count)
    for task in tasks:
        for x, y in batches(task.train, kept, generator):
            trainer.step(x, y)
        if contender.replay:
            kept.append(Split(task.train.x[:KEPT], task.train.y[:KEPT]))
    return model.eval()


def chosen_rate(contender: Contender, tasks: list[Dataset], smoke: bool) -> float:
    """The rate with the largest mean accuracy on the validation samples of all tasks."""
    if smoke:
        return contender.rates[0]
    merits = {
        lr: fmean(accuracy(learn(contender, lr, tasks, TUNING), task.validation) for task in tasks)
        for lr in contender.rates
    }
    return max(merits, key=merits.__getitem__)


def main() -> None:
    """Learn the tasks in turn, and print what is known of the first, of the last and of all in the end."""
    arguments = parser("What is left of earlier tasks.", seed=False)
    arguments.add_argument("kind", nargs="?", choices=tuple(TASKS), default="permuted", help="what a task is")
    arguments.add_argument("--tasks", type=int, default=5, help="how many")
    given = arguments.parse_args()
    tasks = TASKS[given.kind](load("mnist", given), given.tasks)
    seeds = SEEDS[:1] if given.smoke else SEEDS
    print(f"{given.kind} MNIST, {len(tasks)} tasks, 100-100, test accuracy in the end, {len(seeds)} seed(s)")
    print(f"{'':28}{'rate':>8}{'first task':>12}{'last task':>12}{'mean of all':>18}")
    for name, contender in CONTENDERS.items():
        lr = chosen_rate(contender, tasks, given.smoke)
        models = [learn(contender, lr, tasks, seed) for seed in seeds]
        found = [[accuracy(model, task.test) for task in tasks] for model in models]
        means = [fmean(row) for row in found]
        spread = stdev(means) if len(means) > 1 else 0.0
        first, last = (fmean(row[i] for row in found) for i in (0, -1))
        print(f"{name:28}{lr:8g}{first:12.3f}{last:12.3f}{fmean(means):10.3f} ± {spread:.3f}", flush=True)


if __name__ == "__main__":
    main()
