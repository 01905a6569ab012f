"""Sequential MNIST, one pixel a step: an Elman network of 15 units by AM-Adam, SGD and Adam.

The exhibit is figure 7 of Choromanska et al. (ICML 2019); numbers from its appendix C: batches of 1024, five steps for
codes and for weights, learning rates 0.005 (AM-Adam, Adam) and 0.05 (SGD), 10 epochs. A part of the training samples
is used, so that it can be run in minutes.

    python experiments/sequential_mnist.py [--data-dir DIR] [--seed 0]
"""

from __future__ import annotations

from functools import partial

from exhibit import Trial, chosen, judge, options, table

import altmin
from altmin import data
from altmin.study import networks

PART, EPOCHS, BATCH, BAR = 2_048, 10, 1024, 0.30


def trials() -> list[Trial]:
    """The three methods with the paper's numbers."""
    network = partial(networks.elman, (784,), 10, (15,))
    rule = altmin.Adam(0.005)
    mu = altmin.Mu(start=1.0, most=1.0)
    return [
        Trial(
            "am-adam",
            "lr 0.005, five steps",
            altmin.OnlineAM(rule=rule, last=rule, mu=mu, weight_steps=5),
            network,
            EPOCHS,
            BATCH,
        ),
        Trial("sgd", "lr 0.05", altmin.Backprop("sgd", 0.05), network, EPOCHS, BATCH),
        Trial("adam", "lr 0.005", altmin.Backprop("adam", 0.005), network, EPOCHS, BATCH),
    ]


def main() -> None:
    """Train, print the table; the exit status says whether the bars were reached."""
    given = options("An Elman network on MNIST, pixel by pixel.")
    part = data.load("mnist", data_dir=given.data_dir, train_samples=PART)
    print(f"mnist as sequences of 784 pixels, {PART:,} training samples")
    tested = table(chosen(trials(), part, given.seed), part)
    judge({"am-adam": (tested["am-adam"], BAR), "am-adam, as SGD": (tested["am-adam"], tested["sgd"])})


if __name__ == "__main__":
    main()
