"""mDLAM's Figure 3: the accuracy on test samples beside full-batch gradient methods and ADMM."""

from altmin.exhibits.exhibit import Curves, Exhibit, register
from altmin.exhibits.mdlam import (
    ACCURACY,
    ARMS,
    BASE,
    BASELINES,
    CHOICES,
    DESK,
    FASHION,
    GRADIENT,
    MNIST,
    PANELS,
    PAPER,
)
from altmin.exhibits.rules import ahead, between

register(
    Exhibit(
        name="mdlam-figure3",
        paper=PAPER,
        place="Figure 3",
        title="Accuracy on test samples",
        claim="mDLAM has 0.7 early and 0.8 or more later; on MNIST it is ahead of all baselines, on Fashion-MNIST "
        "competitive.",
        base=BASE,
        panels=PANELS,
        arms=ARMS,
        picture=Curves(("test_accuracy",)),
        columns=ACCURACY,
        checks={
            "after 10 iterations mDLAM has 70 % or more": between("test % at 10", ["mDLAM"], 70.0, 100.0),
            "after 150 iterations mDLAM has 80 % or more": between("test %", ["mDLAM"], 80.0, 100.0),
            "on MNIST it is ahead of all baselines after 10 iterations": ahead(
                "test % at 10", "mDLAM", BASELINES, panels=MNIST
            ),
            "on MNIST it is ahead of all baselines after 150": ahead("test %", "mDLAM", BASELINES, panels=MNIST),
            "on Fashion-MNIST it is at most five points behind the best after 150": ahead(
                "test %", "mDLAM", BASELINES, less=5.0, panels=FASHION
            ),
        },
        also={
            "with rho chosen on validation it is ahead of the gradient methods after 150": ahead(
                "test %", "mDLAM, tuned", GRADIENT
            ),
            "the accelerated version of 2022 is ahead of them after 150": ahead(
                "test %", "mDLAM, accelerated", GRADIENT
            ),
        },
        choices=CHOICES,
        deviations=("ADMM is Taylor et al.'s with its own numbers and loss; the paper does not say which it ran.",),
        desk=DESK,
    )
)
