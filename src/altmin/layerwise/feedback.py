"""Feedback maps of difference target propagation: what undoes a layer, of bits where layers send bits."""

from __future__ import annotations

import torch
from torch import Tensor

from altmin.activations import Activation, Sign
from altmin.core.batch import Batch
from altmin.core.problem import Layer
from altmin.draws import to_draw
from altmin.layerwise.function import LayerFunction, LayerValue
from altmin.maps import Linear


class Feedback:
    """``g_l(h) = s_{l-1}(V h + c)``, of bits of `h` where the layer or the one below is discrete.

    Args:
        above: The activation of the layer `l` that it undoes.
        below: The activation of the layer below it, at whose output it ends; with the batch's dropout.
        V: Weights, ``(n_{l-1}, n_l)``.
        c: Intercept, ``(n_{l-1},)``.
    """

    def __init__(self, above: Activation, below: Activation, V: Tensor, c: Tensor):
        self.bits = None if above.differentiable and below.differentiable else above
        self.s = below.smoothed()
        self.function = LayerFunction(Layer(Linear(V.shape[1], V.shape[0]), self.s), V, c)

    def __call__(self, h: Tensor) -> Tensor:
        """``g_l(h)``, ``(N, n_{l-1})``."""
        return self.s(self.function(self._input(h)).z)

    def learn(self, h: Tensor, wanted: Tensor, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        """``g_l(h) - wanted``, and the derivatives of the batch mean of its square in `V` and `c`."""
        return miss(self.function(self._input(h)), self.s, wanted, batch)

    def _input(self, h: Tensor) -> Tensor:
        return h if self.bits is None else Sign()(h - threshold(self.bits, h))


def draw_feedback(W: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Weights and intercept of a feedback map for a layer with weights `W`, by Glorot's uniform rule and zero."""
    bound = (6.0 / sum(W.shape)) ** 0.5
    V = to_draw(W, generator, W.shape[::-1]).uniform_(-bound, bound, generator=generator)
    return V.to(W.device), W.new_zeros(W.shape[1])


def add_noise(h: Tensor, deviation: float, generator: torch.Generator | None) -> Tensor:
    """``h + e`` with Gaussian noise `e` of that standard deviation."""
    return h.add(to_draw(h, generator).normal_(generator=generator).to(h.device), alpha=deviation)


def miss(value: LayerValue, s: Activation, wanted: Tensor, batch: Batch) -> tuple[Tensor, list[Tensor]]:
    """``s(z) - wanted``, and the derivatives of the batch mean of its square in the layer's parameters.

    Args:
        value: The layer's value, ``z``.
        s: Its activation.
        wanted: What ``s(z)`` should be, the shape of `z`.
        batch: The samples.
    """
    off = s(value.z) - wanted
    return off, value.to_params(s.vjp(batch.weighed(off) * (2.0 / batch.size), value.z))


def sent(s: Activation, h: Tensor) -> Tensor:
    """What a layer whose smoothed activation is `h` sends up: `h`, or the bits of it."""
    return h if s.differentiable else s.without_dropout()(h - threshold(s, h))


def threshold(s: Activation, like: Tensor) -> Tensor:
    """The value of the smoothed `s` at 0, a scalar: beyond it a unit's pre-activation is positive."""
    return s.without_dropout().smoothed()(like.new_zeros(()))
