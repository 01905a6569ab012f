"""Inputs that are badly scaled, to methods that know nothing of it."""

from altmin.exhibits.columns import percent
from altmin.exhibits.exhibit import Curves, Exhibit, register
from altmin.exhibits.rules import ahead, between, opposite
from altmin.exhibits.setting import ExhibitScale, Setting
from altmin.methods import BCD, DLADMM, DLAM, IPDLAM, MDLAM, AMRidge, Backprop, OnlineAM, TaylorADMM

UNIT, LARGE, UNEVEN = "pixels to 1", "pixels to 255", "pixels times 1/32 to 32"
BAD = LARGE, UNEVEN
PAPERS = "iPDLAM", "DLAM", "mDLAM", "dlADMM", "BCD", "Taylor"
FULL = {"loss": "cross_entropy"}
ONLINE = {"loss": "cross_entropy", "batch_size": 100}

register(
    Exhibit(
        name="beyond-scale",
        paper="dlADMM",
        place="a promise of its introduction, poor conditioning",
        title="Inputs that are badly scaled",
        claim="Methods without gradients are immune to poor conditioning: with the same numbers they learn from pixels "
        "to 255, and from pixels each with a scale of its own, where SGD does not.",
        base=Setting(
            data="mnist",
            method=IPDLAM(),
            options={"hidden": (200, 200)},
            loss="squared",
            epochs=100,
            record=("train", "test"),
        ),
        panels={UNIT: {}, LARGE: {"data": "mnist-255"}, UNEVEN: {"data": "mnist-uneven"}},
        arms={
            "iPDLAM": {},
            "DLAM": {"method": DLAM()},
            "mDLAM": {"method": MDLAM(), **FULL},
            "dlADMM": {"method": DLADMM(), **FULL},
            "BCD": {"method": BCD()},
            "Taylor": {"method": TaylorADMM(), "loss": "hinge"},
            "AMRidge": {"method": AMRidge(), **FULL},
            "AM-Adam": {"method": OnlineAM(), **ONLINE},
            "AM-Newton": {"method": OnlineAM.newton(), **ONLINE},
            "SGD": {"method": Backprop("sgd", lr=0.1), **ONLINE},
            "Adam": {"method": Backprop("adam", lr=0.001), **ONLINE},
        },
        picture=Curves(("test_accuracy",), unit="epoch"),
        columns={
            "test %": percent("test"),
            "best test %": percent("test", "best"),
        },
        checks={
            **{
                f"{name} reaches 80 % whatever the scale": between("best test %", [name], 80.0, 100.0)
                for name in PAPERS
            },
            **{
                f"with {panel} SGD does not": opposite(between("best test %", ["SGD"], 80.0, 100.0, panels=[panel]))
                for panel in BAD
            },
        },
        also={
            "AM-Newton and AMRidge, which damp relative to their inputs, reach 80 % whatever the scale": between(
                "best test %", ["AM-Newton", "AMRidge"], 80.0, 100.0
            ),
            "AM-Adam does": between("best test %", ["AM-Adam"], 80.0, 100.0),
            "Adam does": between("best test %", ["Adam"], 80.0, 100.0),
            **{
                f"on bad scales {name} ends ahead of Adam": ahead("test %", name, ["Adam"], panels=BAD)
                for name in PAPERS
            },
        },
        choices=(
            "Every method, the baselines included, has one setting, its default (SGD 0.1, Adam 0.001), and the start "
            "is PyTorch's on every scale: the promise is about numbers that need no tuning.",
            "What each pixel is multiplied by is drawn once, its logarithm evenly between those of 1/32 and 32.",
        ),
        findings=(
            "After 40 iterations the papers' methods are at 76 to 80 % on unit scale, so that most miss the bar of "
            "80 % there, too. Pixels to 255 cost iPDLAM, DLAM, dlADMM and BCD six to eight points, Taylor 19 and mDLAM "
            "none; pixels times 1/32 to 32 cost iPDLAM, DLAM and BCD ten to thirteen, dlADMM four to five, mDLAM two "
            "and Taylor none.",
        ),
        desk=ExhibitScale(samples=3_000, width=100, epochs=40, seeds=3),
        seeds=3,
    )
)
