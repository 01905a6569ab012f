"""Binary cross-entropy: its prox at any weight by high precision, and two classes by one output with every method."""

from __future__ import annotations

from decimal import Decimal, localcontext
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer
from torch import Tensor, nn
from torch.nn import functional

import altmin
from altmin import BinaryCrossEntropy, CrossEntropy, fit
from altmin.errors import DivergenceError
from altmin.losses import make_loss
from methods.table import ROWS, seeded

LOSS = BinaryCrossEntropy()


def column(*numbers: float, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(numbers, dtype=dtype)[:, None]


def root(v: float, r: float, y: float) -> Decimal:
    """Of ``sigmoid(z) - y + r (z - v)``, by bisection in sixty digits."""
    with localcontext() as context:
        context.prec = 60
        centre, weight, target = Decimal(v), Decimal(r), Decimal(y)
        low, high = centre - (1 - target) / weight, centre + target / weight
        for _ in range(190):
            z = (low + high) / 2
            e = (-abs(z)).exp()  # which does not overflow
            g = (1 if z > 0 else e) / (1 + e) - target + weight * (z - centre)
            low, high = (z, high) if g < 0 else (low, z)
        return (low + high) / 2


@pytest.mark.parametrize("r", [1e-12, 1e-6, 1e-3, 0.1, 1.0, 30.0, 1e6])
def test_prox_is_the_root_in_sixty_digits(r: float):
    cases = list(product((-1e6, -40.0, -3.0, -0.1, 0.0, 2.0, 25.0, 1e5), (0.0, 0.3, 1.0)))
    v, y = column(*(v for v, _ in cases)), column(*(y for _, y in cases))
    found = LOSS.prox(v, r, y)[:, 0].tolist()
    for (v, y), z in zip(cases, found, strict=True):
        exact = float(root(v, r, y))
        assert z == pytest.approx(exact, rel=1e-12, abs=1e-13 * (1 + abs(v) + 1 / r)), (v, y)


@settings(deadline=None, database=None)
@given(v=st.floats(-1e3, 1e3), y=st.sampled_from([0.0, 1.0]), r=st.floats(1e-8, 1e4))
def test_prox_is_stationary(v: float, y: float, r: float):
    z = LOSS.prox(column(v), r, column(y))
    off = LOSS.grad(z, column(y)) + r * (z - column(v))
    assert abs(off.item()) <= 1e-13 * (1 + r) * (1 + abs(v) + 1 / r)


def test_prox_keeps_the_digits_of_float32():
    v, y = column(12.0, -12.0, 0.0), column(1.0, 0.0, 1.0)
    found = LOSS.prox(v.float(), 1e-6, y.float())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), LOSS.prox(v, 1e-6, y), rtol=1e-6, atol=0)


@pytest.mark.parametrize("r", [5e-324, 1e-300, 1e300])
def test_prox_ends_at_the_ends_of_float64(r: float):
    assert torch.isfinite(LOSS.prox(column(0.0, -700.0, 700.0), max(r, 1e-290), column(1.0, 0.0, 0.0))).all()


def test_prox_of_nan_diverges():
    with pytest.raises(DivergenceError, match="nan or inf"):
        LOSS.prox(column(float("nan")), 1.0, column(1.0))


def test_it_is_pytorchs_sum_and_softmax_of_two_outputs():
    z, y = 20.0 * torch.randn(50, 1, dtype=torch.float64), (torch.arange(50) % 2)[:, None].double()
    torch.testing.assert_close(LOSS(z, y), functional.binary_cross_entropy_with_logits(z, y, reduction="sum"))
    pair, rows = torch.cat([torch.zeros_like(z), z], 1), torch.cat([1 - y, y], 1)
    torch.testing.assert_close(LOSS(z, y), CrossEntropy()(pair, rows))
    torch.testing.assert_close(LOSS.grad(z, y)[:, 0], CrossEntropy().grad(pair, rows)[:, 1])
    torch.testing.assert_close(LOSS.probabilities(z), CrossEntropy().probabilities(pair))


def test_probabilities_of_several_outputs_survive_far_ones():
    p = LOSS.probabilities(torch.tensor([[-800.0, -900.0], [1.0, -1.0]], dtype=torch.float64))
    torch.testing.assert_close(p[0], torch.tensor([1.0, 0.0], dtype=torch.float64))
    sigmoids = torch.sigmoid(torch.tensor([1.0, -1.0], dtype=torch.float64))
    torch.testing.assert_close(p[1], sigmoids / sigmoids.sum())


def test_its_names():
    assert make_loss("bce") == make_loss("binary_cross_entropy") == make_loss(nn.BCEWithLogitsLoss()) == LOSS
    with pytest.raises(ValueError, match="pos_weight"):
        make_loss(nn.BCEWithLogitsLoss(pos_weight=torch.ones(1)))


def cancer() -> tuple[Tensor, Tensor]:
    x, y = (np.asarray(part) for part in load_breast_cancer(return_X_y=True))
    x = torch.tensor((x - x.mean(0)) / x.std(0))
    return x[:200], torch.tensor(y)[:200]


def network(s: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    return seeded(lambda: [nn.Linear(30, 12), s(), nn.Linear(12, 1)])


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.learns])
def test_every_method_tells_two_classes_by_one_output(name: str):
    row, (x, y) = ROWS[name], cancer()
    model = network(row.s)
    history = fit(model, row.method, x, y, loss="binary_cross_entropy", epochs=row.steps, seed=0)
    right = ((model(x)[:, 0] > 0) == y).double().mean()
    if not getattr(row.method, "refit", False):
        assert history["train_accuracy"][-1] == pytest.approx(float(right))
    assert right > (0.8 if name == "am-mem" else 0.93)
    assert history["train_loss"][-1] < 0.69


def test_backpropagation_takes_pytorchs_steps():
    (x, y), ours, theirs = cancer(), network(), network()
    fit(ours, altmin.Backprop("sgd", lr=0.5), x, y, loss=nn.BCEWithLogitsLoss(), epochs=3, batch_size=200, seed=0)
    optimizer, loss = torch.optim.SGD(theirs.parameters(), lr=0.5), nn.BCEWithLogitsLoss()
    for _ in range(3):
        optimizer.zero_grad()
        loss(theirs(x), y[:, None].double()).backward()
        optimizer.step()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q)


FORMS: dict[str, Any] = {
    "floats": Tensor.double,
    "a column": lambda y: y[:, None],
    "a column of floats": lambda y: y[:, None].float(),
    "truth": Tensor.bool,
    "numpy": lambda y: y.numpy().astype(np.float32),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
@pytest.mark.parametrize("loss", ["binary_cross_entropy", "hinge"])
def test_labels_come_in_any_form(form: Any, loss: str):
    (x, y), one, other = cancer(), network(), network()
    for model, labels in ((one, y), (other, form(y))):
        history = fit(model, "am-newton", x, labels, loss=loss, epochs=1, seed=0)
        assert history["train_accuracy"][-1] is not None
    assert all(map(torch.equal, one.parameters(), other.parameters()))


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "hinge"])
def test_other_numbers_are_no_labels(loss: str):
    x, y = cancer()
    with pytest.raises(TypeError, match="of one output they are 0 and 1"):
        fit(network(), "am-newton", x, y + 0.5, loss=loss, epochs=1)
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.1"):
        fit(network(), "am-newton", x, y + 1, loss=loss, epochs=1)


def test_the_squared_loss_of_one_output_stays_a_regression():
    x, y = cancer()
    history = fit(network(), "am-newton", x, y.double(), loss="squared", epochs=1, seed=0)
    assert history["train_accuracy"] == [None]


def test_weights_balance_the_two_classes():
    x, y = cancer()
    model = network()
    history = fit(model, "bcd", x, y, loss="bce", epochs=2, seed=0, class_weight="balanced")
    each = functional.binary_cross_entropy_with_logits(model(x)[:, 0], y.double(), reduction="none").detach()
    means = [float(each[y == k].mean()) for k in (0, 1)]
    assert history["train_loss"][-1] == pytest.approx(sum(means) / 2)
