"""Which numbers AM-Adam should have as it comes: settings of one cost, on six tasks, by validation accuracy alone.

The tasks are MNIST and Fashion-MNIST with two hidden layers of 100, LeNet-5 on 20,000 digits of MNIST, twenty layers of
100 with residual connections on as many, and two tables, HIGGS and scikit-learn's digits. Every setting takes one code
step a batch but those called *five steps*, which are what was the default before, and the authors' code's; Adam by
backpropagation is there to compare with. A row says for every task the validation accuracy after the first and the last
epoch, its mean over the seeds; then how far the setting is behind the best of its cost at worst, and the worst fall of
any run from its best epoch to its last. No test sample is looked at.

    python experiments/online_defaults.py [--data-dir DIR] [--seeds 0 1 2] [--settings NAME ...] [--out FILE] [--smoke]
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean

import torch
from torch import nn

import altmin
from altmin.data import Dataset
from altmin.methods import Method
from altmin.study import networks
from trials import load, online_am, parser

RATES = (0.002, 0.004, 0.008)
PER_DEPTH = (0.016, 0.024, 0.032, 0.048)
WHOLE: dict[str, float | str] = {"scaling": "gradients", "momentum": 0.0}  # codes that hand down gradients as they are


@dataclass(frozen=True)
class Task:
    """What is learnt: a data set, by which network, how long."""

    data: str
    network: Callable[[tuple[int, ...], int], nn.Sequential]
    epochs: int = 3
    train_samples: int | None = None


def lenet5(_: tuple[int, ...], outputs: int) -> nn.Sequential:
    """LeNet-5 for images of 28 x 28, which come as rows."""
    return networks.lenet5((1, 28, 28), outputs)


narrow = partial(networks.mlp, hidden=(100, 100))
TASKS = {
    "mnist": Task("mnist", narrow),
    "fashion": Task("fashion-mnist", narrow),
    "lenet5": Task("mnist", lenet5, train_samples=20_000),
    "residual": Task("mnist", networks.residual, epochs=5, train_samples=20_000),
    "higgs": Task("higgs", narrow, epochs=10),
    "digits": Task("digits", narrow, epochs=20),
}


def am(lr: float | None, **codes: float | str) -> altmin.OnlineAM:
    """AM-Adam with one code step, unless another number is given."""
    rule = altmin.Adam(lr)
    return online_am(rule=rule, last=rule, codes=altmin.Codes(**{"steps": 1, "scaling": "samples", **codes}))  # type: ignore[arg-type]


def authors() -> altmin.OnlineAM:
    """The numbers of the authors' code; it has batch normalisation, too, which is the network's."""
    rule, mu = altmin.Adam(0.008), altmin.Mu(start=0.003, most=0.03)
    return online_am(rule=rule, last=rule, codes=altmin.Codes(steps=5, lr=0.3, scaling="entries"), mu=mu)


Setting = Callable[[int], Method]  # of the number of layers


def same(method: Method) -> Setting:
    """A method that is the same for networks of any depth."""
    return lambda _: method


def forward(decay: str, rate: float, depth: int, **codes: float | str) -> Method:
    """AM-Adam whose weights learn from the forward pass, the learning rate divided by the number of layers."""
    return replace(am(rate / depth, **codes), regressors="forward", decay=decay)


SETTINGS: dict[str, Setting] = {
    **{f"codes {lr:g}": same(am(lr)) for lr in RATES},
    **{f"codes {lr:g}/L": lambda depth, lr=lr: am(lr / depth) for lr in PER_DEPTH},
    **{f"forward {lr:g}": same(replace(am(lr), regressors="forward")) for lr in RATES},
    **{f"forward {lr:g}/L": partial(forward, "none", lr) for lr in PER_DEPTH},
    **{f"forward, linear {lr:g}/L": partial(forward, "linear", lr) for lr in PER_DEPTH},
    **{f"whole {lr:g}/L": partial(forward, "none", lr, **WHOLE) for lr in PER_DEPTH},
    **{f"whole, linear {lr:g}/L": partial(forward, "linear", lr, **WHOLE) for lr in PER_DEPTH},
    "codes, whole gradients": same(am(RATES[0], **WHOLE)),
    **{f"five steps {lr:g}": same(am(lr, steps=5)) for lr in RATES},
    "five steps, authors'": same(authors()),
    **{f"adam {lr:g}": same(altmin.Backprop("adam", lr)) for lr in RATES},
}


def accuracies(setting: Setting, task: Task, data: Dataset, seed: int) -> list[float]:
    """Validation accuracy after each epoch; of a run that diverged as long as it went."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = task.network((data.features,), data.outputs)
    method = setting(len(altmin.problem_of(model).layers))
    try:
        history = altmin.fit(
            model,
            method,
            (data.train.x, data.train.y),
            loss="cross_entropy",
            epochs=task.epochs,
            batch_size=min(200, len(data.train)),
            validation=(data.validation.x, data.validation.y),
            record=("validation",),
            generator=torch.Generator().manual_seed(seed),
        )
    except altmin.DivergenceError as error:
        history = error.history
    return list(history["validation_accuracy"])


def report(found: dict[str, dict[str, list[list[float]]]]) -> None:
    """Print the table: setting, task, seed, epoch."""
    print(f"{'':24}" + "".join(f"{task:>16}" for task in TASKS) + f"{'behind':>8}{'fall':>8}")
    for name, tasks in found.items():
        rivals = [
            other for other in found if other.startswith("five") == name.startswith("five") and "adam" not in other
        ]
        last = {task: mean(run[-1] for run in runs) for task, runs in tasks.items()}
        best = {task: max(mean(run[-1] for run in found[n][task]) for n in rivals) for task in tasks}
        behind = max(best[task] - last[task] for task in tasks)
        fall = max(max(run) - run[-1] for runs in tasks.values() for run in runs)
        cells = [f"{mean(run[0] for run in runs):8.4f}{last[task]:8.4f}" for task, runs in tasks.items()]
        print(f"{name:24}" + "".join(cells) + f"{behind:8.4f}{fall:8.4f}")


def main() -> None:
    """Run what the file has not yet, and print the table."""
    options = parser("Validation accuracy of AM-Adam's settings.", seed=False)
    options.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    options.add_argument("--out", type=Path, help="JSON file of what was run; finished runs in it are not run again")
    given = options.parse_args()
    if given.smoke:
        given.settings, given.seeds = given.settings[:1], given.seeds[:1]
    done: dict[str, list[float]] = json.loads(given.out.read_text()) if given.out and given.out.exists() else {}
    for task, about in TASKS.items():
        data = load(about.data, given, about.train_samples)
        for name in given.settings:
            for seed in given.seeds:
                key = f"{name} | {task} | {seed}"
                if key not in done:
                    done[key] = accuracies(SETTINGS[name], about, data, seed)
                    if given.out:
                        given.out.write_text(json.dumps(done, indent=1))
    report({n: {t: [done[f"{n} | {t} | {s}"] for s in given.seeds] for t in TASKS} for n in given.settings})


if __name__ == "__main__":
    main()
