"""A table's encoder as the first operators of an ONNX model: one input for each column, texts as they stand there."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from altmin.data import TableEncoder
from altmin.data.table.columns import CategoryColumn, Column, NumberColumn
from altmin.errors import DataError

ML = "ai.onnx.ml"
ML_VERSION = 3
PREFIX = "encoder/"  # of values, which keeps them apart from the columns' names


class TableGraph:
    """Operators and constants of an encoder, from inputs ``(N, 1)`` by column name to features ``x``.

    Args:
        encoder: What was fitted on the training table.
        dtype: Of the features.

    Raises:
        DataError: A column of dates, which ONNX has no operators for.
    """

    def __init__(self, encoder: TableEncoder, dtype: torch.dtype):
        from onnx import TensorProto, helper, numpy_helper

        self._helper, self._numpy = helper, numpy_helper
        self._float = TensorProto.DOUBLE if dtype == torch.float64 else TensorProto.FLOAT
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        parts = [part for i, column in enumerate(encoder.columns) for part in self._column(i, column)]
        x = self._add("Concat", parts, "joined", axis=1)
        shift = self._constant("shift", np.array(encoder.shift or [0.0], dtype=_NUMPY[dtype]))
        self.features = self._add("Sub", [x, shift], "features")
        for column in encoder.columns:
            if column.width:
                kind = TensorProto.STRING if isinstance(column, CategoryColumn) else TensorProto.DOUBLE
                self.inputs.append(helper.make_tensor_value_info(column.name, kind, ["N", 1]))

    def _column(self, i: int, column: Column) -> list[str]:
        """The features of a column; none of one that was dropped."""
        if isinstance(column, NumberColumn):
            return [self._number(i, column)]
        return [self._category(i, column)] if isinstance(column, CategoryColumn) else []

    def _number(self, i: int, column: NumberColumn) -> str:
        """Standardised, with the median in the place of nan; whether it was nan, where training had such rows."""
        if column.parts != ("value",):
            raise DataError(f"column {column.name!r} is a date, which ONNX has no operators for; export to torch")
        missing = self._add("IsNaN", [column.name], f"missing_{i}")
        numbers = {"fill": column.fill, "mean": column.means[0], "scale": column.scales[0]}
        fill, mean, scale = (self._constant(f"{name}_{i}", np.array([[v]])) for name, v in numbers.items())
        value = self._add("Where", [missing, fill, column.name], f"filled_{i}")
        centred = self._add("Sub", [value, mean], f"centred_{i}")
        feature = self._cast(self._add("Div", [centred, scale], f"standard_{i}"), f"number_{i}")
        if not column.indicator:
            return feature
        return self._add("Concat", [feature, self._cast(missing, f"indicator_{i}")], f"column_{i}", axis=1)

    def _category(self, i: int, column: CategoryColumn) -> str:
        """A one in the column of the text; what is empty, or was not there in training, as the encoder has it."""
        others = column.width - 1 if column.others else -1
        texts, places = list(column.categories), list(range(len(column.categories)))
        texts, places = [*texts, ""], [*places, len(column.categories) if column.empty else others]
        place = self._add(
            "LabelEncoder",
            [column.name],
            f"place_{i}",
            domain=ML,
            keys_strings=texts,
            values_int64s=places,
            default_int64=others,
        )
        every = self._constant(f"places_{i}", np.arange(column.width, dtype=np.int64)[None])
        return self._cast(self._add("Equal", [place, every], f"is_{i}"), f"category_{i}")

    def _cast(self, name: str, to: str) -> str:
        return self._add("Cast", [name], to, to=self._float)

    def _add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(self._helper.make_node(operator, inputs, [PREFIX + output], **attributes))
        return PREFIX + output

    def _constant(self, name: str, value: np.ndarray) -> str:
        self.constants.append(self._numpy.from_array(value, PREFIX + name))
        return PREFIX + name


_NUMPY = {torch.float32: np.float32, torch.float64: np.float64}


def with_encoder(model: Any, encoder: TableEncoder, dtype: torch.dtype) -> Any:
    """An ONNX model of features ``x`` with the encoder in front.

    Args:
        model: An ``onnx.ModelProto`` whose only input is ``x``; it is changed.
        encoder: What was fitted on the training table.
        dtype: Of the features.
    """
    from onnx import helper

    made, graph = TableGraph(encoder, dtype), model.graph
    for node in graph.node:
        node.input[:] = [made.features if name == "x" else name for name in node.input]
    columns = {column.name for column in made.inputs}
    taken = {name for node in graph.node for name in (*node.input, *node.output)} & columns
    if taken:
        raise DataError(f"the column {min(taken)!r} has the name of a value within the network; rename it")
    nodes = [*made.nodes, *graph.node]
    del graph.node[:], graph.input[:]
    graph.node.extend(nodes)
    graph.input.extend(made.inputs)
    graph.initializer.extend(made.constants)
    model.opset_import.append(helper.make_opsetid(ML, ML_VERSION))
    return model
