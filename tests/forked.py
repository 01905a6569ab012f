"""Processes that start at once: forked from one that has loaded what tests import, and has done nothing else."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.context import ForkServerContext

import torch.multiprocessing as mp

# What a command line has imported by its end, also where it asks late, as PyTorch's optimisers do: for seconds.
LOADED = ["altmin.cli.training", "altmin.study.plots", "sklearn.datasets", "torch._dynamo"]


def context() -> ForkServerContext:
    """The start of processes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    return context


def run(call: Callable[..., None], *args: object, processes: int = 1) -> None:
    """Have `call` done with its rank and `args` by so many processes, to their end; an error there is one here."""
    context()
    mp.start_processes(call, args, nprocs=processes, start_method="forkserver")  # type: ignore[attr-defined]
