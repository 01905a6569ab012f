"""iPDLAM's Figure 2: the weight of the proximal terms."""

from altmin.exhibits.exhibit import Curves, Exhibit, register
from altmin.exhibits.ipdlam import BASE, CHOICES, DESK, FINAL, PAPER, inertial
from altmin.exhibits.rules import alike

ARMS = {f"delta {delta}": {"method": inertial(0.7, delta=delta)} for delta in (0.1, 0.2, 0.3, 0.4, 1.0)}

register(
    Exhibit(
        name="ipdlam-figure2",
        paper=PAPER,
        place="Figure 2",
        title="The weight of the proximal terms",
        claim="Accuracies on training and test samples hardly depend on delta between 0.1 and 1.",
        base=BASE,
        panels={"MNIST": {}},
        arms=ARMS,
        picture=Curves(("train_accuracy", "test_accuracy"), unit="epoch"),
        columns=FINAL,
        checks={
            "the accuracies on training samples differ by at most one point": alike("train %", list(ARMS), 1.0),
            "the accuracies on test samples differ by at most one point": alike("test %", list(ARMS), 1.0),
        },
        choices=CHOICES,
        desk=DESK,
    )
)
