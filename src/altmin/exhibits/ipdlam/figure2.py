"""iPDLAM's Figure 2: the weight of the proximal terms."""

from altmin.exhibits.exhibit import register
from altmin.exhibits.ipdlam import inertial, insensitive

register(
    insensitive(
        {f"delta {delta}": inertial(0.7, delta=delta) for delta in (0.1, 0.2, 0.3, 0.4, 1.0)},
        name="ipdlam-figure2",
        place="Figure 2",
        title="The weight of the proximal terms",
        claim="Accuracies on training and test samples hardly depend on delta between 0.1 and 1.",
    )
)
