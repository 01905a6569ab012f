"""The folder of a run: one process writes there at a time, and no run takes the place of another in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from altmin.study.run_files import CHECKPOINTS, CONFIG, PART, WRITTEN, Owner, sweep_up, whole_of

LOCK = ".lock"


class FolderTakenError(ValueError):
    """A folder holds what must not be replaced, or another process writes there.

    Args:
        what: Who has taken it.
        cure: What can be done about that.
    """

    def __init__(self, what: str, cure: str) -> None:
        super().__init__(f"{what}; {cure}, or name another folder by --out")
        self.what = what


@contextmanager
def claimed(
    command: str,
    out: str | None,
    *,
    overwrite: bool = False,
    resume: bool = False,
    tell: Callable[[str], object] = lambda text: None,
) -> Iterator[Path]:
    """The folder of a run, which is this process's alone until the context ends.

    Args:
        command: Whose run it is to hold: ``train``, ``compare`` or ``bench``.
        out: Its name, such as ``run``; where that is taken, it is the first of ``run-2``, ``run-3`` and so on that is
            not. `None` stands for ``altmin-train`` and so on.
        overwrite: Whether `out` may hold a run, which `prepare` then removes; no other folder is tried.
        resume: Whether `out` must hold a run of the same command, which goes on; no other folder is tried.
        tell: Called with a line that says why, where the folder is another one than `out`.

    Raises:
        ValueError: It holds what must not be replaced, another process writes there, or nothing can be written.
    """
    with ExitStack() as stack:
        if out is not None and (overwrite or resume):
            folder = _entered(Path(out), command, stack, overwrite, resume)
        elif out is not None:
            folder = _first_free(Path(out), command, stack, tell)
        else:
            folder = _first_free(Path(f"altmin-{command}"), command, stack, tell=lambda text: None)
        yield folder


@contextmanager
def claimed_again(command: str, out: str, *, overwrite: bool = False) -> Iterator[tuple[Path, bool]]:
    """The same of a command that goes on wherever its folder holds a run of it, and whether that is so.

    Args:
        command: The command.
        out: The folder; no other one is tried.
        overwrite: Whether it may hold any run, which `prepare` then removes.

    Raises:
        ValueError: It holds what must not be replaced, another process writes there, or nothing can be written.
    """
    owner = Owner.of(Path(out))
    goes_on = not overwrite and owner is not None and owner.command == command
    with ExitStack() as stack:
        yield _entered(Path(out), command, stack, overwrite, resume=goes_on), goes_on


def _first_free(name: Path, command: str, stack: ExitStack, tell: Callable[[str], object]) -> Path:
    """The first of `name`, `name`-2 and so on that is not taken, entered."""
    why: FolderTakenError | None = None
    for i in count(1):
        path = name if i == 1 else name.with_name(f"{name.name}-{i}")
        try:
            folder = _entered(path, command, stack)
        except FolderTakenError as error:
            if not name.name:  # such as ``..``
                raise
            why = why or error
            continue
        if why is not None:
            tell(f"{why.what}; this run is written to {folder}")
        return folder
    raise AssertionError


def _entered(folder: Path, command: str, stack: ExitStack, overwrite: bool = False, resume: bool = False) -> Path:
    """The folder, made where it does not exist, and locked until `stack` ends, which removes the folders left empty."""
    with ExitStack() as own:
        _make(folder, own, resume)
        own.enter_context(locked(folder))
        require_run(folder, command) if resume else _require(folder, command, overwrite)
        stack.push(own.pop_all())
    return folder


def _make(folder: Path, stack: ExitStack, resume: bool) -> None:
    """Make a folder and those around it where they do not exist; the end of `stack` removes those left empty."""
    if resume and not folder.is_dir():
        raise ValueError(f"--resume {folder}: there is no such folder")
    try:
        for path in [*reversed(folder.parents), folder]:
            if not path.is_dir():
                path.mkdir(exist_ok=True)
                stack.callback(_remove_empty, path)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # it is not empty
        folder.rmdir()


def _unwritable(folder: Path, error: OSError) -> ValueError:
    return ValueError(f"--out {folder}: cannot write there ({error.strerror}); name another folder")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The lock of a folder, which the system gives back when its process ends, in whatever way."""
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise FolderTakenError(f"another process of altmin writes to {folder}", "wait for it") from error
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
    """A `FolderTakenError` where a new run of this command may not be written into `folder`."""
    owner = Owner.of(folder)
    if owner is None:
        require_no_files(folder, command)
    elif owner.command == PART:
        whole, its = whole_of(folder)
        what = "comparison" if its == "compare" else "runs"
        raise FolderTakenError(f"{folder} is a part of the {what} in {whole}", "run that again")
    elif not overwrite:
        go_on = (
            ""
            if owner.command in ("bench", "tune")
            else f"`altmin {owner.command} --resume {folder}` goes on with it, "
        )
        what = f"{folder} holds a run of altmin {owner.command} ({go_on}--overwrite replaces it)"
        raise FolderTakenError(what, "replace it by --overwrite")


def require_run(folder: Path, command: str) -> None:
    """A `ValueError` where `folder` holds no run of this command that can go on."""
    owner = Owner.of(folder)
    if owner is None:
        raise ValueError(f"--resume {folder}: no run of altmin has left its {CONFIG} there; start it anew")
    if owner.command == PART:
        whole, its = whole_of(folder)
        what = "a comparison" if its == "compare" else "several runs"
        raise ValueError(f"--resume {folder}: a part of {what}; altmin {its} --resume {whole} goes on with it")
    if owner.command != command:
        raise ValueError(f"--resume {folder}: this folder is by altmin {owner.command}, not by altmin {command}")


def require_no_files(folder: Path, command: str) -> None:
    """A `FolderTakenError` where files that this command writes are there already."""
    found = [name for name in (*WRITTEN[command], CHECKPOINTS) if (folder / name).exists()]
    if found:
        raise FolderTakenError(f"{folder} holds {found[0]}, which is of no run that altmin knows", "move it")
