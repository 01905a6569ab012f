"""Online AM's Figure 8: a network of signs."""

from altmin.exhibits.columns import percent
from altmin.exhibits.exhibit import Curves, Exhibit, register
from altmin.exhibits.online import PAPER, TEST, paper_am
from altmin.exhibits.outcomes import Measure
from altmin.exhibits.rules import ahead, between
from altmin.exhibits.setting import ExhibitScale, Setting
from altmin.methods import DTP, Adam, StraightThrough

register(
    Exhibit(
        name="online-binary",
        paper=PAPER,
        place="Figure 8",
        title="784-500-500-10 with sign and tanh",
        claim="AM-Adam has an error of 0.2 in less than 20 epochs; DTP takes about 200, as straight-through does.",
        base=Setting(
            data="mnist-50k",
            model="binary",
            method=paper_am(last=Adam(0.002)),
            options={"hidden": (500, 500)},
            epochs=200,
            batch_size=200,
            center=True,
            record=("test",),
        ),
        panels={"MNIST": {}},
        arms={
            "AM-Adam": {"epochs": 20},
            "DTP": {"method": DTP()},
            "straight-through": {"method": StraightThrough("adam")},
        },
        picture=Curves(("test_accuracy",), unit="epoch"),
        columns={
            "test % at 1": percent("test", "at", at=1),
            "epochs to 80 %": Measure("test_accuracy", "first", digits=0, at=0.8),
            "test % at 20": percent("test", "at", at=20),
            "test %": TEST,
        },
        checks={
            "AM-Adam has 80 % within 20 epochs": between("epochs to 80 %", ["AM-Adam"], 0.0, 20.0),
            "DTP has not after 20 epochs": between("test % at 20", ["DTP"], 0.0, 80.0),
        },
        also={
            "after 20 epochs AM-Adam is at most half a point behind straight-through": ahead(
                "test % at 20", "AM-Adam", ["straight-through"], less=0.5
            ),
        },
        choices=(
            "No hyperparameters are printed: AM-Adam has rates of 0.002, DTP and straight-through this library's own.",
            "Pixels are centred, so that signs of random sums of them are balanced.",
        ),
        desk=ExhibitScale(samples=5_000, width=200, epochs=20),
        seeds=3,
    )
)
