"""Online AM's Figure 7, left, and Figure 10: an Elman network that reads MNIST pixel by pixel."""

from typing import Any

from altmin.exhibits.columns import percent
from altmin.exhibits.exhibit import Curves, Exhibit, register
from altmin.exhibits.online import PAPER, TEST, gradient, paper_am
from altmin.exhibits.rules import ahead
from altmin.exhibits.setting import ExhibitScale, Setting
from altmin.methods import Adam, Mu

CLAIM = "AM-Adam is like Adam in the first epoch, and ahead of SGD up to the sixth."


def recurrent(units: int, mu: Mu, sgd: float, l1: str | None, **words: Any) -> Exhibit:
    """The exhibit for a number of hidden units, with the numbers that won the paper's search."""
    method = paper_am(rule=Adam(0.005), last=Adam(0.005), mu=mu, weight_steps=5)
    return Exhibit(
        paper=PAPER,
        title=f"Sequential MNIST, Elman network of {units} units",
        base=Setting(
            data="mnist-50k",
            model="elman",
            method=method,
            options={"hidden": (units,), "step_width": 1},
            epochs=10,
            batch_size=1024,
            record=("test",),
        ),
        panels={"sequential MNIST": {}},
        arms={
            "AM-Adam": {},
            "SGD": gradient("sgd", sgd, epoch_decay=0.9),
            "Adam": {**gradient("adam", 0.005), "regularizer": l1},
        },
        picture=Curves(("test_accuracy",), unit="epoch"),
        columns={
            "test % at 1": percent("test", "at", at=1),
            "test % at 6": percent("test", "at", at=6),
            "test %": TEST,
        },
        checks={
            "after one epoch AM-Adam is at most two points behind Adam": ahead(
                "test % at 1", "AM-Adam", ["Adam"], less=2.0
            ),
            "after six epochs AM-Adam is ahead of SGD": ahead("test % at 6", "AM-Adam", ["SGD"]),
        },
        choices=(
            "The codes' rate is not printed: 1.",
            "SGD was allowed a decay of 0.9; whether the winner had it is not said: it has.",
            "Adam moves the last layer of AM-Adam, too; the paper has SGD there, at a rate that it does not print.",
        ),
        desk=ExhibitScale(samples=1_024, epochs=6),
        seeds=3,
        **words,
    )


MU = Mu(start=0.01, add=0.01, factor=1.1, most=1.0)

register(recurrent(15, MU, 0.05, None, name="online-rnn-15", place="Figure 7, RNN", claim=CLAIM))
