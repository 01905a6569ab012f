"""iPDLAM's Figure 4: three orders of the updates."""

from altmin.exhibits.exhibit import Curves, Exhibit, register
from altmin.exhibits.ipdlam import BASE, CHOICES, DESK, FINAL, PAPER, inertial
from altmin.exhibits.rules import alike

ARMS = {order: {"method": inertial(0.7, order=order)} for order in ("increase", "reverse", "nested")}

register(
    Exhibit(
        name="ipdlam-figure4",
        paper=PAPER,
        place="Figure 4",
        title="Orders of the updates",
        claim="The order in which the variables are updated has little influence on the accuracies.",
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
        findings=(
            "The orders increase and reverse are the same to the last bit: within a family no block sees another.",
        ),
        desk=DESK,
    )
)
