"""What every method is: a frozen dataclass of checked numbers with `init`, `step` and `evaluate`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import torch
from torch import Tensor

from altmin.problem import Batch, Problem
from altmin.state import State


def number(
    default: Any,
    help: str,
    *,
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] | None = None,
    paper: str | None = None,
) -> Any:
    """A dataclass field that knows what it means, what is allowed and what the paper has.

    Args:
        default: Its default.
        help: What it means, in a few words, for the command line.
        above: It must be greater than this.
        least: It must be at least this.
        most: It must be at most this.
        choices: It must be one of these.
        paper: The paper's value, where it differs from the default or deserves a word.
    """
    return field(default=default, metadata=dict(help=help, above=above, least=least, most=most, choices=choices, paper=paper))


class Checked:
    """Mixin of dataclasses whose `number` fields are checked when an object is made."""

    def __post_init__(self) -> None:
        for f in fields(self):  # type: ignore[arg-type]
            if "help" in f.metadata:
                check_number(f.name, getattr(self, f.name), f.default, **f.metadata)


def check_number(
    name: str,
    value: Any,
    default: Any = None,
    *,
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] | None = None,
    **_: object,
) -> None:
    """Raise `ValueError` or `TypeError` where a number is not what its field allows."""
    if choices is not None:
        if value not in choices:
            raise ValueError(f"`{name}` must be one of {', '.join(map(repr, choices))}, got {value!r}")
        return
    if isinstance(default, bool) or value is None and default is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"`{name}` must be a number, got {value!r}")
    if isinstance(default, int) and not isinstance(value, int):
        raise TypeError(f"`{name}` must be an integer, got {value!r}")
    bounds = [(above, ">", value.__gt__), (least, ">=", value.__ge__), (most, "<=", value.__le__)]
    wanted = " and ".join(f"{sign} {bound:g}" for bound, sign, _ in bounds if bound is not None)
    if math.isnan(value) or any(bound is not None and not holds(bound) for bound, _, holds in bounds):
        raise ValueError(f"`{name}` must be {wanted or 'a number'}, got {value}")


@dataclass(frozen=True)
class Method(Checked):
    """A training method: data only; all it remembers between steps is in the state.

    Class attributes:
        online: Whether a step needs nothing of samples outside its batch, so that no per-sample variable is kept.
        batched: Whether `step` takes a part of the data; where it does not, an epoch is one step on all samples.
        default_batch: Samples a batch where the user names none; `None` for all.
        cure: What to try when training diverges.
    """

    online: ClassVar[bool] = False
    batched: ClassVar[bool] = False
    default_batch: ClassVar[int | None] = None
    cure: ClassVar[str] = "smaller steps"

    def check(self, problem: Problem) -> None:
        """Raise `TypeError` where the method does not support a part of the problem."""
        for i, layer in enumerate(problem.layers):
            if layer.norm is not None:
                raise TypeError(f"{type(self).__name__} does not support BatchNorm1d (layer {i + 1}); OnlineAM does")

    def init(self, problem: Problem, start: State, batch: Batch, generator: torch.Generator | None = None) -> State:
        """The first state, from the weights of `start` and all samples in `batch`.

        Args:
            problem: What is minimised.
            start: Weights, as from `State.from_module`; copied, not changed.
            batch: All samples of this process.
            generator: For methods that draw random numbers.
        """
        raise NotImplementedError

    def step(self, problem: Problem, state: State, batch: Batch) -> State:
        """One iteration on `batch`. Per-sample tensors of `state` may be written in place."""
        raise NotImplementedError

    def evaluate(self, problem: Problem, state: State, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The objective's terms by name, whose sum is the objective, and the residuals by name."""
        raise NotImplementedError

    def objective(self, problem: Problem, state: State, batch: Batch) -> Tensor:
        """What the method minimises, at `state`, over all samples of `batch`; a scalar."""
        return torch.stack(list(self.evaluate(problem, state, batch)[0].values())).sum()

    def residuals(self, problem: Problem, state: State, batch: Batch) -> dict[str, Tensor]:
        """How far the constraints are from holding, by name."""
        return self.evaluate(problem, state, batch)[1]

    def scalars(self, state: State) -> dict[str, float]:
        """Numbers of the method that change from iteration to iteration, for the record."""
        return {}
