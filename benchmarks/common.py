"""What the scripts of this folder share: the task, and who is timed on it."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

import torch

from altmin.data import load
from altmin.methods import Method
from altmin.methods.registry import METHODS
from altmin.study.description import NetworkDescription
from altmin.study.setup import Setup

METHODS_OF_THE_PAPERS = ("dladmm", "mdlam", "ipdlam", "am-adam")


def options(about: str, out: str) -> argparse.ArgumentParser:
    """The options that every script has; one thread, so that CPU seconds are comparable."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--data", default="synthetic", help="a data set that altmin.data.load knows")
    parser.add_argument("--data-dir", help="folder of data sets; ALTMIN_DATA or ~/.cache/altmin by default")
    parser.add_argument("--rounds", type=int, default=1, help="timed passes over the samples, of which the median")
    parser.add_argument("--methods", nargs="+", choices=METHODS_OF_THE_PAPERS, default=METHODS_OF_THE_PAPERS)
    parser.add_argument("--out", default=out, help="folder for the results")
    return parser


def setup(given: argparse.Namespace, hidden: Iterable[int], samples: int) -> Setup:
    """A fully connected network on the first `samples` of the data."""
    dataset = load(given.data, data_dir=given.data_dir, train_samples=samples)
    network = NetworkDescription(
        inputs=(dataset.features,),
        outputs=dataset.outputs,
        options={"hidden": tuple(hidden)},
        classes=dataset.classes,
    )
    return Setup(dataset=dataset, network=network)


def plan(task: Setup, names: Iterable[str]) -> dict[str, tuple[Setup, Method]]:
    """The methods by name, with their defaults."""
    return {name: (task, METHODS[name].method) for name in names}
