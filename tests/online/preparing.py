"""What the next step of an online method starts from."""

from __future__ import annotations

import torch
from torch import Tensor

from altmin import Batch, OnlineAM, Sweep
from altmin.online.forward_pass import ForwardPass, forward_pass
from methods.table import Loop


def prepared(loop: Loop, batch: Batch | None = None, seed: int | None = None) -> tuple[ForwardPass, list[Tensor]]:
    """The forward pass and the codes of the next step, or of one whose dropout comes from a seed; the state stays."""
    state = loop.state.clone()
    if seed is not None:
        state.generator = torch.Generator().manual_seed(seed)
    sweep = Sweep(loop.method, loop.problem, state, batch or loop.batch)
    assert isinstance(loop.method, OnlineAM)
    start, codes = forward_pass(sweep), loop.method.codes.for_rule(loop.method.rule)
    return start, codes.find(start, codes.power(sweep, start, state.memory.power), state.memory.mu)
