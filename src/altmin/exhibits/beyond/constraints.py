"""Layers held in a set, or switched off unit by unit, by the prox of their regulariser."""

from altmin.exhibits.beyond import ADAM, PENALTIES, RATES, on_trial
from altmin.exhibits.columns import percent
from altmin.exhibits.exhibit import Curves, Exhibit, register
from altmin.exhibits.outcomes import Measure
from altmin.exhibits.rules import ahead, below, between, finite
from altmin.exhibits.setting import Changes, ExhibitScale, Setting
from altmin.methods import IPDLAM, Adam, OnlineAM

SETS = {"nonnegative": "nonnegative", "within 0.1": "box:-0.1:0.1"}
GROUPS = "group sparse"
METHODS: dict[str, Changes] = {
    **{name: PENALTIES[name] for name in ("iPDLAM", "mDLAM", "dlADMM")},
    "AM-Adam": on_trial(*(OnlineAM(rule=Adam(r), last=Adam(r)) for r in RATES), batch_size=100),
}

register(
    Exhibit(
        name="beyond-constraints",
        paper="mDLAM",
        place="a promise of its introduction, regularisers without a derivative and constraints",
        title="Layers that are nonnegative, within a box, or sparse by units",
        claim="Constraints and regularisers without a derivative enter by their prox alone: weights never leave their "
        "set, units are switched off exactly, and at most five points of accuracy are lost.",
        base=Setting(
            data="mnist",
            method=IPDLAM(),
            options={"hidden": (200, 200)},
            loss="cross_entropy",
            epochs=100,
            record=("objective", "train", "test", "weights"),
        ),
        panels={**{name: {"regularizer": text} for name, text in SETS.items()}, GROUPS: {"regularizer": "group:30"}},
        arms={
            **METHODS,
            **{f"{name}, free": {**changes, "regularizer": None} for name, changes in METHODS.items()},
            "Adam": ADAM,
            "Adam, free": {**ADAM, "regularizer": None},
        },
        cells={(name, "Adam"): {"regularizer": None} for name in SETS},
        picture=Curves(("test_accuracy", "zero_weights"), unit="epoch"),
        columns={
            "objective": Measure("objective"),
            "train %": percent("train"),
            "test %": percent("test"),
            "zero weights %": Measure("zero_weights", factor=100, digits=1),
            "units off %": Measure("zero_units", factor=100, digits=1),
        },
        checks={
            "weights are in their set in every record, or else the objective were infinite": finite(
                "objective", list(METHODS), panels=list(SETS)
            ),
            **{
                f"{name} ends at most five points behind its free network": ahead(
                    "test %", name, [f"{name}, free"], less=5.0
                )
                for name in METHODS
            },
            **{
                f"{name} switches off between a tenth and nine tenths of the hidden units": between(
                    "units off %", [name], 10.0, 90.0, panels=[GROUPS]
                )
                for name in METHODS
            },
            "by its subgradients Adam switches off fewer than any of them": below(
                "units off %", "Adam", list(METHODS), panels=[GROUPS]
            ),
        },
        choices=(
            "Of three settings of each method, baselines included, the one that is best on validation, under each "
            "regulariser apart.",
            "The weight of group sparsity, 30 beside a loss that is summed over samples, was not tuned.",
        ),
        deviations=("Adam takes no sets: where weights are nonnegative, or within a box, it is the free network.",),
        findings=(
            "AM-Adam's prox has the length of the learning rate, while Adam's steps do not shrink with the gradient: "
            "the weight of group sparsity hardly acts, and the objective ends five times as high as by Adam's "
            "subgradients.",
            "A box helps dlADMM, whose best rho is then 1e-6: seven points over its free network.",
        ),
        desk=ExhibitScale(samples=2_000, width=100, epochs=40, seeds=3),
        seeds=3,
    )
)
