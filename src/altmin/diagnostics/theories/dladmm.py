"""dlADMM's Properties 1 to 3."""

from __future__ import annotations

from altmin.diagnostics.forces import activations_bound, hidden_bound, intercept_bound, moved, total, weights_bound
from altmin.diagnostics.observed import Change
from altmin.diagnostics.theory import Claims, Iteration, Theory, theory
from altmin.methods.dladmm import DLADMM


@theory(DLADMM)
class AugmentedLagrangian(Theory):
    """Properties 1 to 3 and Theorem 4.3 of Wang et al. (KDD 2019), for ``rho > 2H`` and a ``rho`` that stays.

    Property 1: ``L_rho`` is bounded below. Checked is what its proof needs, ``R(Z_L) + <U, E_L> + H/2 ||E_L||^2 >= 0``,
    so that ``L_rho >= (rho - H)/2 ||E_L||^2``.

    Property 2 (17): ``L_rho`` falls at least by ``C_2`` times the sum that ``c_k`` is the running minimum of. Printed,
    ``C_2 = min(nu/2, C_1, theta, tau)``, ``C_1 = rho/2 - H/2 - H^2/rho``; a majorised step is only sure to lower the
    objective by *half* of ``theta ||Delta W||^2``, so that (17) fails where ``theta`` is the smallest. Checked is
    ``C_2 = min(nu/2, C_1, theta/2, tau/2)``. It needs ``U = -grad R(Z_L)``, which an iteration brings about: nothing is
    claimed of the first one, though the paper says "any" start.

    Property 3 (18): some ``C`` bounds the subgradient by the movements of the forward sweep. Checked is an explicit
    bound (`altmin.diagnostics.forces`), for fully connected layers with continuous activations.
    """

    descent = "sufficient descent (Property 2)"

    def squares(self, it: Iteration) -> float:
        """``sum ||Delta W||^2 + ||Delta b||^2 + ||Delta A||^2 + ||Delta Z_L||^2`` of both sweeps (Theorem 4.3)."""
        return sum(c.square for c in it.changes if self._counts(it, c))

    def claims(self, it: Iteration) -> Claims:
        """The three properties where they are claimed, the residuals and ``C_2``."""
        rho, nu, last = it.sweep.penalty.of(True), it.sweep.penalty.activation, len(it.sweep.layers) - 1
        H = it.sweep.problem.loss.lipschitz
        moved_z = [c for c in it.changes if (c.kind, c.layer) == ("z", last)]
        figures = {"primal_residual": it.after.residuals[f"E_{last + 1}"], "dual_residual": rho * moved(it, "z", last)}
        names = "bounded below (Property 1)", "subgradient bound (Property 3)"
        if not (rho > 2 * H and it.steady and it.k > 1):
            return Claims(None, dict.fromkeys(names), figures)
        steps = [c.least for c in it.changes if c.majorised is not None and not it.lies_on_pieces(c)]
        C2 = min(nu / 2, rho / 2 - H / 2 - H * H / rho, *(step / 2 for step in steps))
        terms, E = it.after.terms, figures["primal_residual"]
        below = (-terms["loss"] - terms["dual"], 0.5 * H * E * E)
        dual = H * sum(c.square**0.5 for c in moved_z)  # ||Delta U|| <= H ||Z_L+ - Z_L||
        subgradient = self._subgradient(it, dual, rho) if self._continuous(it) else None
        descent = sum(C2 * c.square for c in it.changes if self._counts(it, c) and not it.lies_on_pieces(c))
        return Claims(descent, dict(zip(names, (below, subgradient), strict=True)), figures | {"C_2": C2})

    @staticmethod
    def _counts(it: Iteration, c: Change) -> bool:
        return c.kind != "z" or c.layer + 1 == len(it.sweep.layers)

    @staticmethod
    def _continuous(it: Iteration) -> bool:
        return it.plain and all(layer.activation.differentiable for layer in it.sweep.layers)

    @staticmethod
    def _subgradient(it: Iteration, dual: float, rho: float) -> tuple[float, float]:
        """The norm of the subgradient in all variables, and its bound."""
        last = len(it.sweep.layers) - 1
        moves = [dual if i == last else 0.0 for i in range(last + 1)]
        bounds = [bound(it, i, u) for i, u in enumerate(moves) for bound in (weights_bound, intercept_bound)]
        bounds += [hidden_bound(it, i) for i in range(last)]
        bounds += [activations_bound(it, i, moves[i + 1]) for i in range(last)]
        return total(list(it.stationarity.values())), total([*bounds, dual, dual / rho])
