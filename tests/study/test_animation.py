"""A training as a moving picture: what each frame shows, and the file."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence
from torch import nn

import altmin
from altmin.study.animation import SIDE, animate


@pytest.fixture
def moons(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(60, 2, generator=generator)
    return x, (x[:, 0] > 0).long()


def network(*widths: int) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [m for a, b in pairwise(widths) for m in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def test_a_gif_has_a_frame_for_each_iteration(moons: Any, tmp_path: Path):
    frames = animate(network(2, 8, 2), "bcd", moons[0], moons[1], tmp_path / "it.gif", iterations=4, fps=10)
    with Image.open(tmp_path / "it.gif") as picture:
        shown = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(picture)]
        assert (len(shown), picture.info["duration"]) == (4, 100)
    assert len(frames) == 4
    assert all((a != b).any() for a, b in pairwise(shown))
    assert list(tmp_path.iterdir()) == [tmp_path / "it.gif"]


def test_frames_are_those_of_the_training(moons: Any, tmp_path: Path):
    """Against a trainer of the same start: residuals, codes and, at the samples, activations and regions."""
    x, y = moons
    model, own = network(2, 8, 8, 2), network(2, 8, 8, 2)
    frames = animate(model, "bcd", x, y, tmp_path / "it.gif", iterations=3)
    trainer = altmin.Trainer(own, "bcd")
    for frame in frames:
        trainer.step(x, y)
        assert frame.residuals == pytest.approx(trainer.residuals())
        assert torch.equal(torch.from_numpy(frame.codes), trainer.state.a[1])
        assert torch.allclose(torch.from_numpy(frame.activations), own[:4](x), atol=1e-6)
    pairs = zip(model.parameters(), own.parameters(), strict=True)
    assert all(torch.equal(mine, other) for mine, other in pairs)
    low, high = x.min(0).values, x.max(0).values
    across, down = (torch.linspace(*(a - 0.15 * (b - a), b + 0.15 * (b - a)), SIDE) for a, b in zip(low, high))  # noqa: B905
    points = torch.stack([across.expand(SIDE, SIDE), down[:, None].expand(SIDE, SIDE)], -1)
    assert (own(points.reshape(-1, 2)).argmax(1).view(SIDE, SIDE).numpy() == frames[-1].regions).mean() > 0.999


@pytest.mark.parametrize("method", ["am-adam", "adam", "mac", "taylor"])
def test_every_kind_of_method_is_shown(method: str, moons: Any, tmp_path: Path):
    """Where a method keeps no codes, the network's own activations stand for them; one hidden unit has one axis."""
    frames = animate(network(2, 1, 2), method, moons[0], moons[1], tmp_path / "it.gif", iterations=2)
    if method in ("am-adam", "adam"):
        assert np.array_equal(frames[-1].codes, frames[-1].activations)
    assert (tmp_path / "it.gif").stat().st_size > 1_000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.zeros(4, 3)}, r"`x` must be samples of two numbers, .* got \(4, 3\)"),
        ({"path": "it.png"}, "`path` must end on .gif, got it.png"),
        ({"iterations": 0}, "`iterations` must be positive, got 0"),
        ({"fps": -1}, "`fps` must be positive"),
        ({"model": nn.Sequential(nn.Linear(2, 2))}, "`model` must have a hidden layer"),
    ],
)
def test_what_cannot_be_shown_is_refused(change: dict[str, Any], message: str, moons: Any, here: Path):
    given = {"model": network(2, 4, 2), "method": "bcd", "x": moons[0], "y": moons[1], "path": "it.gif"} | change
    with pytest.raises(ValueError, match=message):
        animate(**given)
    assert list(here.iterdir()) == []
