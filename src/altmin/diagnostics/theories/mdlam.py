"""mDLAM's sufficient descent and subgradient bound."""

from __future__ import annotations

from altmin.diagnostics.forces import intercept_bound, total, weights_bound
from altmin.diagnostics.observed import Change
from altmin.diagnostics.theory import Claims, Iteration, Theory, theory
from altmin.methods.mdlam import MDLAM


@theory(MDLAM)
class SufficientDescent(Theory):
    """Lemma 1, Lemma 3 and Theorem 2 of "Gradient-free neural network training by multi-convex ..." (ICLR 2020).

    Lemma 1 (7), for fixed ``eps``: ``F`` falls at least by ``sum ||theta o (Delta W)^2||_1/2 + rho/2 ||Delta b||^2 +
    rho/2 ||Delta Z||^2 + ||tau o (Delta A)^2||_1/2``. It holds as printed, for the plain version; the accelerated one
    is only proved not to rise. Theorem 2's ``c_k`` is the running minimum of the same sum.

    Lemma 3 bounds the subgradients in W and b only. Printed, ``C`` knows one sample: ``||grad_b F|| = rho ||Delta Z||``
    fails for more, where it is at most ``rho sqrt(N) ||Delta Z||``. What is checked has ``sqrt(N)`` there and before
    ``||Delta b||``, and the norm of the layer's input in the place of ``M_a``.
    """

    descent = "sufficient descent (Lemma 1)"

    def squares(self, it: Iteration) -> float:
        """The right-hand side of Lemma 1."""
        return sum(self._half(it, c) for c in it.changes)

    def claims(self, it: Iteration) -> Claims:
        """Lemma 1 where ``eps`` stayed, and Lemma 3."""
        accelerated = it.method.accelerated
        proved = 0.0 if accelerated else sum(self._half(it, c) for c in it.changes if not it.lies_on_pieces(c))
        bound = None if accelerated or not it.plain else self._subgradient(it)
        return Claims(proved if it.steady else None, {"subgradient bound (Lemma 3)": bound})

    @staticmethod
    def _half(it: Iteration, c: Change) -> float:
        return 0.5 * (it.method.rho * c.square if c.majorised is None else c.majorised)

    @staticmethod
    def _subgradient(it: Iteration) -> tuple[float, float]:
        """The norm of the subgradient in W and b, and its bound."""
        norms = [norm for name, norm in it.stationarity.items() if name[0] in "Wb"]
        layers = range(len(it.sweep.layers))
        return total(norms), total([bound(it, i) for i in layers for bound in (weights_bound, intercept_bound)])
