"""What `clock.py` runs against the clock: each contender makes, of a network and a setting, a step on some rows.

Not an experiment itself; run `clock.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

import altmin
from altmin.audit import Gradients
from altmin.convert import problem_of, state_of
from altmin.data import Split
from altmin.layerwise.function import layer_functions
from altmin.methods import Method
from altmin.online.targets import LayerGradient
from altmin.precision import RoundedProducts, rounded

Step = Callable[[Tensor, float], None]


@dataclass(frozen=True)
class Task:
    """What a contender is started with.

    Attributes:
        model: The network.
        train: The samples, of which a step is told the rows.
        rate: The learning rate of the setting, the largest one.
        steps: How many there will be.
    """

    model: nn.Sequential
    train: Split
    rate: float
    steps: int

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Copies of these rows."""
        return self.train.x.index_select(0, rows), self.train.y.index_select(0, rows)


@dataclass(frozen=True)
class Contender:
    """A way to train, and its grid.

    Attributes:
        start: Makes the step: of the rows, and of the share of the run that is done.
        gradients: How far gradients reach.
        centres: For each task a learning rate that is about right.
        batches: Batch sizes.
        factors: What the centre is multiplied by.
    """

    start: Callable[[Task], Step]
    gradients: Gradients
    centres: Mapping[str, float]
    batches: tuple[int, ...] = (128, 256)
    factors: tuple[float, ...] = (0.5, 1.0, 2.0)

    def rates(self, task: str) -> list[float]:
        """Learning rates."""
        return [factor * self.centres[task] for factor in self.factors]

    def smallest(self) -> Contender:
        """The contender with one trial, for a smoke run."""
        return replace(self, batches=self.batches[:1], factors=(1.0,))


Make = Callable[[nn.Sequential, float], Sequence[Optimizer]]
Schedule = Callable[[Optimizer, Task], LRScheduler]


def linear(optimizer: Optimizer, task: Task) -> LRScheduler:
    """The rate falls linearly to zero."""
    return LambdaLR(optimizer, lambda k: 1.0 - k / task.steps)


def constant(optimizer: Optimizer, task: Task) -> LRScheduler:
    """The rate stays."""
    return LambdaLR(optimizer, lambda k: 1.0)


def one_cycle(optimizer: Optimizer, task: Task) -> LRScheduler:
    """One cycle up to the rate and down to nothing, as PyTorch has it: the momentum goes the other way."""
    return OneCycleLR(optimizer, task.rate, total_steps=task.steps + 1)


def adam(model: nn.Sequential, rate: float) -> list[Optimizer]:
    """Adam, fused."""
    return [torch.optim.Adam(model.parameters(), rate, fused=True)]


def adamw(model: nn.Sequential, rate: float) -> list[Optimizer]:
    """AdamW with PyTorch's weight decay, fused."""
    return [torch.optim.AdamW(model.parameters(), rate, fused=True)]


def sgd(model: nn.Sequential, rate: float) -> list[Optimizer]:
    """SGD with Nesterov's momentum, fused."""
    return [torch.optim.SGD(model.parameters(), rate, momentum=0.9, nesterov=True, fused=True)]


def muon(model: nn.Sequential, rate: float) -> list[Optimizer]:
    """Muon for the hidden layers' matrices, in steps of Adam's size; Adam for intercepts and the last layer."""
    *hidden, last = (module for module in model if isinstance(module, nn.Linear))
    matrices = torch.optim.Muon(
        [layer.weight for layer in hidden], rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"
    )
    return [matrices, torch.optim.Adam([*(layer.bias for layer in hidden), *last.parameters()], rate, fused=True)]


def by_torch(make: Make, schedule: Schedule, task: Task, bf16: bool = False) -> Step:
    """Backpropagation in plain PyTorch; with `bf16` forwards, and so back, under autocast."""
    optimizers = make(task.model, task.rate)
    schedules = [schedule(optimizer, task) for optimizer in optimizers]

    def step(rows: Tensor, done: float) -> None:
        x, y = task.batch(rows)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = cross_entropy(task.model(x), y)
        task.model.zero_grad()
        loss.backward()
        for moving in (*optimizers, *schedules):
            moving.step()

    return step


def by_method(make: Callable[[float], Method], task: Task) -> Step:
    """A method of the library, whose rates fall linearly to zero."""
    trainer = altmin.Trainer(task.model, make(task.rate))

    def step(rows: Tensor, done: float) -> None:
        trainer.step(task.train.x, task.train.y, rows=rows, done=done)

    return step


def product(a: Tensor, b: Tensor) -> Tensor:
    """``a b`` of bfloat16 matrices, rounded to bfloat16 as under autocast."""
    return (a @ b).float()


def by_bf16(make: Callable[[float], Method], task: Task) -> Step:
    """The same with products in bfloat16, by the mode that the library has for CUDA.

    On a CPU its ``precision="bf16"`` asks oneDNN to round float32 operands, which needs AMX; processors that have only
    AVX-512's products of bfloat16, which autocast uses, stay in float32.
    """
    step, mode = by_method(make, task), RoundedProducts(product)

    def rounding(rows: Tensor, done: float) -> None:
        with rounded(mode):
            step(rows, done)

    return rounding


def by_ridge(task: Task) -> Step:
    """AMRidge for mini-batches: the rate is that of its outputs' targets, and falls linearly to zero like all others.

    The method has no decay of its own, so the trainer is given one of a smaller step every time.
    """
    method = altmin.AMRidge(task.rate, forget=0.9)
    trainer = altmin.Trainer(task.model, method)

    def step(rows: Tensor, done: float) -> None:
        trainer.method = replace(method, step_size=(1.0 - done) * task.rate)
        trainer.step(task.train.x, task.train.y, rows=rows)

    return step


def by_newtons_rule(task: Task) -> Step:
    """The rule of AM-Newton, as it comes, on gradients that autograd passes through all layers."""
    problem, rule = problem_of(task.model), altmin.Newton(task.rate)
    functions = layer_functions(problem, state_of(task.model))
    memory, parameters = rule.init(functions), list(task.model.parameters())

    def step(rows: Tensor, done: float) -> None:
        a, y = task.batch(rows)
        inputs: list[Tensor] = []
        for module in task.model:
            if isinstance(module, nn.Linear):
                inputs.append(a.detach())
            a = module(a)
        grads = torch.autograd.grad(cross_entropy(a, y), parameters)
        with torch.no_grad():
            pairs = zip(functions, inputs, grads[::2], grads[1::2], strict=True)
            layers = [LayerGradient(function, a, [W, b], 0.0) for function, a, W, b in pairs]
            rule.step(memory, layers, problem.regularizer, 1.0 - done)

    return step


def newton(rate: float) -> Method:
    """AM-Newton as it comes, but for the learning rate."""
    return altmin.OnlineAM.newton(altmin.Newton(rate))


def am_adam(rate: float) -> Method:
    """AM-Adam as it comes, but for the learning rate."""
    return altmin.OnlineAM(rule=altmin.Adam(rate), last=altmin.Adam(rate))


def centres(mnist: float, fashion: float, cifar10: float, higgs: float) -> dict[str, float]:
    """Learning rates by task."""
    return {"mnist": mnist, "fashion-mnist": fashion, "cifar10": cifar10, "higgs": higgs}


FULL, LAYER, NONE = Gradients.BACKPROP, Gradients.LAYER, Gradients.NONE
ADAMS, NEWTONS = centres(0.0025, 0.0015, 0.001, 0.005), centres(0.35, 0.3, 0.5, 0.5)
WIDER = (200, 300)
# Matrix functions cost the same for any batch, so that Muon and AMRidge take larger ones.
CONTENDERS = {
    "adam": Contender(partial(by_torch, adam, linear), FULL, ADAMS),
    "adam-bf16": Contender(partial(by_torch, adam, linear, bf16=True), FULL, ADAMS),
    "adamw-cycle": Contender(partial(by_torch, adamw, one_cycle), FULL, ADAMS),
    "sgd-cycle": Contender(partial(by_torch, sgd, one_cycle), FULL, centres(0.125, 0.1, 0.06, 0.3)),
    "muon": Contender(partial(by_torch, muon, linear), FULL, centres(0.007, 0.006, 0.006, 0.012), (256, 512)),
    "newton-autograd": Contender(by_newtons_rule, FULL, NEWTONS, WIDER),
    "am-newton": Contender(partial(by_method, newton), LAYER, NEWTONS, WIDER),
    "am-newton-bf16": Contender(partial(by_bf16, newton), LAYER, NEWTONS, WIDER),
    "am-adam": Contender(partial(by_method, am_adam), LAYER, ADAMS),
    "am-ridge": Contender(by_ridge, NONE, centres(0.5, 0.5, 0.5, 0.5), (500, 1000)),
}
