"""What makes dlADMM diverge: the penalty, or where its step search begins."""

from altmin.exhibits.columns import percent
from altmin.exhibits.dladmm import BASE
from altmin.exhibits.exhibit import Curves, Exhibit, register
from altmin.exhibits.outcomes import Measure
from altmin.exhibits.rules import ahead, falls, opposite
from altmin.exhibits.setting import ExhibitScale
from altmin.methods import DLADMM

RHOS = ("1e-6", "1e-4", "1e-2", "1", "3")
STARTS = {"exact quotient": None, "from 1": 1.0}
EXACT, SEARCHED = ([f"rho {rho}, {start}" for rho in RHOS] for start in STARTS)

register(
    Exhibit(
        name="beyond-step-search",
        paper="dlADMM",
        place="Figure 3, an open question",
        title="Penalties, and two ways to begin the step search",
        claim="The divergence of Figure 3 comes from where the step search begins, not from the penalty: from the "
        "exact quotient the objective falls at every rho, from 1 at none below the bound of the proof.",
        base=BASE.changed({"record": ("objective", "train")}),
        panels={"MNIST": {}},
        arms={
            f"rho {rho}, {name}": {"method": DLADMM(rho=float(rho), nu=float(rho), schedule="constant", start=start)}
            for name, start in STARTS.items()
            for rho in RHOS
        },
        picture=Curves(("objective", "residuals.E_3"), log=("objective", "residuals.E_3")),
        columns={
            "objective": Measure("objective", digits=4),
            "train %": percent("train"),
        },
        checks={
            "from the exact quotient the objective never rises, whatever rho": falls("objective", EXACT),
            "from 1 it rises at rho of 1e-2 and less": opposite(falls("objective", SEARCHED[:3])),
            "from 1 it rises at rho = 1e-6": opposite(falls("objective", SEARCHED[:1])),
            "at rho = 1e-6 accuracies are higher from the exact quotient": ahead("train %", EXACT[0], SEARCHED[:1]),
        },
        deviations=("Here nu is rho, so that no other penalty stands in the way; the paper's figure has 1e-6.",),
        desk=ExhibitScale(samples=2_500, width=100, epochs=150, seeds=3),
        seeds=3,
    )
)
