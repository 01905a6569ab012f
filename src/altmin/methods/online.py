"""Online alternating minimisation: AM-Adam, AM-SGD and AM-mem.

Choromanska et al., "Beyond backprop: online alternating minimization with auxiliary variables" (ICML 2019), Algorithms
1 to 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from altmin.audit import Gradients, active
from altmin.checks import number
from altmin.core.batch import Batch
from altmin.core.objective import plain
from altmin.core.problem import Problem
from altmin.core.state import State, forward, skipped
from altmin.cost import Product, adjoint, cross, image
from altmin.layerwise.function import blocks
from altmin.layerwise.last_layer import fit_last
from altmin.methods.base import Method
from altmin.online.codes import Codes, Mu
from altmin.online.compiled import Compiled
from altmin.online.forward_pass import Pass, by_gram, encode
from altmin.online.newton import Newton
from altmin.online.rules import SGD, Adam, Local, Memory
from altmin.online.targets import Goal, Goals
from altmin.regularizers import NoRegularizer
from altmin.schedules import DECAYS, decay

REFIT_STEPS = 500
TINY = 1e-30

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """What online alternating minimisation keeps between batches.

    Attributes:
        count: Samples in all, which the regulariser is spread over.
        mu: The present penalty.
        kept: What the rules keep, in the order of `OnlineAM.parts`.
        memories: What AM-mem keeps of each hidden layer.
        generator: Draws the dropout.
        factor: What learning rates are multiplied by at the present batch.
        stretched: What the layer above each code stretches most (`Block.stretched`).
        codes: Each hidden layer's code and forward value in the last batch, ``(C, C^0)``.
        compiled: `OnlineAM.learn`, compiled; `None` where that is not asked for.
    """

    count: int
    mu: float
    kept: tuple[Any, ...]
    memories: list[tuple[Tensor, Tensor]]
    generator: torch.Generator | None = None
    factor: float = 1.0
    stretched: tuple[Tensor, ...] = ()
    codes: tuple[tuple[Tensor, Tensor], ...] = ()
    compiled: Compiled | None = None


@dataclass(frozen=True)
class OnlineAM(Method):
    """Minimise ``R(W_L s(C_{L-1}); Y) + mu sum_{l<L} ||C_l - W_l s(C_{l-1})||^2`` batch by batch.

    A step finds codes by a few gradient steps from the forward pass, last layer to first, then moves the last layer on
    the loss and each hidden layer, on its own, towards its codes. No gradient passes through more than one layer.

    Attributes:
        rule: How hidden weights move: `Adam` (AM-Adam), `SGD` (AM-SGD), `Memory` (AM-mem) or `Newton` (AM-Newton,
            altmin's own).
        last: How the last layer moves on the loss.
        codes: How codes are found.
        mu: The penalty and its schedule.

    Deviations: losses are means over the batch here, sums elsewhere. The centre of the codes' proximity term is the
    forward value, which the authors' code forgets to hold fixed. Weights are regularised by the problem's
    regulariser (l1 is the paper's weight sparsity), by its prox behind each step, and codes likewise. Sign and step
    are crossed by their prox (P1), where the authors' code has a straight-through estimator (`Codes.jumps` has
    both); layers above them learn from forward activations, since targets that jumped are no inputs that the
    network will see. By default squares are sums over a sample's entries and code steps relative to the inverse
    curvature (`Codes.scaling`). The memory forgets (the paper's accumulates) and holds the intercept as a column.
    Learning rates stay as they are, and there is batch normalisation only where the model has it.
    """

    online = True
    batched = True
    default_batch = 200
    cure = "a smaller learning rate or a larger `mu.start`"
    lacks = frozenset()

    rule: Adam | SGD | Memory | Newton = field(default_factory=Adam)
    last: Adam | SGD | Newton = field(default_factory=Adam)
    codes: Codes = field(default_factory=Codes)
    mu: Mu = field(default_factory=Mu)
    weight_steps: int = number(1, "weight steps a batch", least=1, paper="1; LeNet-5 1, RNN 5")
    regressors: str = number(
        "codes", "what weights learn from: the updated codes below, or the forward pass", choices=("codes", "forward")
    )
    halve_every: int = number(0, "epochs after which learning rates are halved; 0: never", least=0, paper="8")
    decay: str = decay()
    refit: bool = number(False, "fit the last layer to the whole data at the end; the records do not show it")
    compile: bool = number(False, "compile the steps, for long runs of small linear layers: it takes up to a minute")

    def __post_init__(self) -> None:
        super().__post_init__()
        kinds = {"rule": (Adam, SGD, Memory, Newton), "last": (Adam, SGD, Newton), "codes": (Codes,), "mu": (Mu,)}
        for name, allowed in kinds.items():
            if not isinstance(getattr(self, name), allowed):
                wanted = " or ".join(f"{kind.__name__}(...)" for kind in allowed)
                raise TypeError(f"`{name}` must be {wanted}, got {getattr(self, name)!r}")

    @classmethod
    def newton(cls, rule: Newton = Newton()) -> OnlineAM:  # noqa: B008, it is frozen
        """AM-Newton: every layer by `rule`, on the forward pass; one code step that hands the movement down whole."""
        codes = Codes(steps=1, momentum=0.0, scaling="gradients")
        return cls(rule=rule, last=rule, codes=codes, regressors="forward", decay="linear")

    @property
    def gradients(self) -> Gradients:  # type: ignore[override]
        """Within a layer, unless sign and step are crossed by the straight-through estimator."""
        return Gradients.LAYER if self.codes.jumps == "prox" else Gradients.STRAIGHT_THROUGH

    def check(self, problem: Problem) -> None:
        """Refuse what the memory rules cannot solve."""
        super().check(problem)
        for rule in (self.rule, self.last):
            if not isinstance(problem.regularizer, rule.regularizers):
                known = " and ".join(kind.__name__ for kind in rule.regularizers)
                raise TypeError(f"{rule!r} supports the regularisers {known}, got {problem.regularizer!r}")
        for i, layer in enumerate(problem.layers):
            if layer.norm is not None and isinstance(self.rule, Memory):
                raise TypeError(
                    f"the memory rule does not support batch normalisation (layer {i + 1}); the gradient rules do"
                )
        if self.compile:
            self.check_compile(problem)

    def check_compile(self, problem: Problem) -> None:
        """Refuse what changes from batch to batch, or is solved by other means."""
        moving = {
            "`weight_steps` above 1": self.weight_steps > 1,
            "the memory rule": isinstance(self.rule, Memory),
            "a `mu` that changes": self.mu.add > 0.0 or self.mu.factor != 1.0,
            "dropout": any(layer.random for layer in problem.layers),
            "recurrent layers": any(layer.map.recurrent for layer in problem.layers),
        }
        if any(moving.values()):
            names = " and ".join(name for name, there in moving.items() if there)
            raise TypeError(f"`compile=True` does not support {names}; leave it out")

    def init(self, problem: Problem, start: State, batch: Batch, generator: torch.Generator | None = None) -> State:
        """The weights, and optimisers or empty memories for them."""
        state = start.weights()
        layers = blocks(problem, state)
        kept = tuple(rule.make(part) for rule, part in self.parts(layers))
        memories = self.rule.make(layers[:-1]) if isinstance(self.rule, Memory) else []
        compiled = Compiled(partial(self.learn, self.seen(problem)), batch.x.device) if self.compile else None
        progress = Progress(batch.count, self.mu.start, kept, memories, generator, compiled=compiled)
        return replace(state, extra=progress)

    def seen(self, problem: Problem) -> Problem:
        """The problem with the derivatives that code steps take."""
        return problem if self.codes.jumps == "prox" else problem.estimated()

    def parts(self, layers: list[T]) -> list[tuple[Adam | SGD | Newton, list[T]]]:
        """Which rule moves which of these layers, the last of which is the network's; AM-mem solves hidden ones."""
        if isinstance(self.rule, Memory):
            return [(self.last, layers[-1:])]
        if self.rule == self.last:  # one optimiser costs less than two
            return [(self.last, layers)]
        return [(self.rule, layers[:-1]), (self.last, layers[-1:])]

    def step(self, problem: Problem, state: State, batch: Batch) -> State:
        """One mini-batch of Algorithm 1. Weights, running statistics and memories are written in place."""
        problem = self.seen(problem)
        state = replace(state, extra=replace(state.extra, factor=self.factor(state, batch)))
        if state.extra.compiled is not None and state.k and not active():  # an audit looks at every operator
            z, codes, stretched = self.step_compiled(problem, state, batch, state.extra.compiled)
        else:
            passed = encode(problem, state, batch.x, state.extra.generator)
            stretched = self.stretch(problem, state, passed)
            z, codes = passed.z, self.find_codes(problem, state, batch, passed, stretched)
            self.step_weights(problem, state, batch, passed, codes)
        mu = self.mu.after(state.extra.mu, batch.ends_epoch)
        progress = replace(state.extra, mu=mu, stretched=tuple(stretched), codes=tuple(zip(codes, z, strict=True)))
        return replace(state, k=state.k + 1, epoch=state.epoch + batch.ends_epoch, extra=progress)

    def step_compiled(self, problem: Problem, state: State, batch: Batch, learn: Compiled) -> tuple[list[Tensor], ...]:
        """The weights' step by `learn`, compiled; what else it gives."""
        *found, seen, shares = learn(state, batch)
        layers = zip(blocks(problem, state), *zip(*seen, strict=True), shares, strict=True)
        self.move(problem, state, [Local(*parts) for parts in layers])
        return tuple(found)

    def learn(self, problem: Problem, state: State, batch: Batch) -> tuple[Any, ...]:
        """Forward values, codes, what is stretched, each layer's input and gradients, and the regulariser's weights."""
        passed = encode(problem, state, batch.x)
        stretched = self.stretch(problem, state, passed)
        codes = self.find_codes(problem, state, batch, passed, stretched)
        goals = self.goals(problem, state, batch, passed, codes)
        layers = [*goals.squares(first=True), goals.loss(first=True)]
        return passed.z, codes, stretched, [(x.a, x.grads) for x in layers], [x.share for x in layers]

    def find_codes(
        self, problem: Problem, state: State, batch: Batch, passed: Pass, stretched: Sequence[Tensor] = ()
    ) -> list[Tensor]:
        """Step 2: codes, last to first."""
        stretched = stretched or self.stretch(problem, state, passed)
        return self.codes.find(problem, batch, passed, stretched, state.extra.mu)

    def stretch(self, problem: Problem, state: State, passed: Pass) -> tuple[Tensor, ...]:
        """What the layer above each code stretches most, without dropout, where code steps are relative to it."""
        if self.codes.scaling != "samples":
            return ()
        above = zip(blocks(problem, state)[1:], passed.a, state.extra.stretched or [None] * len(passed.a), strict=True)
        return tuple(block.stretched(a, before) for block, a, before in above)

    def goals(self, problem: Problem, state: State, batch: Batch, passed: Pass, codes: list[Tensor]) -> Goals:
        """What each layer is to learn."""
        return Goals(problem, batch, passed, codes, self.codes, self.updated, state.extra.mu, state.extra.count)

    def step_weights(self, problem: Problem, state: State, batch: Batch, passed: Pass, codes: list[Tensor]) -> None:
        """Step 3: the last layer on the mean loss, each hidden layer on ``||C_l - W_l s(C_{l-1})||^2`` alone."""
        goals, solved = self.goals(problem, state, batch, passed, codes), isinstance(self.rule, Memory)
        if solved:
            self.solve_memories(problem, state, goals.hidden, len(batch.x))
        for k in range(self.weight_steps):
            hidden = [] if solved else goals.squares(first=k == 0)
            self.move(problem, state, [*hidden, goals.loss(first=k == 0)])

    def move(self, problem: Problem, state: State, layers: list[Local]) -> None:
        """A step of these layers by their rules."""
        for kept, (rule, part) in zip(state.extra.kept, self.parts(layers), strict=True):
            rule.step(kept, part, problem.regularizer, state.extra.factor)

    @property
    def updated(self) -> bool:
        """Whether weights learn from the updated codes below."""
        return self.regressors == "codes"

    def solve_memories(self, problem: Problem, state: State, goals: list[Goal], count: int) -> None:
        """Algorithm 3: add the batch to each layer's memory, and solve it from the present weights."""
        assert isinstance(self.rule, Memory)
        share = self.rule.weight(state.k, count) / (2.0 * state.extra.mu * state.extra.count)
        for i, (memory, (block, a, c, _)) in enumerate(zip(state.extra.memories, goals, strict=True)):
            self.rule.step(memory, block, a, c, problem.regularizer, share, f"W_{i + 1}")

    def factor(self, state: State, batch: Batch) -> float:
        """What learning rates are multiplied by at this batch."""
        halved = 0.5 ** (state.epoch // self.halve_every) if self.halve_every else 1.0
        return halved * DECAYS[self.decay](batch.done)

    def products(self, problem: Problem, n: Sequence[int], samples: int) -> list[Product]:
        """A forward pass, two products of the layer above for each code step, two of each layer for a weight step.

        The first code step, and the first weight step of layers whose input has not moved, have their predictions from
        the forward pass. Where `by_gram` says so, further code steps have one product with ``W^T W`` instead of two.
        """
        if isinstance(self.rule, (Memory, Newton)):
            raise TypeError(f"OnlineAM has no cost model of the rule {type(self.rule).__name__}")
        layers, codes, steps = range(len(n) - 1), self.codes.steps, self.weight_steps
        above = [p for i in layers[1:] for p in self.descent(i, n, samples) if codes]
        known = [i == 0 or not codes or not self.updated for i in layers]
        anew = [steps - k for k in known]
        weights = [p for i in layers for p in (image(i, n, anew[i], anew[i]), cross(i, n, steps, steps))]
        return [image(i, n) for i in layers] + above + weights

    def descent(self, i: int, n: Sequence[int], samples: int) -> list[Product]:
        """The products with the weights of layer `i` that find the codes below it."""
        again = self.codes.steps - 1
        if i + 2 < len(n) and by_gram(n[i], n[i + 1], samples, again + 1):
            return [adjoint(i, n), Product(f"A_{i} W_{i + 1}^T W_{i + 1}", n[i], n[i], again, again)]
        return [image(i, n, again, again), adjoint(i, n, again + 1, again + 1)]

    def finish(self, problem: Problem, state: State, batch: Batch) -> State:
        """Where asked, refit the last layer to all samples, unregularised (Carreira-Perpinan and Wang 2014)."""
        if not self.refit:
            return state
        zs, as_ = forward(problem, state, batch.x)
        over = skipped(problem.layers[-1], batch.x, zs, as_)
        plain = replace(problem, regularizer=NoRegularizer())
        return fit_last(plain, state, as_[-1] if as_ else batch.x, batch, REFIT_STEPS, over)

    def evaluate(self, problem: Problem, state: State, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The loss at the forward pass, where the penalty is zero, and how far the last batch's codes moved from it."""
        moved = [(c - c0).norm() / c0.norm().clamp_min(TINY) for c, c0 in state.extra.codes]
        return plain(problem, state, batch), {f"C_{i + 1}": m for i, m in enumerate(moved)}

    def scalars(self, state: State) -> dict[str, float]:
        """The present `mu`."""
        return {"mu": state.extra.mu}
