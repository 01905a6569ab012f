"""The descent of the other methods that minimise block by block."""

from __future__ import annotations

from altmin.diagnostics.theory import Claims, Iteration, Theory, theory
from altmin.methods.bcd import BCD
from altmin.methods.taylor import TaylorADMM


@theory(BCD)
class ProximalDescent(Theory):
    """Zeng et al. (ICML 2019): the objective falls at least by ``min(alpha, gamma)/2 sum_v ||Delta v||^2``.

    A proximal block falls by ``alpha/2 ||Delta v||^2``; those without one, the hidden ``V_l`` and ``U_N``, are exact
    minimisers of functions that are strongly convex with the modulus ``gamma``. Below max pooling nothing is claimed.
    """

    def claims(self, it: Iteration) -> Claims:
        """The inequality above."""
        weight = 0.5 * min(it.method.alpha, it.method.gamma)
        return Claims(sum(weight * c.square for c in it.changes if not it.lies_on_pieces(c)))


@theory(TaylorADMM)
class WarmUpDescent(Theory):
    """While the multiplier stays zero, each block is minimised exactly and the objective does not rise; no more is."""

    descent = "no rise in the warm-up"

    def claims(self, it: Iteration) -> Claims:
        """No rise, in the warm-up."""
        return Claims(0.0 if it.k <= it.method.warmup else None)
