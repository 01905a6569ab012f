"""A method watched iteration by iteration: what its theory claims, and what came."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any

import torch

from altmin.diagnostics.observed import ObservedSweep
from altmin.diagnostics.stationarity import require_penalty
from altmin.diagnostics.theories import theory_of
from altmin.diagnostics.theory import Claims, Iteration, Look
from altmin.errors import LemmaWarning
from altmin.methods.base import Method
from altmin.precision import exact
from altmin.sweep import Products, Sweep

SLACK = 1e3  # machine precisions of the summands: sums over samples, and proxes that are iterated


class Diagnosis:
    """Runs a method's iterations, looks at the objective before and behind, and keeps what records tell.

    Args:
        method: A method with a penalty objective.
        rounded: Whether products are rounded to bfloat16: its steps are then none that a theory knows, and no
            inequality is checked.

    Attributes:
        c_k: The least of what the iterations so far moved, as the method's paper adds it up.
        latest: The last iteration that was watched.
        holds: Of each inequality, whether it held in every iteration since the last record; `None` where what it
            supposes did not.

    Raises:
        TypeError: Another method.
    """

    def __init__(self, method: Method, rounded: bool = False):
        require_penalty(method, "diagnose")
        self.method, self.theory = method, theory_of(method)
        self.rounded, self.c_k = rounded, math.inf
        self.latest: Iteration | None = None
        self.claims = Claims()
        self.holds: dict[str, bool | None] = {}
        self._warned: set[str] = set()

    def run(self, sweep: Sweep[Any]) -> Sweep[Any]:
        """One iteration of the sweep, watched; the variables are those that `Sweep.run` would leave."""
        watched = ObservedSweep(sweep.method, sweep.problem, sweep.whole, sweep.batch, sweep.products, sweep.tally)
        before = self._look(watched)
        watched.run()
        after = self._look(watched)
        self._take(Iteration(self.method, _plain(watched), watched.changes, before, after))
        return watched

    def record(self) -> dict[str, Any]:
        """What the record has of the iterations since the last one."""
        it, holds = self.latest, self.holds
        if it is None:
            return {}
        self.holds = {}
        return {
            "c_k": self.c_k,
            "change": self.theory.squares(it),
            "step_sizes": _step_sizes(it),
            "lyapunov": it.after.lyapunov,
            "descent": it.descent,
            "descent_bound": self.claims.descent,
            "holds": holds,
            **self.claims.figures,
        }

    @exact()
    def _look(self, sweep: ObservedSweep) -> Look:
        plain = _plain(sweep)
        terms, residuals = self.method.evaluate(plain)
        extra = self.theory.extra(self.method, plain)
        values = {name: float(t) for name, t in terms.items()}
        return Look(values, {name: float(t) for name, t in residuals.items()}, extra, self.method.scalars(sweep.state))

    @exact()
    def _take(self, it: Iteration) -> None:
        self.latest, self.claims = it, self.theory.claims(it)
        self.c_k = min(self.c_k, self.theory.squares(it))
        slack = SLACK * torch.finfo(it.sweep.batch.y.dtype).eps
        found: dict[str, tuple[float, float] | None] = {self.theory.descent: None, **self.claims.bounds}
        if self.claims.descent is not None:
            found[self.theory.descent] = self.claims.descent, it.descent
        for name, pair in found.items():
            held = (
                None if pair is None or self.rounded else pair[0] <= pair[1] + slack * (it.before.size + it.after.size)
            )
            before = self.holds.get(name)
            self.holds[name] = held if before is None else before if held is None else before and held
            if held is False and pair is not None:
                self._warn(name, it, *pair)

    def _warn(self, name: str, it: Iteration, less: float, more: float) -> None:
        if name in self._warned:
            return
        self._warned.add(name)
        kind = type(self.method).__name__
        text = f"{kind}, iteration {it.k}: {name} does not hold: {less:.6g} is not at most {more:.6g}"
        warnings.warn(text, LemmaWarning, stacklevel=2)


def _plain(sweep: ObservedSweep) -> Sweep[Any]:
    """The sweep's variables, with no products kept, so that looking at them changes nothing of the next step."""
    part = replace(sweep.batch, rows=None)
    return Sweep(sweep.method, sweep.problem, sweep.state, part, Products())


def _step_sizes(it: Iteration) -> dict[str, float]:
    """The mean step size of each majorised block; with two updates the first is the paper's ``_bar``."""
    sizes: dict[str, float] = {}
    for c in it.changes:
        if c.majorised is None:
            continue
        name = f"{c.kind.upper()}_{c.layer + 1}"
        if name in sizes:
            sizes[f"{name}_bar"] = sizes[name]
        sizes[name] = c.mean
    return sizes
