"""Online AM's Figure 4, left: the first 50 mini-batches on CIFAR-10."""

from altmin.exhibits.exhibit import Curves, Exhibit, register
from altmin.exhibits.online import CHOICES, CIFAR, CIFAR_RATES, PAPER, by_width
from altmin.exhibits.online.figure2a import FIRST, TUNED
from altmin.exhibits.rules import ahead
from altmin.exhibits.setting import ExhibitScale

PANELS, CELLS = by_width(CIFAR_RATES)

register(
    Exhibit(
        name="online-cifar10-batches",
        paper=PAPER,
        place="Figure 4, 50 mini-batches",
        title="The first 50 mini-batches on CIFAR-10",
        claim="In the first 50 mini-batches AM-Adam is slightly ahead of SGD and Adam.",
        base=CIFAR.changed({"batches": 50, "record": ("test",), "every": 1}),
        panels=PANELS,
        arms={"AM-Adam": {}, "AM-mem": {}, "SGD": {}, "Adam": {}, **TUNED},
        cells=CELLS,
        picture=Curves(("test_accuracy",), unit="mini-batch"),
        columns=FIRST,
        checks={
            "after 25 batches AM-Adam is ahead of SGD and Adam": ahead("test % at 25", "AM-Adam", ["SGD", "Adam"]),
            "after 50 batches AM-Adam is ahead of SGD and Adam": ahead("test % at 50", "AM-Adam", ["SGD", "Adam"]),
        },
        also={
            "after 50 batches it is ahead of them at rates chosen for this length": ahead(
                "test % at 50", "AM-Adam", list(TUNED)
            ),
        },
        choices=(
            *CHOICES,
            "The text speaks of one hidden layer and 5,000 samples, the appendix of two layers and 40,000: the latter.",
        ),
        deviations=("As many test images as `test_batch.bin` holds.",),
        desk=ExhibitScale(samples=10_000, width=200, seeds=3),
        seeds=5,
    )
)
