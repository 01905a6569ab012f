"""mDLAM's Figure 1: the objective by iteration."""

from altmin.exhibits.exhibit import Curves, Exhibit, register
from altmin.exhibits.mdlam import BASE, CHOICES, DESK, PANELS, PAPER
from altmin.exhibits.outcomes import Measure
from altmin.exhibits.rules import falls
from altmin.methods import MDLAM

ARMS = {
    f"eps {rule}": {"method": MDLAM(rho=1e-4, eps=10.0, eps_rule=rule, accelerated=False)}
    for rule in ("mean", "sum", "halving", "fixed")
}

register(
    Exhibit(
        name="mdlam-figure1",
        paper=PAPER,
        place="Figure 1",
        title="The objective by iteration",
        claim="The objective falls in every iteration, on both data sets and with both networks.",
        base=BASE.changed({"record": ("objective",)}),
        panels=PANELS,
        arms=ARMS,
        picture=Curves(("objective",)),
        columns={
            "objective at 1": Measure("objective", "at", at=1, digits=4),
            "objective": Measure("objective", digits=4),
        },
        checks={
            "with eps that follows the mean loss the objective never rises": falls("objective", ["eps mean"]),
            "with eps that follows the sum of the losses it never rises": falls("objective", ["eps sum"]),
        },
        also={
            "with eps that is halved, as in the authors' code, it never rises": falls("objective", ["eps halving"]),
            "with a fixed eps, as Lemma 1 has it, it never rises": falls("objective", ["eps fixed"]),
        },
        choices=CHOICES[:3],
        desk=DESK,
    )
)
