"""``altmin predict``."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from torch import Tensor

from altmin.cli.data import load_data, require_fit, require_writable
from altmin.cli.screen import Screen
from altmin.convert import problem_of, state_of
from altmin.core.forward import outputs
from altmin.data import Dataset
from altmin.files import replacing
from altmin.study.run import scored
from altmin.study.saved_network import load
from altmin.train.place import check_device
from altmin.train.score import predict as decide


def predict(options: Namespace) -> int:
    """Apply a trained network to a test set; the exit code."""
    screen, device = Screen(options.quiet), check_device(options.device)
    folder = Path(options.dir)
    if options.out is not None:
        if Path(options.out).is_dir():
            raise ValueError(f"--out {options.out}: this is a folder; name a file for the predictions")
        require_writable(Path(options.out).parent)
    model, network = load(folder, options.trust_model_code)
    dataset, _ = load_data(options, network.dtype, screen, network.data)
    require_fit(folder, network, dataset)
    model.to(device)
    problem, state = problem_of(model, network.loss), state_of(model)
    score = scored(problem, state, dataset.test, model)
    quality = f"loss {score.loss:.4g}" if score.accuracy is None else f"accuracy {score.accuracy:.2%}"
    screen.result(f"{dataset.name}, {len(dataset.test):,} test samples: {quality}")
    if options.out is not None:
        write_predictions(outputs(problem, state, dataset.test.x.to(device)).cpu(), dataset, Path(options.out))
        screen.say(f"wrote {options.out}")
    return 0


def write_predictions(z: Tensor, dataset: Dataset, path: Path) -> None:
    """Write a row for each test sample: its number from 0, what the network says, and the label."""
    with replacing(path) as part, part.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "predicted", "label"])
        writer.writerows((i, *row) for i, row in enumerate(_pairs(z, dataset)))


def _pairs(z: Tensor, dataset: Dataset) -> Iterator[tuple[Any, Any]]:
    """Prediction and label of each sample, as class names or numbers."""
    y = dataset.test.y
    if dataset.classes is None:
        return zip(z.flatten().tolist(), y.flatten().tolist(), strict=True)
    names = dataset.classes
    return ((names[i], names[j]) for i, j in zip(decide(z).tolist(), y.tolist(), strict=True))
