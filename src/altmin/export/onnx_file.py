"""A network as an ONNX model."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from altmin.checks import require_packages
from altmin.errors import DataError
from altmin.export.answering import Answering, with_loops
from altmin.export.table_graph import with_encoder
from altmin.study.description import NetworkDescription

QUIET = "torch.onnx._internal.exporter._registration"  # it tells of torchvision's operators, whether they are wanted


def onnx_model(answering: Answering, network: NetworkDescription) -> Any:
    """The network as an ``onnx.ModelProto`` for any number of samples; of a table with its encoder in front.

    Raises:
        DataError: A column whose encoding ONNX has no operators for.
        ModuleNotFoundError: The packages that write ONNX are not installed.
    """
    require_packages("`to='onnx'`", "onnx", "onnx", "onnxscript")
    with _quiet():
        program = torch.onnx.export(
            with_loops(answering),
            (answering.samples(),),
            dynamo=True,
            verbose=False,
            input_names=["x"],
            output_names=answering.names,
            dynamic_shapes=({0: torch.export.Dim("N")},),
        )
    if program is None:
        raise DataError("PyTorch made no ONNX model of this network")
    made = program.model_proto
    return made if network.encoder is None else with_encoder(made, network.encoder, answering.dtype)


@contextmanager
def _quiet() -> Iterator[None]:
    """A context without PyTorch's remarks about its own exporter."""
    logger = logging.getLogger(QUIET)
    before, logger.level = logger.level, logging.ERROR
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning, module="torch|copyreg")
            warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch|onnxscript|onnx_ir")
            yield
    finally:
        logger.level = before
