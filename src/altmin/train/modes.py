"""The modes of PyTorch that training runs in, whatever modes are set around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import torch


@contextmanager
def own_modes(device: torch.device | None = None) -> Iterator[None]:
    """A context without autograd's graphs, inference mode and autocast, so that numbers are the same everywhere.

    Callbacks, streams and data sets of the user run in it too. Where autocast was on, its copies of weights are
    forgotten at the end: training has changed the weights.

    Args:
        device: What is computed on, and where new tensors are to lie; `None` where that is not known yet.

    Example:
        >>> with torch.autocast("cpu"), own_modes():
        ...     (torch.eye(2) @ torch.eye(2)).dtype
        torch.float32
    """
    with torch.inference_mode(False), torch.no_grad():
        if not (others := list(_others(device))):  # as always but under autocast or another default device
            yield
            return
        with ExitStack() as stack:
            stack.callback(torch.clear_autocast_cache)
            for mode in others:
                stack.enter_context(mode)
            yield


def _others(device: torch.device | None) -> Iterator[AbstractContextManager[object]]:
    """What undoes the modes that are set around it."""
    for kind in {"cpu", "cuda" if device is None else device.type}:
        if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
            yield torch.autocast(kind, enabled=False)
    if device is not None and torch.empty(0).device != device:
        yield device
