"""A layer as methods see it: its variables, its prediction and residual, and the subproblems as verbs."""

from __future__ import annotations

from altmin.sweep.solve import SolveVerbs
from altmin.sweep.step import StepVerbs


class LayerView(SolveVerbs, StepVerbs):
    """One layer of a `Sweep`.

    `LayerReads` has its variables and what they predict, `SolveVerbs` the exact minimisers of one block, and
    `StepVerbs` single majorised steps. Only these verbs write variables.
    """
