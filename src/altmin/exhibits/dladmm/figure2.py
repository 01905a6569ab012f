"""dlADMM's Figure 2: convergence at rho = 1."""

from altmin.exhibits.columns import percent
from altmin.exhibits.dladmm import BASE, BOTH, CHOICES, DESK, PAPER, constant
from altmin.exhibits.exhibit import Curves, Exhibit, register
from altmin.exhibits.outcomes import Measure
from altmin.exhibits.rules import falls
from altmin.methods import DLADMM

RESIDUAL = "residuals.E_3"
STARTS = {"exact quotient": None, "trial steps from 1": 1.0}


def arms(rho: float) -> dict[str, dict[str, DLADMM]]:
    """The two ways to find step sizes, at a constant penalty."""
    return {name: {"method": constant(rho, start)} for name, start in STARTS.items()}


COLUMNS = {
    "objective": Measure("objective", digits=4),
    "residual": Measure(RESIDUAL, digits=6),
    "train %": percent("train"),
}

register(
    Exhibit(
        name="dladmm-figure2",
        paper=PAPER,
        place="Figure 2",
        title="Objective and residual at rho = 1",
        claim="At rho = 1 both the objective and the residual of the constraint fall monotonically.",
        base=BASE.changed({"record": ("objective", "train")}),
        panels=BOTH,
        arms=arms(1.0),
        picture=Curves(("objective", RESIDUAL), log=("objective", RESIDUAL)),
        columns=COLUMNS,
        checks={
            "with trial steps from 1, as printed, the objective never rises": falls(
                "objective", ["trial steps from 1"]
            ),
            "nor does the residual": falls(RESIDUAL, ["trial steps from 1"]),
        },
        also={
            "with steps from the exact quotient the objective never rises": falls("objective", ["exact quotient"]),
            "nor does the residual": falls(RESIDUAL, ["exact quotient"]),
        },
        choices=CHOICES[:1],
        desk=DESK,
    )
)
