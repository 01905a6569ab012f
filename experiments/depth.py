"""Twenty linear layers of width 100 on MNIST, with and without residual connections, by AM-Adam and Adam.

None of the papers has it: their deepest networks have three hidden layers.

    python experiments/depth.py [--data-dir DIR] [--seed 0] [--smoke]
"""

from __future__ import annotations

from functools import partial

import altmin
from altmin.study import networks
from trials import Trial, chosen, judge, load, online_am, options, table

DEPTH, WIDTH, EPOCHS, BAR = 20, 100, 6, 0.95


def trials() -> list[Trial]:
    """Both networks by both methods."""
    deep = partial(networks.residual, (784,), 10, (WIDTH,), DEPTH)
    plain = partial(networks.mlp, (784,), 10, (WIDTH,) * (DEPTH - 1))
    # Two code steps: the five of the default, with momentum, leave the lowest layers' codes to rounding.
    rule = altmin.Adam(0.001)
    am = online_am(rule=rule, last=rule, codes=altmin.Codes(steps=2), halve_every=3)
    adam = altmin.Backprop("adam", 0.001)
    return [
        Trial(f"{name} {kind}", "lr 0.001" + (", halved every 3" if name == "am-adam" else ""), method, network, EPOCHS)
        for name, method in (("am-adam", am), ("adam", adam))
        for kind, network in (("residual", deep), ("plain", plain))
    ]


def main() -> None:
    """Train, print the table; the exit status says whether the bar was reached."""
    given = options("Deep networks with and without residual connections.")
    whole = load("mnist", given)
    print(f"mnist, {DEPTH} linear layers of width {WIDTH}")
    tested = table(chosen(trials(), whole, given), whole)
    judge({"am-adam residual": (tested["am-adam residual"], BAR)}, given)


if __name__ == "__main__":
    main()
