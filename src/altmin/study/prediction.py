"""Predictions for rows of a table that no training saw, by the folder of a trained network alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from altmin.convert import problem_of, state_of
from altmin.core.forward import outputs
from altmin.core.score import predict
from altmin.data import Split, TableEncoder
from altmin.data.table import ClassTarget, NumberTarget, Table, read_table, table_of
from altmin.data.table.targets import in_units, require_dtype
from altmin.errors import DataError
from altmin.losses import make_loss
from altmin.study.description import DTYPES, NetworkDescription
from altmin.study.measures import Measures, measured
from altmin.study.saved_network import ENCODER, load
from altmin.train.place import check_device


@dataclass(frozen=True)
class TablePrediction:
    """What a network says about the rows of a table.

    Attributes:
        frame: A row for each: ``predicted``, and ``probability_CLASS`` of every class.
        labels: The class or number of each row, `None` where it has none; `None` where the table has no such column.
        measures: On the rows that have labels; `None` where there are none.
        labelled: How many rows have labels.
        remarks: What is to be said about the rows: columns that were ignored, values that training did not have.
    """

    frame: pd.DataFrame
    labels: list[str | float | None] | None
    measures: Measures | None
    labelled: int
    remarks: tuple[str, ...]


def predict_table(folder: str | Path, table: str | Path | pd.DataFrame, *, device: str = "cpu") -> pd.DataFrame:
    """The predictions of a network that was trained on a table, for the rows of another.

    Args:
        folder: What ``altmin train --csv.train`` wrote: it holds all that is needed, the training table is not.
        table: New rows, a file or a frame, with the columns of the training table in any order; the target may be
            missing, further columns are ignored.
        device: Where to compute.

    Returns:
        A frame with the index of `table`: the column ``predicted``, a class or a number in the target's units, and for
        classes a column ``probability_CLASS`` for each (`altmin.losses.Loss.probabilities`).

    Raises:
        DataError: A folder without a network trained on a table, a column that is missing, a cell that cannot be read.
    """
    model, network = load(folder)
    encoder = encoder_of(network, Path(folder))
    rows = table_of(table) if isinstance(table, pd.DataFrame) else read_table(Path(table).expanduser())
    frame = predict_rows(model.to(check_device(device)), network, encoder, rows).frame
    return frame.set_axis(table.index) if isinstance(table, pd.DataFrame) else frame


def encoder_of(network: NetworkDescription, folder: Path) -> TableEncoder:
    """The encoder of a network that was trained on a table; a `DataError` where there is none."""
    if network.data.name != "csv":
        raise DataError(f"the network in {folder} was trained on {network.data.name}, not on a table")
    if network.encoder is None:
        advice = "it was trained by an earlier version, so train it again"
        raise DataError(f"{folder} holds no {ENCODER}, by which new rows are encoded; {advice}")
    return network.encoder


def predict_rows(
    model: nn.Sequential, network: NetworkDescription, encoder: TableEncoder, table: Table
) -> TablePrediction:
    """The predictions for a table's rows, and the measures where it has labels."""
    dtype = DTYPES[network.dtype]
    x, remarks = encoder.features(table, dtype)
    problem, state = problem_of(model, network.loss), state_of(model)
    z = outputs(problem, state, x.to(next(model.parameters()).device)).cpu()
    target, measures, y = encoder.target, None, None
    if target.name in table.names:
        y = target.read(table)
    labelled = (
        np.zeros(len(table), bool) if y is None else (y >= 0 if isinstance(target, ClassTarget) else ~np.isnan(y))
    )
    if y is not None and labelled.any():
        split = Split(x[torch.from_numpy(labelled)], _targets(table, target, y, labelled, dtype))
        measures = measured(problem, state, split, model, getattr(target, "units", None))
    frame = _frame(z, target, network)
    return TablePrediction(frame, _labels(target, y), measures, int(labelled.sum()), tuple(remarks))


def _targets(
    table: Table, target: ClassTarget | NumberTarget, y: np.ndarray, rows: np.ndarray, dtype: torch.dtype
) -> Tensor:
    if isinstance(target, ClassTarget):
        return torch.from_numpy(y[rows])
    require_dtype(table, target.name, y, dtype)
    return target.units.standardised(in_units(y[rows], target, dtype), dtype)


def _frame(z: Tensor, target: ClassTarget | NumberTarget, network: NetworkDescription) -> pd.DataFrame:
    """Outputs as classes and probabilities, or as numbers in the target's units."""
    if isinstance(target, NumberTarget):
        return pd.DataFrame({"predicted": target.units.units(z)[:, 0].numpy()})
    return class_frame(z, target.classes, network.loss)


def class_frame(z: Tensor, classes: tuple[str, ...], loss: str) -> pd.DataFrame:
    """The class and the probability of every class for outputs ``(N, q)``."""
    made = make_loss(loss)
    columns: dict[str, object] = {"predicted": np.array(classes, dtype=object)[predict(z, made.middle).numpy()]}
    for name, p in zip(classes, made.probabilities(z).T.tolist(), strict=True):
        columns[f"probability_{name}"] = p
    return pd.DataFrame(columns)


def _labels(target: ClassTarget | NumberTarget, y: np.ndarray | None) -> list[str | float | None] | None:
    if y is None:
        return None
    if isinstance(target, ClassTarget):
        return [target.classes[i] if i >= 0 else None for i in y.tolist()]
    return [None if np.isnan(value) else value for value in y.tolist()]
