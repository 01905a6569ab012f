"""A history as a picture and as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import altmin
from altmin import History


def trained(method: altmin.Method, epochs: int = 3, **options: Any) -> History:
    torch.manual_seed(0)
    x, y = torch.randn(60, 4), torch.arange(60) % 3
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    return altmin.fit(model, method, (x, y), validation=(x[:20], y[:20]), epochs=epochs, **options)


def test_every_record_is_a_row():
    history = trained(altmin.IPDLAM())
    frame = history.frame()
    assert list(frame["iteration"]) == [1, 2, 3]
    assert list(frame["residuals.E_1"]) == [record["residuals"]["E_1"] for record in history.records]
    assert list(frame["validation_accuracy"]) == history["validation_accuracy"]


def test_panels_are_what_was_recorded(tmp_path: Path):
    figure = trained(altmin.IPDLAM(), regularizer="l2:0.1").plot(tmp_path / "training.png")
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["objective", "loss, mean over samples", "accuracy", "residuals and gap"]
    drawn = [[line.get_label() for line in axes.lines] for axes in figure.axes]
    assert drawn[0] == ["objective", "loss", "regularizer", "linear", "activation"]
    assert drawn[1:3] == [["train", "validation"]] * 2
    assert drawn[3] == ["E_1", "E_2", "D_1", "gap"]
    assert (tmp_path / "training.png").read_bytes().startswith(b"\x89PNG")


def test_what_was_not_recorded_is_not_drawn():
    history = trained(altmin.OnlineAM(), record=("validation",))
    assert [axes.get_title() for axes in history.plot().axes] == ["loss, mean over samples", "accuracy"]
    assert [line.get_label() for line in history.plot().axes[0].lines] == ["validation"]


def test_a_curve_is_what_it_stands_for():
    history = trained(altmin.BCD(), epochs=5)
    line = history.plot().axes[1].lines[0]
    assert np.array_equal(line.get_xdata(), [1, 2, 3, 4, 5])
    assert np.array_equal(line.get_ydata(), history["train_loss"])


def test_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing to draw"):
        History().plot()
