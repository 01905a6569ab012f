"""Single majorised steps of one block of the penalty objective, with step sizes that need no trial passes.

A step size is where the papers' backtracking would end (`altmin.solvers.backtracking`); `Sweep.search` says where it
starts. With `ahead` a step first moves on by that share of the block's last change, ``v + ahead (v - v_{k-1})``, and is
taken from the present value instead wherever the objective rose.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from altmin.core.forward import stretches
from altmin.solvers.activation_least_squares import without_rise
from altmin.solvers.backtracking import gradient_step, weights_step
from altmin.solvers.statistics import Statistics
from altmin.solvers.weight_least_squares import intercept
from altmin.sweep.activation_block import ActivationBlock
from altmin.sweep.writes import LayerWrites


class StepVerbs(LayerWrites):
    """Blocks that take one step, and those that go with them."""

    def step_W(self, ahead: float = 0.0, damping: float = 1.0) -> None:
        """``W+ = prox_Omega(W - grad/alpha)`` on ``c/2 ||E_l||^2 (+ <U, E_L>) + Omega(W_l)``.

        Args:
            ahead: Share of the last change that the step starts from.
            damping: What the first trial of ``alpha`` is multiplied by where the step starts ahead, >= 1.
        """
        if self.layer.frozen:
            return
        new = self._force_step() if self.u is not None else self._statistics_step(ahead, damping)
        self._write("W", new, ahead if self.sweep.state.previous is not None else None)

    def solve_b(self) -> None:
        """``argmin_{b_l} c/2 ||E_l||^2 (+ <U, E_L>)``: the mean over the samples of what is left for it."""
        if not self.map.bias or self.layer.frozen:
            return
        if self.u is not None:
            force = self.sweep.batch.sum(self.sweep.batch.weighed(self.force()).sum((0, *range(2, self.z.ndim))))
            self._write("b", self.b + intercept(force, self.sweep.batch.count) / self.c)
        else:
            s = self.statistics()
            self._write("b", intercept(s.mean_residual(self.W), s.count))

    def solve_z_in_band(self, eps: float) -> None:
        """``argmin_{Z_l} sum c/2 ||E||^2`` subject to ``|A_l - s_l(Z_l)| <= eps``: the centre clipped to an interval.

        The sum has the layer's own residual and those of residual connections from ``Z_l``, all of one weight.

        Args:
            eps: Half-width of the band, > 0.
        """
        z = self.z
        for rows in stretches(z):
            v, others = self.prediction(rows), self.skipped_to("z")
            for other in others:
                v.add_(other.residual(rows)).add_(z[rows])
            v = v.div_(1 + len(others)) if others else v
            low, high = self.activation.interval(self.a[rows], eps)
            # Rounding may leave the present value just outside; it stays allowed, so that the objective cannot rise.
            z[rows] = torch.clamp(v, torch.minimum(low, z[rows]), torch.maximum(high, z[rows]))

    def clip_a(self, eps: float) -> None:
        """``A_l`` moved into the band ``|A_l - s_l(Z_l)| <= eps``."""
        for rows in stretches(self.a):
            middle = self.activation(self.z[rows])
            self.a[rows] = torch.clamp(self.a[rows], middle - eps, middle + eps)

    def step_a(self, ahead: float = 0.0, band: float | None = None, clip: bool = True) -> None:
        """``A+ = A - grad/tau`` on ``sum c/2 ||E||^2 (+ <U, E_L>) + d/2 ||A_l - s_l(Z_l)||^2``.

        The sum has the residuals of the layer above and of residual connections from ``A_l``. With a band ``A+`` is
        clipped to ``|A_l - s_l(Z_l)| <= band`` inside the search for ``tau``, or ``tau`` is large enough for that. The
        result is written in the place of the previous iterate where one is kept.

        Args:
            ahead: Share of the last change that the step starts from.
            band: Half-width of the band; `None` for no constraint.
            clip: Whether ``A+`` is clipped to it, or else a sample's step shortened.
        """
        previous = self.sweep.state.previous
        out = self.a if previous is None else previous.a[self.i]
        for rows in stretches(out, whole=not self.sweep.search.per_sample):
            block = ActivationBlock(self, rows, band, clip)
            point = torch.lerp(out[rows], block.now, 1.0 + ahead) if ahead else None
            new, image = block.step(block.now, block.E) if point is None else self._ahead(block, point)
            if self.above.map.piecewise:
                new = without_rise(lambda a, block=block: block.value(a, block.residuals(a)), new, block.now)
            out[rows] = new
            if previous is None and not self.above.map.piecewise:
                self.above.move_image(rows, image)
        if previous is not None:
            self._swap("a")

    def _force_step(self) -> Tensor:
        """From the force on the outputs: they are few, and ``U/c`` would lose the digits of ``Z_L``."""
        batch, a = self.sweep.batch, self.input

        def curvature(move: Tensor) -> Tensor:
            return self.c * batch.sum(batch.squares(self.map.image(move, a, a)))

        grad = -batch.sum(self.map.gradient(batch.weighed(self.force()), a))
        omega, name = self.sweep.problem.regularizer, f"W_{self.i + 1}"
        return gradient_step(self.W, grad, curvature, omega, self.sweep.search, name)

    def _statistics_step(self, ahead: float, damping: float) -> Tensor:
        """From the layer's statistics: no pass over the samples."""
        W, s, search = self.W, self.statistics(), self.sweep.search
        search = replace(search, scale=search.scale * damping) if ahead else search
        pull, omega, name = self.c * s.targets(self.b), self.sweep.problem.regularizer, f"W_{self.i + 1}"

        def step(point: Tensor) -> Tensor:
            return weights_step(point, s.gram, pull, self.c, omega, search, block=name)

        previous = self.sweep.state.previous
        if not ahead or previous is None:
            return step(W)
        new = step(torch.lerp(previous.W[self.i], W, 1.0 + ahead))
        return new if self._change(new, s, pull) <= 0 else step(W)

    def _change(self, new: Tensor, s: Statistics, pull: Tensor) -> Tensor:
        """By how much the objective changes when the weights move to `new`."""
        move, omega = new - self.W, self.sweep.problem.regularizer
        slope = self.c * (self.W @ s.gram) - pull
        return (slope * move).sum() + 0.5 * self.c * (move @ s.gram * move).sum() + omega(new) - omega(self.W)

    def _ahead(self, block: ActivationBlock, point: Tensor) -> tuple[Tensor, Tensor]:
        """The step from `point`; samples whose objective rose take the step from where they are."""
        new, image = block.step(point, E := block.residuals(point))
        after = block.residuals_after(new, point, image, E)
        rose = (block.value(new, after) > block.value(block.now, block.E)).nonzero()[:, 0]
        new[rose] = block.step(block.now[rose], [e[rose] for e in block.E], rose)[0]
        return new, image
