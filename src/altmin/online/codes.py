"""Codes of online alternating minimisation: their numbers, and how those of a batch are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from altmin.checks import Checked, number
from altmin.layerwise.function import layer_functions
from altmin.online.code_objective import CodeObjective
from altmin.online.code_steps import crossing, nesterov
from altmin.online.forward_pass import ForwardPass
from altmin.sweep import Sweep

if TYPE_CHECKING:
    from altmin.online.rules import Rule


@dataclass(frozen=True)
class Codes(Checked):
    """How codes are found: `steps` of gradient descent with Nesterov's momentum from the forward value.

    The codes of a hidden layer ``C`` are to lower, last layer to first and with the updated codes above them,
    ``E + proximity D + (sparsity/mu) S``. ``E`` is ``R/mu`` for the last hidden layer, whose activations the loss sees,
    and below that the squared distance of the next layer's value from its codes; ``D`` is the squared distance of ``C``
    from its forward value, and ``S`` is the codes' l1 norm. `scaling` says how these are averaged: with ``"samples"``
    all are sums over samples and entries; with ``"entries"`` ``R`` is the mean over samples, and squares and ``S`` are
    means over samples and entries; with ``"gradients"`` all are sums, and each of the squares counts by half.
    A residual connection adds what it leads to, in the same way: squares, or ``R/mu``.

    `sparsity` holds for codes that move along derivatives; codes of sign and step that are crossed by their prox ignore
    it. The codes inside a recurrence (`altmin.nn.Elman`), one for each time step, ignore both `scaling` and `sparsity`:
    their own objective has sums of whole squares and no l1 norm.

    Attributes:
        scaling: ``"samples"``: losses and squares are sums over a sample's entries and `lr` is relative to the inverse
            curvature, so that `lr` and `mu` do not depend on batch, width or the size of the weights; ``"entries"``:
            means over batch and entries and an absolute `lr`, as in the authors' code; ``"gradients"``: sums, half of
            each square, and an absolute `lr`, so that one step of 1 without momentum passes on whole what moves the
            code above; ``"auto"``: that one step where `steps` is 1 and the rule of the weights takes no account of how
            long a gradient is, as Adam, else ``"samples"`` (`for_rule`).
        jumps: ``"prox"``: sign and step are crossed by `crossing`, which takes no derivative;
            ``"straight-through"``: by code steps along the derivative of hard tanh.
        flip_step, flip_cost, flip_margin: See `crossing`.

    Example:
        >>> Codes(steps=1, momentum=0.0, scaling="gradients").lr
        1.0
    """

    steps: int = number(
        1,
        "code steps a batch",
        least=0,
        paper="1 for LeNet-5, 5 for the recurrent network; the authors' code: 5",
    )
    lr: float = number(
        1.0,
        "step size of the codes, relative to the inverse curvature with scaling samples",
        above=0.0,
        paper="1 for LeNet-5; the authors' code: 0.3 with scaling entries",
    )
    momentum: float = number(
        0.9, "Nesterov's momentum of the codes", least=0.0, most=1.0, paper="not given; the authors' code: 0.9"
    )
    proximity: float = number(
        1.0,
        "weight of the codes' distance from their forward value; less moves deep networks more",
        above=0.0,
        paper="1",
    )
    sparsity: float = number(0.0, "weight of the codes' l1 norm", least=0.0, paper="not given; the authors' code: 0")
    jumps: str = number(
        "prox",
        "how sign and step are crossed: by P1, or by the straight-through estimator",
        choices=("prox", "straight-through"),
        paper="not given; the authors' code: straight-through",
    )
    flip_step: float = number(1.0, "how far targets of sign and step move, relative to the gradient's size", above=0.0)
    flip_cost: float = number(400.0, "proximity (r of P1) that a code has to overcome to cross a jump", above=0.0)
    flip_margin: float = number(0.3, "how far behind the jump a code lands, relative to its unit's size", least=0.0)
    scaling: str = number(
        "auto",
        "what losses and squares are averaged over, and what code steps are relative to",
        choices=("auto", "samples", "entries", "gradients"),
        paper="sums, of one sample; the authors' code: entries",
    )

    def for_rule(self, rule: Rule[Any]) -> Codes:
        """These numbers with the scaling that ``"auto"`` stands for where weights move by `rule`; made once for all."""
        if self.scaling != "auto":
            return self
        return _by_gradients(self) if self.steps == 1 and rule.scale_free else _by_samples(self)

    @property
    def square_slope(self) -> float:
        """`w` where a square ``||v||^2`` has the derivative ``w v``: half of each counts with scaling gradients."""
        return 1.0 if self.scaling == "gradients" else 2.0

    def weights(self, start: ForwardPass, mu: float) -> list[float]:
        """The weight of each layer's half squares, and of the loss, in the codes' objectives.

        With scaling samples these are half of what they should be, as their distance to the forward value is: steps are
        relative to the curvature, and a weight of 1 costs nothing.
        """
        if self.scaling == "entries":
            size = start.batch.size
            return [2.0 / (z[0].numel() * size) for z in start.z] + [1.0 / (mu * size)]
        return [1.0] * len(start.z) + [1.0 / (self.square_slope * mu)]

    def threshold(self, c: Tensor, mu: float, size: float) -> float:
        """The weight of ``||C||_1`` beside the half squares of `weights`: it is ``sparsity/mu`` beside ``E``.

        Args:
            c: The code.
            mu: The penalty.
            size: What the samples count together.
        """
        return self.sparsity / (mu * (c[0].numel() * size if self.scaling == "entries" else self.square_slope))

    def power(self, sweep: Sweep[Any], start: ForwardPass, before: Sequence[Tensor]) -> list[Tensor]:
        """The power iteration of the layer above each code, where code steps are relative to it; else none.

        Args:
            sweep: Gives the weights.
            start: The forward pass.
            before: What this gave for the batch before; none at first.
        """
        if self.scaling != "samples":
            return []
        above = layer_functions(sweep.problem, sweep.state)[1:]
        layers = zip(above, start.a, before or [None] * len(above), strict=True)
        return [function.power_iteration(a, r) for function, a, r in layers]

    def find(self, start: ForwardPass, power: Sequence[Tensor], mu: float) -> list[Tensor]:
        """Codes, last to first; each moves towards the updated code above and to its forward value.

        Args:
            start: The forward pass.
            power: What `power` gave.
            mu: The penalty.
        """
        codes: list[Tensor | None] = [*start.unmoved]
        weights, size = self.weights(start, mu), start.batch.size
        for i, c in reversed(list(enumerate(start.z))):
            proximity = self.proximity * (2.0 / (c[0].numel() * size) if self.scaling == "entries" else 1.0)
            objective, lr = CodeObjective(start, codes, i, weights, proximity, self.steps), self.lr
            if self.scaling == "samples":
                lr = lr / objective.curvature(torch.linalg.vector_norm(power[i]))
            if start.smooth(i):
                how = self.steps, lr, self.momentum, self.threshold(c, mu, size)
                codes[i] = nesterov(c, objective.gradient, *how, objective.first_gradient)
            else:
                codes[i] = self.cross(objective, lr)
        return [start.code(i, codes) for i in range(len(codes))]

    def cross(self, objective: CodeObjective, lr: float | Tensor) -> Tensor:
        """The code of a step function: a gradient step on what does not go through it, and then `crossing`."""
        start, i = objective.start, objective.i
        c, s = start.z[i], start.functions[i].layer.activation
        through, direct = objective.first_derivatives
        c = c if direct is None else c - lr * direct
        return crossing(s, c, through, self.flip_step, self.flip_cost, self.flip_margin, start.batch)


@dataclass(frozen=True)
class Mu(Checked):
    """The penalty `mu`: ``add`` after each batch, times ``factor`` after each epoch, at most ``most``.

    Example:
        >>> Mu(start=0.01, add=1e-7, factor=1.1).after(0.01, ends_epoch=False)
        0.0100001
    """

    start: float = number(
        1.0,
        "mu at the start",
        above=0.0,
        paper="0.01 for LeNet-5 and the recurrent network; the authors' code: 0.003 with scaling entries",
    )
    add: float = number(
        0.0,
        "added to mu after each batch",
        least=0.0,
        paper="1e-7 or 1e-5 for LeNet-5, 0.01 or 1e-4 for the recurrent network; the authors' code: 0",
    )
    factor: float = number(
        1.0,
        "what mu is multiplied by after each epoch",
        least=1.0,
        paper="1.1 for LeNet-5, 1.1 or 1 for the recurrent network; the authors' code: 1",
    )
    most: float = number(
        1.5,
        "largest mu",
        above=0.0,
        paper="1.5 for LeNet-5, 1 for the recurrent network; the authors' code: 0.03",
    )

    def after(self, mu: float, ends_epoch: bool) -> float:
        """`mu` after a batch."""
        return min((mu + self.add) * (self.factor if ends_epoch else 1.0), max(self.most, self.start))


@cache
def _by_gradients(codes: Codes) -> Codes:
    return replace(codes, scaling="gradients", momentum=0.0)


@cache
def _by_samples(codes: Codes) -> Codes:
    return replace(codes, scaling="samples")
