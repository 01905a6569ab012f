"""Measures of a split, by hand: a regression in its own units."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score, root_mean_squared_error
from torch import nn

from altmin.convert import problem_of, state_of
from altmin.data import Split, TargetScale
from altmin.study.measures import measured


def test_a_regression_is_measured_in_the_targets_units():
    generator = torch.Generator().manual_seed(0)
    x, units = torch.randn(50, 3, generator=generator), TargetScale(2e5, 8e4)
    model, y = nn.Sequential(nn.Linear(3, 1)), torch.randn(50, 1, generator=generator)
    found = measured(problem_of(model, "squared"), state_of(model), Split(x, y), model, units)
    right, said = units.units(y).numpy(), units.units(model(x).detach()).numpy()
    assert found.accuracy is None
    assert found.r2 == pytest.approx(r2_score(right, said), rel=1e-5)
    assert found.rmse == pytest.approx(root_mean_squared_error(right, said), rel=1e-5)
    assert found.loss == pytest.approx(np.square(right - said).mean() / 2, rel=1e-5)


def test_classes_have_an_accuracy_and_no_units():
    model, x = nn.Sequential(nn.Linear(3, 2)), torch.randn(20, 3)
    y = model(x).argmax(1)
    found = measured(problem_of(model, "cross_entropy"), state_of(model), Split(x, y), model)
    assert (found.accuracy, found.r2, found.rmse) == (1.0, None, None)


def test_equal_targets_have_no_r2():
    model, x = nn.Sequential(nn.Linear(3, 1)), torch.randn(20, 3)
    found = measured(problem_of(model, "squared"), state_of(model), Split(x, torch.ones(20, 1)), model)
    assert found.r2 is None
    assert found.loss is not None
    assert found.rmse == pytest.approx((2 * found.loss) ** 0.5)
