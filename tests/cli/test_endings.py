"""What is kept when a run ends early, and what is said: signals, full disks, too little memory, a method's failure."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import altmin
from altmin import files
from altmin.cli import main, plan, preflight, training
from altmin.cli.output import Output
from altmin.cli.screen import Screen
from altmin.cli.signals import Interrupt, as_ctrl_c
from altmin.study import plots, run_files
from altmin.study.saved_network import load

SMALL = ["--hidden", "8", "--train-samples", "200", "--threads", "1", "--quiet", "--seeds", "1"]
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
ALLOCATOR = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"
)
FAILURES = {
    "memory": MemoryError("Unable to allocate 8 EiB"),
    "allocator": RuntimeError(ALLOCATOR),
    "gpu": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"),
    "bug": ZeroDivisionError("division by zero"),
    "value": ValueError("no such thing"),
}


@pytest.fixture(autouse=True)
def quick_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another test draws them."""
    for name in ("plot", "plot_training"):
        monkeypatch.setattr(plots, name, lambda _, path: path.touch())


@pytest.fixture(autouse=True)
def hangup_asks() -> Iterator[None]:
    """As from a terminal: under ``nohup`` the tests themselves ignore it, which altmin heeds."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps and files that are tried before training count as those of training."""


@pytest.fixture(autouse=True)
def no_trials(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps and files are counted from the beginning of training: what is tried before it is left out."""
    if "trials" not in request.fixturenames:
        monkeypatch.setattr(preflight, "_check_memory", lambda *_: {})
        monkeypatch.setattr(preflight, "_check_way_back", lambda *_: 0)


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that does not exist, in the present one."""
    monkeypatch.chdir(tmp_path)
    return Path("out")


def results(out: Path) -> list[dict[str, Any]]:
    return json.loads((out / "results.json").read_text())["runs"]


def train(*options: str, method: str = "bcd", epochs: int = 6) -> int:
    return main(["train", method, *SMALL, "--epochs", str(epochs), "--out", "out", *options])


def steps(monkeypatch: pytest.MonkeyPatch, number: int, act: Any, cls: type = altmin.BCD) -> None:
    """Have `act` done in the midst of this step of a method, counted from 1."""
    count, step = iter(range(1, 10**6)), cls.step

    def counted(self: Any, sweep: Any) -> None:
        step(self, sweep)
        if next(count) == number:
            act()

    monkeypatch.setattr(cls, "step", counted)


def raising(error: BaseException) -> Any:
    def act() -> None:
        raise error

    return act


# Signals


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_ends_training_after_the_iteration(number: int, code: int, out: Path, monkeypatch, capfd):
    steps(monkeypatch, 3, lambda: signal.raise_signal(number))
    assert train() == code
    (run,) = results(out)
    assert (run["status"], run["iterations"]) == ("stopped", 3)
    load(out)  # refuses what is not whole
    errors = capfd.readouterr().err
    assert "stopping after this iteration" in errors
    assert "`altmin train --resume out` goes on" in errors


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_second_signal_writes_what_there_is(number: int, code: int, out: Path, monkeypatch, capfd):
    """It comes within the third iteration: the weights are those after the second one."""
    assert train("--keep", "last", epochs=2) == 0
    expected = load(out)[0].state_dict()
    steps(monkeypatch, 3, lambda: (signal.raise_signal(number), signal.raise_signal(signal.SIGTERM)))
    assert train("--keep", "last", "--overwrite") == code
    (run,) = results(out)
    assert (run["status"], run["iterations"]) == ("stopped", 2)
    assert all(torch.equal(t, expected[name]) for name, t in load(out)[0].state_dict().items())
    assert "stopping at once" in capfd.readouterr().err


def test_signals_while_results_are_written_do_not_disturb(out: Path, monkeypatch):
    write = training.keep

    def disturbed(*args: Any) -> None:
        for _ in range(3):
            signal.raise_signal(signal.SIGTERM)
        write(*args)

    monkeypatch.setattr(training, "keep", disturbed)
    assert train() == 143
    assert results(out)[0]["status"] == "ok"
    load(out)  # refuses what is not whole


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_before_training_leaves_nothing(number: int, code: int, out: Path, monkeypatch, capsys):
    monkeypatch.setattr(plan, "load_data", lambda *_: signal.raise_signal(number))
    assert train() == code
    assert capsys.readouterr().err == "altmin: interrupted: nothing more is written\n"
    assert not out.exists()


def test_a_signal_ends_a_comparison_between_methods_too(out: Path, monkeypatch):
    steps(monkeypatch, 2, lambda: signal.raise_signal(signal.SIGTERM))
    assert main(["compare", "bcd", "am-sgd", *SMALL, "--epochs", "2", "--out", "out"]) == 143
    assert [run["method"] for run in results(out)] == ["bcd"]
    assert (out / "compare.png").is_file()


def test_signals_are_as_they_were_afterwards(monkeypatch):
    before = [signal.getsignal(number) for number, _ in SIGNALS]
    with as_ctrl_c(), Interrupt():
        pass
    assert [signal.getsignal(number) for number, _ in SIGNALS] == before


def test_nohup_is_heeded():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with as_ctrl_c(), Interrupt() as interrupt:
            signal.raise_signal(signal.SIGHUP)
            assert not interrupt.asked
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_thread_can_train(out: Path):
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(train()))
    thread.start()
    thread.join()
    assert codes == [0]


# Output


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.EIO, "the terminal is gone")


def test_what_cannot_be_printed_is_dropped():
    output = Output(Broken())
    print("a", file=output)  # type: ignore[arg-type]
    assert output.error is not None
    assert output.error.errno == errno.EIO
    assert not output.isatty()


def test_characters_that_an_encoding_lacks_are_printed_by_number():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    output = Output(stream)
    output.write("é\n")
    output.flush()
    assert stream.buffer.getvalue() == b"\\xe9\n"  # type: ignore[attr-defined]


# Failures


def full(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A disk that is full once a file or folder of this name is written."""
    flush = files._flush

    def failing(path: Path) -> None:
        if name in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        flush(path)

    monkeypatch.setattr(files, "_flush", failing)


@pytest.fixture(scope="module")
def wholes() -> dict[str, Path]:
    """The folder of a run that nothing disturbed, by its command."""
    return {}


@pytest.mark.thinned(1)
@pytest.mark.parametrize("name", ["model.safetensors", "model.json", "curves.csv", "results.json", "step-"])
@pytest.mark.parametrize("command", ["train", "compare"])
def test_a_full_disk_is_one_line_and_what_there_was_stays(
    command: str, name: str, wholes: dict[str, Path], out: Path, monkeypatch, capsys
):
    """Then a run goes on where there is room again, and ends as it would have."""
    line = [command, "bcd", *SMALL, "--epochs", "6", "--every", "2", "--out"]
    if command not in wholes:
        assert main([*line, "whole"]) == 0
        wholes[command] = Path("whole").resolve()
    whole = wholes[command]
    with monkeypatch.context() as patch:
        full(patch, name)
        capsys.readouterr()
        assert main([*line, "out"]) == 3
    printed = capsys.readouterr()
    assert printed.err.startswith("altmin: error: the disk is full ([Errno 28] No space left on device: ")
    assert printed.err.count("\n") == 1
    assert f"`altmin {command} --resume out`" in printed.err
    assert ("the checkpoint of step 6" in printed.err) == (name != "step-")
    assert ("bcd  " in printed.out) == (command == "compare")
    assert main([command, "--resume", "out"]) == 0
    assert without_times(out) == without_times(whole)
    assert files_in(out) == files_in(whole)


def without_times(out: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in run.items() if k not in ("run", "seconds", "cpu_seconds")} for run in results(out)]


def files_in(out: Path) -> list[str]:
    return sorted(str(path.relative_to(out)) for path in out.rglob("*"))


@pytest.mark.parametrize("kind", FAILURES)
def test_what_fails_in_one_method_is_its_rows_status(kind: str, out: Path, monkeypatch, capsys):
    steps(monkeypatch, 3, raising(FAILURES[kind]))
    assert main(["compare", "bcd", "am-sgd", *SMALL, "--epochs", "6", "--out", "out"]) == 3
    first, second = results(out)
    assert (first["status"], first["iterations"], second["status"]) == ("failed", 2, "ok")
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert str(FAILURES[kind]) in printed.err
    assert printed.err.startswith("altmin: warning: bcd: ")
    rows = [line.split()[-1] for line in printed.out.splitlines() if line.startswith(("bcd  ", "am-sgd  "))]
    assert rows[:2] == ["failed", "ok"]
    assert main(["predict", "out/bcd"]) == 0


def test_a_comparison_goes_on_with_what_failed_alone(out: Path, monkeypatch, capsys):
    line = ["compare", "am-sgd", "bcd", "dladmm", *SMALL, "--epochs", "6", "--every", "1"]
    assert main([*line, "--out", "whole"]) == 0
    with monkeypatch.context() as patch:
        steps(patch, 3, raising(MemoryError()))
        assert main([*line, "--out", "out"]) == 3
    before = (out / "am-sgd" / "model.safetensors").stat().st_mtime_ns
    capsys.readouterr()
    assert main(["compare", "--resume", "out"]) == 0
    text = capsys.readouterr().out
    assert "bcd 5/6" in text
    assert not any(text.count(f"\n{name} ") for name in ("bcd 2/6", "am-sgd 1/6", "dladmm 1/6"))
    assert (out / "am-sgd" / "model.safetensors").stat().st_mtime_ns == before
    assert without_times(out) == without_times(Path("whole"))
    assert files_in(out) == files_in(Path("whole"))


@pytest.mark.usefixtures("trials")
def test_a_method_that_fails_at_once_is_a_row_too(out: Path, monkeypatch, capsys):
    """Its first step is tried before training, which need not be the end of the others."""
    monkeypatch.setattr(altmin.BCD, "step", lambda *_: raising(KeyError("rows"))())
    assert main(["compare", "bcd", "am-sgd", *SMALL, "--epochs", "2", "--out", "out"]) == 3
    assert [(run["method"], run["status"]) for run in results(out)] == [("bcd", "failed"), ("am-sgd", "ok")]
    assert "KeyError: 'rows'" in capsys.readouterr().err
    assert not (out / "bcd" / "model.json").exists()


@pytest.mark.parametrize("kind", ["memory", "allocator", "gpu"])
def test_too_little_memory_is_one_line(kind: str, out: Path, monkeypatch, capsys):
    steps(monkeypatch, 3, raising(FAILURES[kind]))
    assert train("--every", "1") == 3
    errors = capsys.readouterr().err
    assert errors.startswith("altmin: error: out of memory (")
    assert errors.count("\n") == 1
    assert "kept: weights and results in out, the checkpoint of step 2 in out/checkpoints; " in errors
    assert "`altmin train --resume out` goes on" in errors
    assert results(out)[0]["status"] == "failed"
    load(out)  # refuses what is not whole


def test_a_bug_is_shown_whole_with_what_was_kept(out: Path, monkeypatch):
    steps(monkeypatch, 3, raising(ZeroDivisionError("division by zero")))
    with pytest.raises(ZeroDivisionError) as caught:
        train("--every", "1")
    assert "checkpoint of step 2" in caught.value.__notes__[0]
    assert results(out)[0]["iterations"] == 2


def test_memory_that_lacks_for_the_final_measures_costs_no_weights(out: Path, monkeypatch, capsys):
    monkeypatch.setattr("altmin.study.run.measured", lambda *_: raising(MemoryError())())
    assert train() == 3
    assert results(out)[0]["test_accuracy"] is None
    load(out)  # refuses what is not whole
    assert "the checkpoint of step 6" in capsys.readouterr().err


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), ImportError("no backend"), RuntimeError("no fonts")])
def test_a_picture_that_fails_loses_nothing(error: Exception, out: Path, monkeypatch, capsys):
    monkeypatch.setattr(plots, "plot", lambda *_: raising(error)())
    assert main(["compare", "bcd", *SMALL, "--epochs", "2", "--out", "out"]) == 3
    printed = capsys.readouterr()
    assert any(line.startswith("bcd  ") for line in printed.out.splitlines())
    assert printed.err.startswith("altmin: error: compare.png could not be drawn: ")
    assert printed.err.count("\n") == 1
    assert results(out)[0]["status"] == "ok"
    monkeypatch.setattr(plots, "plot", lambda _, path: path.touch())
    assert main(["compare", "--resume", "out"]) == 0
    assert (out / "compare.png").is_file()


def test_the_table_is_printed_before_the_picture_is_drawn(out: Path, monkeypatch):
    order: list[str] = []
    monkeypatch.setattr(Screen, "table", lambda *_, **__: order.append("table"))
    monkeypatch.setattr(plots, "plot", lambda *_: order.append("picture"))
    assert main(["compare", "bcd", *SMALL, "--epochs", "1", "--out", "out"]) == 0
    assert order == ["table", "table", "picture"]


@pytest.mark.parametrize("last", ["config.yaml", "results.json"])
def test_death_before_and_after_the_last_word(last: str, out: Path, monkeypatch, capsys):
    """A process that dies when all is written, but for its checkpoints, has finished; one that had begun, begins."""
    with monkeypatch.context() as patch:
        patch.setattr(training, "keep" if last == "results.json" else "run", dying(last))
        with pytest.raises(SystemExit):
            train("--every", "2")
    capsys.readouterr()
    assert main(["train", "--resume", "out"]) == 0
    assert ("holds a finished run" in capsys.readouterr().out) == (last == "results.json")
    assert results(out)[0]["iterations"] == 6
    assert not (out / run_files.CHECKPOINTS).exists()


def dying(last: str) -> Any:
    """Death where the results are written and the checkpoints still there, or before anything was done."""
    write = training.keep

    def act(*args: Any) -> None:
        if last == "results.json":
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("altmin.cli.results.remove_checkpoints", lambda _: None)
                write(*args)
        raise SystemExit(9)

    return act
