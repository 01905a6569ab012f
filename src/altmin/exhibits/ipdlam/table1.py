"""iPDLAM's Table 1: function value and accuracies by the inertial factor."""

import warnings

from altmin.errors import InertiaWarning
from altmin.exhibits.exhibit import Curves, Exhibit, register
from altmin.exhibits.ipdlam import BASE, BOTH, CHOICES, DESK, FINAL, PAPER, inertial
from altmin.exhibits.rules import at_most_times, below, diverges, grows, opposite

NAN = float("nan")
FACTORS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)
MNIST = (
    (0.14, 95.4, 88.2),
    (0.12, 95.7, 88.9),
    (0.13, 95.8, 89.2),
    (0.14, 96.2, 89.5),
    (0.14, 96.4, 89.3),
    (0.10, 96.6, 89.2),
    (0.03, 96.8, 89.6),
    (0.28, 92.0, 85.8),
    (0.61, 95.1, 87.6),
    (5510, 89.0, 78.1),
    (NAN, NAN, NAN),
    (NAN, NAN, NAN),
)
FASHION = (
    (0.14, 94.6, 93.2),
    (0.12, 95.0, 93.4),
    (0.13, 95.5, 93.7),
    (0.14, 95.7, 93.9),
    (0.14, 96.2, 94.1),
    (0.10, 96.6, 94.2),
    (0.09, 96.3, 94.2),
    (0.29, 91.6, 91.8),
    (0.64, 94.6, 93.0),
    (5600, 89.1, 86.2),
    (NAN, 10.4, 10.4),
    (NAN, 10.4, 10.4),
)
GENTLE = [f"factor {factor}" for factor in FACTORS if factor < 0.7]


def printed(rows: tuple[tuple[float, float, float], ...]) -> dict[str, dict[str, float]]:
    """The paper's numbers by factor and column."""
    columns = "objective", "train %", "test %"
    return {f"factor {f}": dict(zip(columns, row, strict=True)) for f, row in zip(FACTORS, rows, strict=True)}


with warnings.catch_warnings():  # factors of 1 and more are what the table is about
    warnings.simplefilter("ignore", InertiaWarning)
    register(
        Exhibit(
            name="ipdlam-table1",
            paper=PAPER,
            place="Table 1",
            title="Function value and accuracy by the inertial factor",
            claim="The objective after 200 iterations is best at a factor of 0.7; from 0.8 on it is worse, at 1.0 by "
            "orders of magnitude, and beyond 1 training diverges.",
            base=BASE,
            panels=BOTH,
            arms={f"factor {factor}": {"method": inertial(factor)} for factor in FACTORS},
            picture=Curves(("mean_objective", "train_accuracy", "test_accuracy"), unit="epoch"),
            columns=FINAL,
            printed={"MNIST": printed(MNIST), "Fashion-MNIST": printed(FASHION)},
            checks={
                "the objective with 0.7 is below those with 0.1 to 0.6": below("objective", "factor 0.7", GENTLE),
                "the objective with 0.7 is below that with 0.8": below("objective", "factor 0.7", ["factor 0.8"]),
                "the objective rises from 0.8 to 0.9 to 1.0": grows(
                    "objective", ["factor 0.8", "factor 0.9", "factor 1.0"], slack=0.0
                ),
                "with 1.0 it is a hundred times that with 0.7 or more": opposite(
                    at_most_times("objective", "factor 1.0", 100.0, "factor 0.7")
                ),
                "1.1 and 1.2 diverge": diverges(["factor 1.1", "factor 1.2"]),
            },
            choices=(
                *CHOICES,
                "Whether the table is one of mini-batches is not said; section 3 has batches of 512, and so has this.",
            ),
            findings=(
                "The printed accuracies on test samples, 89.6 % on MNIST and 94.2 % on Fashion-MNIST, look exchanged: "
                "networks of this kind usually know MNIST better than Fashion-MNIST, as they do here.",
            ),
            desk=DESK,
            leading="factor 0.7",
        )
    )
