"""Online AM's Figure 2, left: the first 50 mini-batches on MNIST."""

from altmin.exhibits.columns import percent
from altmin.exhibits.exhibit import Curves, Exhibit, register
from altmin.exhibits.online import CHOICES, MNIST, MNIST_RATES, PAPER, TEST, by_width, tuned
from altmin.exhibits.rules import ahead
from altmin.exhibits.setting import ExhibitScale

PANELS, CELLS = by_width(MNIST_RATES)
TUNED = {"Adam, tuned": tuned("adam", (0.001, 0.003, 0.01, 0.03)), "SGD, tuned": tuned("sgd", (0.05, 0.1, 0.2, 0.4))}
FIRST = {"test % at 25": percent("test", "at", at=25), "test % at 50": TEST}

register(
    Exhibit(
        name="online-mnist-batches",
        paper=PAPER,
        place="Figure 2, 50 mini-batches",
        title="The first 50 mini-batches on MNIST",
        claim="In the first 50 mini-batches AM-Adam is level with SGD and Adam or slightly ahead.",
        base=MNIST.changed({"batches": 50, "record": ("test",), "every": 1}),
        panels=PANELS,
        arms={"AM-Adam": {}, "AM-mem": {}, "SGD": {}, "Adam": {}, **TUNED},
        cells=CELLS,
        picture=Curves(("test_accuracy",), unit="mini-batch"),
        columns=FIRST,
        checks={
            "after 25 batches AM-Adam is at most a point behind SGD and Adam": ahead(
                "test % at 25", "AM-Adam", ["SGD", "Adam"], less=1.0
            ),
            "after 50 batches AM-Adam is at most a point behind SGD and Adam": ahead(
                "test % at 50", "AM-Adam", ["SGD", "Adam"], less=1.0
            ),
        },
        also={
            "after 50 batches it is at most a point behind them at rates chosen for this length": ahead(
                "test % at 50", "AM-Adam", list(TUNED), less=1.0
            ),
        },
        choices=CHOICES,
        desk=ExhibitScale(seeds=5),
        seeds=5,
    )
)
