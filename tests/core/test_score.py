"""Loss, accuracy and gap of a state, against figures worked out by hand."""

import pytest
import torch
from torch import nn

from altmin import Batch, problem_of, state_of
from altmin.core.forward import outputs, start_forward
from altmin.core.score import labels_of, predict, score


@pytest.fixture
def network():
    """Problem, state with ``Z`` by the forward pass, and batch: three layers, seven samples of three classes."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    problem, x = problem_of(model), torch.randn(7, 4, dtype=torch.float64)
    batch = Batch(x, problem.loss.encode(torch.tensor([0, 1, 2, 0, 1, 2, 0]), 3, x.dtype))
    state = state_of(model)
    start_forward(problem, state, x)
    return model, problem, state, batch


def line(loss, slope, x, y):
    """The problem, the state and the batch of a network ``z = slope x`` with one output."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False))
    nn.init.constant_(model.get_parameter("0.weight"), slope)
    problem, x = problem_of(model, loss), torch.tensor(x)[:, None]
    return problem, state_of(model), Batch(x, problem.loss.encode(torch.tensor(y), 1, x.dtype))


def test_loss_and_accuracy_are_those_of_the_plain_network(network):
    model, problem, state, batch = network
    labels, z = batch.y.argmax(1), model(batch.x)
    got = score(problem, state, batch, classes=True)
    assert got.loss == pytest.approx(nn.functional.cross_entropy(z, labels).item(), rel=1e-12)
    assert got.accuracy == pytest.approx((z.argmax(1) == labels).double().mean().item(), rel=1e-12)


def test_gap_is_zero_where_z_is_the_forward_pass(network):
    _, problem, state, batch = network
    assert score(problem, state, batch, classes=True).gap == 0.0


def test_gap_is_the_relative_distance_of_all_z_from_the_forward_pass(network):
    _, problem, state, batch = network
    off = state.clone()
    off.z[0] += 1.0
    off.z[2] -= 2.0
    distance = 7 * 5 * 1.0 + 7 * 3 * 4.0
    size = sum(float(z.square().sum()) for z in state.z)
    assert score(problem, off, batch, classes=True).gap == pytest.approx((distance / size) ** 0.5, rel=1e-12)


def test_a_state_without_z_has_no_gap(network):
    model, problem, _, batch = network
    assert score(problem, state_of(model), batch, classes=True).gap is None


def test_regression_has_a_loss_and_no_accuracy(network):
    model, _, state, batch = network
    got = score(problem_of(model, "squared"), state, batch, classes=False)
    assert got.accuracy is None
    assert got.loss == pytest.approx(0.5 * (model(batch.x) - batch.y).square().sum().item() / 7, rel=1e-12)


@pytest.mark.parametrize("chunk", [1, 3, 7])
def test_chunks_do_not_change_the_score(network, monkeypatch, chunk):
    model, problem, state, batch = network
    off = state.clone()
    off.z[:] = [z + 0.5 for z in state.z]
    whole = score(problem, off, batch, classes=True)
    for module in ("core.score", "core.forward"):
        monkeypatch.setattr(f"altmin.{module}.CHUNK", chunk)
    parts = score(problem, off, batch, classes=True)
    assert (parts.loss, parts.accuracy, parts.gap) == pytest.approx((whole.loss, whole.accuracy, whole.gap), rel=1e-12)
    torch.testing.assert_close(outputs(problem, off, batch.x), model(batch.x).detach())


@pytest.mark.parametrize(
    ("loss", "accuracy"),
    [("squared", 0.75), ("hinge", 0.5)],  # targets 0 and 1: decided at 1/2; targets -1 and 1: decided at 0
)
def test_one_output_is_decided_in_the_middle_of_its_targets(loss, accuracy):
    problem, state, batch = line(loss, 1.0, [-1.0, 0.25, 0.75, 2.0], [0, 0, 1, 0])
    assert score(problem, state, batch, classes=True).accuracy == accuracy


def test_predictions_and_labels():
    assert predict(torch.tensor([[0.0, 2.0, 1.0], [3.0, 2.0, 1.0]])).tolist() == [1, 0]
    assert predict(torch.tensor([[-0.1], [0.0], [0.1]])).tolist() == [0, 0, 1]
    assert labels_of(torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])).tolist() == [2, 0]
    assert labels_of(torch.tensor([[-1.0], [1.0]])).tolist() == [0, 1]
    assert labels_of(torch.tensor([[0.0], [1.0]])).tolist() == [0, 1]
