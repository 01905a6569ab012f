"""An activation that is another function than its module, and pieces that are no nondecreasing function."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import altmin
from altmin.activations import Piece, PiecewiseLinear
from altmin.convert.probe import POINTS
from altmin.registration import modules_of

pytestmark = pytest.mark.usefixtures("registrations")
INF = math.inf


class Capped(nn.Module):
    """``min(max(z, 0), cap)``."""

    def __init__(self, cap: float = 2.0):
        super().__init__()
        self.cap = cap

    def forward(self, z: Tensor) -> Tensor:
        return z.clamp_(0.0, self.cap)


def read(cap: float, dtype: torch.dtype = torch.float32, before: tuple[nn.Module, ...] = ()) -> None:
    altmin.problem_of(nn.Sequential(nn.Linear(3, 2), *before, Capped(cap), nn.Linear(2, 2)).to(dtype))


@pytest.fixture
def capped(registrations: None) -> None:
    @altmin.converts(Capped)
    class CappedActivation(PiecewiseLinear):
        def __init__(self):
            super().__init__((Piece(-INF, 0.0, 0.0, 0.0), Piece(0.0, 2.0, 1.0, 0.0), Piece(2.0, INF, 0.0, 2.0)))


@pytest.mark.usefixtures("capped")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("before", [(), (nn.Dropout(0.5),)], ids=["alone", "behind dropout"])
def test_values_are_compared(dtype: torch.dtype, before: tuple[nn.Module, ...]):
    read(2.0, dtype, before)
    place = f"module {1 + len(before)} .Capped.: CappedActivation computes another function: at z = "
    with pytest.raises(TypeError, match=rf"{place}2\.\d+ the module gives 2\.\d+, the activation 2$"):
        read(4.0, dtype, before)


@pytest.mark.parametrize("kind", modules_of("activation"), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_librarys_own_are_what_they_say(kind: Callable[[], nn.Module], dtype: torch.dtype):
    altmin.problem_of(nn.Sequential(nn.Linear(3, 2), kind(), nn.Linear(2, 2)).to(dtype))


def test_points_lie_on_all_scales_and_off_the_usual_kinks():
    assert min(map(abs, POINTS)) < 0.01
    assert max(POINTS) > 20.0
    assert -max(POINTS) == min(POINTS)
    assert all(abs(z * 20.0 - round(z * 20.0)) > 1e-4 for z in POINTS)


WRONG = {
    "no piece": ((), "must cover the line"),
    "a gap": ((Piece(-INF, 0.0, 0.0, 0.0), Piece(0.5, INF, 1.0, 0.0)), r"must cover .*\[-inf, 0\], \[0.5, inf\]"),
    "an overlap": ((Piece(-INF, 0.5, 0.0, 0.0), Piece(0.0, INF, 1.0, 0.0)), "must cover the line"),
    "out of order": ((Piece(0.0, INF, 1.0, 0.0), Piece(-INF, 0.0, 0.0, 0.0)), "must cover the line"),
    "no end": ((Piece(-INF, 0.0, 0.0, 0.0),), "must cover the line"),
    "falls": ((Piece(-INF, 0.0, -0.5, 0.0), Piece(0.0, INF, 1.0, 0.0)), r"the slope on \[-inf, 0\] is -0.5"),
    "jumps down": ((Piece(-INF, 1.0, 1.0, 0.0), Piece(1.0, INF, 1.0, -0.5)), "the value at 1 goes from 1 to 0.5"),
}


@pytest.mark.parametrize("name", WRONG)
def test_pieces_are_checked(name: str):
    pieces, text = WRONG[name]
    with pytest.raises(ValueError, match=text):
        PiecewiseLinear(pieces)


def test_a_jump_upwards_is_a_function():
    steps = PiecewiseLinear((Piece(-INF, 0.0, 0.0, -1.0), Piece(0.0, INF, 0.0, 1.0, above=True)))
    assert steps(torch.tensor([-0.1, 0.1])).tolist() == [-1.0, 1.0]
