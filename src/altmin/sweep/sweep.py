"""What a batch method works on: problem, variables and samples in one object, and a view of each layer."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from torch import Tensor

from altmin.core.batch import Batch
from altmin.core.forward import numel_per_sample
from altmin.core.memory import Memory
from altmin.core.problem import Problem
from altmin.core.score import Tally
from altmin.core.state import State
from altmin.solvers.backtracking import Backtracking
from altmin.sweep.layer import LayerView
from altmin.sweep.penalty import Penalty
from altmin.sweep.products import Products, worth_keeping

if TYPE_CHECKING:
    from typing import Self

M = TypeVar("M", bound=Memory)


class Stepper(Protocol):
    """What a sweep asks of a method."""

    reuse: ClassVar[tuple[int, int, int]]

    def step(self, sweep: Sweep[Any]) -> None:
        """One iteration."""
        ...

    def penalty(self, sweep: Sweep[Any]) -> Penalty:
        """The weights of its penalty objective."""
        ...

    def search(self, sweep: Sweep[Any]) -> Backtracking:
        """Where its searches for step sizes start."""
        ...


class Sweep(Generic[M]):
    """A method's problem, state and samples, while it goes over the layers.

    Where the batch is a part of the data, the sweep works on copies of its samples' variables, and writes them back at
    the end of `run`. A method reads and writes variables through `layers`, whose verbs solve the subproblems.

    Args:
        method: The method at work.
        problem: What is minimised.
        state: All variables; changed in place.
        batch: The samples.
        products: What earlier sweeps over the same samples have kept; fresh where it is not given.
        tally: Is told of outputs that the network has for the batch, where somebody wants to know.

    Attributes:
        method: The method at work.
        problem: What is minimised: its layers, `loss` and `regularizer`.
        batch: The samples; ``batch.sum`` adds up over processes.
        state: The variables of the batch's samples, and the weights.
        whole: The state with the variables of all samples.
        products: What is kept of products with unchanged variables.
        tally: See above.

    Example:
        >>> import altmin, torch
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> problem, method, x = altmin.problem_of(model, "squared"), altmin.DLAM(), torch.randn(5, 2)
        >>> sweep = Sweep(method, problem, altmin.state_of(model).weights(), altmin.Batch(x, x))
        >>> method.init(sweep)
        >>> before = float(method.objective(sweep))
        >>> float(method.objective(sweep.run())) < before
        True
    """

    def __init__(
        self,
        method: Stepper,
        problem: Problem,
        state: State[M],
        batch: Batch,
        products: Products | None = None,
        tally: Tally | None = None,
    ):
        self.method, self.problem, self.batch = method, problem, batch
        self.whole = state
        self.state: State[M] = _gathered(state, batch) if batch.rows is not None and state.per_sample else state
        self.products = products or self._fresh_products()
        self.tally = tally

    @cached_property
    def layers(self) -> list[LayerView]:
        """A view of each layer, first to last."""
        return [LayerView(self, i) for i in range(len(self.problem.layers))]

    @property
    def memory(self) -> M:
        """What the method keeps."""
        return self.whole.memory

    @property
    def penalty(self) -> Penalty:
        """The present weights of the method's penalty objective."""
        return self.method.penalty(self)

    @property
    def search(self) -> Backtracking:
        """Where the method's searches for step sizes start."""
        return self.method.search(self)

    def run(self) -> Self:
        """One iteration of the method, counted."""
        returned: object = self.method.step(self)  # type: ignore[func-returns-value]
        if returned is not None:
            raise TypeError(
                f"{type(self.method).__name__}.step returned a {type(returned).__name__}, which nobody takes; "
                "change `sweep.state` in place and return nothing"
            )
        if self.state is not self.whole:
            _scatter(self.state, self.whole, self.batch)
        self.products.settle()
        self.whole.k += 1
        self.whole.epoch += self.batch.ends_epoch
        return self

    def note_outputs(self, outputs: Tensor) -> None:
        """Say what the network had for the batch at its weights before this step, which records may then tell.

        A method calls it whose step begins with a forward pass; where none does, records need a pass of their own.
        """
        if self.tally is not None:
            self.tally.add(outputs, self.batch)

    def ascend_dual(self, rate: float) -> None:
        """``U <- U + rate E_L``."""
        assert self.state.u is not None
        self.state.u.add_(self.layers[-1].residual(), alpha=rate)

    @cached_property
    def skip_targets(self) -> dict[tuple[str, int], list[int]]:
        """The layers to whose pre-activation a residual connection adds ``("z", l)`` or ``("a", l)``."""
        found: dict[tuple[str, int], list[int]] = {}
        for i, layer in enumerate(self.problem.layers):
            if layer.skip is not None:
                found.setdefault((layer.skip.kind, layer.skip.layer), []).append(i)
        return found

    def _fresh_products(self) -> Products:
        first, hidden, last = self.method.reuse
        state, n = self.state, len(self.problem.layers)
        if not state.z or not (first or hidden or last):
            return Products()
        kinds = [last if i + 1 == n else hidden if i else first for i in range(n)]
        times = [0 if layer.map.piecewise else k for layer, k in zip(self.problem.layers, kinds, strict=True)]
        saved = [count * W.shape[-1] for count, W in zip(times, state.W, strict=True)]
        older = () if state.previous is None else (*state.previous.z, *state.previous.a)
        dual = () if state.u is None else (state.u,)
        variables = numel_per_sample(self.batch.x, *state.z, *state.a, *older, *dual)
        return Products(worth_keeping([numel_per_sample(z) for z in state.z], saved, variables))


def _gathered(state: State[M], batch: Batch) -> State[M]:
    """The state of the batch's samples: their variables copied, weights and memory shared."""

    def copied(t: Tensor) -> Tensor:
        return t.index_select(0, batch.rows) if isinstance(batch.rows, Tensor) else t[batch.rows].clone()

    return state.of_samples(copied)


def _scatter(part: State[M], whole: State[M], batch: Batch) -> None:
    """Write the samples' variables of `part` into `whole`."""
    pairs = [(whole.z, part.z), (whole.a, part.a)]
    if whole.previous is not None and part.previous is not None:
        pairs += [(whole.previous.z, part.previous.z), (whole.previous.a, part.previous.a)]
    for into, values in pairs:
        for t, value in zip(into, values, strict=True):
            t[batch.rows] = value
    if whole.u is not None and part.u is not None:
        whole.u[batch.rows] = part.u
