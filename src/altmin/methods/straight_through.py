"""The straight-through estimator: backpropagation past steps that have no derivative.

Hubara, Courbariaux, Soudry, El-Yaniv and Bengio, "Binarized neural networks" (NeurIPS 2016, arXiv:1602.02830);
Bengio, Leonard and Courville (arXiv:1308.3432).
"""

from __future__ import annotations

from dataclasses import dataclass

from altmin.audit import Gradients
from altmin.core.problem import Problem
from altmin.methods.backprop import Backprop
from altmin.methods.registry import method


@method("straight-through", title="straight-through estimator", paper="Hubara et al. (NeurIPS 2016)")
@dataclass(frozen=True)
class StraightThrough(Backprop):
    """Backpropagation through `Sign` and `Step` as if they were hard tanh: the straight-through estimator.

    It minimises the mean loss of a batch plus ``sum Omega`` over ``N``. The forward pass is the network's own; where
    the derivative of ``sign z`` is asked for, it is 1 where ``|z| <= 1`` and 0 elsewhere, and that of
    ``step z = (1 + sign z)/2`` is half of it.

    Deviations: the network that Lee et al. (2015) and Choromanska et al. (2019) compare with keeps the derivative of
    a tanh in front of the sign and ignores the sign's; here there is no tanh, and hard tanh stands for both.

    Example:
        >>> StraightThrough("sgd", lr=0.1).lr
        0.1
    """

    gradients = Gradients.STRAIGHT_THROUGH
    estimated = True

    def check(self, problem: Problem) -> None:
        """Refuse networks without a `Sign` or `Step`."""
        super().check(problem)
        if all(layer.activation.differentiable for layer in problem.layers):
            raise TypeError(
                "StraightThrough needs a Sign or Step: without one it is plain backpropagation, use Backprop"
            )
