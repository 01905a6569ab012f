"""What to write in the place of a module that is not supported."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from altmin.errors import nearest

DROPOUT = "write nn.Dropout, which drops single numbers"
RECURRENCE = "the one recurrence here is altmin.Elman"
ADVICE: dict[type[nn.Module], str] = {
    nn.Hardswish: "nn.SiLU is the smooth function near it",
    nn.CELU: "nn.ELU is the same for alpha=1",
    **dict.fromkeys((nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout), DROPOUT),
    nn.ConvTranspose2d: "its kernel is no matrix of least squares in memory; nn.Unflatten behind a Linear enlarges",
    **dict.fromkeys((nn.RNN, nn.LSTM, nn.GRU), RECURRENCE),
}


def advice_for(module: nn.Module, known: Sequence[type[nn.Module]]) -> str:
    """What to do about a module that none of the registered classes stands for.

    Args:
        module: The module.
        known: The classes of modules that are supported.

    Example:
        >>> advice_for(nn.PReLU(init=0.1), [nn.LeakyReLU])
        'its slope is a weight, which altmin does not train; nn.LeakyReLU(0.1) keeps it fixed'
    """
    if type(module) is nn.PReLU:
        slope = f"{float(module.weight.detach()[0]):g}" if module.num_parameters == 1 else "SLOPE"
        return f"its slope is a weight, which altmin does not train; nn.LeakyReLU({slope}) keeps it fixed"
    if isinstance(module, LazyModuleMixin):
        return "it has no weights yet; run the model once on a sample first, as in model(x[:1])"
    if type(module) in ADVICE:
        return ADVICE[type(module)]
    base = next((kind.__name__ for kind in known if isinstance(module, kind)), None)
    if base is not None:
        return f"a subclass of {base} may compute anything: altmin.converts says what it stands for"
    return nearest(type(module).__name__, [kind.__name__ for kind in known])
