"""The exact minimisers of one block of the penalty objective, a stretch of samples at a time, in place.

Each verb takes the weight `prox` of a proximal term ``prox/2 ||v - v^||^2``. Its centre is the present value, or with
`inertia` the extrapolated one, ``v^ = v_k + inertia (v_k - v_{k-1})``, for which the state keeps the previous iterate.
"""

from __future__ import annotations

import torch
from torch import Tensor

from altmin.core.forward import numel_per_sample, stretches
from altmin.core.normalisation import per_channel
from altmin.regularizers import L1
from altmin.solvers.activation_least_squares import ActivationLeastSquares
from altmin.solvers.backtracking import Backtracking, weights_step
from altmin.solvers.coordinate_descent import sparse_weights
from altmin.solvers.weight_least_squares import fit_weights, intercept
from altmin.sweep.writes import LayerWrites


class SolveVerbs(LayerWrites):
    """Blocks that are minimised exactly."""

    def solve_z(self, prox: float = 0.0, inertia: float | None = None) -> None:
        """``argmin_{Z_l} sum c/2 ||E||^2 + d/2 ||A_l - s_l(Z_l)||^2 + prox/2 ||Z_l - Z^||^2``.

        The sum has the layer's own residual and those of residual connections from ``Z_l``. In a last layer without an
        output variable the loss ``R(Z_L) + <U, Z_L>`` takes the place of the activation's residual.

        Args:
            prox: Weight of the proximal term, >= 0.
            inertia: Extrapolation of its centre; `None` for the present value.
        """
        out, centre, over = self._centre("z", prox, inertia)
        minimise = self._hidden_z if self.has_a else self._last_z
        for rows in stretches(out):
            out[rows] = minimise(rows, None if centre is None else centre[rows], prox)
        if over:
            self._swap("z")

    def solve_output(self, prox: float = 0.0) -> None:
        """``argmin_V R(V) + d/2 ||V - Z_L||^2 + prox/2 ||V - V_k||^2`` of the output variable ``V``.

        Args:
            prox: Weight of the proximal term, >= 0.
        """
        V, r = self.a, self.d + prox
        for rows in stretches(V):
            v = torch.lerp(self.z[rows], V[rows], prox / r)
            V[rows] = self.sweep.problem.loss.prox(v, r, self.sweep.batch.y[rows], V[rows])

    def solve_a(self, prox: float = 0.0, inertia: float | None = None) -> None:
        """``argmin_{A_l} sum c/2 ||E||^2 + d/2 ||A_l - s_l(Z_l)||^2 + prox/2 ||A_l - A^||^2``.

        The sum has the residuals of the layer above and of residual connections from ``A_l``. Below max pooling the
        block is not convex: it is lowered, not minimised.

        Args:
            prox: Weight of the proximal term, >= 0.
            inertia: Extrapolation of its centre; `None` for the present value.
        """
        out, centre, over = self._centre("a", prox, inertia)
        above, others = self.above, self.skipped_to("a")
        weight = self.d + sum(other.c for other in others)
        least_squares = ActivationLeastSquares(above.map, above.W, above.c, weight + prox)
        for rows in stretches(max(out, above.z, key=numel_per_sample)):
            wanted, now = above.target(rows), self.a[rows]
            target = self.activation(self.z[rows])
            if others:
                pulls = torch.stack([other.force(rows).add_(now, alpha=other.c) for other in others]).sum(0)
                target = (self.d * target).add_(pulls).div_(weight)
            if centre is not None:
                target = torch.lerp(target, centre[rows], prox / (weight + prox))
            out[rows] = least_squares(wanted - per_channel(above.b, wanted), target, now)
        if over:
            self._swap("a")

    def solve_weights(
        self, prox: float = 0.0, inertia: float | None = None, jointly: bool = False, exactly: bool = False
    ) -> None:
        """``argmin_{W_l} c/2 ||E_l||^2 + Omega(W_l) + prox/2 ||W_l - W^||^2``, then the same of ``b_l``.

        With a regulariser that is no square, ``W_l`` takes one majorised step instead, unless it is l1 and `exactly`.

        Args:
            prox: Weight of the proximal terms, >= 0.
            inertia: Extrapolation of their centres; `None` for the present values.
            jointly: Minimise over ``W_l`` and ``b_l`` together; the intercept then has no proximal term.
            exactly: Solve for ``W_l`` under l1, too, by coordinate descent.
        """
        if self.layer.frozen:
            return
        omega = self.sweep.problem.regularizer
        if exactly and isinstance(omega, L1):
            W, residual_sum, count = self._sparse_weights(omega, prox, inertia, jointly)
        else:
            W, residual_sum, count = self._weights(prox, inertia, jointly)
        self._write("W", W, inertia)
        if self.map.bias:
            d, centre = (0.0, None) if jointly else (prox, self._small_centre("b", inertia))
            self._write("b", intercept(residual_sum, count, self.c, d, centre if d else None), inertia)

    def _hidden_z(self, rows: slice, centre: Tensor | None, prox: float) -> Tensor:
        v, c = self.prediction(rows), self.c
        others = self.skipped_to("z")
        if others:
            v.mul_(c)
            for other in others:
                v.add_(other.force(rows)).add_(self.z[rows], alpha=other.c)
                c += other.c
            v.div_(c)
        v = v if centre is None else v.lerp_(centre, prox / (c + prox))
        return self.activation.prox(v, (c + prox) / self.d, self.a[rows])

    def _last_z(self, rows: slice, centre: Tensor | None, prox: float) -> Tensor:
        v, r, u = self.prediction(rows), self.c + prox, self.sweep.state.u
        if u is not None:
            v.sub_(u[rows], alpha=1 / self.c)
        v = v if centre is None else v.lerp_(centre, prox / r)
        return self.sweep.problem.loss.prox(v, r, self.sweep.batch.y[rows], self.z[rows])

    def _sparse_weights(
        self, omega: L1, prox: float, inertia: float | None, jointly: bool
    ) -> tuple[Tensor, Tensor, float]:
        """What `_weights` gives, with an l1 regulariser."""
        s, centre = self.statistics(), self._small_centre("W", inertia)
        free = jointly and self.map.bias
        fitted, b = (s.centred(), torch.zeros_like(self.b)) if free else (s, self.b)
        W = sparse_weights(fitted, b, self.W, centre, self.c, prox, omega.weight)
        return W, s.mean_residual(W), s.count

    def _weights(self, prox: float, inertia: float | None, jointly: bool) -> tuple[Tensor, Tensor, float]:
        """``W_l``, and what the intercept needs: ``sum_i (Z_i - W A_i)`` and the number of rows."""
        omega, batch, name = self.sweep.problem.regularizer, self.sweep.batch, f"W_{self.i + 1}"
        centre = self._small_centre("W", inertia)
        if omega.curvature is None:
            s, step = self.statistics(), Backtracking()
            W = weights_step(
                self.W, s.gram, self.c * s.targets(self.b), self.c, omega, step, center=centre, d=prox, block=name
            )
            return W, s.mean_residual(W), s.count
        centre, d = omega.complete_square(centre, prox)
        known = self.gram() if self.i == 0 and batch.rows is None else None
        b = None if jointly and self.map.bias else self.b
        return fit_weights(self.map, self.input, self.target(), b, centre, self.c, d, batch, known, name)
