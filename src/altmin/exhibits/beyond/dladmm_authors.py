"""dlADMM with the numbers of its authors' code beside the paper's."""

from altmin.exhibits.dladmm import ACCURACY, BASE, BOTH, DESK
from altmin.exhibits.exhibit import Curves, Exhibit, register
from altmin.exhibits.rules import ahead, between
from altmin.methods import DLADMM

AUTHORS = DLADMM(rho=1e-6, nu=None, schedule="adaptive", rho_max=0.1, start=1.0, outputs="signs")
START = "normal:0.1,bias:drawn"
ARMS = {
    "the authors' code": {"method": AUTHORS, "init": START},
    "the paper": {},
    "the paper, from the authors' start": {"init": START},
    "the paper, trial steps from 1": {"method": DLADMM(rho=1e-6, nu=1e-6, schedule="steps", start=1.0), "init": START},
}

register(
    Exhibit(
        name="dladmm-authors",
        paper="dlADMM",
        place="figures 4 and 5, by the authors' code",
        title="The numbers of the authors' code and the paper's",
        claim="The numbers of the authors' code, which are not the paper's, reach what the paper shows: 0.9 after 200 "
        "iterations.",
        base=BASE,
        panels=BOTH,
        arms=ARMS,
        picture=Curves(("train_accuracy", "test_accuracy")),
        columns=ACCURACY,
        checks={
            "by the authors' numbers training samples reach 90 %": between(
                "train %", ["the authors' code"], 90.0, 100.0
            ),
            "by the paper's numbers they do": between("train %", ["the paper"], 90.0, 100.0),
            "the authors' numbers end ahead of the paper's on test samples": ahead(
                "test %", "the authors' code", ["the paper"]
            ),
        },
        choices=("The weights are drawn from N(0, 0.1^2), as in the code, where that is said.",),
        desk=DESK,
        seeds=3,
    )
)
