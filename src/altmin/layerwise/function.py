"""One layer as a differentiable function, in closed form: what the code and weight steps of online methods need.

It is ``z = W a + b``, followed by a normalisation and by a residual connection where the layer has
them. The derivatives stay within the layer: no autograd graph is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from altmin import audit
from altmin.core.normalisation import NormStatistics
from altmin.core.problem import Layer, Problem
from altmin.core.state import Norm, State
from altmin.maps import MapAt

POWER_STEPS = 5
WAKE = 1e-3
TINY = 1e-15  # its square is a float32


@dataclass(frozen=True)
class LayerFunction:
    """A layer at its weights: ``z = W a + b``, normalised, and a residual connection added.

    Attributes:
        layer: The layer.
        W: Weights, as `State.W` has them.
        b: Intercept, ``(q,)``.
        norm: The numbers of its normalisation, or `None`.
        reads_data: Whether its input is the data, whose scale is the user's.
        depth: How many layers the network has.

    Example:
        >>> from altmin import Layer
        >>> from altmin.activations import Identity
        >>> from altmin.maps import Linear
        >>> value = LayerFunction(Layer(Linear(2, 1), Identity()), torch.ones(1, 2), torch.zeros(1))(torch.ones(3, 2))
        >>> value.to_params(torch.ones(3, 1))
        [tensor([[3., 3.]]), tensor([3.])]
    """

    layer: Layer
    W: Tensor
    b: Tensor
    norm: Norm | None = None
    reads_data: bool = False
    depth: int = 1

    def params(self) -> list[Tensor]:
        """What is trained: ``W``, ``b`` where the layer has one, scale and shift where it is normalised."""
        out = [self.W, *([self.b] if self.layer.map.bias else [])]
        return out if self.norm is None else [*out, self.norm.scale, self.norm.shift]

    def power_iteration(self, a: Tensor, before: Tensor | None = None) -> Tensor:
        """A vector whose norm estimates ``||dz/da||_2^2`` at the first sample of `a`, by power iteration.

        It goes on in the space of `z`, where it does not matter which number of a window is the largest. Batch
        normalisation counts by its running variance, that of samples by the sample's.

        Args:
            a: Inputs, ``(N, ...)``.
            before: What this gave for weights that were nearly the present ones; one step is enough then.

        Returns:
            A tensor of the shape of one sample's `z`, ``(1, q, ...)``.
        """
        at, W = a[:1], self.W
        near = self.layer.map.at(at)
        if self.norm is not None and self.layer.norm is not None:
            factor = self.layer.norm.factors(near.value(W, self.b), self.norm)[0]
            W = W * factor.view(*W.shape[:-1], 1)
        if before is None:
            r = torch.zeros_like(near.value(W, self.b))
            r[:, W.flatten(0, -2).square().sum(1).argmax()] = 1.0
        else:
            size = torch.linalg.vector_norm(before).clamp_min(TINY)
            r = torch.add(before, size, alpha=WAKE)  # no direction is lost for good
        for _ in range(POWER_STEPS if before is None else 1):
            r = near.image(W, near.adjoint(W, r)) / torch.linalg.vector_norm(r).clamp_min(TINY)
        return r

    def __call__(self, a: Tensor, skip: Tensor | None = None) -> LayerValue:
        """The layer's value at `a`, with what its derivatives need.

        Args:
            a: The input.
            skip: What a residual connection adds.
        """
        near = self.layer.map.at(a)
        z, statistics = near.value(self.W, self.b), None
        if self.norm is not None and self.layer.norm is not None:
            z, statistics = self.layer.norm.at(z, self.norm)
        return LayerValue(self, near, a, z if skip is None else z + skip, statistics)


@dataclass(frozen=True)
class LayerValue:
    """A layer's value `z` at `a`, and what its derivatives there need.

    Attributes:
        function: The layer at its weights.
        near: Its map at `a`.
        a: The input.
        z: The value, ``(N, q, ...)``.
        statistics: Of the batch, where the layer normalises by them.
    """

    function: LayerFunction
    near: MapAt
    a: Tensor
    z: Tensor
    statistics: NormStatistics | None = None

    def _behind_norm(self, r: Tensor, params: bool = False) -> tuple[Tensor, list[Tensor]]:
        """The cotangent `r` of `z` pulled back through the normalisation, and those of its scale and shift."""
        norm, normalisation = self.function.norm, self.function.layer.norm
        if norm is None or normalisation is None or self.statistics is None:
            return r, []
        return normalisation.vjp(r, norm, self.statistics, params)

    def to_input(self, r: Tensor) -> Tensor:
        """``(dz/da)^T r``, the shape of `a`."""
        audit.require_local(r)
        return audit.passed(self.near.adjoint(self.function.W, self._behind_norm(r)[0]))

    def to_params(self, r: Tensor) -> list[Tensor]:
        """``(dz/dparams)^T r``, in the order of `LayerFunction.params`."""
        audit.require_local(r)
        raw, others = self._behind_norm(r, params=True)
        bias = [raw.sum((0, *range(2, raw.ndim)))] if self.function.layer.map.bias else []
        return [self.near.gradient(raw), *bias, *others]

    @torch.no_grad()
    def track(self) -> None:
        """Move running statistics towards this batch's, in place, where the layer's normalisation has any."""
        norm, normalisation = self.function.norm, self.function.layer.norm
        if norm is not None and normalisation is not None and self.statistics is not None:
            normalisation.track(norm, self.statistics)


def layer_functions(problem: Problem, state: State[Any]) -> list[LayerFunction]:
    """The layers of `problem` with the weights of `state`."""
    layers, depth = zip(problem.layers, state.W, state.b, state.norm, strict=True), len(problem.layers)
    return [LayerFunction(*numbers, reads_data=i == 0, depth=depth) for i, numbers in enumerate(layers)]
