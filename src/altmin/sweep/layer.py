"""A layer as methods see it: its variables, its prediction and residual, and the subproblems as verbs."""

from __future__ import annotations

from altmin.sweep.solve import SolveVerbs
from altmin.sweep.step import StepVerbs


class LayerView(SolveVerbs, StepVerbs):
    """One layer of a `Sweep`.

    `LayerReads` has its variables and what they predict, `SolveVerbs` the exact minimisers of one block, and
    `StepVerbs` single majorised steps. What the verbs do not offer is computed from what can be read here and written
    in place, as in ``layer.W.copy_(...)``; products that were kept of the old values are then made anew.

    Attributes:
        sweep: What it belongs to; ``sweep.batch`` has the samples.
        i: Which layer, from 0.
        last: Whether it is the last layer: it has no `above`, and an `a` only where the method has an output variable.
        layer: The layer of the problem, with its normalisation and residual connection.
        map: The layer's map: ``map.gradient`` and ``map.adjoint`` take derivatives to the weights and to the input.
        activation: The layer's activation function.
    """
