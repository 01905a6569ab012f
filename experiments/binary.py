"""Networks with sign activations on MNIST: crossed by their prox, frozen, by target propagation, by straight-through.

The binary network 784-500-500-10 of Choromanska et al. (ICML 2019) has sign behind the first layer and tanh
behind the second, dropout 0.2 before both; and the same widths with sign behind both. AM-Adam takes no derivative of
the sign, neither its own nor a surrogate. Beside it stand the same networks with random hidden layers that stay as they
are (below the last sign), difference target propagation, and backpropagation with the straight-through estimator.

    python experiments/binary.py [--data-dir DIR] [--seed 0] [--smoke]
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

import altmin
from altmin.study import networks
from trials import Trial, chosen, judge, load, online_am, options, table

EPOCHS, BAR, GAIN, SIGN_GAIN = {"binary": 20, "signs": 8}, 0.95, 0.01, 0.02


@dataclass(frozen=True)
class Frozen(altmin.OnlineAM):
    """AM-Adam, the first `frozen` layers left as they are."""

    frozen: int = 1

    def step(self, sweep: altmin.Sweep[Any]) -> None:
        """A step, and those layers put back."""
        tensors = [*sweep.state.W[: self.frozen], *sweep.state.b[: self.frozen]]
        before = [t.clone() for t in tensors]
        super().step(sweep)
        for t, value in zip(tensors, before, strict=True):
            t.copy_(value)


def signs() -> nn.Sequential:
    """784-500-500-10 with sign in every hidden layer."""
    return nn.Sequential(
        *(nn.Linear(784, 500), altmin.Sign()), *(nn.Linear(500, 500), altmin.Sign()), nn.Linear(500, 10)
    )


def trials() -> list[Trial]:
    """Every network by every method."""
    binary = partial(networks.binary, (784,), 10)
    rows = []
    for kind, network, frozen in (("binary", binary, 1), ("signs", signs, 2)):
        epochs = EPOCHS[kind]
        am = online_am(rule=altmin.Adam(0.002), last=altmin.Adam(0.002), decay="linear")
        methods = {
            "am-adam": am,
            "frozen": Frozen(**vars(am), frozen=frozen),
            "dtp": altmin.DTP(),
            "straight-through": altmin.StraightThrough("adam", decay="linear"),
        }
        rows += [
            Trial(f"{kind}, {name}", method.gradients.value, method, network, epochs)
            for name, method in methods.items()
        ]
    return rows


def main() -> None:
    """Train, print the table; the exit status says whether the bars were reached."""
    given = options("Networks of signs on MNIST.")
    whole = load("mnist", given, center=True)
    print("mnist, 784-500-500-10, pixels less their mean")
    tested = table(chosen(trials(), whole, given), whole)
    judge(
        {
            "binary, am-adam": (tested["binary, am-adam"], BAR),
            "binary, am-adam less frozen": (tested["binary, am-adam"] - tested["binary, frozen"], GAIN),
            "signs, am-adam less frozen": (tested["signs, am-adam"] - tested["signs, frozen"], SIGN_GAIN),
        },
        given,
    )


if __name__ == "__main__":
    main()
