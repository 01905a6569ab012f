"""LeNet-5 on MNIST and Fashion-MNIST: AM-Adam, Adam and SGD, and a penalty method.

After figure 7 (MNIST) and appendix B of Choromanska et al. (ICML 2019): batches of 128, one code step and one
weight step, `mu` from 0.01 to at most 1.5, 10 epochs. The paper's grid (learning rate of the weights, of the codes,
increment and factor of `mu`) is searched on MNIST with one seed, on 5,000 training samples and for two epochs only.
What is best on validation there is trained on all samples of MNIST and, with the same setting, on those of
Fashion-MNIST, for which nothing is searched. Both scalings of the code steps take part: the authors' means, and sums
with steps relative to the curvature, which are this library's own.

    python experiments/lenet5.py [--data-dir DIR] [--seed 0] [--smoke]
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import altmin
from altmin.study import networks
from trials import Trial, chosen, judge, load, online_am, options, table

PART, PART_EPOCHS, EPOCHS, BATCH = 5_000, 2, 10, 128
PENALTY_PART, ITERATIONS = 10_000, 12
BARS = {"mnist": 0.985, "fashion-mnist": 0.87}
PENALTY_BAR = 0.90


def am_adam(lr: float, add: float, factor: float, code: float, scaling: str) -> altmin.OnlineAM:
    """AM-Adam as in appendix B."""
    codes = altmin.Codes(steps=1, lr=code, scaling=scaling)
    mu = altmin.Mu(start=0.01, add=add, factor=factor, most=1.5)
    return online_am(rule=altmin.Adam(lr), last=altmin.Adam(lr), codes=codes, mu=mu)


def network():
    """LeNet-5 for images of 28 x 28."""
    return networks.lenet5((1, 28, 28), 10)


def trials() -> list[Trial]:
    """For AM-Adam the paper's grid and this library's scaling, for Adam and SGD the paper's learning rates."""
    grid = product((2e-2, 2e-3, 2e-4, 2e-5), (1e-2, 1e-5, 1e-7), (1.0, 1.1), (0.1, 1.0))
    settings = [(*numbers, "entries") for numbers in grid]
    settings += [(lr, add, 1.1, 1.0, "samples") for lr, add in product((2e-2, 2e-3, 2e-4), (1e-2, 1e-5))]
    rows = [
        Trial("am-adam", f"lr {lr:g} mu +{add:g} x{factor:g} codes {code:g} {scaling}",
              am_adam(lr, add, factor, code, scaling), network, PART_EPOCHS, BATCH)
        for lr, add, factor, code, scaling in settings
    ]  # fmt: skip
    for name, lr in product(("adam", "sgd"), (2e-2, 2e-3, 2e-4, 2e-5)):
        rows.append(Trial(name, f"lr {lr:g}", altmin.Backprop(name, lr), network, PART_EPOCHS, BATCH))
    return rows


def main() -> None:
    """Search, train, print the tables; the exit status says whether the bars were reached."""
    given = options("LeNet-5 by AM-Adam, Adam, SGD and iPDLAM.")
    part = load("mnist", given, train_samples=PART)
    best = [row.trial for row in chosen(trials(), part, given)]
    bars = {}
    for name, bar in BARS.items():
        whole = load(name, given)
        rows = chosen([replace(trial, epochs=EPOCHS) for trial in best], whole, given)
        print(f"{name}, LeNet-5, {len(whole.train):,} training samples")
        bars[f"{name}, am-adam"] = (table(rows, whole)["am-adam"], bar)
    few = load("mnist", given, train_samples=PENALTY_PART)
    penalty = Trial("ipdlam", "defaults", altmin.IPDLAM(), network, ITERATIONS, loss="squared")
    print(f"mnist, LeNet-5, {len(few.train):,} training samples")
    bars["mnist, ipdlam"] = (table(chosen([penalty], few, given), few)["ipdlam"], PENALTY_BAR)
    judge(bars, given)


if __name__ == "__main__":
    main()
