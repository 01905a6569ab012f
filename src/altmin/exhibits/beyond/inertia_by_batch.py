"""Whether the turn of iPDLAM's Table 1 at a factor of 0.8 is one of mini-batches."""

import warnings

from altmin.errors import InertiaWarning
from altmin.exhibits.exhibit import Curves, Exhibit, register
from altmin.exhibits.ipdlam import BASE, CHOICES, FINAL, inertial
from altmin.exhibits.outcomes import Outcomes
from altmin.exhibits.rules import below, diverges, in_every_panel, opposite
from altmin.exhibits.setting import ExhibitScale

FACTORS = (0.0, 0.7, 0.8, 0.9, 1.0, 1.1)
WHOLE = "full batch"


@in_every_panel
def best_is(outcomes: Outcomes, panel: str, factor: float) -> tuple[bool, str]:
    """The objective at the end is smallest with this factor."""
    means = {f: outcomes.mean(panel, f"factor {f}", "objective") for f in FACTORS}
    known = {f: mean for f, mean in means.items() if mean == mean}
    best = min(known, key=known.__getitem__, default=None)
    return best == factor, ", ".join(f"{f}: {mean:.4g}" for f, mean in means.items())


with warnings.catch_warnings():  # factors of 1 and more are what this is about
    warnings.simplefilter("ignore", InertiaWarning)
    register(
        Exhibit(
            name="beyond-inertia-by-batch",
            paper="iPDLAM",
            place="Table 1, an open question",
            title="Inertial factors in full batches and in mini-batches",
            claim="The turn of Table 1 at a factor of 0.8 is one of mini-batches: in full batches the objective still "
            "falls up to a factor of 1.",
            base=BASE,
            panels={
                WHOLE: {"batch_size": 60_000},
                "batches of 512": {"batch_size": 512},
                "batches of 128": {"batch_size": 128},
            },
            arms={f"factor {factor}": {"method": inertial(factor)} for factor in FACTORS},
            picture=Curves(("mean_objective", "train_accuracy", "test_accuracy"), unit="epoch"),
            columns=FINAL,
            checks={
                "in full batches the objective with 0.8 is below that with 0.7": below(
                    "objective", "factor 0.8", ["factor 0.7"], panels=[WHOLE]
                ),
                "in full batches it is smallest with 1.0": best_is(1.0, panels=[WHOLE]),
                "in batches of 512 the objective with 0.8 is not below that with 0.7": opposite(
                    below("objective", "factor 0.8", ["factor 0.7"], panels=["batches of 512"])
                ),
                "in batches of 128 it is not": opposite(
                    below("objective", "factor 0.8", ["factor 0.7"], panels=["batches of 128"])
                ),
                "1.1 diverges in either": diverges(["factor 1.1"]),
            },
            choices=CHOICES,
            desk=ExhibitScale(samples=2_500, width=100, epochs=80),
            seeds=3,
        )
    )
