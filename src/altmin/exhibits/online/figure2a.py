"""Online AM's Figure 2, left, and Figure 4, left: the first 50 mini-batches on MNIST and on CIFAR-10."""

from typing import Any

from altmin.exhibits.columns import percent
from altmin.exhibits.exhibit import Curves, Exhibit, register
from altmin.exhibits.online import CHOICES, MNIST, MNIST_RATES, PAPER, TEST, by_width, tuned
from altmin.exhibits.rules import ahead
from altmin.exhibits.setting import ExhibitScale, Setting

TUNED = {"Adam, tuned": tuned("adam", (0.001, 0.003, 0.01, 0.03)), "SGD, tuned": tuned("sgd", (0.05, 0.1, 0.2, 0.4))}


def first_batches(base: Setting, rates: dict[int, dict[str, Any]], standing: str, less: float, **words: Any) -> Exhibit:
    """The exhibit for a data set.

    Args:
        base: What its trainings have in common.
        rates: The paper's, by width and method.
        standing: How AM-Adam is said to stand to SGD and Adam, such as ``is ahead of``.
        less: By how many points it may be behind them for that.
        **words: What else the exhibit says of itself.
    """
    panels, cells = by_width(rates)
    checks = {
        f"after {n} batches AM-Adam {standing} SGD and Adam": ahead(
            f"test % at {n}", "AM-Adam", ["SGD", "Adam"], less=less
        )
        for n in (25, 50)
    }
    among_tuned = ahead("test % at 50", "AM-Adam", list(TUNED), less=less)
    return Exhibit(
        paper=PAPER,
        base=base.changed({"batches": 50, "record": ("test",), "every": 1}),
        panels=panels,
        arms={"AM-Adam": {}, "AM-mem": {}, "SGD": {}, "Adam": {}, **TUNED},
        cells=cells,
        picture=Curves(("test_accuracy",), unit="mini-batch"),
        columns={"test % at 25": percent("test", "at", at=25), "test % at 50": TEST},
        checks=checks,
        also={f"after 50 batches it {standing} them at rates chosen for this length": among_tuned},
        seeds=5,
        **words,
    )


register(
    first_batches(
        MNIST,
        MNIST_RATES,
        "is at most a point behind",
        less=1.0,
        name="online-mnist-batches",
        place="Figure 2, 50 mini-batches",
        title="The first 50 mini-batches on MNIST",
        claim="In the first 50 mini-batches AM-Adam is level with SGD and Adam or slightly ahead.",
        choices=CHOICES,
        desk=ExhibitScale(seeds=5),
    )
)
