"""Callbacks: when their hooks are called and what they see then, and the ones that are ready-made."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import altmin
from altmin import Callback, CSVLogger, EarlyStopping, JSONLinesLogger, TensorBoardLogger
from altmin.train.history import finite, flat


def samples(n: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(n, 3, generator=torch.Generator().manual_seed(0))
    return x, (x[:, 0] > 0).long()


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def fit(callbacks: Any, epochs: int = 2, method: Any = "am-adam", **options: Any) -> altmin.History:
    options = {"batch_size": 16} | options if method == "am-adam" else options
    return altmin.fit(network(), method, *samples(), epochs=epochs, seed=0, callbacks=callbacks, **options)


class Notes(Callback):
    """Notes every call, with what is known then."""

    def __init__(self, stop: int = 99) -> None:
        self.calls: list[Any] = []
        self.stop = stop

    def start(self, trainer: Any, history: Any):
        self.model = trainer.model
        self.calls.append(("start", trainer.state.k, len(history)))

    def batch(self, trainer: Any, history: Any):
        assert torch.equal(trainer.state.W[0], trainer.model[0].weight)
        self.calls.append(("batch", trainer.state.k, len(history)))

    def epoch(self, trainer: Any, history: Any):
        self.calls.append(("epoch", trainer.state.k, len(history)))
        return len(history) == self.stop

    def end(self, trainer: Any, history: Any):
        self.calls.append(("end", history.status, len(history)))


EPOCH = [("batch", 1, 0), ("batch", 2, 0), ("batch", 3, 0), ("epoch", 3, 1)]


def test_hooks_are_called_in_their_order():
    notes = Notes()
    fit([notes])
    second = [("batch", 4, 1), ("batch", 5, 1), ("batch", 6, 1), ("epoch", 6, 2)]
    assert notes.calls == [("start", 0, 0), *EPOCH, *second, ("end", "ok", 2)]


def test_the_hook_that_says_so_ends_training_and_all_others_are_called():
    first, other = Notes(stop=1), Notes()
    assert fit([first, other], epochs=5).status == "stopped"
    assert first.calls == other.calls == [("start", 0, 0), *EPOCH, ("end", "stopped", 1)]


def test_functions_and_objects_go_together():
    seen, notes = [], Notes()
    fit([lambda history, state: seen.append((history.iterations, state.k)), notes])
    assert seen == [(1, 3), (2, 6)]
    assert notes.calls[-1] == ("end", "ok", 2)


def test_the_end_is_told_of_whatever_ended_it_with_the_weights_that_are_kept():
    weights = []

    class Kept(Callback):
        def epoch(self, trainer: Any, history: Any):
            weights.append(trainer.model[0].weight.clone())
            if len(weights) == 2:
                raise KeyboardInterrupt

        def end(self, trainer: Any, history: Any):
            weights.append((history.status, trainer.model[0].weight.clone()))

    with pytest.raises(KeyboardInterrupt):
        fit([Kept()], epochs=5)
    status, kept = weights[2]
    assert status == "stopped"
    assert torch.equal(kept, weights[1])


def test_only_what_has_started_is_ended(tmp_path: Path):
    before, behind = Notes(), Notes()
    with pytest.raises(FileNotFoundError):
        fit([before, JSONLinesLogger(tmp_path / "nowhere" / "log.jsonl"), behind])
    assert [call[0] for call in before.calls] == ["start", "end"]
    assert behind.calls == []


def test_streams_have_hooks():
    notes = Notes()
    x, y = samples()
    stream = ((x[:8], y[:8]) for _ in range(4))
    altmin.fit_stream(network(), "am-adam", stream, steps=4, every=2, seed=0, callbacks=[notes])
    assert [name for name, *_ in notes.calls] == ["start", "batch", "batch", "epoch", "batch", "batch", "epoch", "end"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Notes(), "must be a sequence of functions and altmin.Callback objects"),
        ([Notes], r"such as Notes\(\.\.\.\), got the class Notes"),
        ([1], "must hold functions and altmin.Callback objects, got 1"),
    ],
)
def test_what_is_no_callback_is_refused(value: Any, text: str):
    with pytest.raises(TypeError, match=f"`callbacks` {text}|`callbacks` must hold objects, {text}"):
        fit(value)


# Early stopping


@pytest.mark.parametrize(
    ("accuracies", "patience", "best", "ends"),
    [
        ([0.1, 0.2, 0.3, 0.3, 0.3, 0.9], 2, 3, 5),
        ([0.1, 0.2, 0.1, 0.3, 0.1, 0.1], 2, 4, 6),
        ([0.5, 0.4, 0.9, 0.9, 0.9, 0.9], 1, 1, 2),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 1, 6, None),
    ],
)
def test_training_ends_where_validation_is_not_better(accuracies: list[float], patience: int, best: int, ends: Any):
    history, stopping = altmin.History(), EarlyStopping(patience)
    trainer: Any = None
    ended = []
    for i, accuracy in enumerate(accuracies, 1):
        history.add({"iteration": i, "validation_loss": 1.0, "validation_accuracy": accuracy})
        ended.append(stopping.epoch(trainer, history))
        if ended[-1]:
            break
    assert (history.best, len(ended) if ended[-1] else None) == (best, ends)


def test_patience_counts_records():
    history = fit([EarlyStopping(3)], epochs=500, method="bcd", validation=0.5, record_every=5, keep="best")
    assert history.status == "stopped"
    assert history.best is not None
    assert history.iterations - history.best == 15
    assert history.kept is not None
    assert history.kept["iteration"] == history.best


def test_a_run_that_goes_on_ends_where_it_would_have_ended(tmp_path: Path):
    options: dict[str, Any] = {"method": "bcd", "validation": 0.5}
    whole = fit([EarlyStopping(4)], epochs=500, **options)
    folder = {"checkpoint": tmp_path / "c", "every": 1}
    cut = whole.iterations - 2

    def kill(history: altmin.History, state: Any) -> None:
        if history.iterations == cut:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit([EarlyStopping(4), kill], epochs=500, **options, **folder)
    again = fit([EarlyStopping(4)], epochs=500, resume=True, **options, **folder)
    assert (again.iterations, again.best) == (whole.iterations, whole.best)


def test_early_stopping_needs_validation_and_patience():
    with pytest.raises(ValueError, match="EarlyStopping needs `validation`"):
        fit([EarlyStopping()])
    with pytest.raises(ValueError, match="`patience` must be a positive integer"):
        EarlyStopping(0)


# Loggers


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_lines_of_json_are_the_records(tmp_path: Path):
    history = fit([JSONLinesLogger(tmp_path / "log")], epochs=3, validation=0.25)
    lines = (tmp_path / "log").read_text().splitlines()
    assert [json.loads(line) for line in lines] == finite(history.records)


def test_rows_of_csv_are_the_records(tmp_path: Path):
    history = fit([CSVLogger(tmp_path / "log")], epochs=3, method="bcd")
    expected = [{k: "" if v is None else str(v) for k, v in flat(record).items()} for record in history.records]
    assert rows(tmp_path / "log") == expected


@pytest.mark.parametrize("logger", [JSONLinesLogger, CSVLogger])
def test_a_later_run_appends_behind_what_a_killed_one_has_left(logger: Any, tmp_path: Path):
    path = tmp_path / "log"
    fit([logger(path)], epochs=2)
    before = path.read_text()
    path.write_text(before + before.splitlines()[-1][:5])
    fit([logger(path)], epochs=1)
    text = path.read_text()
    assert text.startswith(before)
    assert len(text.splitlines()) == len(before.splitlines()) + 1
    assert text.splitlines()[-1].startswith(('{"iteration": 1,', "1,"))


def test_a_new_figure_is_a_new_column(tmp_path: Path):
    path = tmp_path / "log"
    fit([CSVLogger(path)], epochs=2, method="bcd")
    fit([CSVLogger(path)], epochs=1, method="bcd", diagnose=True)
    first, _, last = rows(path)
    assert first["relative_stationarity"] == ""
    assert float(last["relative_stationarity"]) > 0
    assert float(first["objective"]) > 0


@pytest.mark.parametrize("logger", [JSONLinesLogger, CSVLogger])
def test_every_record_is_in_the_file_at_once(logger: Any, tmp_path: Path):
    path, counts = tmp_path / "log", []
    fit([logger(path), lambda history, state: counts.append(len(path.read_text().splitlines()))], epochs=3)
    header = int(logger is CSVLogger)
    assert counts == [1 + header, 2 + header, 3 + header]


CODE = """
import sys, torch, altmin
from torch import nn
x = torch.randn(40, 3)
model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
altmin.fit(model, "bcd", x, (x[:, 0] > 0).long(), epochs=10**6, callbacks=[altmin.JSONLinesLogger(sys.argv[1])])
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9")
def test_a_killed_run_leaves_its_records(tmp_path: Path):
    path = tmp_path / "log"
    process = subprocess.Popen([sys.executable, "-c", CODE, str(path)], env=dict(os.environ))
    while not path.is_file() or path.read_bytes().count(b"\n") < 3:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    fit([JSONLinesLogger(path)], epochs=1)
    iterations = [json.loads(line)["iteration"] for line in path.read_text().splitlines()]
    assert iterations == [*range(1, len(iterations)), 1]


def test_tensorboard_reads_the_records(tmp_path: Path):
    pytest.importorskip("tensorboard")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it imports
        history = fit([TensorBoardLogger(tmp_path)], epochs=3, method="bcd")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        found = EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, e.value) for e in found.Scalars("objective")] == [
        (i, pytest.approx(value)) for i, value in enumerate(history["objective"], 1)
    ]
    assert any(name.startswith("residuals.") for name in found.Tags()["scalars"])


def test_without_tensorboard_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'altmin\[tensorboard\]'"):
        TensorBoardLogger("runs")
