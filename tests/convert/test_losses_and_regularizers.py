"""Losses and regularisers by their names."""

import pytest
import torch
from torch import nn

from altmin import (
    L1,
    L2,
    CrossEntropy,
    Hinge,
    SquaredLoss,
)
from altmin.losses import LOSSES, Loss, make_loss, register_loss
from altmin.regularizers import make_regularizer


@pytest.mark.parametrize(
    ("name", "loss"), [("cross_entropy", CrossEntropy()), ("squared", SquaredLoss()), ("hinge", Hinge())]
)
def test_losses_by_name(name, loss):
    assert make_loss(name) == loss


def test_a_loss_object_is_passed_through():
    loss = CrossEntropy("fista")
    assert make_loss(loss) is loss


@pytest.mark.parametrize(("text", "made"), [("l1:0.5", L1(0.5)), ("l2:1e-4", L2(1e-4)), (None, None), ("none", None)])
def test_regularisers_by_text(text, made):
    W = torch.tensor([[1.0, -2.0]])
    assert make_regularizer(text)(W) == (0.0 if made is None else made(W))
    assert made is None or make_regularizer(text) == made


def test_a_regulariser_object_is_passed_through():
    omega = L1(0.5)
    assert make_regularizer(omega) is omega


def test_an_unknown_loss_is_answered_with_the_nearest_name_and_the_list():
    with pytest.raises(ValueError, match=r"`loss` 'cross_entrpy'; did you mean 'cross_entropy'\?.*squared.*hinge"):
        make_loss("cross_entrpy")


@pytest.mark.parametrize("text", ["l1", "l3:1", "l2:-1", "l2:x", "l1:inf", ""])
def test_a_regulariser_of_another_form_is_a_value_error_that_says_the_form(text):
    with pytest.raises(ValueError, match=rf"`regularizer` must be .*'l1:WEIGHT', 'l2:WEIGHT'.*got {text!r}"):
        make_regularizer(text)


@pytest.mark.parametrize(
    ("given", "loss"),
    [("mse", SquaredLoss()), (nn.MSELoss(), SquaredLoss()), (nn.CrossEntropyLoss(), CrossEntropy())],
)
def test_losses_by_their_names_in_pytorch(given, loss):
    assert make_loss(given) == loss


@pytest.mark.parametrize(
    ("loss", "option"),
    [
        (nn.CrossEntropyLoss(label_smoothing=0.1), "label_smoothing=0.1"),
        (nn.CrossEntropyLoss(weight=torch.ones(2)), r"weight=tensor\(\[1., 1.\]\)"),
        (nn.CrossEntropyLoss(ignore_index=0), "ignore_index=0"),
        (nn.CrossEntropyLoss(reduction="sum"), "reduction='sum'"),
        (nn.MSELoss(reduction="none"), "reduction='none'"),
    ],
)
def test_options_of_pytorchs_losses_are_refused_by_name(loss, option):
    with pytest.raises(
        ValueError, match=rf"`loss`: \w+ has {option}, which .*; leave `{option.partition('=')[0]}` out"
    ):
        make_loss(loss)


class OwnLoss(nn.MSELoss):
    """May compute anything."""


@pytest.mark.parametrize("loss", [nn.L1Loss(), OwnLoss(), nn.Linear(1, 1)])
def test_other_modules_stand_for_no_loss(loss):
    with pytest.raises(TypeError, match=r"`loss`: \w+ stands for no loss; known: nn.CrossEntropyLoss\(\), nn.MSELoss"):
        make_loss(loss)


def test_names_that_stand_for_another_are_taken_and_not_listed():
    assert "mse" not in LOSSES
    with pytest.raises(ValueError, match="SquaredLoss is the loss 'mse' already, not Other"):
        register_loss("mse")(type("Other", (Loss,), {}))


@pytest.mark.parametrize("loss", [CrossEntropy, nn.CrossEntropyLoss, None, 1])
def test_something_that_is_no_loss_is_a_type_error(loss):
    with pytest.raises(TypeError, match="`loss`"):
        make_loss(loss)


@pytest.mark.parametrize("regularizer", [L1, 0.1, True, torch.nn.functional.relu])
def test_something_that_is_no_regulariser_is_a_type_error(regularizer):
    with pytest.raises(TypeError, match="`regularizer`"):
        make_regularizer(regularizer)
