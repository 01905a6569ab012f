"""The data that the options name."""

from __future__ import annotations

import tempfile
from math import prod
from pathlib import Path

from jsonargparse import Namespace

from altmin.cli.screen import Screen
from altmin.data import Dataset, TableOptions, load
from altmin.study.description import DTYPES, NetworkDescription, Origin


def load_data(options: Namespace, dtype: str, screen: Screen, trained: Origin | None = None) -> tuple[Dataset, Origin]:
    """The data set that `options` name, and what draws it again; what they leave open is as in `trained`.

    Raises:
        ValueError: Options that do not go together.
        DataError: A file that is missing or damaged.
    """
    origin = _origin(options, trained or Origin())
    table = None if origin.table is None else TableOptions(**origin.table)  # type: ignore[arg-type]
    with screen.loading(origin.name) as progress:
        dataset = load(
            origin.name,
            data_dir=options.data_dir,
            train_samples=origin.train_samples,
            seed=origin.seed,
            dtype=DTYPES[dtype],
            csv=table,
            progress=progress,
            center=origin.center,
        )
    return dataset.standardised(), origin


def _origin(options: Namespace, trained: Origin) -> Origin:
    table = {name: _text(value) for name, value in vars(options.csv).items() if value is not None}
    name = options.data if options.data is not None else ("csv" if table else trained.name)
    if table and name != "csv":
        raise ValueError(f"--csv.{min(table)} goes with --data csv, not with --data {name}")
    if options.task is not None and name != "csv":
        raise ValueError(f"--task goes with a table (--csv.train), not with --data {name}")
    table = (
        {**(trained.table or {}), **table, **({"task": options.task} if options.task else {})}
        if name == "csv"
        else None
    )
    missing = [] if table is None else [f"--csv.{key}" for key in ("train", "target") if key not in table]
    if missing:
        raise ValueError(f"--data csv needs {' and '.join(missing)}")
    samples = options.train_samples or (trained.train_samples if name == trained.name else None)
    seed = trained.seed if options.seed is None else options.seed
    center = trained.center if "center" not in options else options.center
    return Origin(name=name, seed=seed, train_samples=samples, table=table, center=center)


def _text(value: object) -> str:
    return str(value.resolve()) if isinstance(value, Path) else str(value)


def require_writable(out: Path) -> None:
    """A `ValueError` where nothing can be written into the folder `out`, which is made if need be."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ValueError(f"--out {out}: cannot write there ({error.strerror}); name another folder") from error


def require_fit(folder: Path, network: NetworkDescription, dataset: Dataset) -> None:
    """A `ValueError` where a network was not made for such data."""
    features = prod(network.inputs)
    if features != dataset.features:
        wants = f"the network in {folder} takes {features} features"
        raise ValueError(f"{wants}, but {dataset.name} has {dataset.features}; it was trained on {network.data.name}")
    if network.classes != dataset.classes:
        raise ValueError(
            f"the network in {folder} predicts {_outputs(network.classes)}, but {dataset.name} has "
            f"{_outputs(dataset.classes)}; it was trained on {network.data.name}"
        )


def _outputs(classes: tuple[str, ...] | None) -> str:
    if classes is None:
        return "numbers"
    return f"{len(classes)} classes ({', '.join(classes[:5])}{', ...' if len(classes) > 5 else ''})"
