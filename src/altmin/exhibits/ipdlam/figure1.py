"""iPDLAM's Figure 1: three inertial factors against DLAM."""

from altmin.exhibits.exhibit import Curves, Exhibit, register
from altmin.exhibits.ipdlam import BASE, BOTH, CHOICES, DESK, FINAL, PAPER, PLAIN, inertial
from altmin.exhibits.rules import ahead, below

register(
    Exhibit(
        name="ipdlam-figure1",
        paper=PAPER,
        place="Figure 1",
        title="Inertial factors against DLAM",
        claim="With inertial factors of 0.2, 0.5 and 0.7 the objective falls further than DLAM's, and accuracies on "
        "training and test samples are higher.",
        base=BASE,
        panels=BOTH,
        arms={"DLAM": {"method": PLAIN}, **{f"factor {f}": {"method": inertial(f)} for f in (0.2, 0.5, 0.7)}},
        picture=Curves(("mean_objective", "train_accuracy", "test_accuracy"), unit="epoch"),
        columns=FINAL,
        checks={
            "0.7 ends below DLAM": below("objective", "factor 0.7", ["DLAM"]),
            "0.5 ends below DLAM": below("objective", "factor 0.5", ["DLAM"]),
            "0.2 ends below DLAM": below("objective", "factor 0.2", ["DLAM"]),
            "with 0.7 the accuracy on training samples is higher than DLAM's": ahead("train %", "factor 0.7", ["DLAM"]),
            "with 0.7 the accuracy on test samples is higher than DLAM's": ahead("test %", "factor 0.7", ["DLAM"]),
        },
        choices=CHOICES,
        desk=DESK,
    )
)
