"""Online alternating minimisation: AM-Adam, AM-SGD and AM-mem.

Choromanska et al., "Beyond backprop: online alternating minimization with auxiliary variables" (ICML 2019), Algorithms
1 to 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from altmin.checks import number
from altmin.methods.base import Method
from altmin.problem import Batch, Problem
from altmin.regularizers import L1, L2, NoRegularizer
from altmin.solvers.blocks import Block, Forward, blocks
from altmin.solvers.codes import Codes, Mu, nesterov
from altmin.solvers.rules import SGD, Adam, Memory
from altmin.state import State, forward, put


@dataclass(frozen=True)
class Progress:
    """What online alternating minimisation keeps between batches.

    Attributes:
        count: Samples in all, which the regulariser is spread over.
        mu: The present penalty.
        hidden: The hidden layers' optimiser, or each layer's ``(M, B)``.
        last: The last layer's optimiser.
        moved: ``||C - C^0|| / ||C^0||`` of each hidden layer in the last batch.
    """

    count: int
    mu: float
    hidden: Any
    last: torch.optim.Optimizer
    moved: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class OnlineAM(Method):
    """Minimise ``R(W_L s(C_{L-1}); Y) + mu sum_{l<L} ||C_l - W_l s(C_{l-1})||^2`` batch by batch.

    A step finds codes by a few gradient steps from the forward pass, last layer to first, then moves the last layer on
    the loss and each hidden layer, on its own, towards its codes. No gradient passes through more than one layer.

    Attributes:
        rule: How hidden weights move: `Adam` (AM-Adam), `SGD` (AM-SGD) or `Memory` (AM-mem).
        last: How the last layer moves on the loss.
        codes: How codes are found.
        mu: The penalty and its schedule.

    Deviations: losses are means over the batch here, sums elsewhere. The centre of the codes' proximity term is the
    forward value, which the authors' code forgets to hold fixed. Weights are regularised by the problem's regulariser
    (l1 is the paper's weight sparsity), by its prox behind each step, and codes likewise. By default squares are sums
    over a sample's entries and code steps relative to the inverse curvature (`Codes.scaling`). The memory forgets
    (the paper's accumulates) and holds the intercept as a column. Learning rates stay as they are, and there is batch
    normalisation only where the model has it.
    """

    online = True
    batched = True
    default_batch = 200
    cure = "a smaller learning rate or a larger `mu.start`"

    rule: Adam | SGD | Memory = field(default_factory=Adam)
    last: Adam | SGD = field(default_factory=Adam)
    codes: Codes = field(default_factory=Codes)
    mu: Mu = field(default_factory=Mu)
    weight_steps: int = number(1, "weight steps a batch", least=1, paper="1; LeNet-5 1, RNN 5")
    halve_every: int = number(0, "epochs after which learning rates are halved; 0: never", least=0, paper="8")
    refit: bool = number(False, "fit the last layer to the whole data at the end; the records do not show it")

    def __post_init__(self) -> None:
        super().__post_init__()
        kinds = {"rule": (Adam, SGD, Memory), "last": (Adam, SGD), "codes": (Codes,), "mu": (Mu,)}
        for name, allowed in kinds.items():
            if not isinstance(getattr(self, name), allowed):
                wanted = " or ".join(f"{kind.__name__}(...)" for kind in allowed)
                raise TypeError(f"`{name}` must be {wanted}, got {getattr(self, name)!r}")

    def check(self, problem: Problem) -> None:
        """Refuse activations without a derivative, and what the memory rule cannot solve."""
        if isinstance(self.rule, Memory):
            allowed = (NoRegularizer, L2) if self.rule.solver == "ridge" else (NoRegularizer, L1, L2)
            if not isinstance(problem.regularizer, allowed):
                known = "none and l2" if self.rule.solver == "ridge" else "none, l1 and l2"
                got = problem.regularizer
                raise TypeError(f"the {self.rule.solver} memory supports the regularisers {known}, got {got!r}")
        for i, layer in enumerate(problem.layers):
            if not layer.activation.differentiable:
                kind = type(layer.activation).__name__
                raise TypeError(f"OnlineAM needs a derivative of the activation of layer {i + 1}, got {kind}")
            if layer.norm is not None and isinstance(self.rule, Memory):
                raise TypeError(f"the memory rule does not support BatchNorm1d (layer {i + 1}); the gradient rules do")

    def init(self, problem: Problem, start: State, batch: Batch, generator: torch.Generator | None = None) -> State:
        """The weights, and optimisers or empty memories for them."""
        state = start.weights()
        *hidden, last = blocks(problem, state)
        if isinstance(self.rule, Memory):
            kept: Any = tuple(_empty_memory(h) for h in hidden)
        else:
            params = [p for h in hidden for p in h.params()]
            kept = self.rule.make(params) if params else None
        return replace(state, extra=Progress(batch.count, self.mu.start, kept, self.last.make(last.params())))

    def step(self, problem: Problem, state: State, batch: Batch) -> State:
        """One mini-batch of Algorithm 1. Weights, running statistics and memories are written in place."""
        codes0 = self.encode(problem, state, batch)
        codes = self.find_codes(problem, state, batch, codes0)
        self.set_lr(state)
        self.step_last(problem, state, batch, codes)
        state = self.step_hidden(problem, state, batch, codes)
        moved = tuple((c - f.z).norm() / f.z.norm().clamp_min(1e-30) for c, f in zip(codes, codes0, strict=True))
        mu = self.mu.after(state.extra.mu, batch.ends_epoch)
        progress = replace(state.extra, mu=mu, moved=moved)
        return replace(state, k=state.k + 1, epoch=state.epoch + batch.ends_epoch, extra=progress)

    def encode(self, problem: Problem, state: State, batch: Batch) -> list[Forward]:
        """Step 1: the hidden layers' forward pass, ``C^0``."""
        a, out = batch.x, []
        for block, layer in zip(blocks(problem, state)[:-1], problem.layers, strict=False):
            out.append(block(a))
            out[-1].track()
            a = layer.activation(out[-1].z)
        return out

    def find_codes(self, problem: Problem, state: State, batch: Batch, start: list[Forward]) -> list[Tensor]:
        """Step 2: codes, last to first; each pulls towards the updated code above and to its forward value."""
        codes = [f.z for f in start]
        layers, above = problem.layers, blocks(problem, state)[1:]
        for i in reversed(range(len(codes))):
            last = i + 1 == len(codes)
            pull, near = self.weights(batch, codes[i], None if last else codes[i + 1], state.extra.mu)

            def gradient(c: Tensor, i=i, last=last, pull=pull, near=near) -> Tensor:
                up = above[i](layers[i].activation(c))
                r = problem.loss.grad(up.z, batch.y) if last else up.z - codes[i + 1]
                g = up.to_input(r).mul_(pull).mul_(layers[i].activation.slope(c))
                return g.add_(c - start[i].z, alpha=near)

            lr = self.step_size(problem, above[i], pull, near, last)
            sparsity = 0.5 * near * self.codes.sparsity / state.extra.mu
            codes[i] = nesterov(codes[i], gradient, self.codes.steps, lr, sparsity)
        return codes

    def weights(self, batch: Batch, code: Tensor, above: Tensor | None, mu: float) -> tuple[float, float]:
        """Factors of the gradients of what is above a code and of its proximity term."""
        if self.codes.scaling == "samples":
            return (1.0 / mu if above is None else 2.0), 2.0
        return (1.0 / (mu * len(code)) if above is None else 2.0 / above.numel()), 2.0 / code.numel()

    def step_size(self, problem: Problem, above: Block, pull: float, near: float, last: bool) -> float | Tensor:
        """The codes' step: ``lr`` over a bound of the curvature, or as it is with the authors' scaling."""
        if self.codes.scaling == "entries":
            return self.codes.lr
        H = problem.loss.lipschitz if last and math.isfinite(problem.loss.lipschitz) else 1.0
        return self.codes.lr / (near + pull * H * above.gain())

    def step_last(self, problem: Problem, state: State, batch: Batch, codes: list[Tensor]) -> None:
        """Step 3, last layer: gradient steps on the batch's mean loss."""
        a = problem.layers[-2].activation(codes[-1]) if codes else batch.x
        last = blocks(problem, state)[-1]
        for _ in range(self.weight_steps):
            out = last(a)
            out.track()
            grads = out.to_params(problem.loss.grad(out.z, batch.y) / len(a))
            _descend(state.extra.last, grads)
            self.regularize(problem, state.W[-1:], state.extra, state.extra.last, 1.0)

    def step_hidden(self, problem: Problem, state: State, batch: Batch, codes: list[Tensor]) -> State:
        """Step 3, hidden layers: each on ``||C_l - W_l s(C_{l-1})||^2`` alone."""
        if not codes:
            return state
        inputs = [batch.x, *(layer.activation(c) for layer, c in zip(problem.layers, codes[:-1], strict=False))]
        if isinstance(self.rule, Memory):
            return self.solve_memories(problem, state, inputs, codes)
        for _ in range(self.weight_steps):
            grads = []
            for block, a, c in zip(blocks(problem, state), inputs, codes, strict=False):
                out = block(a)
                grads += out.to_params((out.z - c) * (2.0 / (c.numel() if self.codes.scaling == "entries" else len(c))))
            _descend(state.extra.hidden, grads)
            self.regularize(problem, state.W[:-1], state.extra, state.extra.hidden, 1.0 / state.extra.mu)
        return state

    def solve_memories(self, problem: Problem, state: State, inputs: list[Tensor], codes: list[Tensor]) -> State:
        """Algorithm 3: add the batch to each layer's memory, and solve it from the present weights."""
        assert isinstance(self.rule, Memory)
        share = self.rule.weight(state.k, len(inputs[0])) / (2.0 * state.extra.mu * state.extra.count)
        for i, (a, c, memory) in enumerate(zip(inputs, codes, state.extra.hidden, strict=True)):
            bias = problem.layers[i].map.bias
            design = torch.cat([a, a.new_ones(len(a), 1)], 1) if bias else a
            W = torch.cat([state.W[i], state.b[i][:, None]], 1) if bias else state.W[i]
            self.rule.remember(memory, design, c)
            W = self.rule.solve(W, memory, problem.regularizer, share, f"W_{i + 1}", int(bias))
            state = put(state, W=(i, W[:, : a.shape[1]].contiguous()))
            if bias:
                state = put(state, b=(i, W[:, -1].contiguous()))
        return state

    @staticmethod
    def regularize(problem: Problem, Ws: tuple[Tensor, ...], kept: Progress, rule: Any, scale: float) -> None:
        """The regulariser's prox behind a gradient step, in place: a batch carries its share of ``Omega``."""
        if not isinstance(problem.regularizer, NoRegularizer):
            t = scale * rule.param_groups[0]["lr"] / kept.count
            for W in Ws:
                W.copy_(problem.regularizer.prox(W, t))

    def set_lr(self, state: State) -> None:
        """Halve the learning rates every `halve_every` epochs."""
        factor = 0.5 ** (state.epoch // self.halve_every) if self.halve_every else 1.0
        for rule, optimizer in ((self.rule, state.extra.hidden), (self.last, state.extra.last)):
            if isinstance(optimizer, torch.optim.Optimizer) and not isinstance(rule, Memory):
                optimizer.param_groups[0]["lr"] = factor * rule.lr

    def finish(self, problem: Problem, state: State, batch: Batch) -> State:
        """Where asked, refit the last layer to all samples, unregularised (Carreira-Perpinan and Wang 2014)."""
        if not self.refit:
            return state
        a = batch.x if len(problem.layers) == 1 else forward(problem, state, batch.x)[1][-1]
        return refit_last(problem, state, a, batch.y)

    def evaluate(self, problem: Problem, state: State, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The loss at the forward pass, where the penalty is zero, and how far the last batch's codes moved from it."""
        loss = batch.sum(problem.loss(forward(problem, state, batch.x)[0][-1], batch.y))
        omega = torch.stack([problem.regularizer(W) for W in state.W]).sum()
        return {"loss": loss, "regularizer": omega}, {f"C_{i + 1}": m for i, m in enumerate(state.extra.moved)}

    def scalars(self, state: State) -> dict[str, float]:
        """The present `mu`."""
        return {"mu": state.extra.mu}


def refit_last(problem: Problem, state: State, a: Tensor, y: Tensor, steps: int = 500) -> State:
    """``argmin R(a W_L^T + b_L; Y)`` over the last layer alone, a convex problem, by L-BFGS from its present value."""
    last = blocks(problem, state)[-1]
    params = last.params()
    optimizer = torch.optim.LBFGS(params, max_iter=steps, line_search_fn="strong_wolfe")

    def closure() -> float:
        out = last(a)
        for p, g in zip(params, out.to_params(problem.loss.grad(out.z, y) / len(a)), strict=True):
            p.grad = g
        return float(problem.loss(out.z, y)) / len(a)

    optimizer.step(closure)
    return state


def _descend(optimizer: torch.optim.Optimizer, grads: list[Tensor]) -> None:
    for p, g in zip(optimizer.param_groups[0]["params"], grads, strict=True):
        p.grad = g
    optimizer.step()


def _empty_memory(block: Block) -> tuple[Tensor, Tensor]:
    q, p = block.W.shape
    p += block.layer.map.bias
    return block.W.new_zeros(p, p), block.W.new_zeros(q, p)
