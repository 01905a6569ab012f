"""Which numbers the batch methods should have as they come: settings of one cost, on four tasks, by validation alone.

The tasks are 5,000 images of MNIST and of Fashion-MNIST, 5,000 rows of HIGGS and scikit-learn's digits, by two hidden
layers of 100, for as many iterations as a method has by default. Beside them stands logistic regression, by Adam on a
network without hidden layers: a method that is behind it has made nothing of its hidden layers. A row says for every
task the best and the last validation accuracy, means over the seeds, and how far the best is behind that of the
method's best setting at worst. No test sample is looked at.

    python experiments/batch_defaults.py [METHOD ...] [--data-dir DIR] [--seeds 0 1 2] [--out FILE] [--smoke]
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import altmin
from altmin.exhibits.setting import ExhibitScale, Setting
from altmin.exhibits.training import train
from altmin.methods.registry import METHODS
from trials import parser

TASKS = {
    "mnist": {"data": "mnist", "train_samples": 5_000},
    "fashion": {"data": "fashion-mnist", "train_samples": 5_000},
    "higgs": {"data": "higgs", "train_samples": 5_000},
    "digits": {"data": "digits"},
}
SMOKE = ExhibitScale(samples=100, width=8, epochs=2, data="synthetic")
Make = Callable[[], altmin.Method]


def numbers(method: type[altmin.Method], **values: list[Any]) -> dict[str, altmin.Method]:
    """The method as it comes, and with each of some numbers changed alone, or together where they stand in a tuple."""
    made = {"as it comes": method()}
    for names, options in values.items():
        for option in options:
            several = dict(zip(names.split("__"), option if isinstance(option, tuple) else (option,), strict=True))
            made[", ".join(f"{name} {value}" for name, value in several.items())] = method(**several)
    return made


SETTINGS: dict[str, dict[str, altmin.Method]] = {
    "mdlam": numbers(
        altmin.MDLAM,
        rho=[1e-8, 1e-7, 1e-5, 1e-4],
        eps_rule=["fixed", "sum", "halving"],
        eps=[1.0, 100.0],
        rho__eps_rule=[(1e-7, "fixed"), (1e-5, "fixed"), (1e-5, "sum")],
    ),
    "dladmm": numbers(
        altmin.DLADMM,
        rho__nu=[(1e-7, 1e-7), (1e-5, 1e-5), (1e-4, 1e-4), (1e-3, 1e-3), (1e-6, 1e-5), (1e-5, 1e-6)],
        schedule=["constant", "adaptive"],
        rho__nu__schedule=[(1e-5, 1e-5, "constant"), (1e-4, 1e-4, "constant")],
    ),
    "ipdlam": numbers(
        altmin.IPDLAM,
        rho=[0.01, 0.1, 10.0],
        alpha__beta__gamma=[(0.0, 0.0, 0.0), (0.3, 0.3, 0.3), (0.9, 0.9, 0.9)],
        delta=[0.1, 0.3, 3.0],
        rho_max=[100.0],
        rho__rho_max=[(0.01, 10.0), (0.1, 10.0)],
    ),
    "bcd": numbers(
        altmin.BCD,
        gamma=[0.1, 0.3, 3.0, 10.0],
        alpha=[0.1, 0.2, 0.5, 1.0, 20.0],
        gamma__alpha=[(0.1, 0.5), (0.3, 1.5), (0.1, 5.0)],
    ),
    "taylor": numbers(
        altmin.TaylorADMM,
        beta__gamma=[(0.1, 1.0), (10.0, 100.0), (1.0, 1.0), (10.0, 10.0), (0.1, 10.0), (1.0, 100.0)],
        warmup=[50, 200],
        scale=[0.1],
    ),
}


def settings(method: str, task: str) -> dict[str, Setting]:
    """Every setting of a method on a task, and logistic regression."""
    entry = METHODS[method]
    base = Setting(
        method=entry.method,
        options={"hidden": (100, 100)},
        loss=entry.loss,
        epochs=entry.epochs or 200,
        record=("validation",),
        **TASKS[task],  # type: ignore[arg-type]
    )
    linear = {"options": {"hidden": ()}, "method": altmin.Backprop("adam"), "epochs": 60, "loss": "cross_entropy"}
    made = {name: base.changed({"method": changed}) for name, changed in SETTINGS[method].items()}
    return {**made, "logistic regression": base.changed(linear)}


def curve(setting: Setting, seed: int, data_dir: Path | None) -> list[float]:
    """Validation accuracy after each epoch, as far as it went."""
    return train(setting, seed, data_dir).curve("validation_accuracy") or [0.0]


def report(method: str, found: dict[str, dict[str, list[list[float]]]]) -> None:
    """Print the table: setting, task, seed, epoch."""
    print(f"{method + ': best, last':36}" + "".join(f"{task:>16}" for task in TASKS) + f"{'behind':>8}")
    means = {
        name: {task: (fmean(map(max, runs)), fmean(run[-1] for run in runs)) for task, runs in tasks.items()}
        for name, tasks in found.items()
    }
    own = [name for name in means if name != "logistic regression"]
    best = {task: max(means[name][task][0] for name in own) for task in TASKS}
    for name, tasks in means.items():
        behind = max(best[task] - tasks[task][0] for task in TASKS)
        cells = "".join(f"{top:8.4f}{last:8.4f}" for top, last in tasks.values())
        print(f"{name:36}{cells}{behind:8.4f}")


def main() -> None:
    """Run what the file has not yet, and print a table for each method."""
    options = parser("Validation accuracy of the batch methods' settings.", seed=False)
    options.add_argument("methods", nargs="*", choices=[[], *SETTINGS], help="none: all")
    options.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options.add_argument("--out", type=Path, help="JSON file of what was run; finished runs in it are not run again")
    given = options.parse_args()
    methods = given.methods or list(SETTINGS)
    seeds = given.seeds[:1] if given.smoke else given.seeds
    done: dict[str, list[float]] = json.loads(given.out.read_text()) if given.out and given.out.exists() else {}
    for method in methods:
        found: dict[str, dict[str, list[list[float]]]] = {}
        for task in TASKS:
            for name, setting in settings(method, task).items():
                small = SMOKE.of(setting) if given.smoke else setting
                for seed in seeds:
                    key = small.digest(seed)
                    if key not in done:
                        done[key] = curve(small, seed, given.data_dir)
                        if given.out:
                            given.out.write_text(json.dumps(done))
                    found.setdefault(name, {}).setdefault(task, []).append(done[key])
        report(method, found)


if __name__ == "__main__":
    main()
