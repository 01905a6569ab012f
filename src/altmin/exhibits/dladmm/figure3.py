"""dlADMM's Figure 3: divergence at rho = 1e-6."""

from altmin.exhibits.dladmm import BASE, BOTH, CHOICES, DESK, PAPER
from altmin.exhibits.dladmm.figure2 import COLUMNS, RESIDUAL, arms
from altmin.exhibits.exhibit import Curves, Exhibit, register
from altmin.exhibits.rules import diverges, fluctuates

register(
    Exhibit(
        name="dladmm-figure3",
        paper=PAPER,
        place="Figure 3",
        title="Objective and residual at rho = 1e-6",
        claim="At rho = 1e-6, far below 2H, the objective and the residual fluctuate, and dlADMM diverges.",
        base=BASE.changed({"record": ("objective", "train")}),
        panels=BOTH,
        arms=arms(1e-6),
        picture=Curves(("objective", RESIDUAL), log=("objective", RESIDUAL)),
        columns=COLUMNS,
        checks={
            "with trial steps from 1, as printed, the objective rises in a tenth of the iterations or more": fluctuates(
                "objective", ["trial steps from 1"]
            ),
            "and so does the residual": fluctuates(RESIDUAL, ["trial steps from 1"]),
        },
        also={
            "with steps from the exact quotient the objective fluctuates, too": fluctuates(
                "objective", ["exact quotient"]
            ),
            "training ends in nan, or in a network that is worse than none": diverges(["trial steps from 1"]),
        },
        choices=CHOICES[:1],
        desk=DESK,
    )
)
