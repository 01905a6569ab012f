"""Checkpoints: a run that is ended anywhere goes on to the bit, and never from something else than its own."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

import altmin
from altmin import DLADMM, DLAM, CheckpointError, CheckpointWarning, DivergenceError, History, Method, OnlineAM, Trainer
from altmin.train import shards
from altmin.train.checkpoint import CONTENT, Checkpoints
from train.kills import Case, cases, same

pytestmark = pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")


def samples(n: int = 60, seed: int = 1) -> tuple[Tensor, Tensor]:
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0)


X, Y = samples()


def network(width: int = 8, drops: bool = False, s: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        inner = [nn.BatchNorm1d(width), nn.Dropout(0.2)] if drops else []
        return nn.Sequential(nn.Linear(4, width), *inner, s(), nn.Linear(width, 6), s(), nn.Linear(6, 3))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def after(records: int, then: Callable[[], Any] = lambda: True) -> Callable[..., Any]:
    """A callback that stops training, or does something else, after so many records."""
    return lambda history, state: then() if len(history) == records else None


def interrupt() -> None:
    raise KeyboardInterrupt


def bits(model: nn.Module) -> list[bytes]:
    return [t.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes() for t in model.state_dict().values()]


def train(method: Method | None = None, data: Any = (X, Y), **options: Any) -> tuple[nn.Sequential, History]:
    """A run of `fit` with small numbers."""
    model = options.pop("model", None) or network()
    fixed = {"epochs": 5, "batch_size": 20, "generator": seeded()}
    return model, altmin.fit(model, method or OnlineAM(), data, **fixed | options)


# To the bit


@pytest.mark.thinned(1)
@pytest.mark.parametrize(("name", "size", "drops"), [astuple(case) for case in cases()])
def test_a_run_goes_on_as_if_it_had_never_stopped(name: str, size: int, drops: bool, tmp_path: Path):
    """Twice: after it was stopped between two checkpoints' epochs, and once it is finished, when nothing is trained."""
    case = Case(name, size, drops)
    expected = case.train()
    case.train(checkpoint=tmp_path / "new" / "folder", every=2, callbacks=[after(3)])
    assert same(expected, case.train(checkpoint=tmp_path / "new" / "folder", every=2, resume=True))
    seen: list[int] = []
    callback = lambda history, state: seen.append(len(history))  # noqa: E731
    assert same(expected, case.train(checkpoint=tmp_path / "new" / "folder", resume=True, callbacks=[callback]))
    assert not seen


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_schedules_go_on(decay: str, tmp_path: Path):
    method = OnlineAM(decay=decay)
    expected = train(method)
    train(method, checkpoint=tmp_path, callbacks=[after(2)])
    assert same(expected, train(method, checkpoint=tmp_path, resume=True))


def test_products_that_were_moved_are_no_part_of_what_the_next_step_depends_on(tmp_path: Path):
    """A method that ends with a step of activations leaves the product above brought up to date, with other bits."""

    class Ends(DLADMM):
        def step(self, sweep):
            for layer in reversed(sweep.layers):
                layer.solve_z()
                layer.step_W()
                layer.solve_b()
            for layer in sweep.layers[:-1]:
                layer.step_a()

    method = Ends(rho=3.0, nu=1.0, schedule="constant")
    expected = train(method, batch_size=None)
    train(method, batch_size=None, checkpoint=tmp_path, every=1, callbacks=[after(2)])
    assert same(expected, train(method, batch_size=None, checkpoint=tmp_path, resume=True))


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_stream_goes_on(stop: int, tmp_path: Path):
    def go(**options: Any) -> tuple[nn.Sequential, History]:
        model, batches = network(drops=True), list(zip(X.split(10), Y.split(10), strict=True))
        return model, altmin.fit_stream(model, OnlineAM(), batches, steps=6, every=2, generator=seeded(), **options)

    expected = go()
    go(checkpoint=tmp_path, callbacks=[after(stop)])
    assert same(expected, go(checkpoint=tmp_path, resume=True))
    assert same(expected, go(checkpoint=tmp_path, resume=True))


@pytest.mark.parametrize(
    ("batches", "text"),
    [
        ([0, 1, 2, 5], r"`batches\[3\]` is not the latest batch"),
        ([0, 1, 2], r"ends before batches\[3\]"),
        ([1, 1, 2, 3], "`data` was '10 sam"),
    ],
)
def test_another_stream_is_refused(batches: list[int], text: str, tmp_path: Path):
    x, y = X.split(10), Y.split(10)
    every: dict[str, Any] = {"steps": 6, "every": 2, "checkpoint": tmp_path}
    altmin.fit_stream(network(), OnlineAM(), list(zip(x, y, strict=True)), callbacks=[after(2)], **every)
    with pytest.raises(CheckpointError, match=text):
        altmin.fit_stream(network(), OnlineAM(), [(x[i], y[i]) for i in batches], resume=True, **every)


@pytest.mark.parametrize("end", [KeyboardInterrupt, RuntimeError, DivergenceError])
def test_whatever_ends_a_run_the_last_checkpoint_stays(end: type[BaseException], tmp_path: Path):
    def fail() -> None:
        raise DivergenceError("W_1", 0.0, "nothing") if end is DivergenceError else end

    expected = train()
    with pytest.raises(end):
        train(checkpoint=tmp_path, every=1, callbacks=[after(4, fail)])
    assert Checkpoints(tmp_path).steps() == [6, 9]  # of three steps an epoch, before the callback of the fourth
    assert same(expected, train(checkpoint=tmp_path, resume=True))


def test_buffers_that_no_method_knows_are_saved(tmp_path: Path):
    model, again = network(drops=True), network(drops=True)
    trainer = Trainer(model, OnlineAM())
    trainer.step(X, Y)
    model.get_buffer("1.num_batches_tracked").fill_(7)
    trainer.save(tmp_path)
    Trainer(again, OnlineAM()).load(tmp_path)
    later = Trainer(again, OnlineAM())
    later.load(tmp_path)
    later.step(X, Y)
    assert int(again.get_buffer("1.num_batches_tracked")) == 7


# How often, and how many


@pytest.mark.parametrize(("every", "kept", "steps"), [(1, 2, [12, 15]), (2, 3, [6, 12, 15]), (2, 9, [6, 12, 15])])
def test_the_newest_are_kept(every: int, kept: int, steps: list[int], tmp_path: Path):
    train(checkpoint=tmp_path, every=every, checkpoints_kept=kept)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"step-{k:09}" for k in steps]


@pytest.mark.parametrize(("cost", "steps"), [(0.01, [3, 6, 9, 12, 15]), (0.07, [3, 9, 15]), (60.0, [3, 15])])
def test_by_default_writing_takes_a_twentieth_of_the_time(cost: float, steps: list[int], tmp_path: Path, monkeypatch):
    """An epoch takes a second here, and a checkpoint costs so many; the first epoch and the last are saved anyway."""
    now, write = [0.0], Checkpoints.write

    def pass_time(seconds: float) -> None:
        now[0] += seconds

    def slow(self: Checkpoints, *args: Any) -> None:
        write(self, *args)
        pass_time(cost)

    monkeypatch.setattr(Checkpoints, "write", slow)
    monkeypatch.setattr("altmin.train.saver.time.perf_counter", lambda: now[0])
    train(checkpoint=tmp_path, checkpoints_kept=9, callbacks=[lambda history, state: pass_time(1.0)])
    assert Checkpoints(tmp_path).steps() == steps


def test_without_checkpoints_no_samples_are_hashed(monkeypatch):
    monkeypatch.setattr("altmin.train.identity.hashlib.sha256", None)
    train()


# What is refused


class Twice(nn.Module):
    """Not known to the library."""


OTHER: dict[str, tuple[dict[str, Any], str]] = {
    "method": ({"method": DLAM(), "batch_size": None}, "`method` was 'OnlineAM' and is 'DLAM'"),
    "number": ({"method": OnlineAM(rule=altmin.Adam(0.5))}, r"`method\.rule\.lr` was None and is 0\.5"),
    "loss": ({"loss": "squared"}, "`loss` was 'CrossEntropy' and is 'SquaredLoss'"),
    "regulariser": ({"regularizer": "l2:0.5"}, r"`regularizer\.weight` was not there and is 0\.5"),
    "width": ({"model": network(7)}, r"`model\.layer 1\.map\.outputs` was 8 and is 7"),
    "activation": ({"model": network(s=nn.Tanh)}, r"`model\.layer 1\.activation` was 'ReLU' and is 'Tanh'"),
    "dropout": ({"model": network(drops=True)}, r"`model\.layer 1\.norm"),
    "precision": ({"precision": "float64"}, "`precision` was 'float32' and is 'float64'"),
    "samples": ({"data": (X + 0.0 * X.flip(0) + 1e-3, Y)}, "`data` was '60 samples [0-9a-f]+' and is '60 samples"),
    "labels": ({"data": (X, Y.flip(0))}, "`data` was"),
    "fewer": ({"data": (X[:40], Y[:40])}, "and is '40 samples"),
    "validation": ({"validation": (X[:9], Y[:9])}, "`validation` was None and is '9 samples"),
    "epochs": ({"epochs": 6}, "`epochs` was 5 and is 6"),
    "batches": ({"batch_size": 30}, "`batch_size` was 20 and is 30"),
    "keep": ({"keep": "best", "validation": (X, Y)}, "`keep` was 'last' and is 'best'"),
    "seed": ({"generator": seeded(1)}, "`generator` was 0 and is 1"),
}


@pytest.mark.parametrize("case", OTHER)
def test_another_run_is_refused_by_what_differs(case: str, tmp_path: Path):
    options, text = OTHER[case]
    train(checkpoint=tmp_path, callbacks=[after(1)])
    options = dict(options)
    method, data = options.pop("method", None), options.pop("data", (X, Y))
    model = options.setdefault("model", network())
    before = bits(model)
    with pytest.raises(CheckpointError, match=text):
        train(method, data, checkpoint=tmp_path, resume=True, **options)
    assert bits(model) == before


def test_what_only_watches_may_differ(tmp_path: Path):
    expected = train()
    train(checkpoint=tmp_path, callbacks=[after(2)])
    options = {"every": 1, "checkpoints_kept": 5, "audit": True, "callbacks": [lambda history, state: None]}
    assert same(expected, train(checkpoint=str(tmp_path), resume=True, **options))


def test_other_circumstances_are_said(tmp_path: Path, monkeypatch):
    train(checkpoint=tmp_path, callbacks=[after(2)])
    monkeypatch.setattr(altmin, "__version__", "9.9")
    with pytest.warns(CheckpointWarning, match=r"perhaps not to the bit: `altmin` was '\S+' and is '9\.9'"):
        train(checkpoint=tmp_path, resume=True)


def test_a_folder_that_holds_checkpoints_is_not_written_over(tmp_path: Path):
    train(checkpoint=tmp_path)
    before = Checkpoints(tmp_path).steps()
    with pytest.raises(CheckpointError, match="holds the checkpoints of a run already; go on with that by resume=True"):
        train(checkpoint=tmp_path)
    assert Checkpoints(tmp_path).steps() == before


def test_resuming_where_there_is_nothing_begins(tmp_path: Path):
    assert same(train(), train(checkpoint=tmp_path, resume=True))


def test_a_folder_that_cannot_be_written_to_is_named_before_the_first_epoch(tmp_path: Path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(CheckpointError, match=f"`checkpoint`: the folder {folder} cannot be written to"):
            train(checkpoint=folder, callbacks=[after(1, pytest.fail)])


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"checkpoint": 3}, TypeError, "`checkpoint` must be the path of a folder or None, got 3"),
        ({"resume": True}, ValueError, "`resume=True` needs the folder"),
        ({"every": 2}, ValueError, "`every` says how often checkpoints are written, and needs a folder"),
        ({"checkpoint": "a", "every": 0}, ValueError, "`every` must be a positive integer or None, got 0"),
        ({"checkpoint": "a", "resume": 1}, TypeError, "`resume` must be True or False, got 1"),
        ({"checkpoint": "a", "checkpoints_kept": 0}, ValueError, "`checkpoints_kept` must be a positive integer"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], error: type[Exception], text: str):
    with pytest.raises(error, match=text):
        train(**options)


# Damage


def tensors(folder: Path) -> Path:
    (file,) = folder.glob("*.safetensors")
    return file


def flipped(path: Path, place: float) -> None:
    """Another bit somewhere in the file."""
    whole = bytearray(path.read_bytes())
    whole[int(place * (len(whole) - 1))] ^= 1
    path.write_bytes(whole)


DAMAGE: dict[str, Callable[[Path, Path], Any]] = {
    "a bit of the weights": lambda new, old: flipped(tensors(new), 0.7),
    "a bit of the header": lambda new, old: flipped(tensors(new), 0.01),
    "a digit of the history": lambda new, old: (new / CONTENT).write_text(
        (new / CONTENT).read_text().replace('"iteration": 3', '"iteration": 2')
    ),
    "cut short": lambda new, old: os.truncate(tensors(new), 100),
    "empty weights": lambda new, old: os.truncate(tensors(new), 0),
    "empty text": lambda new, old: os.truncate(new / CONTENT, 0),
    "half a text": lambda new, old: os.truncate(new / CONTENT, 500),
    "no weights": lambda new, old: tensors(new).unlink(),
    "no text": lambda new, old: (new / CONTENT).unlink(),
    "weights of before": lambda new, old: tensors(new).write_bytes(tensors(old).read_bytes()),
    "another's text": lambda new, old: (new / CONTENT).write_text("[1, 2]"),
    "a pickle": lambda new, old: torch.save({"a": torch.ones(2)}, new / CONTENT),
    "another format": lambda new, old: (new / CONTENT).write_text(json.dumps({"sha256": "", "format": 9})),
    "a folder for a file": lambda new, old: (tensors(new).unlink(), (new / "tensors-00001.safetensors").mkdir()),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(case: str, tmp_path: Path):
    expected = train()
    train(checkpoint=tmp_path, every=1, callbacks=[after(3)])
    old, new = (Checkpoints(tmp_path).path(step) for step in (6, 9))
    DAMAGE[case](new, old)
    with pytest.warns(CheckpointWarning, match=rf"{new}.*: damaged \(.+\); the one before it, step 6, is used"):
        found = train(checkpoint=tmp_path, every=1, resume=True)
    assert same(expected, found)
    assert Checkpoints(tmp_path).steps() == [12, 15]


def test_where_all_are_damaged_nothing_is_begun_in_silence(tmp_path: Path):
    train(checkpoint=tmp_path, callbacks=[after(1)])
    os.truncate(tensors(Checkpoints(tmp_path).path(3)), 50)
    with pytest.raises(CheckpointError, match=r"no checkpoint in .* is whole; .*Remove the folder to begin anew"):
        train(checkpoint=tmp_path, resume=True)


def test_what_a_killed_process_left_is_removed(tmp_path: Path):
    half = tmp_path / ".step-000000003.1234.part"
    half.mkdir()
    (half / "tensors-00001.safetensors").write_text("half")
    (tmp_path / ".writable.77.part").write_text("")
    (tmp_path / "notes.txt").write_text("mine")
    train(checkpoint=tmp_path, every=9)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["notes.txt", "step-000000015"]


@pytest.mark.parametrize("fails", ["weights", "text", "name"])
def test_a_full_disk_leaves_the_checkpoints_before(fails: str, tmp_path: Path, monkeypatch):
    full, count = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), [0]
    places = {
        "weights": ("altmin.train.shards.save_file", SafetensorError("I/O error: No space left (os error 28)")),
        "text": ("altmin.train.checkpoint.write_json", full),
        "name": ("altmin.files.os.rename", full),
    }
    place, error = places[fails]
    module, _, name = place.rpartition(".")
    target = {"altmin.files.os": os}.get(module) or sys.modules[module]
    works = getattr(target, name)

    def fail(*args: Any, **options: Any) -> Any:
        count[0] += "writable" not in str(args[0])
        if count[0] == 3:
            raise error
        return works(*args, **options)

    expected = train()
    monkeypatch.setattr(place, fail)
    with pytest.raises(OSError, match="No space left") as caught:
        train(checkpoint=tmp_path, every=1)
    monkeypatch.undo()
    assert caught.value.errno == errno.ENOSPC
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000000003", "step-000000006"]
    assert same(expected, train(checkpoint=tmp_path, resume=True))


def test_large_tensors_are_cut_into_files_of_bounded_size(tmp_path: Path, monkeypatch):
    case = replace(next(cases()), size=13)
    expected = case.train()
    monkeypatch.setattr(shards, "LARGEST", 1000)
    case.train(checkpoint=tmp_path, callbacks=[after(2)])
    (folder,) = list(tmp_path.iterdir())[-1:]
    sizes = [p.stat().st_size for p in folder.glob("*.safetensors")]
    assert len(sizes) > 20
    assert max(sizes) < 1000 + 4096  # and what safetensors says of them
    assert same(expected, case.train(checkpoint=tmp_path, resume=True))


# A loop of one's own


@pytest.mark.parametrize("method", [OnlineAM(), DLAM(), altmin.Backprop("adam")], ids=lambda m: type(m).__name__)
def test_a_trainer_is_saved_and_goes_on(method: Method, tmp_path: Path):
    model, again = network(), network(width=8)
    trainer, later = Trainer(model, method, generator=seeded(3)), Trainer(again, method)
    trainer.step(X, Y)
    trainer.save(tmp_path)
    trainer.step(X, Y)
    trainer.save(tmp_path)
    later.load(tmp_path)
    assert bits(again) == bits(model)
    later.save(tmp_path)  # nothing is lost before the samples are there
    later = Trainer(again, method)
    later.load(tmp_path)
    for one in (trainer, later):
        one.epoch(X, Y)
    assert bits(again) == bits(model)
    assert later.objective() == trainer.objective()


def test_a_trainer_goes_on_from_a_run_of_fit(tmp_path: Path):
    expected, _ = train(DLAM(), batch_size=None, epochs=5)
    train(DLAM(), batch_size=None, epochs=5, checkpoint=tmp_path, callbacks=[after(3)])
    model = network()
    trainer = Trainer(model, DLAM())
    trainer.load(tmp_path)
    for _ in range(2):
        trainer.step(X, Y)
    assert bits(model) == bits(expected)
    with pytest.raises(CheckpointError, match="holds the checkpoints of another run"):
        trainer.save(tmp_path)


def test_a_trainer_does_not_take_what_is_not_its_own(tmp_path: Path):
    trainer, other = Trainer(network(), DLAM()), Trainer(network(), DLAM())
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        trainer.load(tmp_path)
    with pytest.raises(RuntimeError, match="before the first step"):
        trainer.save(tmp_path)
    trainer.step(X, Y)
    trainer.save(tmp_path)
    other.step(X, Y)
    with pytest.raises(CheckpointError, match="another run; load them first, or name another folder"):
        other.save(tmp_path)
    with pytest.raises(CheckpointError, match=r"`method\.rho` was"):
        Trainer(network(), DLAM(rho=0.5)).load(tmp_path)
    late = Trainer(network(), DLAM())
    late.load(tmp_path)
    with pytest.raises(CheckpointError, match="`data`: DLAM keeps variables of every sample"):
        late.step(X + 1e-3, Y)


# Killed


@pytest.mark.slow
def test_killed_runs_go_on():
    """A few of the kills of ``python -m train.kills 200``, in a process that has no threads."""
    tests = Path(__file__).parents[1]
    paths = os.pathsep.join([str(tests), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "train.kills", "8", "--seed", str(os.getpid())]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
