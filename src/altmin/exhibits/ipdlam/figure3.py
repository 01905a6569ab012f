"""iPDLAM's Figure 3: beside the optimisers of backpropagation, by iteration and by time."""

from altmin.exhibits.columns import percent
from altmin.exhibits.exhibit import Curves, Exhibit, register
from altmin.exhibits.ipdlam import BASE, CHOICES, DESK, FINAL, PAPER
from altmin.exhibits.rules import ahead, between
from altmin.methods import Backprop

NAMES = "sgd", "adagrad", "adadelta", "adam", "adamax"
RATES = 1e-3, 1e-2, 1e-1
TUNED = {
    f"{name}, tuned": {
        "trials": tuple(Backprop(name, lr=rate) for rate in RATES),
        "method": Backprop(name, lr=RATES[0]),
        "validated": "mnist",
    }
    for name in ("sgd", "adam")
}

register(
    Exhibit(
        name="ipdlam-figure3",
        paper=PAPER,
        place="Figure 3",
        title="Beside SGD, AdaGrad, Adadelta, Adam and Adamax",
        claim="In the first 40 iterations iPDLAM is ahead of all optimisers on test samples, and SGD fails.",
        base=BASE,
        panels={"MNIST": {}},
        arms={
            "iPDLAM": {},
            **{name: {"method": Backprop(name, preset="ipdlam")} for name in NAMES},
            **TUNED,
        },
        picture=Curves(("train_accuracy", "test_accuracy"), ("iteration", "elapsed_cpu_seconds"), unit="epoch"),
        columns={
            **FINAL,
            **{
                f"{part} % at {epoch}": percent(part, "at", at=epoch) for epoch in (5, 40) for part in ("train", "test")
            },
        },
        checks={
            "after 5 epochs iPDLAM is ahead of all optimisers on test samples": ahead("test % at 5", "iPDLAM", NAMES),
            "after 40 epochs it is ahead of all of them on test samples": ahead("test % at 40", "iPDLAM", NAMES),
            "after 5 epochs it is ahead of them on training samples": ahead("train % at 5", "iPDLAM", NAMES),
            "SGD fails, which is taken for less than 60 % of the test samples": between("test %", ["sgd"], 0.0, 60.0),
        },
        also={
            "after 5 epochs iPDLAM is ahead of SGD and Adam at rates chosen on validation": ahead(
                "test % at 5", "iPDLAM", list(TUNED)
            ),
            "after 40 epochs it is ahead of SGD and Adam at rates chosen on validation": ahead(
                "test % at 40", "iPDLAM", list(TUNED)
            ),
        },
        choices=(
            *CHOICES,
            "The optimisers have the paper's rate, 0.001; SGD and Adam also one of three, by validation.",
        ),
        desk=DESK,
    )
)
