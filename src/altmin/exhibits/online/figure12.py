"""Online AM's Figure 12: the time of epochs of a fully connected network."""

from altmin.exhibits.exhibit import Curves, Exhibit, register
from altmin.exhibits.online import MNIST, PAPER, am_mem, gradient, paper_am
from altmin.exhibits.outcomes import Measure
from altmin.exhibits.rules import at_most_times
from altmin.exhibits.setting import ExhibitScale
from altmin.methods import SGD, Codes

SECONDS = "s"
SMALL = paper_am(rule=SGD(0.5), last=SGD(0.2), codes=Codes(steps=1))

register(
    Exhibit(
        name="online-mnist-time",
        paper=PAPER,
        place="Figure 12",
        title="Time of 30 epochs, 100-100 on MNIST",
        claim="30 epochs take Adam, AM-SGD and AM-mem 8.7, 9.6 and 9.7 seconds: AM costs about a tenth more.",
        base=MNIST.changed({"epochs": 30, "record": ()}),
        panels={"MNIST": {}},
        arms={
            "AM-SGD": {"method": SMALL},
            "AM-SGD, five code steps": {"method": paper_am(rule=SGD(0.5), last=SGD(0.2))},
            "AM-mem": {"method": am_mem(0.1737)},
            "Adam": gradient("adam", 0.021),
        },
        picture=Curves(("elapsed_cpu_seconds",), log=(), unit="epoch"),
        columns={SECONDS: Measure("elapsed_cpu_seconds", digits=2)},
        printed={"MNIST": {"AM-SGD": {SECONDS: 9.6}, "AM-mem": {SECONDS: 9.7}, "Adam": {SECONDS: 8.7}}},
        checks={
            "AM-SGD takes at most 15 per cent longer than Adam": at_most_times(SECONDS, "AM-SGD", 1.15, "Adam"),
            "AM-mem takes at most 15 per cent longer than Adam": at_most_times(SECONDS, "AM-mem", 1.15, "Adam"),
        },
        choices=(
            "CPU seconds on one thread; the paper does not name its machine.",
            "One code step a batch for AM-SGD.",
        ),
        desk=ExhibitScale(samples=10_000, epochs=5),
        seeds=3,
    )
)
