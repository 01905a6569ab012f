"""Online alternating minimisation: AM-Adam, AM-SGD and AM-mem, and altmin's own AM-Newton.

Choromanska et al., "Beyond backprop" (ICML 2019, arXiv:1806.09077), Algorithms 1 to 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from altmin.audit import Gradients
from altmin.checks import component, number
from altmin.core.problem import Problem, T, trained
from altmin.core.state import State
from altmin.layerwise.function import layer_functions
from altmin.layerwise.last_layer import refit_last
from altmin.methods.base import Method, Terms
from altmin.methods.registry import method
from altmin.online.codes import Codes, Mu
from altmin.online.compiled import prepare_compiled, refuse, require_compiler
from altmin.online.forward_pass import forward_pass
from altmin.online.memory import OnlineMemory
from altmin.online.rules import SGD, Adam, CoActivationMemory, Newton, OptimizerRule, Rule, StepRule
from altmin.online.targets import BatchTargets, layer_targets
from altmin.schedules import DECAYS, decay, epoch_decay, halved
from altmin.sweep import Sweep, network_terms

PAPER = "Choromanska et al. (ICML 2019)"


@method("am-adam", title="online alternating minimisation by Adam", paper=PAPER)
@dataclass(frozen=True)
class OnlineAM(Method):
    """Minimise ``R(W_L s(C_{L-1}); Y) + mu sum_{l<L} ||C_l - W_l s(C_{l-1})||^2`` batch by batch.

    A step finds codes by gradient steps from the forward pass, last layer to first, then moves the last layer on the
    loss and each hidden layer, on its own, towards its codes. No gradient passes through more than one layer. The
    defaults were chosen on validation (``experiments/online_defaults.py``): weights that learn from the forward pass,
    and one code step, which for Adam hands down whole what moves the code above: layers then follow the gradients of
    backpropagation. The paper's is ``OnlineAM(codes=Codes(steps=5), regressors="codes", decay="none")``.

    Attributes:
        rule: How hidden weights move: `Adam`, `SGD`, `OptimizerRule`, `CoActivationMemory` (AM-mem) or `Newton`.
        last: How the last layer moves on the loss.
        codes: How codes are found.
        mu: The penalty and its schedule.

    Deviations: the defaults; Adam for the last layer, where the paper has SGD. Losses are means over the batch here,
    sums elsewhere. The codes' proximity term is centred at the forward value, which the authors' code forgets to hold
    fixed. Nesterov's momentum and the memory's stop at changes below 1e-3 are the authors' code's. Weights have the
    problem's regulariser (l1 is the paper's weight sparsity), by its prox behind each step, and codes likewise. Sign
    and step are crossed by their prox (P1), where the authors' code has a straight-through estimator (`Codes.jumps` has
    both); layers above them learn from forward activations, since targets that jumped are no inputs that the network
    will see. Squares are sums over a sample's entries and code steps relative to the inverse curvature
    (`Codes.scaling`); codes inside an `Elman` ignore both. The memory forgets and has the intercept as a column.

    Example:
        >>> OnlineAM(rule=SGD(1.0), last=SGD(0.1), codes=Codes(steps=1)).weight_steps
        1
    """

    online = batched = weighs = True
    default_batch = 200
    cure = "a smaller learning rate or a larger `mu.start`"
    unsupported = frozenset()

    rule: Adam | SGD | OptimizerRule | CoActivationMemory | Newton = component(Adam, Rule, "Adam(...)")
    last: Adam | SGD | OptimizerRule | Newton = component(Adam, StepRule, "SGD(...)")
    codes: Codes = component(Codes, Codes, "Codes(steps=1)")
    mu: Mu = component(Mu, Mu, "Mu(start=1.0)")
    weight_steps: int = number(1, "weight steps a batch", least=1, paper="LeNet-5: 1, RNN: 5; the authors' code: 1")
    regressors: str = number("forward", "what weights learn from", choices=("codes", "forward"), paper="codes")
    halve_every: int = number(0, "epochs between halvings of rates; 0: none", least=0, paper="the authors' code: 8")
    decay: str = decay("linear")
    epoch_decay: float = epoch_decay()
    refit: bool = number(False, "fit the last layer to the whole data at the end; the records do not show it")
    compile: bool = number(False, "compile the steps, for long runs of small linear layers: it takes up to a minute")

    @classmethod
    def newton(cls, rule: Newton = Newton()) -> OnlineAM:  # noqa: B008, it is frozen
        """AM-Newton: every layer by `rule`."""
        return cls(rule=rule, last=rule, codes=Codes(scaling="gradients", momentum=0.0))

    @property
    def gradients(self) -> Gradients:  # type: ignore[override]
        """Within a layer, unless sign and step are crossed by the straight-through estimator."""
        return Gradients.LAYER if self.codes.jumps == "prox" else Gradients.STRAIGHT_THROUGH

    def check(self, problem: Problem) -> None:
        """Refuse what the rules do not take, and what cannot be compiled."""
        super().check(problem)
        self.rule.check(problem)
        self.last.check(problem)
        if self.refit and problem.regularizer.constraint:
            omega = problem.regularizer
            raise TypeError(f"`refit` fits a last layer without its regulariser, which {omega!r} must have")
        if self.compile:
            refuse(problem, self.rule, self.mu, self.weight_steps)

    def init(self, sweep: Sweep[Any]) -> None:
        """``mu`` at its start, and optimisers or empty memories for the weights."""
        if self.compile:
            require_compiler(sweep.batch.x.device)
        groups = self.groups(sweep.problem, layer_functions(sweep.problem, sweep.state))
        sweep.state.memory = OnlineMemory(self.mu.start, [rule.init(group) for rule, group in groups])

    def groups(self, problem: Problem, own: list[T]) -> list[tuple[Rule[Any], list[T]]]:
        """Which rule moves which layers, each of which has something in `own`; nothing moves frozen ones."""
        hidden, last = (trained(problem.layers[part], own[part]) for part in (slice(-1), slice(-1, None)))
        if self.rule == self.last:  # one optimiser costs less than two
            return [(self.last, hidden + last)]
        return [(self.rule, hidden), (self.last, last)]

    def step(self, sweep: Sweep[OnlineMemory]) -> None:
        """One mini-batch of Algorithm 1: codes, last layer to first, then each layer's weights on its own objective."""
        memory, state = sweep.memory, sweep.state
        memory.update_mu(self.mu, state)
        found = prepare_compiled(self.prepare, sweep) if self.compile else self.prepare(sweep)
        sweep.note_outputs(found.outputs)
        factor = self.epoch_decay**state.epoch * halved(state.epoch, self.halve_every)
        factor *= DECAYS[self.decay](sweep.batch.done, state.k)
        for (rule, targets), own in zip(self.groups(sweep.problem, list(found.layers)), memory.rules, strict=True):
            rule.learn(own, targets, sweep.problem.regularizer, self.weight_steps, factor)
        memory.power, memory.codes, memory.forward = found.power, found.codes, found.forward

    def prepare(self, sweep: Sweep[OnlineMemory]) -> BatchTargets:
        """Algorithm 2: a forward pass, codes that start from it, and what each layer has to learn of them."""
        memory, updated = sweep.memory, self.regressors == "codes"
        start = forward_pass(sweep, estimated=self.codes.jumps == "straight-through")
        settings = self.codes.for_rule(self.rule)
        power = settings.power(sweep, start, memory.power)
        codes = settings.find(start, power, memory.mu)
        targets = layer_targets(start, codes, settings, updated, memory.mu, sweep.state.samples)
        return BatchTargets(start.z, start.top.z, codes, power, targets)

    def evaluate(self, sweep: Sweep[OnlineMemory]) -> tuple[Terms, dict[str, Tensor]]:
        """The loss at the forward pass, where the penalty is zero, and how far the last batch's codes moved from it."""
        return network_terms(sweep), sweep.memory.moved()

    def scalars(self, state: State[OnlineMemory]) -> dict[str, float]:
        """``mu`` of the iteration."""
        return {"mu": state.memory.mu}

    def finish(self, sweep: Sweep[Any]) -> None:
        """Where asked, the last layer refitted to all samples, unregularised (Carreira-Perpinan and Wang 2014)."""
        if self.refit:
            refit_last(sweep)
