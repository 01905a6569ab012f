"""What a network's first weights are drawn from, where it is not what PyTorch draws."""

from __future__ import annotations

import re
from typing import NamedTuple

import torch
from torch import Tensor, nn

from altmin.registration import modules_of

STARTS = "normal:DEVIATION or uniform:BOUND, above 0, with the intercepts' bias:VALUE or bias:drawn behind a comma"
FORM = re.compile(r"(normal|uniform):([\d.e+-]+)(?:,bias:(drawn|[\d.e+-]+))?")


class Start(NamedTuple):
    """What weights and intercepts are drawn from.

    Attributes:
        kind: ``"normal"`` or ``"uniform"``, of mean 0.
        size: The standard deviation, or the bound.
        bias: What intercepts are; `None` draws them as the weights.
    """

    kind: str
    size: float
    bias: float | None


def parse_start(text: str) -> Start:
    """The start that a text names; where it does not name intercepts, they are 0.

    Raises:
        ValueError: No such start.

    Example:
        >>> parse_start("normal:0.01,bias:0.1")
        Start(kind='normal', size=0.01, bias=0.1)
    """
    found = FORM.fullmatch(text)
    try:
        kind, size, bias = found.groups() if found is not None else ("", "", "")
        start = Start(kind, float(size), None if bias == "drawn" else float(bias or 0.0))
        if start.size <= 0.0:
            raise ValueError
        return start
    except ValueError:
        raise ValueError(f"`init` must be {STARTS}, such as normal:0.01,bias:0.1; got {text!r}") from None


@torch.no_grad()
def draw_start(model: nn.Module, start: Start) -> None:
    """Draw the weights of all maps anew, by PyTorch's global generator; normalisations stay as they are."""
    for module in model.modules():
        if type(module) not in modules_of("normalisation"):
            for t in module.parameters(recurse=False):
                _draw(t, start)


def _draw(t: Tensor, start: Start) -> None:
    if t.ndim < 2 and start.bias is not None:
        t.fill_(start.bias)
    elif start.kind == "normal":
        t.normal_(0.0, start.size)
    else:
        t.uniform_(-start.size, start.size)
