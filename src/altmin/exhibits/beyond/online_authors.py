"""AM-Adam with the numbers of its authors' code beside the paper's."""

from altmin.exhibits.exhibit import Curves, Exhibit, register
from altmin.exhibits.online import MNIST, MNIST_RATES, TEST, adam_on_trial, gradient, paper_am
from altmin.exhibits.rules import ahead, between
from altmin.exhibits.setting import ExhibitScale
from altmin.methods import Adam, Codes, Mu, OnlineAM

AUTHORS = paper_am(
    rule=Adam(0.008),
    last=Adam(0.008),
    codes=Codes(steps=5, lr=0.3, scaling="entries"),
    mu=Mu(start=0.003, most=0.03),
    halve_every=8,
)
RATES = MNIST_RATES[100]

register(
    Exhibit(
        name="online-authors",
        paper="online AM",
        place="Figure 2, by the authors' code",
        title="The numbers of the authors' code, the paper's and this library's",
        claim="The numbers of the authors' code, with batch normalisation, reach the 0.98 of the paper.",
        base=MNIST.changed({"record": ("test",)}),
        panels={"MNIST, 100-100": {}},
        arms={
            "the authors' code": {"method": AUTHORS, "options": {"batch_norm": True}},
            "the same without normalisation": {"method": AUTHORS},
            "the paper": adam_on_trial(RATES["AM-Adam"]),
            "this library": {"method": OnlineAM()},
            "Adam, the paper's rate": gradient("adam", RATES["Adam"]),
            "Adam": gradient("adam", 0.001),
        },
        picture=Curves(("test_accuracy",), unit="epoch"),
        columns={"test %": TEST},
        checks={
            "the authors' numbers end at 97.5 % or more": between("test %", ["the authors' code"], 97.5, 100.0),
            "they end ahead of the paper's": ahead("test %", "the authors' code", ["the paper"]),
            "this library's numbers end at most a quarter of a point behind them": ahead(
                "test %", "this library", ["the authors' code"], less=0.25
            ),
        },
        desk=ExhibitScale(samples=10_000, epochs=20),
        seeds=5,
    )
)
