"""Sequential MNIST, one pixel a step: an Elman network of 15 units by AM-Adam, SGD and Adam.

The experiment follows figure 7 of Choromanska et al. (ICML 2019). From the paper's appendix are the 15 units, the
batches of 1024, five steps for codes and for weights, the learning rates 0.005 (AM-Adam, Adam) and 0.05 (SGD), and 10
epochs. Not from the paper are:

- the penalty `mu`, which is 1 throughout; in the paper it starts at 0.01 and grows by a factor of 1.1 an epoch and by
  0.01 a batch, up to 1;
- the learning rate of SGD, which stays; in the paper it decays by a factor of 0.9 an epoch;
- the scaling of the code steps, which is this library's default: relative to the curvature;
- the number of training samples, 2,048 of them, so that the experiment can be run in minutes.

The paper's network of 50 units (`mu` grows by 0.0001 a batch and by no factor) is not run.

    python experiments/sequential_mnist.py [--data-dir DIR] [--seed 0] [--smoke]
"""

from __future__ import annotations

from functools import partial

import altmin
from altmin.study import networks
from trials import Trial, chosen, judge, load, online_am, options, table

PART, EPOCHS, BATCH, BAR = 2_048, 10, 1024, 0.30


def trials() -> list[Trial]:
    """The three methods; which of their numbers are the paper's is said at the top of this file."""
    network = partial(networks.elman, (784,), 10, (15,))
    rule = altmin.Adam(0.005)
    mu = altmin.Mu(start=1.0, most=1.0)
    return [
        Trial(
            "am-adam",
            "lr 0.005, five steps",
            online_am(rule=rule, last=rule, mu=mu, weight_steps=5),
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
    part = load("mnist", given, train_samples=PART)
    print(f"mnist as sequences of 784 pixels, {len(part.train):,} training samples")
    tested = table(chosen(trials(), part, given), part)
    judge({"am-adam": (tested["am-adam"], BAR), "am-adam, as SGD": (tested["am-adam"], tested["sgd"])}, given)


if __name__ == "__main__":
    main()
