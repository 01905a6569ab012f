"""A training on two-dimensional samples as a moving picture, for teaching."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.animation import PillowWriter
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor, nn

from altmin.core.forward import forward, outputs
from altmin.core.score import predict
from altmin.files import replacing
from altmin.methods import Method
from altmin.train.picture import COLOURS
from altmin.train.trainer import Trainer

SIDE = 80  # points of the grid on which regions are found
ROOM = 0.15  # around the samples, of their width
LINKS = 100  # samples whose codes are joined with the activations of a forward pass


@dataclass(frozen=True)
class Frame:
    """What one iteration shows.

    Attributes:
        regions: The class that the network gives each point of the grid, ``(SIDE, SIDE)``.
        codes: The last hidden activations that the method keeps as variables, ``(N, h)``; the network's where it keeps
            none.
        activations: The network's own, by a forward pass, ``(N, h)``.
        residuals: How far constraints are from holding, by name.
    """

    regions: np.ndarray
    codes: np.ndarray
    activations: np.ndarray
    residuals: dict[str, float]


def animate(
    model: nn.Sequential,
    method: str | Method,
    x: Tensor,
    y: Tensor,
    path: str | Path,
    *,
    iterations: int = 40,
    fps: int = 5,
    **options: Any,
) -> list[Frame]:
    """Train, and write a GIF of it: decision regions, codes and residuals from iteration to iteration.

    The left panel has the samples in the regions of the plane that the network assigns to each class; the middle one
    the codes of the last hidden layer, which the method moves as variables, each joined with the activation that the
    network really gives (on the two principal axes of all frames); the right one the residuals, which say how far the
    two are apart in every layer.

    Args:
        model: The network, of two inputs and at least one hidden layer; it is trained in place.
        method: How, as an object or by name.
        x: Samples, ``(N, 2)``.
        y: Their classes, integers ``(N,)``.
        path: The GIF, whose folder exists; a file that is there is replaced.
        iterations: How many, each a frame. One is a pass over the samples.
        fps: Frames a second.
        **options: Of `altmin.Trainer`, such as ``loss="cross_entropy"`` and ``seed=0``.

    Returns:
        The frames.

    Raises:
        ValueError: Samples that are not two-dimensional, a network without a hidden layer, a name that does not end on
            ``.gif``, or numbers that are not positive.

    Example:
        >>> import tempfile
        >>> _ = torch.manual_seed(0)
        >>> x = torch.randn(40, 2)
        >>> model = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     frames = animate(model, "bcd", x, (x[:, 0] > 0).long(), f"{folder}/bcd.gif", iterations=3)
        >>> len(frames), sorted(frames[0].residuals)
        (3, ['D_1', 'D_2', 'E_1', 'E_2'])
    """
    path = Path(path)
    _check(x, path, iterations, fps)
    trainer = Trainer(model, method, **options)
    if len(trainer.problem.layers) < 2:
        raise ValueError("`model` must have a hidden layer, whose codes are shown; got a single layer")
    grid, frames = _grid(x), []
    for i in range(iterations):
        trainer.epoch(x, y, epoch=i, epochs=iterations)
        frames.append(_frame(trainer, x, grid))
    _write(frames, x.numpy(), y.numpy(), grid.numpy(), path, fps)
    return frames


def _check(x: Tensor, path: Path, iterations: int, fps: int) -> None:
    if x.ndim != 2 or x.shape[1] != 2:
        raise ValueError(f"`x` must be samples of two numbers, (N, 2), which a plane can show; got {tuple(x.shape)}")
    if path.suffix != ".gif":
        raise ValueError(f"`path` must end on .gif, got {path}")
    for name, value in (("iterations", iterations), ("fps", fps)):
        if not value > 0:
            raise ValueError(f"`{name}` must be positive, got {value}")


def _grid(x: Tensor) -> Tensor:
    """Points all over the samples' rectangle and some room around it, ``(SIDE^2, 2)``, row by row."""
    low, high = x.min(0).values, x.max(0).values
    room = ROOM * (high - low)
    sides = [torch.linspace(a, b, SIDE, dtype=x.dtype) for a, b in zip(low - room, high + room, strict=True)]
    down, across = torch.meshgrid(sides[1], sides[0], indexing="ij")
    return torch.stack([across.flatten(), down.flatten()], 1)


@torch.no_grad()
def _frame(trainer: Trainer, x: Tensor, grid: Tensor) -> Frame:
    problem, state = trainer.problem, trainer.state
    classes = predict(outputs(problem, state, grid), problem.loss.middle)
    activations = forward(problem, state, x)[1][-1]
    hidden = len(problem.layers) - 2
    kept = state.a[hidden] if len(state.a) > hidden and len(state.a[hidden]) == len(x) else activations
    regions = classes.view(SIDE, SIDE).numpy()
    return Frame(regions, kept.clone().numpy(), activations.clone().numpy(), trainer.residuals())


def _write(frames: Sequence[Frame], x: np.ndarray, y: np.ndarray, grid: np.ndarray, path: Path, fps: int) -> None:
    figure = Figure(figsize=(10, 3.6))
    figure.subplots_adjust(0.05, 0.14, 0.98, 0.84, wspace=0.2)
    panels, places = figure.subplots(1, 3), _projected(frames)
    with tempfile.TemporaryDirectory() as folder:
        drawn, writer = Path(folder) / path.name, PillowWriter(fps=fps)
        with writer.saving(figure, str(drawn), dpi=80):
            for i, frame in enumerate(frames):
                for axes in panels:
                    axes.clear()
                _regions(panels[0], frame, x, y, grid)
                _codes(panels[1], i, places, y)
                _residuals(panels[2], frames, i)
                figure.suptitle(f"iteration {i + 1} of {len(frames)}", fontsize="medium")
                writer.grab_frame()
        with replacing(path) as part:
            shutil.copyfile(drawn, part)


def _projected(frames: Sequence[Frame]) -> np.ndarray:
    """Codes and activations on the two principal axes of all of them, ``(frames, 2, N, 2)``; one unit has one axis."""
    every = np.stack([np.stack([frame.codes, frame.activations]) for frame in frames]).astype(float)
    flat = every.reshape(-1, every.shape[-1])
    flat = np.pad(flat - flat.mean(0), ((0, 0), (0, max(0, 2 - flat.shape[1]))))
    axes = np.linalg.svd(flat, full_matrices=False)[2][:2]
    return (flat @ axes.T).reshape(*every.shape[:-1], 2)


def _colours(y: np.ndarray) -> list[str]:
    return [COLOURS[int(label) % len(COLOURS)] for label in y]


def _regions(axes: Axes, frame: Frame, x: np.ndarray, y: np.ndarray, grid: np.ndarray) -> None:
    (left, bottom), (right, top) = grid[0], grid[-1]
    shades, box = ListedColormap(COLOURS), (left, right, bottom, top)
    shown = frame.regions % len(COLOURS)
    axes.imshow(shown, cmap=shades, vmin=0, vmax=len(COLOURS) - 1, alpha=0.3, origin="lower", extent=box, aspect="auto")
    axes.scatter(*x.T, c=_colours(y), s=8)
    axes.set_title("decision regions", fontsize="small")


def _codes(axes: Axes, i: int, places: np.ndarray, y: np.ndarray) -> None:
    codes, activations = places[i]
    step = max(1, len(codes) // LINKS)
    joined = np.stack([codes[::step], activations[::step]], 1)
    axes.plot(*joined.transpose(2, 1, 0), color="#aaaaaa", linewidth=0.6, zorder=1)
    axes.scatter(*codes.T, c=_colours(y), s=8, zorder=2)
    low, high = places.min((0, 1, 2)), places.max((0, 1, 2))
    room = ROOM / 3 * (high - low) + 1e-9
    axes.set_xlim(low[0] - room[0], high[0] + room[0])
    axes.set_ylim(low[1] - room[1], high[1] + room[1])
    axes.set_title("codes (dots), and what the network gives (ends)", fontsize="small")


def _residuals(axes: Axes, frames: Sequence[Frame], i: int) -> None:
    axes.set_title("residuals", fontsize="small")
    axes.set_xlim(1, 1 + 1.3 * len(frames))  # room for the names
    axes.set_xlabel("iteration")
    values = [value for frame in frames for value in frame.residuals.values() if value > 0]
    if not values:
        axes.text(0.5, 0.5, "this method has none", transform=axes.transAxes, ha="center")
        return
    for k, name in enumerate(frames[0].residuals):
        seen = [frame.residuals[name] for frame in frames[: i + 1]]
        axes.plot(range(1, i + 2), seen, color=COLOURS[k % len(COLOURS)], marker=".", label=name)
    axes.set_yscale("log", nonpositive="mask")
    axes.set_ylim(min(values) / 1.5, max(values) * 1.5)
    axes.legend(frameon=False, fontsize="x-small", loc="upper right")
