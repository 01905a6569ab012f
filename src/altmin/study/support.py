"""The support matrix: what can be asked for, and which method takes it, as the methods' own `check` tells.

``python -m altmin.study.support`` prints it as a page of the documentation, ``docs/support.md``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

from altmin.core.problem import Problem
from altmin.methods import Method
from altmin.methods.registry import METHODS, listed
from altmin.study.activation_names import ACTIVATION_NAMES
from altmin.study.support_cases import PARTS, Case, layers_with

TITLES = {"layers": "Layers", "activation": "Activations", "loss": "Losses", "regularizer": "Regularisers"}


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
    mixed = (Problem(layers_with(name, taken[0])) for name in others)
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
