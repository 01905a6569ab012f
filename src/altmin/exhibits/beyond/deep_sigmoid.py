"""Deep sigmoid networks from very small weights, where gradients vanish."""

from altmin.exhibits.columns import percent
from altmin.exhibits.exhibit import Curves, Exhibit, register
from altmin.exhibits.rules import ahead, between
from altmin.exhibits.setting import ExhibitScale, Setting
from altmin.methods import BCD, DLADMM, DLAM, IPDLAM, MDLAM, AMRidge, Backprop, OnlineAM

GRADIENT = "SGD", "Adam"
BATCH = "iPDLAM", "DLAM", "mDLAM", "dlADMM", "BCD", "AMRidge"

register(
    Exhibit(
        name="beyond-deep-sigmoid",
        paper="all four",
        place="a promise of their introductions",
        title="Sigmoid networks from N(0, 0.01^2), 2 to 8 hidden layers",
        claim="Methods that alternate do not suffer from vanishing gradients: from weights of N(0, 0.01^2) they train "
        "deep sigmoid networks, where SGD and Adam stay at chance.",
        base=Setting(
            data="mnist",
            method=IPDLAM(),
            options={"hidden": (100, 100), "activation": "sigmoid"},
            init="normal:0.01",
            loss="squared",
            epochs=100,
            record=("train", "test"),
        ),
        panels={f"{depth} hidden layers": {"options": {"hidden": (100,) * depth}} for depth in (2, 4, 8)},
        arms={
            "iPDLAM": {},
            "DLAM": {"method": DLAM()},
            "mDLAM": {"method": MDLAM(), "loss": "cross_entropy"},
            "dlADMM": {"method": DLADMM(), "loss": "cross_entropy"},
            "BCD": {"method": BCD()},
            "AMRidge": {"method": AMRidge()},
            "AM-Newton": {"method": OnlineAM.newton(), "loss": "cross_entropy"},
            "SGD": {"method": Backprop("sgd", lr=0.5), "loss": "cross_entropy"},
            "Adam": {"method": Backprop("adam"), "loss": "cross_entropy"},
        },
        picture=Curves(("test_accuracy",), unit="epoch"),
        columns={
            "best test %": percent("test", "best"),
            "test %": percent("test"),
        },
        checks={
            "with two hidden layers every batch method has 80 % or more": between(
                "best test %", BATCH, 80.0, 100.0, panels=["2 hidden layers"]
            ),
            "with eight hidden layers SGD and Adam stay below 30 %": between(
                "best test %", GRADIENT, 0.0, 30.0, panels=["8 hidden layers"]
            ),
            "with eight hidden layers dlADMM is ahead of Adam": ahead(
                "best test %", "dlADMM", ["Adam"], panels=["8 hidden layers"]
            ),
            "with eight hidden layers BCD is ahead of Adam": ahead(
                "best test %", "BCD", ["Adam"], panels=["8 hidden layers"]
            ),
            "with eight hidden layers iPDLAM is ahead of Adam": ahead(
                "best test %", "iPDLAM", ["Adam"], panels=["8 hidden layers"]
            ),
        },
        desk=ExhibitScale(samples=3_000, width=60, epochs=60, seeds=3),
        seeds=3,
    )
)
