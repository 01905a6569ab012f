"""iPDLAM's descent with inertia."""

from __future__ import annotations

from typing import Any

from altmin.diagnostics.observed import Change
from altmin.diagnostics.theory import Claims, Iteration, Theory, theory
from altmin.methods.ipdlam import DLAM, IPDLAM
from altmin.sweep import Sweep


@theory(IPDLAM, DLAM)
class InertialDescent(Theory):
    """``xi_k = Phi(v_k) + sum_v delta rho m_v/2 ||v_k - v_{k-1}||^2``, ``m_v`` the block's inertia.

    Qiao et al. speak of a ``xi_k`` that is proved to fall (their section 3.2, Lemma 1), but the proceedings print
    neither the lemma nor ``xi_k``. What holds follows from the step itself: the new value of a block is compared with
    the present one in ``Phi + delta rho/2 ||v - v^||^2``, and ``2 m <p, q> <= m (||p||^2 + ||q||^2)``. For fixed
    ``rho``

    ``xi_k - xi_{k+1} >= sum_v delta rho/2 (g_v - 2 m_v) ||v_{k+1} - v_k||^2``

    with ``g = 2`` for blocks in which ``Phi`` is convex (W, b, ``Z_L``, A), and ``g = 1`` for ``Z_l``, ``l < L``. So
    ``xi_k`` is sure to fall for ``beta, gamma <= 1`` and ``alpha <= 1/2``; beyond, as at the default 0.7, the bound may
    be negative and ``xi_k`` may rise.
    """

    descent = "descent with inertia (Lemma 1)"

    def extra(self, method: IPDLAM, sweep: Sweep[Any]) -> float:
        """The inertia term of ``xi_k``; the state keeps the previous iterate."""
        state, batch, previous = sweep.state, sweep.batch, sweep.state.previous
        if previous is None:
            return 0.0
        pairs = [
            *((method.beta, W, old, False) for W, old in zip(state.W, previous.W, strict=True)),
            *((method.beta, b, old, False) for b, old in zip(state.b, previous.b, strict=True)),
            *((method.alpha, z, old, True) for z, old in zip(state.z, previous.z, strict=True)),
            *((method.gamma, a, old, True) for a, old in zip(state.a, previous.a, strict=True)),
        ]
        squares = [
            m * (batch.sum(q) if rows else q) for m, new, old, rows in pairs for q in [(new - old).square().sum()]
        ]
        return 0.5 * method.delta * sweep.memory.rho * float(sum(squares))

    def claims(self, it: Iteration) -> Claims:
        """The inequality above, where ``rho`` stayed."""
        weight = 0.5 * it.method.delta * it.sweep.memory.rho
        bound = sum(weight * self._factor(it, c) * c.square for c in it.changes)
        return Claims(bound if it.steady else None, figures={"xi": it.after.lyapunov})

    @staticmethod
    def _factor(it: Iteration, c: Change) -> float:
        m = {"W": it.method.beta, "b": it.method.beta, "z": it.method.alpha, "a": it.method.gamma}[c.kind]
        convex = not (c.kind == "z" and c.layer + 1 < len(it.sweep.layers)) and not it.lies_on_pieces(c)
        return (2.0 if convex else 1.0) - 2.0 * m
