"""Online AM's Figure 4, right: 50 epochs on CIFAR-10."""

from altmin.exhibits.columns import percent
from altmin.exhibits.exhibit import Curves, Exhibit, register
from altmin.exhibits.online import CHOICES, CIFAR, CIFAR_RATES, PAPER, TEST, by_width, offline
from altmin.exhibits.rules import ahead
from altmin.exhibits.setting import ExhibitScale

PANELS, CELLS = by_width(CIFAR_RATES)
for panel, own in zip(PANELS, CIFAR_RATES.values(), strict=True):
    for name, lr in zip(("AM-Adam-off", "AM-mem-off"), own["off"], strict=True):
        CELLS[panel, name] = offline({}, lr, memory="mem" in name)
PRINTED = {"100-100": (53.0, 49.0, 49.0), "500-500": (51.0, 53.0, 56.0)}

register(
    Exhibit(
        name="online-cifar10-epochs",
        paper=PAPER,
        place="Figure 4, 50 epochs",
        title="50 epochs on CIFAR-10, online and offline",
        claim="AM-Adam reaches 0.53 where SGD and Adam have 0.49 (100-100), and 0.51 behind 0.53 and 0.56 (500-500); "
        "AM-mem and the offline versions are far behind.",
        base=CIFAR.changed({"record": ("test",)}),
        panels=PANELS,
        arms={arm: {} for _, arm in CELLS},
        cells=CELLS,
        picture=Curves(("test_accuracy",), unit="epoch"),
        columns={"test %": TEST, "best test %": percent("test", "best")},
        printed={
            panel: {name: {"test %": value} for name, value in zip(("AM-Adam", "SGD", "Adam"), row, strict=True)}
            for panel, row in PRINTED.items()
        },
        checks={
            "AM-Adam ends ahead of SGD and Adam at 100-100": ahead(
                "test %", "AM-Adam", ["SGD", "Adam"], panels=["100-100"]
            ),
            "SGD and Adam end ahead of AM-Adam at 500-500 (SGD)": ahead(
                "test %", "SGD", ["AM-Adam"], panels=["500-500"]
            ),
            "SGD and Adam end ahead of AM-Adam at 500-500 (Adam)": ahead(
                "test %", "Adam", ["AM-Adam"], panels=["500-500"]
            ),
            "AM-mem ends behind AM-Adam": ahead("test %", "AM-Adam", ["AM-mem"]),
            "AM-mem ends behind SGD": ahead("test %", "SGD", ["AM-mem"]),
            "AM-mem ends behind Adam": ahead("test %", "Adam", ["AM-mem"]),
            "the offline versions end five points behind AM-Adam": ahead(
                "test %", "AM-Adam", ["AM-Adam-off", "AM-mem-off"], less=-5.0
            ),
        },
        choices=(
            *CHOICES,
            "The text speaks of one hidden layer and 5,000 samples, the appendix of two layers and 40,000: the latter.",
        ),
        deviations=("As many test images as `test_batch.bin` holds.",),
        desk=ExhibitScale(samples=5_000, width=100, epochs=15),
        seeds=5,
    )
)
