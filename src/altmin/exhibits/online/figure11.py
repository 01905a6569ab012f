"""Online AM's Figure 11: the time of mini-batches of LeNet-5."""

from altmin.exhibits.exhibit import Curves, Exhibit, register
from altmin.exhibits.online import LENET, PAPER, gradient
from altmin.exhibits.outcomes import Measure
from altmin.exhibits.rules import at_most_times
from altmin.exhibits.setting import ExhibitScale

SECONDS = "s"

register(
    Exhibit(
        name="online-lenet5-time",
        paper=PAPER,
        place="Figure 11",
        title="Time of 450 mini-batches, LeNet-5 on MNIST",
        claim="450 mini-batches take Adam, SGD and AM 440, 442 and 443 seconds: AM costs no more than one per cent.",
        base=LENET.changed({"batches": 450, "every": 50, "record": ()}),
        panels={"MNIST": {}},
        arms={"AM-Adam": {}, "SGD": gradient("sgd", 0.02), "Adam": gradient("adam", 0.002)},
        picture=Curves(("elapsed_cpu_seconds",), log=(), unit="mini-batch"),
        columns={SECONDS: Measure("elapsed_cpu_seconds", digits=2)},
        printed={"MNIST": {"AM-Adam": {SECONDS: 443.0}, "SGD": {SECONDS: 442.0}, "Adam": {SECONDS: 440.0}}},
        checks={
            "AM-Adam takes at most one per cent longer than Adam": at_most_times(SECONDS, "AM-Adam", 1.01, "Adam"),
        },
        also={
            "AM-Adam takes at most a quarter longer than Adam": at_most_times(SECONDS, "AM-Adam", 1.25, "Adam"),
        },
        choices=("CPU seconds on one thread; the paper does not name its machine.",),
        desk=ExhibitScale(samples=10_000),
        seeds=3,
    )
)
