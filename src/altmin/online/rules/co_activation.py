"""The co-activation memory: each layer's least squares over all batches, solved anew with every batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
from torch import Tensor

from altmin.checks import number
from altmin.core.memory import Memory
from altmin.core.problem import Problem
from altmin.core.state import State
from altmin.layerwise.function import LayerFunction
from altmin.online.rules.base import Rule
from altmin.online.targets import LayerTarget, SquaresTarget
from altmin.regularizers import L1, Regularizer
from altmin.solvers.coordinate_descent import centred_ridge, descend_columns, diagonal
from altmin.solvers.statistics import self_product


@dataclass(eq=False)
class CoActivations(Memory):
    """What the rule keeps of its layers; the intercept is one more column.

    Attributes:
        M: ``sum a^T a`` of each layer, ``(..., p, p)``.
        B: ``sum C^T a`` of each layer, ``(..., q, p)``.
        batches: How many batches were added.
        recent: Of each layer what the batches within a window added to ``M`` and ``B``, the latest last.
    """

    M: list[Tensor]
    B: list[Tensor]
    batches: int = 0
    recent: list[list[tuple[Tensor, Tensor]]] = field(default_factory=list)


@dataclass(frozen=True)
class CoActivationMemory(Rule[CoActivations]):
    """Least squares on ``M = sum a^T a`` and ``B = sum C^T a``, which older batches enter by less and less: AM-mem.

    Attributes:
        forget: What ``M`` and ``B`` are multiplied by before a batch is added; 1 accumulates.
        solver: ``"bcd"``: column-wise block coordinate descent, as the paper; ``"ridge"``: the exact minimiser with
            ``ridge trace(M)/p`` on the diagonal, centred at the present weights.
        sweeps: Most sweeps of coordinate descent a batch.
        tol: Largest change of a weight at which the sweeps stop.
        ridge: Weight of the ridge, relative to the mean diagonal entry of ``M``.
        window: How many batches the memory holds; each costs the memory of its sums. 0: all.
        initial: What it holds at the start, such as that of a run before (`after`); `None` for nothing. Its batches
            count like its own, ``forget`` included.

    Raises:
        TypeError: `initial` is no memory.
        ValueError: `initial` with a `window`, out of which it would fall.

    Example:
        >>> CoActivationMemory(forget=1.0).weight(batches=3, samples=200)
        600.0
    """

    forget: float = number(0.95, "what the memory is multiplied by before each batch", above=0.0, most=1.0, paper="1")
    solver: str = number("bcd", "how the memory is solved", choices=("bcd", "ridge"), paper="bcd")
    sweeps: int = number(1, "most sweeps of coordinate descent a batch", least=1, paper="not given")
    tol: float = number(1e-3, "change at which the sweeps stop", above=0.0, paper="not given; the authors' code: 1e-3")
    ridge: float = number(1e-3, "ridge, relative to the memory's mean diagonal", above=0.0)
    window: int = number(0, "batches that the memory holds; 0: all", least=0, paper="0; between 1 and all in section 2")
    initial: CoActivations | None = field(default=None, repr=False, metadata={"python": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.initial is not None and not isinstance(self.initial, CoActivations):
            raise TypeError(f"`initial` must be the memory of a run before, got a {type(self.initial).__name__}")
        if self.initial is not None and self.window:
            raise ValueError("`initial` would fall out of the `window`; leave one of them out")

    def after(self, state: State[Any]) -> Self:
        """This rule, beginning with what a run has remembered: a copy of its memory.

        Args:
            state: Of that run, such as `Trainer.state`; its hidden layers moved by such a rule.

        Raises:
            TypeError: They did not.

        Example:
            >>> import altmin
            >>> from torch import nn
            >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
            >>> x, y = torch.rand(200, 4), torch.arange(200) % 2
            >>> rule = CoActivationMemory(forget=1.0)
            >>> first = altmin.Trainer(model, altmin.OnlineAM(rule=rule))
            >>> for i in range(0, 100, 50):  # a task, and then another one
            ...     first.step(x[i : i + 50], y[i : i + 50])
            >>> both = altmin.OnlineAM(rule=rule.after(first.state))
            >>> history = altmin.fit(model, both, (x[100:], y[100:]), epochs=3)
        """
        kept = next((own for own in getattr(state.memory, "rules", []) if isinstance(own, CoActivations)), None)
        if kept is None:
            raise TypeError("`state` has no co-activation memory; train by OnlineAM(rule=CoActivationMemory(...))")
        return replace(self, initial=replace(kept.clone(), recent=[]))

    def check(self, problem: Problem) -> None:
        """Refuse batch normalisation, and regularisers that the solver does not take."""
        omega, sparse = problem.regularizer, isinstance(problem.regularizer, L1)
        if omega.curvature is None and not (sparse and self.solver == "bcd"):
            takes = "none, l1 and l2" if self.solver == "bcd" else "none and l2"
            raise TypeError(f"{self!r} supports the regularisers {takes}, got {omega!r}")
        for i, layer in enumerate(problem.layers):
            if layer.norm is not None:
                raise TypeError(
                    f"the memory rule does not support {layer.norm.feature} (layer {i + 1}); the gradient rules do"
                )

    def init(self, functions: Sequence[LayerFunction]) -> CoActivations:
        """``M = 0`` and ``B = 0``, or a copy of `initial`."""
        sides = [(f.W, f.W.shape[-1] + f.layer.map.bias) for f in functions]
        M = [W.new_zeros(*W.shape[:-2], p, p) for W, p in sides]
        empty = CoActivations(M, [W.new_zeros(*W.shape[:-1], p) for W, p in sides], recent=[[] for _ in sides])
        if self.initial is None:
            return empty
        given, wanted = ([tuple(t.shape) for t in own.B] for own in (self.initial, empty))
        if given != wanted:
            raise ValueError(f"`initial` is the memory of layers {given}, the network's are {wanted}")
        pairs = zip([*empty.M, *empty.B], [*self.initial.M, *self.initial.B], strict=True)
        for t, value in pairs:
            t.copy_(value)
        return replace(empty, batches=self.initial.batches)

    def learn(
        self,
        memory: CoActivations,
        targets: Sequence[LayerTarget],
        omega: Regularizer,
        steps: int = 1,
        factor: float = 1.0,
    ) -> None:
        """Add the batch to each layer's memory, and solve it once from the present weights; all are written in place.

        Args:
            memory: What `init` gave for these layers.
            targets: Each layer's regression.
            omega: ``Omega``.
            steps: Of no account here.
            factor: Of no account here.
        """
        memory.batches += 1
        for i, (M, B, target) in enumerate(zip(memory.M, memory.B, targets, strict=True)):
            assert isinstance(target, SquaresTarget)
            self.add(M, B, target, memory.recent[i])
            omega_weight = self.weight(memory.batches, target.samples) / (2.0 * target.spread)
            map, W, b = target.function.layer.map, target.function.W, target.function.b
            theta = torch.cat([W, b.view(*W.shape[:-1], 1)], -1) if map.bias else W
            theta = self.solve(theta, M, B, omega, omega_weight, f"W_{i + 1}", int(map.bias))
            W.copy_(theta[..., : W.shape[-1]])
            if map.bias:
                b.copy_(theta[..., -1].flatten())

    def add(self, M: Tensor, B: Tensor, target: SquaresTarget, recent: list[tuple[Tensor, Tensor]]) -> None:
        """``M <- forget M + a^T a`` and ``B <- forget B + C^T a``, in place; of a window's batches made anew.

        Args:
            M: ``(..., p, p)``.
            B: ``(..., q, p)``.
            target: The batch.
            recent: What the batches within the window added; changed in place.
        """
        map, batch = target.function.layer.map, target.inputs
        a, c = map.rows(batch.weighed(batch.x, power=0.5)), map.targets(batch.weighed(batch.y, power=0.5))
        if map.bias:
            ones = map.targets(batch.weighed(torch.ones_like(batch.y), power=0.5))[..., :1]
            a = torch.cat([a, ones], -1)
        parts = [(self_product(a), c.mT @ a)]
        if self.window:
            recent.append(parts[0])
            del recent[: -self.window]
            parts = recent
            M.zero_()
            B.zero_()
        for own in parts:
            for total, part in zip((M, B), own, strict=True):
                total.mul_(self.forget).add_(part)

    def weight(self, batches: int, samples: float) -> float:
        """How many samples the memory stands for after so many batches of `samples`."""
        batches = min(batches, self.window or batches)
        if self.forget == 1:
            return float(batches) * samples
        return samples * (1 - self.forget**batches) / (1 - self.forget)

    def solve(
        self, W: Tensor, M: Tensor, B: Tensor, omega: Regularizer, omega_weight: float, block: str, free: int = 0
    ) -> Tensor:
        """Towards ``argmin_W 1/2 <W M, W> - <B, W> + omega_weight Omega(W)``, from `W`.

        Args:
            W: Present weights (the intercept is a column), ``(..., q, p)``.
            M: ``(..., p, p)``.
            B: ``(..., q, p)``.
            omega: ``Omega``: none, l1 or l2; the ridge solver takes none or l2.
            omega_weight: Its weight.
            block: Whose update this is, for errors.
            free: How many of the last columns the regulariser leaves alone (the intercept).
        """
        if omega.curvature:
            M = M.clone()
            diagonal(M)[..., : M.shape[-1] - free].add_(omega_weight * omega.curvature)
        if self.solver == "ridge":
            return centred_ridge(W, M, B, self.ridge, block)
        sparsity = omega_weight * omega.weight if isinstance(omega, L1) else 0.0
        return descend_columns(W, M, B, sparsity, free, self.sweeps, self.tol)
