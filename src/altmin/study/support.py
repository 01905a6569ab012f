"""The support matrix: what can be asked for, and which method takes it, as the methods' own `check` tells.

``python -m altmin.study.support`` prints it as a page of the documentation, ``docs/support.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice

import torch
from torch import nn

from altmin.convert import layers_of
from altmin.core.problem import Layer, Problem
from altmin.losses import LOSSES, make_loss
from altmin.methods import Method
from altmin.methods.registry import METHODS, listed
from altmin.nn import Elman, Residual
from altmin.regularizers import make_regularizer
from altmin.study.networks import ACTIVATION_NAMES

INPUTS, OUTPUTS = 36, 3
Activated = Callable[[], nn.Module]


def _flat(*modules: nn.Module) -> list[nn.Module]:
    return [nn.Linear(INPUTS, 4), *modules, nn.Linear(4, OUTPUTS)]


def _image(s: Activated, *modules: nn.Module, numbers: int) -> list[nn.Module]:
    """What stands behind a convolution of 6 x 6 pixels to two channels of 5 x 5, and leaves `numbers` of them."""
    head = [nn.Unflatten(1, (1, 6, 6)), nn.Conv2d(1, 2, 2), s()]
    return [*head, *modules, nn.Flatten(), nn.Linear(numbers, OUTPUTS)]


LAYERS: dict[str, Callable[[Activated], list[nn.Module]]] = {
    "linear": lambda s: _flat(s()),
    "batch norm (1d)": lambda s: _flat(nn.BatchNorm1d(4), s()),
    "batch norm (2d)": lambda s: _image(s, nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2), s(), numbers=18),
    "conv (plain)": lambda s: _image(s, nn.Conv2d(2, 2, 3), s(), numbers=18),
    "conv (stride)": lambda s: _image(s, nn.Conv2d(2, 2, 3, stride=2), s(), numbers=8),
    "conv (padding)": lambda s: _image(s, nn.Conv2d(2, 2, 3, padding=(1, 0)), s(), numbers=30),
    "conv (dilation)": lambda s: _image(s, nn.Conv2d(2, 2, 2, dilation=3), s(), numbers=8),
    "conv (groups)": lambda s: _image(s, nn.Conv2d(2, 2, 3, groups=2), s(), numbers=18),
    "max pooling": lambda s: _image(s, nn.MaxPool2d(2), numbers=8),
    "average pooling": lambda s: _image(s, nn.AvgPool2d(2), numbers=8),
    "adaptive pooling": lambda s: _image(s, nn.AdaptiveAvgPool2d(2), numbers=8),
    "dropout (before an activation)": lambda s: _flat(nn.Dropout(0.3), s()),
    "dropout (before a map)": lambda s: _flat(s(), nn.Dropout(0.3)),
    "residual (of pre-activations)": lambda s: _flat(Residual(s(), nn.Linear(4, 4)), s()),
    "residual (of activations)": lambda s: _flat(s(), Residual(nn.Linear(4, 3), s(), nn.Linear(3, 4)), s()),
    "elman": lambda s: [Elman(12, 3), s(), nn.Flatten(), nn.Linear(9, OUTPUTS)],
}
"""Kinds of layers, with the modules of a tiny network that has one, by the activation; a variant in parentheses."""
REGULARIZERS = {"none": "none", "l1": "l1:0.01", "l2": "l2:0.01"}
PARTS: dict[str, list[str]] = {
    "layers": list(LAYERS),
    "activation": list(ACTIVATION_NAMES),
    "loss": list(LOSSES),
    "regularizer": list(REGULARIZERS),
}
"""The values that each field of a `Case` takes."""
TITLES = {"layers": "Layers", "activation": "Activations", "loss": "Losses", "regularizer": "Regularisers"}


@dataclass(frozen=True)
class Case:
    """A cell of the matrix: one kind of layers, activation, loss and regulariser."""

    layers: str = "linear"
    activation: str = "relu"
    loss: str = "squared"
    regularizer: str = "none"

    def network(self) -> nn.Sequential:
        """A new tiny network, from `INPUTS` numbers to `OUTPUTS`."""
        return nn.Sequential(*LAYERS[self.layers](ACTIVATION_NAMES[self.activation]))

    def problem(self) -> Problem:
        """What training the network poses."""
        layers = _layers(self.layers, self.activation)
        return Problem(layers, make_loss(self.loss), make_regularizer(REGULARIZERS[self.regularizer]))


@cache
def _layers(kind: str, activation: str) -> tuple[Layer, ...]:
    with torch.device("meta"):  # no weights are asked for
        return layers_of(Case(kind, activation).network())


@cache
def _activated(*activations: str) -> tuple[Layer, ...]:
    """A network of several activations."""
    with torch.device("meta"):
        inner = [module for name in activations for module in (ACTIVATION_NAMES[name](), nn.Linear(4, 4))]
        return layers_of(nn.Sequential(*_flat(*inner)))


def refusal(method: Method, problem: Problem) -> str | None:
    """What the error says that the method raises for a problem; `None` where it takes it."""
    try:
        method.check(problem)
    except TypeError as error:
        return str(error)
    return None


def supported(method: Method, case: Case) -> bool:
    """Whether the method takes a case."""
    return refusal(method, case.problem()) is None


def plainest(method: Method) -> Case:
    """The plainest case that the method takes: linear layers with the first activation that will do."""
    cases = (Case(activation=name) for name in ACTIVATION_NAMES)
    return next(case for case in cases if supported(method, case))


def needs(method: Method) -> list[str]:
    """The activations of which a network must have one; none where no other becomes possible beside them."""
    taken = [name for name in ACTIVATION_NAMES if supported(method, Case(activation=name))]
    others = [name for name in ACTIVATION_NAMES if name not in taken]
    mixed = (Problem(_activated(name, taken[0])) for name in others)
    return taken if others and all(refusal(method, problem) is None for problem in mixed) else []


def takes(method: Method, part: str, value: str) -> bool:
    """Whether the method takes one value of a part of a `Case`, the rest `plainest`, beside what it `needs`."""
    beside = part == "activation" and bool(needs(method))
    return beside or supported(method, replace(plainest(method), **{part: value}))


def kinds(part: str) -> dict[str, dict[str, str]]:
    """The values of a part with their variants, by kind: ``"conv"`` holds ``"conv (stride)"``, variant ``"stride"``."""
    grouped: dict[str, dict[str, str]] = {}
    for value in PARTS[part]:
        kind, _, variant = value.partition(" (")
        grouped.setdefault(kind, {})[value] = variant.removesuffix(")")
    return grouped


def unsupported(method: Method) -> list[str]:
    """What the method does not take, in words: a kind, or those of its variants."""
    words = []
    for part in PARTS:
        for kind, variants in kinds(part).items():
            left = [value for value in variants if not takes(method, part, value)]
            words += [kind] if len(left) == len(variants) else left
    return words


def rows() -> dict[str, Method]:
    """The methods of the matrix; those of `torch.optim` are alike and have one row."""
    own = {e.name: e.method for e in listed() if e.paper != "torch.optim"}
    return own | {"torch.optim": METHODS["adam"].method}


PAGE = """\
# What each method supports

This page is made from the code, by `python -m altmin.study.support`: each method's own check was asked.

{methods}

`torch.optim` stands for methods that are alike: {optimizers}.
{parts}
## Combinations

A combination is supported where each of its parts is: the tests hold every method to that, and train it on combinations
that pair every two parts. What is not supported raises a `TypeError` before any training, which says what it is and,
where possible, which method takes it:

```text
{errors}
```
"""


def markdown() -> str:
    """The page."""
    columns = ["method", "paper", "gradients", "mini-batches", "streams"]
    paper = {e.name: e.paper for e in listed()}
    about = [[name, paper.get(name, "-"), m.gradients, _yes(m.batched), _yes(m.online)] for name, m in rows().items()]
    optimizers = ", ".join(f"`{e.name}`" for e in listed() if e.paper == "torch.optim")
    parts, errors = "".join(map(_part, PARTS)), "\n".join(_errors())
    return PAGE.format(methods=_table(columns, about), optimizers=optimizers, parts=parts, errors=errors)


def _part(part: str) -> str:
    """The section of a part: methods against its kinds."""
    columns = kinds(part)
    lines = [
        [name, *(_cell(method, part, variants) for variants in columns.values())] for name, method in rows().items()
    ]
    return f"\n## {TITLES[part]}\n\n{_table(['method', *columns], lines)}\n{_notes(part)}"


def _cell(method: Method, part: str, variants: dict[str, str]) -> str:
    wanted = needs(method) if part == "activation" else []
    if wanted and not variants.keys() & set(wanted):
        return "(yes)"
    taken = [variant for value, variant in variants.items() if takes(method, part, value)]
    return _yes(bool(taken)) if len(taken) in (0, len(variants)) else ", ".join(taken)


def _notes(part: str) -> str:
    """Below a table: what its kinds comprise, and what (yes) means."""
    lines = [f"- {kind}: {', '.join(v.values())}" for kind, v in kinds(part).items() if len(v) > 1]
    if part == "activation":
        needy = {name: needs(method) for name, method in rows().items() if needs(method)}
        lines = [f"- (yes): {name} needs {' or '.join(wanted)} in another layer" for name, wanted in needy.items()]
    return "".join(f"\n{line}" for line in lines) + "\n" * bool(lines)


def _errors() -> Iterable[str]:
    """Of each part the first error of a method that lacks it."""
    for part, values in PARTS.items():
        cases = (
            (m, replace(plainest(m), **{part: value})) for m in rows().values() if not needs(m) for value in values
        )
        yield from islice((text for m, case in cases if (text := refusal(m, case.problem()))), 1)


def _yes(flag: bool) -> str:
    return "yes" if flag else "-"


def _table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    print(markdown(), end="")
