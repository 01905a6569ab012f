"""Online alternating minimisation: AM-Adam, AM-SGD and AM-mem.

Choromanska et al., "Beyond backprop: online alternating minimization with auxiliary variables" (ICML 2019), Algorithms
1 to 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from altmin.audit import Gradients
from altmin.checks import number
from altmin.cost import Product, adjoint, cross, image
from altmin.maps import Recurrent
from altmin.methods.base import Method
from altmin.problem import Batch, Problem
from altmin.regularizers import L1, L2, NoRegularizer
from altmin.solvers.blocks import Block, blocks
from altmin.solvers.codes import Codes, Mu, crossing, nesterov, sparse_nesterov
from altmin.solvers.last import fit_last
from altmin.solvers.newton import Newton
from altmin.solvers.passes import Above, Pass, encode
from altmin.solvers.recurrence import unfolded
from altmin.solvers.rules import SGD, Adam, Memory, descend, shrink
from altmin.state import State, forward, skipped

REFIT_STEPS = 500
TINY = 1e-30


@dataclass(frozen=True)
class Progress:
    """What online alternating minimisation keeps between batches.

    Attributes:
        count: Samples in all, which the regulariser is spread over.
        mu: The present penalty.
        hidden: The hidden layers' optimiser, or each layer's memory.
        last: The last layer's optimiser.
        generator: Draws the dropout.
        stretched: What the layer above each code stretches most (`Block.stretched`).
        codes: Each hidden layer's code and forward value in the last batch, ``(C, C^0)``.
    """

    count: int
    mu: float
    hidden: Any
    last: torch.optim.Optimizer
    generator: torch.Generator | None = None
    stretched: tuple[Tensor, ...] = ()
    codes: tuple[tuple[Tensor, Tensor], ...] = ()


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
    cure = "a smaller learning rate or a larger `mu.start`"
    lacks = frozenset()

    rule: Adam | SGD | Memory | Newton = field(default_factory=Adam)
    last: Adam | SGD = field(default_factory=Adam)
    codes: Codes = field(default_factory=Codes)
    mu: Mu = field(default_factory=Mu)
    weight_steps: int = number(1, "weight steps a batch", least=1, paper="1; LeNet-5 1, RNN 5")
    halve_every: int = number(0, "epochs after which learning rates are halved; 0: never", least=0, paper="8")
    refit: bool = number(False, "fit the last layer to the whole data at the end; the records do not show it")

    def __post_init__(self) -> None:
        super().__post_init__()
        kinds = {"rule": (Adam, SGD, Memory, Newton), "last": (Adam, SGD), "codes": (Codes,), "mu": (Mu,)}
        for name, allowed in kinds.items():
            if not isinstance(getattr(self, name), allowed):
                wanted = " or ".join(f"{kind.__name__}(...)" for kind in allowed)
                raise TypeError(f"`{name}` must be {wanted}, got {getattr(self, name)!r}")

    @property
    def default_batch(self) -> int:  # type: ignore[override]
        """200 samples; a Newton step costs more, and makes more of larger batches."""
        return 500 if isinstance(self.rule, Newton) else 200

    @property
    def gradients(self) -> Gradients:  # type: ignore[override]
        """Within a layer, unless sign and step are crossed by the straight-through estimator."""
        return Gradients.LAYER if self.codes.jumps == "prox" else Gradients.STRAIGHT_THROUGH

    def check(self, problem: Problem) -> None:
        """Refuse what the memory rules cannot solve."""
        super().check(problem)
        if not isinstance(self.rule, (Memory, Newton)):
            return
        sparse = isinstance(self.rule, Memory) and self.rule.solver == "bcd"
        if not isinstance(problem.regularizer, (NoRegularizer, L2, L1) if sparse else (NoRegularizer, L2)):
            known = "none, l1 and l2" if sparse else "none and l2"
            raise TypeError(f"{self.rule!r} supports the regularisers {known}, got {problem.regularizer!r}")
        for i, layer in enumerate(problem.layers):
            if layer.norm is not None and isinstance(self.rule, Memory):
                raise TypeError(
                    f"the memory rule does not support batch normalisation (layer {i + 1}); the gradient rules do"
                )

    def init(self, problem: Problem, start: State, batch: Batch, generator: torch.Generator | None = None) -> State:
        """The weights, and optimisers or empty memories for them."""
        state = start.weights()
        *hidden, last = blocks(problem, state)
        if isinstance(self.rule, Memory):
            kept: Any = tuple(self.rule.empty(h.W, h.layer.map.bias) for h in hidden)
        elif isinstance(self.rule, Newton):
            kept = self.rule.make(hidden)
        else:
            params = [p for h in hidden for p in h.params()]
            kept = self.rule.make(params) if params else None
        progress = Progress(batch.count, self.mu.start, kept, self.last.make(last.params()), generator)
        return replace(state, extra=progress)

    def step(self, problem: Problem, state: State, batch: Batch) -> State:
        """One mini-batch of Algorithm 1. Weights, running statistics and memories are written in place."""
        problem = problem if self.codes.jumps == "prox" else problem.estimated()
        passed = encode(problem, state, batch.x, state.extra.generator)
        stretched = self.stretch(problem, state, passed)
        codes = self.find_codes(problem, state, batch, passed, stretched)
        self.set_lr(state)
        self.step_last(problem, state, batch, passed, codes)
        state = self.step_hidden(problem, state, batch, passed, codes)
        mu = self.mu.after(state.extra.mu, batch.ends_epoch)
        progress = replace(state.extra, mu=mu, stretched=stretched, codes=tuple(zip(codes, passed.z, strict=True)))
        return replace(state, k=state.k + 1, epoch=state.epoch + batch.ends_epoch, extra=progress)

    def find_codes(
        self, problem: Problem, state: State, batch: Batch, passed: Pass, stretched: Sequence[Tensor] = ()
    ) -> list[Tensor]:
        """Step 2: codes, last to first; each pulls towards the updated code above and to its forward value."""
        codes, pulls, mu = list(passed.z), self.pulls(passed, batch, state.extra.mu), state.extra.mu
        gains = [v.norm() for v in stretched or self.stretch(problem, state, passed)]
        for i in reversed(range(len(codes))):
            near = 2.0 * self.codes.proximity / (codes[i].numel() if self.codes.scaling == "entries" else 1)
            above, c, lr = Above(problem, batch, passed, codes, i, pulls, near), codes[i], self.codes.lr
            if self.codes.scaling == "samples":
                lr = lr / above.curvature(gains[i])
            if passed.smooth(i) and self.codes.sparsity:
                sparsity = 0.5 * near * self.codes.sparsity / mu
                codes[i] = sparse_nesterov(c, above.gradient, self.codes.steps, lr, sparsity)
            elif passed.smooth(i):
                codes[i] = nesterov(c, above.gradient, self.codes.steps, lr)
            else:
                through, direct = above.parts(passed.activation(i, c), c)
                codes[i] = crossing(
                    passed.blocks[i].layer.activation,
                    c if direct is None else c - lr * direct,
                    through,
                    self.codes.flip_step,
                    self.codes.flip_cost,
                )
        return codes

    def stretch(self, problem: Problem, state: State, passed: Pass) -> tuple[Tensor, ...]:
        """What the layer above each code stretches most, without dropout (`Block.stretched`)."""
        above = zip(blocks(problem, state)[1:], passed.a, state.extra.stretched or [None] * len(passed.a), strict=True)
        return tuple(block.stretched(a, before) for block, a, before in above)

    def pulls(self, passed: Pass, batch: Batch, mu: float) -> list[float]:
        """The weight of each layer's error in the codes' objectives: ``1/mu`` for the loss, 2 for squares."""
        if self.codes.scaling == "samples":
            return [2.0] * len(passed.z) + [1.0 / mu]
        return [2.0 / z.numel() for z in passed.z] + [1.0 / (mu * len(batch.x))]

    def step_last(self, problem: Problem, state: State, batch: Batch, passed: Pass, codes: list[Tensor]) -> None:
        """Step 3, last layer: gradient steps on the batch's mean loss."""
        a, over = passed.regressor(len(codes), codes)
        for _ in range(self.weight_steps):
            out = passed.blocks[-1](a, over)
            out.track()
            grads = out.to_params(problem.loss.grad(out.z, batch.y) / len(a))
            descend(state.extra.last, grads)
            shrink(problem.regularizer, state.W[-1:], self.lr_factor(state) * self.last.lr / state.extra.count)

    def step_hidden(self, problem: Problem, state: State, batch: Batch, passed: Pass, codes: list[Tensor]) -> State:
        """Step 3, hidden layers: each on ``||C_l - W_l s(C_{l-1})||^2`` alone."""
        if not codes:
            return state
        local = [self.local(passed, codes, i) for i in range(len(codes))]
        if isinstance(self.rule, Memory):
            return self.solve_memories(problem, state, local, len(passed.x))
        share = 1.0 / (state.extra.mu * state.extra.count)
        for k in range(self.weight_steps):
            own = []
            for i, (block, a, c) in enumerate(local):
                # Until a step is made, the forward pass has the first layer's value.
                out = passed.hidden[0] if i + k == 0 and block is passed.blocks[0] else block(a)
                scale = c.numel() if self.codes.scaling == "entries" else len(passed.x)
                own.append((block, a, out.to_params((out.z - c).mul_(2.0 / scale))))
            if isinstance(self.rule, Newton):
                self.step_newton(problem, state, own, share, state.k * self.weight_steps + k)
            else:
                descend(state.extra.hidden, [g for _, _, grads in own for g in grads])
                shrink(problem.regularizer, state.W[:-1], share * self.lr_factor(state) * self.rule.lr)
        return state

    def step_newton(
        self, problem: Problem, state: State, own: list[tuple[Block, Tensor, list[Tensor]]], share: float, steps: int
    ) -> None:
        """A Newton step of every hidden layer, from its block, its input and its gradients, after `steps` others."""
        assert isinstance(self.rule, Newton)
        omega, lr = problem.regularizer, self.lr_factor(state) * self.rule.lr
        for memory, (block, a, grads) in zip(state.extra.hidden, own, strict=True):
            if isinstance(omega, L2):
                grads[0] = grads[0].add(block.W, alpha=share * omega.weight)
            self.rule.step(memory, steps, block, a, grads, lr)

    def local(self, passed: Pass, codes: list[Tensor], i: int) -> tuple[Block, Tensor, Tensor]:
        """A hidden layer's own regression problem: its block, the block's input and its target."""
        block, (a, over) = passed.blocks[i], passed.regressor(i, codes)
        if isinstance(block.layer.map, Recurrent):
            return unfolded(block, block.layer.map, a, codes[i], self.codes)
        return block, a, codes[i] if over is None else codes[i] - over

    def solve_memories(
        self, problem: Problem, state: State, local: list[tuple[Block, Tensor, Tensor]], count: int
    ) -> State:
        """Algorithm 3: add the batch to each layer's memory, and solve it from the present weights."""
        assert isinstance(self.rule, Memory)
        share = self.rule.weight(state.k, count) / (2.0 * state.extra.mu * state.extra.count)
        for i, (memory, (block, a, c)) in enumerate(zip(state.extra.hidden, local, strict=True)):
            self.rule.step(memory, block, a, c, problem.regularizer, share, f"W_{i + 1}")
        return state

    def set_lr(self, state: State) -> None:
        """Halve the learning rates every `halve_every` epochs."""
        factor = self.lr_factor(state)
        for rule, optimizer in ((self.rule, state.extra.hidden), (self.last, state.extra.last)):
            if isinstance(optimizer, torch.optim.Optimizer) and not isinstance(rule, Memory):
                optimizer.param_groups[0]["lr"] = factor * rule.lr

    def lr_factor(self, state: State) -> float:
        """What learning rates are multiplied by in the present epoch."""
        return 0.5 ** (state.epoch // self.halve_every) if self.halve_every else 1.0

    def products(self, problem: Problem, n: Sequence[int]) -> list[Product]:
        """A forward pass, two products of the layer above for each code step, two of each layer for a weight step.

        The first code step, and the first layer's first weight step, have their predictions from the forward pass.
        """
        if isinstance(self.rule, (Memory, Newton)):
            raise TypeError(f"OnlineAM has no cost model of the rule {type(self.rule).__name__}")
        layers, codes, steps = range(len(n) - 1), self.codes.steps, self.weight_steps
        again = codes - 1
        above = [p for i in layers[1:] for p in (image(i, n, again, again), adjoint(i, n, codes, codes)) if codes]
        weights = [
            p for i in layers for p in (image(i, n, steps - (i == 0), steps - (i == 0)), cross(i, n, steps, steps))
        ]
        return [image(i, n) for i in layers[: len(layers) if codes else -1]] + above + weights

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
        loss = batch.sum(problem.loss(forward(problem, state, batch.x)[0][-1], batch.y))
        omega = torch.stack([problem.regularizer(W) for W in state.W]).sum()
        moved = [(c - c0).norm() / c0.norm().clamp_min(TINY) for c, c0 in state.extra.codes]
        return {"loss": loss, "regularizer": omega}, {f"C_{i + 1}": m for i, m in enumerate(moved)}

    def scalars(self, state: State) -> dict[str, float]:
        """The present `mu`."""
        return {"mu": state.extra.mu}
