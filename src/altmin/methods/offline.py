"""The offline versions of online alternating minimisation: AM-Adam-off and AM-mem-off.

Choromanska et al., "Beyond backprop" (ICML 2019, arXiv:1806.09077), sections 2 and 4 and appendix D.
"""

from __future__ import annotations

from dataclasses import dataclass

from altmin.checks import component, number
from altmin.methods.online import PAPER, OnlineAM
from altmin.methods.registry import method, register_method
from altmin.online.codes import Codes
from altmin.online.rules import SGD, Adam, CoActivationMemory, Newton, OptimizerRule, StepRule
from altmin.schedules import decay

EPOCHS = 50  # of the paper's figures and searches


def _rate() -> SGD:
    return SGD(0.5)


def _codes() -> Codes:
    return Codes(steps=5, scaling="samples")


@method("am-adam-off", title="AM-Adam on all samples at once", paper=PAPER, epochs=EPOCHS)
@dataclass(frozen=True)
class OfflineAM(OnlineAM):
    """Minimise the objective of `OnlineAM` with all training samples as one batch: an iteration is an epoch.

    So the paper has its AM-Adam-off, and with the rule ``CoActivationMemory(forget=1.0)`` its AM-mem-off. The last
    layer moves by SGD and weights learn from the codes, as Algorithms 1 to 3 print them. The one rate that the paper's
    Tables 1 and 2 have for each method is taken for the last layer's, the only one that Algorithm 1 has as an input: as
    Adam's of the hidden weights it trains nothing.

    Deviations: the paper names neither Adam's rate of the hidden layers nor the numbers of inner steps; here they are
    this library's, and the code steps five as in the authors' code. The memory adds the samples up anew in every
    iteration, each time with the codes of that iteration, as Algorithm 3 does with batches. All else as `OnlineAM`.

    Example:
        >>> OfflineAM(last=SGD(0.5003)).default_batch is None
        True
    """

    default_batch = None

    last: Adam | SGD | OptimizerRule | Newton = component(_rate, StepRule, "SGD(...)")
    codes: Codes = component(_codes, Codes, "Codes(steps=1)")
    regressors: str = number("codes", "what weights learn from", choices=("codes", "forward"), paper="codes")
    decay: str = decay("none")


_memory = OfflineAM(rule=CoActivationMemory(forget=1.0))
register_method("am-mem-off", _memory, title="AM-mem on all samples at once", paper=PAPER, epochs=EPOCHS)
