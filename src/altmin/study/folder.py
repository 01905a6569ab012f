"""The folder of a run: one process writes there at a time, and no run takes the place of another in silence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from altmin.study.networks import ModelSource
from altmin.study.run_files import CHECKPOINTS, CONFIG, PART, WRITTEN, Config, Owner, begin, clear, sweep_up
from altmin.study.saved_network import SOURCE

LOCK = ".lock"


@contextmanager
def claimed(command: str, out: str | None, *, overwrite: bool = False, resume: bool = False) -> Iterator[Path]:
    """The folder of a run, which is this process's alone until the context ends.

    Args:
        command: Whose run it is to hold: ``train``, ``compare`` or ``bench``.
        out: Its name; `None` for the first of ``altmin-train``, ``altmin-train-2`` and so on that does not exist.
        overwrite: Whether it may hold a run, which `prepare` then removes.
        resume: Whether it must hold one of the same command, which goes on.

    Raises:
        ValueError: It holds what must not be replaced, another process writes there, or nothing can be written.
    """
    made: list[Path] = []
    try:
        folder = _fresh(f"altmin-{command}", made) if out is None else _named(Path(out), made, resume)
        with _locked(folder):
            require_run(folder, command) if resume else _require(folder, command, overwrite)
            yield folder
    finally:
        for path in reversed(made):
            with suppress(OSError):  # it is not empty
                path.rmdir()


def prepare(
    folder: Path,
    command: str,
    config: Config,
    model: str | ModelSource = "",
    parts: dict[str, Config] | None = None,
    resume: bool = False,
) -> None:
    """Take an older run out of a claimed folder, and leave there what makes this one again.

    Args:
        folder: The folder.
        command: Whose it is from now on.
        config: The options that make the same run again.
        model: The network's; of a user's own file there is a copy from now on.
        parts: Of a comparison: its methods, each of which has a folder, and their options.
        resume: Whether it is the run that is there which goes on, perhaps one that was killed while it prepared.

    Raises:
        ValueError: A folder of a method holds what must not be replaced, or a user's own ``model.py`` is in the way;
            nothing is removed then.
    """
    parts = parts or {}
    with ExitStack() as stack:
        _require_source(folder, model)
        for name in parts:
            _require_part(folder / name, stack, model, ours=Owner.of(folder))
        if not resume:
            clear(folder)
            begin(folder, command, config, model, tuple(parts))
        for name, own in parts.items():
            if Owner.of(folder / name) is None:
                (folder / name).mkdir(exist_ok=True)
                begin(folder / name, PART, own, model)


def _fresh(name: str, made: list[Path]) -> Path:
    """The first of `name`, `name`-2 and so on that does not exist, and is made."""
    for i in count(1):
        path = Path(name if i == 1 else f"{name}-{i}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise _unwritable(path, error) from error
        made.append(path)
        return path
    raise AssertionError


def _named(folder: Path, made: list[Path], resume: bool) -> Path:
    """A folder of this name; it, and those around it, are made where they do not exist."""
    if resume and not folder.is_dir():
        raise ValueError(f"--resume {folder}: there is no such folder")
    try:
        for path in [*reversed(folder.parents), folder]:
            if not path.is_dir():
                path.mkdir()
                made.append(path)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return folder


def _unwritable(folder: Path, error: OSError) -> ValueError:
    return ValueError(f"--out {folder}: cannot write there ({error.strerror}); name another folder")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The lock of a folder, which the system gives back when its process ends, in whatever way."""
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise ValueError(
            f"{folder}: another process of altmin writes there; wait for it, or name another folder"
        ) from error
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        sweep_up(folder)
        yield
    finally:
        with suppress(PermissionError):  # Windows removes it with its release
            (folder / LOCK).unlink(missing_ok=True)
        lock.release()


def _require(folder: Path, command: str, overwrite: bool) -> None:
    """A `ValueError` where a new run of this command may not be written into `folder`."""
    owner = Owner.of(folder)
    if owner is None:
        _require_no_files(folder, command)
    elif owner.command == PART:
        raise ValueError(
            f"--out {folder} is a part of the comparison in {folder.absolute().parent}; name another folder"
        )
    elif not overwrite:
        go_on = "" if owner.command == "bench" else f"go on with it by `altmin {owner.command} --resume {folder}`, "
        ways = f"{go_on}name another folder, or replace it by --overwrite"
        raise ValueError(f"--out {folder} holds a run of altmin {owner.command}; {ways}")


def require_run(folder: Path, command: str) -> None:
    """A `ValueError` where `folder` holds no run of this command that can go on."""
    owner = Owner.of(folder)
    if owner is None:
        raise ValueError(f"--resume {folder}: no run of altmin has left its {CONFIG} there; start it anew")
    if owner.command == PART:
        whole = folder.absolute().parent
        raise ValueError(f"--resume {folder}: a part of a comparison; altmin compare --resume {whole} goes on with it")
    if owner.command != command:
        raise ValueError(f"--resume {folder}: this folder is by altmin {owner.command}, not by altmin {command}")


def _require_no_files(folder: Path, command: str) -> None:
    found = [name for name in (*WRITTEN[command], CHECKPOINTS) if (folder / name).exists()]
    if found:
        raise ValueError(
            f"--out {folder}: {found[0]} there is of no run that altmin knows; move it, or name another folder"
        )


def _require_source(folder: Path, model: str | ModelSource) -> None:
    """A `ValueError` where the copy of a user's file would take the place of another file of the user's."""
    path, owner = folder / SOURCE, Owner.of(folder)
    if not isinstance(model, ModelSource) or not path.is_file() or (owner is not None and owner.copied):
        return
    if path.read_text(encoding="utf-8", errors="replace") != model.text:
        text = f"{SOURCE} there is not {model.path}, which is copied there; name another folder"
        raise ValueError(f"--out {folder}: {text}")


def _require_part(part: Path, stack: ExitStack, model: str | ModelSource, ours: Owner | None) -> None:
    """A `ValueError` where a method's folder holds something else than a part of the comparison that is replaced."""
    if not part.exists():
        return
    stack.enter_context(_locked(part))
    _require_source(part, model)
    owner = Owner.of(part)
    if owner is None:
        _require_no_files(part, PART)
    elif ours is None or part.name not in ours.methods or owner.command != PART:
        raise ValueError(f"{part} holds a run of its own; name another folder by --out")
