"""Difference target propagation.

Lee, Zhang, Fischer and Bengio, "Difference target propagation" (ECML PKDD 2015), Algorithm 1; its Section 3.3 has the
network whose hidden units exchange bits.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from altmin.activations import Activation, DropoutBefore, Sigmoid, Sign, Step, Tanh
from altmin.audit import Gradients
from altmin.checks import number
from altmin.core.batch import Batch
from altmin.core.objective import plain
from altmin.core.problem import Layer, Problem
from altmin.core.state import State
from altmin.draws import to_draw
from altmin.layerwise.function import LayerFunction, LayerValue, layer_functions
from altmin.maps import Linear
from altmin.methods.base import Method
from altmin.online.forward_pass import ForwardPass, forward_pass
from altmin.online.rules import SGD, Adam, LayerGradient, descend

SMOOTH: dict[type, Activation] = {Sign: Tanh(), Step: Sigmoid()}


@dataclass(frozen=True)
class Inverses:
    """What difference target propagation keeps between batches.

    Attributes:
        count: Samples in all, which the regulariser is spread over.
        feedback: ``V_l`` ``(n_{l-1}, n_l)`` and ``c_l`` ``(n_{l-1},)`` for the hidden layers ``l >= 2``.
        hidden: The hidden layers' optimiser; `None` where there are none.
        last: The last layer's optimiser.
        back: The feedback maps' optimiser; `None` where there are none.
        generator: Draws the noise and the dropout.
        errors: ``||g_l(f_l(h)) - h|| / ||h||`` at the noisy `h` of the last batch.
    """

    count: int
    feedback: tuple[tuple[Tensor, Tensor], ...]
    hidden: torch.optim.Optimizer | None
    last: torch.optim.Optimizer | None
    back: torch.optim.Optimizer | None
    generator: torch.Generator | None = None
    errors: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class DTP(Method):
    """Minimise ``R(f(X); Y)`` batch by batch, each hidden layer on ``||f_l(h_{l-1}) - t_l||^2`` towards a target.

    The target of the last hidden layer is ``t = h - eta dR/dh``, the derivative through the last layer alone. Those
    below come from learned feedback maps ``g_l(h_l) = s_{l-1}(V_l h_l + c_l)``, which run backwards through a layer:
    ``t_{l-1} = h_{l-1} + g_l(t_l) - g_l(h_l)``. They learn to undo their layer, by gradient steps on
    ``||g_l(f_l(h_{l-1} + e)) - (h_{l-1} + e)||^2`` with Gaussian noise `e`. The last layer moves on the loss.
    No gradient passes through more than one layer.

    Networks with `Sign` or `Step` are the paper's discrete networks: such a layer computes ``h = tanh z`` (`Step`:
    ``sigmoid z``) and sends up the bit of each unit, ``sign h``. Targets live at `h`, and no derivative passes through
    the bit: ``dR/dh`` is the derivative in what was sent. Where a layer or the one below it is discrete, `g_l` takes
    bits as well, 1 where the unit's pre-activation is positive and else -1.

    Attributes:
        rule: How hidden weights move: `Adam` or `SGD`.
        last: How the last layer moves on the loss.
        feedback: How the feedback maps move.

    Deviations: all parts of a batch are updated from the same forward pass, and by Adam unless told otherwise (the
    paper: RMSprop for continuous networks). The paper's networks have tanh units; here `g_l` ends in the activation of
    the layer that it leads to, whatever that is. In the paper's discrete network the last hidden layer is continuous;
    a discrete one is allowed here. Dropout is the batch's own, the same forwards, backwards and under noise.
    Weights are regularised by a prox behind each step; feedback maps are not. Defaults are a compromise between a tanh
    network and the binary one on 20,000 samples of MNIST: feedback maps that learn faster than the layers they undo.
    """

    online = True
    batched = True
    default_batch = 200
    cure = "a smaller `eta` or smaller learning rates"
    gradients = Gradients.LAYER
    lacks = frozenset({"Conv2d", "Elman", "pooling or reshaping", "residual connections"})

    rule: Adam | SGD = field(default_factory=lambda: Adam(0.0005))
    last: Adam | SGD = field(default_factory=lambda: Adam(0.001))
    feedback: Adam | SGD = field(default_factory=lambda: Adam(0.005))
    eta: float = number(3.0, "step from the last hidden activation to its target", above=0.0)
    noise: float = number(0.1, "standard deviation of the noise that feedback maps learn on", least=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("rule", "last", "feedback"):
            if not isinstance(getattr(self, name), (Adam, SGD)):
                raise TypeError(f"`{name}` must be Adam(...) or SGD(...), got {getattr(self, name)!r}")

    def init(self, problem: Problem, start: State, batch: Batch, generator: torch.Generator | None = None) -> State:
        """The weights, feedback maps drawn from `generator` (Glorot's uniform), and the optimisers of both."""
        state = start.weights()
        *hidden, last = layer_functions(problem, state)
        feedback = tuple(_draw(block.W, generator) for block in hidden[1:])
        back = [p for pair in feedback for p in pair]
        kept = Inverses(
            count=batch.count,
            feedback=feedback,
            hidden=self.rule.make(hidden),
            last=self.last.make([last]),
            back=self.feedback.optimizer(back) if back else None,
            generator=generator,
        )
        return replace(state, extra=kept)

    def step(self, problem: Problem, state: State, batch: Batch) -> State:
        """One mini-batch of Algorithm 1. Weights, running statistics and feedback maps are written in place."""
        kept: Inverses = state.extra
        passed = forward_pass(problem, state, batch.x, kept.generator)
        h = [smooth(block.layer.activation)(z) for block, z in zip(passed.blocks, passed.z, strict=False)]
        targets = self.find_targets(problem, passed, h, batch, kept)
        errors = self.step_feedback(passed, h, kept)
        self.step_hidden(problem, passed, targets, kept)
        self.step_last(problem, passed, batch, kept)
        kept = replace(kept, errors=errors)
        return replace(state, k=state.k + 1, epoch=state.epoch + batch.ends_epoch, extra=kept)

    def find_targets(
        self, problem: Problem, passed: ForwardPass, h: list[Tensor], batch: Batch, kept: Inverses
    ) -> list[Tensor]:
        """``t_l`` of the hidden layers: a gradient step for the last, difference target propagation below."""
        if not h:
            return []
        out = passed.blocks[-1](passed.last[0])
        targets = [h[-1].sub(out.to_input(problem.loss.grad(out.z, batch.y)), alpha=self.eta)]
        for i in reversed(range(1, len(h))):
            g = Feedback(passed, i, *kept.feedback[i - 1])
            targets.append(h[i - 1] + (g(targets[-1]) - g(h[i])))
        return targets[::-1]

    def step_feedback(self, passed: ForwardPass, h: list[Tensor], kept: Inverses) -> tuple[Tensor, ...]:
        """A step of each feedback map on its denoising error; the relative errors before it."""
        grads: list[Tensor] = []
        errors: list[Tensor] = []
        for i in range(1, len(h)):
            g, below, block = Feedback(passed, i, *kept.feedback[i - 1]), passed.blocks[i - 1], passed.blocks[i]
            noisy = h[i - 1].add(_normal(h[i - 1], kept.generator), alpha=self.noise)
            seen = smooth(block.layer.activation)(block(sent(below.layer.activation, noisy)).z)
            off, gradient = g.learn(seen, noisy)
            grads += gradient
            errors.append(off.norm() / noisy.norm().clamp_min(1e-30))
        descend(kept.back, grads)
        return tuple(errors)

    def step_hidden(self, problem: Problem, passed: ForwardPass, targets: list[Tensor], kept: Inverses) -> None:
        """A step of each hidden layer towards its target, through its own activation alone."""
        # Targets scale the loss by 2 eta.
        layers, share = [], 2.0 * self.eta / kept.count
        for i, t in enumerate(targets):
            block, a = passed.blocks[i], passed.input(i, passed.z)
            layers.append(LayerGradient(block, a, miss(block(a), smooth(block.layer.activation), t)[1], share))
        self.rule.step(kept.hidden, layers, problem.regularizer)

    def step_last(self, problem: Problem, passed: ForwardPass, batch: Batch, kept: Inverses) -> None:
        """A step of the last layer on the batch's mean loss."""
        out = passed.blocks[-1](passed.last[0])
        out.track()
        grads = out.to_params(problem.loss.grad(out.z, batch.y) / len(out.z))
        self.last.step(kept.last, [LayerGradient(out.block, out.a, grads, 1.0 / kept.count)], problem.regularizer)

    def evaluate(self, problem: Problem, state: State, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The loss at the forward pass, the regulariser, and how far feedback maps are from inverses."""
        return plain(problem, state, batch), {f"g_{i + 2}": e for i, e in enumerate(state.extra.errors)}


class Feedback:
    """``g_l(h) = s_{l-1}(V h + c)``, of bits of `h` where the layer or the one below is discrete.

    Args:
        passed: The forward pass, whose dropout the activation has.
        i: The layer `l` that it undoes, counted from 0.
        V: Weights, ``(n_{l-1}, n_l)``.
        c: Intercept, ``(n_{l-1},)``.
    """

    def __init__(self, passed: ForwardPass, i: int, V: Tensor, c: Tensor):
        above, below = passed.blocks[i].layer.activation, passed.blocks[i - 1].layer.activation
        self.bits = None if above.differentiable and below.differentiable else above
        self.s = smooth(below)
        self.block = LayerFunction(Layer(Linear(V.shape[1], V.shape[0]), self.s), V, c)

    def __call__(self, h: Tensor) -> Tensor:
        """``g_l(h)``, ``(N, n_{l-1})``."""
        return self.s(self.block(self._taken(h)).z)

    def learn(self, h: Tensor, wanted: Tensor) -> tuple[Tensor, list[Tensor]]:
        """``g_l(h) - wanted``, and the derivatives of the batch mean of its square in `V` and `c`."""
        return miss(self.block(self._taken(h)), self.s, wanted)

    def _taken(self, h: Tensor) -> Tensor:
        return h if self.bits is None else Sign()(h - threshold(self.bits, h))


def miss(out: LayerValue, s: Activation, wanted: Tensor) -> tuple[Tensor, list[Tensor]]:
    """``s(z) - wanted``, and the derivatives of the batch mean of its square in the parameters of the block of `z`."""
    off = s(out.z) - wanted
    return off, out.to_params(s.vjp(off * (2.0 / len(off)), out.z))


def smooth(s: Activation) -> Activation:
    """`s` with tanh in place of `Sign` and the sigmoid in place of `Step`."""
    if isinstance(s, DropoutBefore):
        return replace(s, inner=smooth(s.inner))
    return SMOOTH.get(type(s), s)


def sent(s: Activation, h: Tensor) -> Tensor:
    """What a layer whose smooth activation is `h` sends up: `h`, or the bits of it."""
    if s.differentiable:
        return h
    inner = s.inner if isinstance(s, DropoutBefore) else s
    return inner(h - threshold(s, h))


def threshold(s: Activation, like: Tensor) -> Tensor:
    """The value of the smooth `s` at 0, a scalar: beyond it a unit's pre-activation is positive."""
    inner = s.inner if isinstance(s, DropoutBefore) else s
    return smooth(inner)(like.new_zeros(()))


def _draw(W: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """A feedback map for weights `W`, by Glorot's uniform rule."""
    bound = (6.0 / sum(W.shape)) ** 0.5
    V = to_draw(W, generator, W.shape[::-1]).uniform_(-bound, bound, generator=generator)
    return V.to(W.device), W.new_zeros(W.shape[1])


def _normal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    return to_draw(like, generator).normal_(generator=generator).to(like.device)
