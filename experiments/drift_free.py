"""Full batches on MNIST: AMRidge beside Adam and L-BFGS, in rounds and CPU seconds to an accuracy on validation.

None of the papers has it: their batch methods keep variables of samples between iterations, which drift from the
forward pass. A round is one pass of all samples through the network, forwards and back.

    python experiments/drift_free.py [--data-dir DIR] [--seed 0] [--smoke]
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import altmin
from altmin.data import Dataset
from altmin.study import networks
from trials import accuracy, judge, load, options

ROUNDS, SMOKE_ROUNDS, BAR, GOALS = 60, 1, 0.95, (0.95, 0.96, 0.97)


@dataclass
class Curve:
    """A network on its way: for each step its last round, the CPU seconds so far, and the accuracy on validation."""

    name: str
    setting: str
    model: nn.Sequential
    points: list[tuple[int, float, float]] = field(default_factory=list)

    @property
    def best(self) -> float:
        """The highest accuracy on validation."""
        return max(point[2] for point in self.points)

    def to(self, goal: float) -> str:
        """Rounds and seconds to an accuracy."""
        there = next((point for point in self.points if point[2] >= goal), None)
        return "-" if there is None else f"{there[0]} / {there[1]:.0f} s"


def network(seed: int) -> nn.Sequential:
    """784-500-500-10 with PyTorch's start."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return networks.mlp((784,), 10, (500, 500))


def by_fit(name: str, setting: str, method: altmin.Method, whole: Dataset, seed: int, rounds: int) -> Curve:
    """A method of the library, a step a round."""
    curve = Curve(name, setting, network(seed))
    train, held = ((split.x, split.y) for split in (whole.train, whole.validation))
    history = altmin.fit(curve.model, method, train, epochs=rounds, batch_size=len(train[0]), validation=held)
    seconds = torch.tensor(history["cpu_seconds"]).cumsum(0).tolist()
    curve.points = list(zip(range(1, rounds + 1), seconds, history["validation_accuracy"], strict=True))
    return curve


def by_lbfgs(whole: Dataset, seed: int, rounds: int) -> Curve:
    """`torch.optim.LBFGS` with a line search, whose trials are rounds too."""
    curve = Curve("l-bfgs", "strong Wolfe, memory 20", network(seed))
    model, x, y = curve.model, whole.train.x, whole.train.y
    # By default one iteration may not search.
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=1, max_eval=rounds, history_size=20, line_search_fn="strong_wolfe"
    )
    made, seconds = 0, 0.0

    def closure() -> torch.Tensor:
        nonlocal made
        made += 1
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        loss.backward()
        return loss

    while made < rounds:
        start = time.process_time()
        optimizer.step(closure)
        seconds += time.process_time() - start
        curve.points.append((made, seconds, accuracy(model, whole.validation)))
    return curve


def trials(whole: Dataset, seed: int, rounds: int) -> Iterator[Callable[[], Curve]]:
    """AMRidge as it comes, Adam by learning rate, L-BFGS."""
    yield partial(by_fit, "am-ridge", "defaults", altmin.AMRidge(), whole, seed, rounds)
    for lr in (0.004, 0.008):
        yield partial(by_fit, "adam", f"lr {lr}", altmin.Backprop("adam", lr), whole, seed, rounds)
    yield partial(by_lbfgs, whole, seed, rounds)


def main() -> None:
    """Train, print the table; the exit status says whether the bar was reached."""
    given = options("Full-batch training without drift.")
    whole, rounds = load("mnist", given), SMOKE_ROUNDS if given.smoke else ROUNDS
    best: dict[str, Curve] = {}
    print(f"mnist, 784-500-500-10, {rounds} rounds; rounds and CPU seconds to an accuracy on validation")
    print(f"{'':10}{'setting':26}" + "".join(f"{goal:>14}" for goal in GOALS) + f"{'last':>8}{'best':>8}")
    for trial in trials(whole, given.seed, rounds):
        curve = trial()
        reached = "".join(f"{curve.to(goal):>14}" for goal in GOALS)
        print(f"{curve.name:10}{curve.setting:26}{reached}{curve.points[-1][2]:8.4f}{curve.best:8.4f}", flush=True)
        if curve.name not in best or curve.best > best[curve.name].best:
            best[curve.name] = curve
    tested = {name: accuracy(curve.model, whole.test) for name, curve in best.items()}
    print("test, at the last round, of the setting best on validation:", {n: round(a, 4) for n, a in tested.items()})
    judge({"am-ridge": (tested["am-ridge"], BAR)}, given)


if __name__ == "__main__":
    main()
