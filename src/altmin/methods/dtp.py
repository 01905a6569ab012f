"""Difference target propagation.

Lee, Zhang, Fischer and Bengio, "Difference target propagation" (ECML PKDD 2015, arXiv:1412.7525), Algorithm 1; its
Section 3.3 has the network whose hidden units exchange bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from altmin.audit import Gradients
from altmin.checks import component, number
from altmin.core.problem import trained
from altmin.layerwise.feedback import Feedback, add_noise, draw_feedback, miss, sent
from altmin.layerwise.function import layer_functions
from altmin.methods.base import Method, Terms
from altmin.methods.registry import method
from altmin.online.forward_pass import ForwardPass, forward_pass
from altmin.online.memory import Inverses
from altmin.online.rules import SGD, Adam, GradientRule, descend
from altmin.online.targets import LayerGradient, LossTarget
from altmin.sweep import Sweep, network_terms


@method("dtp", title="difference target propagation", paper="Lee et al. (ECML PKDD 2015)")
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
    the layer that it leads to, whatever that is. In the paper's discrete network the last hidden layer is continuous; a
    discrete one is allowed here. Dropout is the batch's own, the same forwards, backwards and under noise. Weights are
    regularised by a prox behind each step; feedback maps are not. Defaults suit a tanh network and the binary one on
    20,000 samples of MNIST.

    Example:
        >>> DTP(rule=SGD(0.01), noise=0.3).eta
        3.0
    """

    online = True
    batched = True
    weighs = True
    default_batch = 200
    cure = "a smaller `eta` or smaller learning rates"
    gradients = Gradients.LAYER
    unsupported = frozenset({"Conv1d", "Conv2d", "Elman", "pooling or reshaping", "residual connections"})

    rule: Adam | SGD = component(partial(Adam, 0.0005), GradientRule, "Adam(...)")
    last: Adam | SGD = component(partial(Adam, 0.001), GradientRule, "Adam(...)")
    feedback: Adam | SGD = component(partial(Adam, 0.005), GradientRule, "Adam(...)")
    eta: float = number(3.0, "step from the last hidden activation to its target", above=0.0)
    noise: float = number(0.1, "standard deviation of the noise that feedback maps learn on", least=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.feedback, SGD) and self.feedback.radius is not None:
            raise ValueError("`feedback`: a `radius` holds layers of the network alone, not feedback maps")

    def init(self, sweep: Sweep[Any]) -> None:
        """Feedback maps drawn from the state's generator (Glorot's uniform), and the optimisers of all weights."""
        state = sweep.state
        *hidden, last = layer_functions(sweep.problem, state)
        maps = [draw_feedback(function.W, state.generator) for function in hidden[1:]]
        V, c = [V for V, _ in maps], [c for _, c in maps]
        back = self.feedback.memory_of([t for pair in maps for t in pair])
        layers = sweep.problem.layers
        rules = self.rule.init(trained(layers[:-1], hidden)), self.last.init(trained(layers[-1:], [last]))
        state.memory = Inverses(V, c, *rules, back)

    def step(self, sweep: Sweep[Inverses]) -> None:
        """One mini-batch of Algorithm 1; weights, running statistics and feedback maps are written in place."""
        memory, start, omega = sweep.memory, forward_pass(sweep), sweep.problem.regularizer
        sweep.note_outputs(start.top.z)
        activations = [function.layer.activation for function in start.functions]
        h = [s.smoothed()(z) for s, z in zip(activations, start.z, strict=False)]
        layers = enumerate(zip(memory.V, memory.c, strict=True), start=1)
        maps = {i: Feedback(activations[i], activations[i - 1], V, c) for i, (V, c) in layers}
        targets = self.find_targets(start, h, maps)
        memory.errors = self.step_feedback(sweep, start, h, maps)
        weight = 2.0 * self.eta / sweep.state.samples  # targets scale the loss by 2 eta
        layers, hidden = sweep.problem.layers, self.hidden_gradients(start, targets, weight)
        self.rule.step(memory.hidden, trained(layers[:-1], hidden), omega)
        last = LossTarget(start, *start.last, start.top, sweep.state.samples)
        self.last.step(memory.last, trained(layers[-1:], [last.gradient()]), omega)

    def find_targets(self, start: ForwardPass, h: list[Tensor], maps: dict[int, Feedback]) -> list[Tensor]:
        """``t_l`` of the hidden layers: a gradient step for the last, difference target propagation below."""
        if not h:
            return []
        top = start.top
        targets = [h[-1].sub(top.to_input(start.loss.grad(top.z, start.y)), alpha=self.eta)]
        for i in reversed(range(1, len(h))):
            targets.append(h[i - 1] + (maps[i](targets[-1]) - maps[i](h[i])))
        return targets[::-1]

    def step_feedback(
        self, sweep: Sweep[Inverses], start: ForwardPass, h: list[Tensor], maps: dict[int, Feedback]
    ) -> list[Tensor]:
        """A step of each feedback map on its denoising error; the relative errors before it."""
        grads: list[Tensor] = []
        errors: list[Tensor] = []
        for i, g in maps.items():
            function, below = start.functions[i], start.functions[i - 1].layer.activation
            noisy = add_noise(h[i - 1], self.noise, sweep.state.generator)
            off, gradient = g.learn(
                function.layer.activation.smoothed()(function(sent(below, noisy)).z), noisy, sweep.batch
            )
            grads += gradient
            square, whole = map(sweep.batch.squares, (off, noisy))
            errors.append((square / whole.clamp_min(1e-30)).sqrt())
        descend(sweep.memory.back.optimizer, grads)
        return errors

    def hidden_gradients(self, start: ForwardPass, targets: list[Tensor], weight: float) -> list[LayerGradient]:
        """Of each hidden layer towards its target, through its own activation alone."""
        layers = []
        for i, (function, t) in enumerate(zip(start.functions, targets, strict=False)):
            a = start.hidden[i].a
            grads = miss(function(a), function.layer.activation.smoothed(), t, start.batch)[1]
            layers.append(LayerGradient(function, a, grads, weight, start.batch.sample_weight))
        return layers

    def evaluate(self, sweep: Sweep[Inverses]) -> tuple[Terms, dict[str, Tensor]]:
        """The loss at the forward pass, the regulariser, and how far feedback maps are from inverses."""
        return network_terms(sweep), {f"g_{i + 2}": error for i, error in enumerate(sweep.memory.errors)}
