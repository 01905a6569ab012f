"""A sample of weight 2 is a sample that is there twice, and one of weight 0 is left out, for every method."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import altmin
from altmin import Batch, Method, Penalty, fit
from altmin.losses import LOSSES
from altmin.methods.registry import METHODS
from altmin.online.rules.newton import size_of
from methods.table import NETS, ROWS, Row, digits, network, seeded, takes

WEIGHTS = torch.tensor([2.0, 0.0, 1.0, 3.0] * 10, dtype=torch.float64)
TIMES = torch.repeat_interleave(torch.arange(40), WEIGHTS.long())
NAMES = list(ROWS)


def model_of(row: Row, net: str | None = None) -> nn.Sequential:
    return network(12, 12, s=row.s) if net is None else seeded(lambda: NETS[net](row.s))


def trained(row: Row, model: nn.Sequential, x: Tensor, y: Tensor, **weights: Any) -> altmin.History:
    """All that counts in one batch, so that batches are alike."""
    count = len(x) if "sample_weight" not in weights else int(WEIGHTS.count_nonzero())
    size = count if row.method.batched else None
    return fit(model, row.method, (x, y), epochs=4, batch_size=size, seed=0, **weights)


def check(row: Row, net: str | None = None) -> None:
    weighed, repeated, (x, y) = model_of(row, net), model_of(row, net), digits(40)
    one = trained(row, weighed, x, y, sample_weight=WEIGHTS)
    other = trained(row, repeated, x[TIMES], y[TIMES])
    # Where the table lets rounding through, a ridge at rounding level holds what the samples leave open.
    loose = max(1e-9, 100 * row.rounding) if row.rounding > 1e-10 else 1e-9
    for p, q in zip(weighed.parameters(), repeated.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=loose, atol=loose)
    for name in ("objective", "train_loss", "train_accuracy"):
        assert one[name] == pytest.approx(other[name], rel=max(1e-8, 0.1 * loose)), name


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_repetitions(name: str):
    check(ROWS[name])


@pytest.mark.slow
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("name", NAMES)
def test_weights_are_repetitions_in_other_networks(name: str, net: str):
    row = ROWS[name]
    if not takes(row.method, model_of(row, net)):
        pytest.skip("a network that the method refuses")
    check(replace(row, rounding=max(row.rounding, 1e-6)) if row.rounding > 1e-10 else row, net)


@pytest.mark.parametrize("name", NAMES)
def test_weights_of_one_change_nothing(name: str):
    row, (x, y) = ROWS[name], digits(60)
    models = model_of(row), model_of(row)
    size = 25 if row.method.batched else None
    for model, weights in zip(models, (None, torch.ones(60)), strict=True):
        fit(model, row.method, x, y, epochs=2, batch_size=size, seed=0, sample_weight=weights)
    for p, q in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-9, atol=max(1e-9, 100 * row.rounding))


@pytest.mark.parametrize("name", ["bcd", "am-ridge", "mac", "am-newton", "backprop"])
def test_weights_move_the_network(name: str):
    row, (x, y) = ROWS[name], digits(40)
    models = model_of(row), model_of(row)
    fit(models[0], row.method, x, y, epochs=2, seed=0)
    fit(models[1], row.method, x, y, epochs=2, seed=0, sample_weight=torch.linspace(0.1, 5.0, 40))
    one, other = (torch.cat([p.detach().flatten() for p in model.parameters()]) for model in models)
    assert float((one - other).abs().max()) > 1e-4


def test_a_regulariser_is_weighed_against_the_sum_of_the_weights():
    row, (x, y) = ROWS["backprop"], digits(40)
    models = model_of(row), model_of(row)
    fit(models[0], row.method, x, y, epochs=3, seed=0, regularizer="l2:4", sample_weight=torch.full((40,), 4.0))
    fit(models[1], row.method, x, y, epochs=3, seed=0, regularizer="l2:1")
    for p, q in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-12)


def test_every_method_of_the_library_takes_weights():
    own = [entry for entry in METHODS.values() if type(entry.method).__module__.startswith("altmin.")]
    assert own
    assert all(entry.method.weighs for entry in own)


@dataclass(frozen=True)
class OwnSums(Method):
    """A method that adds samples up by itself."""

    def penalty(self, sweep: altmin.Sweep) -> Penalty:
        return Penalty(linear=1.0, activation=1.0)

    def step(self, sweep: altmin.Sweep) -> None:
        sweep.layers[-1].b.copy_(sweep.batch.y.mean(0))


def test_a_method_that_does_not_say_so_refuses_them():
    x, y = digits(20)
    with pytest.raises(TypeError, match=r"`sample_weight`: OwnSums does not weigh samples"):
        fit(network(5), OwnSums(), x, y, epochs=1, sample_weight=torch.ones(20))
    fit(network(5), OwnSums(), x, y, epochs=1)


@pytest.mark.parametrize(
    ("layers", "named"),
    [
        ([nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 10)], "batch normalisation"),
        ([altmin.Elman(8, 6), nn.ReLU(), nn.Flatten(), nn.Linear(48, 10)], "Elman"),
    ],
    ids=["norm", "elman"],
)
def test_layers_that_count_every_sample_once_are_refused(layers: list[nn.Module], named: str):
    x, y = digits(20)
    x = x.view(20, 8, 8) if named == "Elman" else x
    with pytest.raises(TypeError, match=f"`sample_weight`: {named}"):
        fit(nn.Sequential(*layers).double(), "am-adam", x, y, epochs=1, sample_weight=torch.ones(20))


def test_compiled_steps_refuse_them():
    x, y = digits(20)
    method = altmin.OnlineAM(rule=altmin.Adam(0.01), last=altmin.Adam(0.01), compile=True)
    with pytest.raises(TypeError, match="compiled steps of OnlineAM"):
        fit(network(5), method, x, y, epochs=1, sample_weight=torch.ones(20))


def test_sums_of_a_batch_are_weighed():
    t, w = torch.arange(6.0).view(3, 2), torch.tensor([1.0, 2.0, 0.5])
    batch = Batch(t, t, sample_weight=w)
    assert torch.equal(batch.weighed(t), t * w[:, None])
    assert float(batch.squares(t)) == pytest.approx(1 + 2 * 13 + 0.5 * 41)
    assert (batch.size, batch.count) == (3.5, 3.5)
    part = batch.part(torch.tensor([2, 0]))
    assert part.rows is None
    assert part.sample_weight is not None
    assert part.sample_weight.tolist() == [0.5, 1.0]
    half = batch.every(2)
    assert half.count == pytest.approx(3.5)
    assert float(half.sum(half.weighed(torch.ones(2)).sum())) == pytest.approx(3.5)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=list(LOSSES))
def test_losses_of_each_sample_add_up(loss: type[altmin.Loss]):
    z = torch.randn(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    R, labels = loss(), torch.tensor([0, 1, 2, 0, 1, 2, 0])
    y = R.encode(labels, 3, z.dtype)
    each = R.of_each(z, y)
    assert each.shape == (7,)
    for i in range(7):
        assert float(each[i]) == pytest.approx(float(R(z[i : i + 1], y[i : i + 1])))
    weighed = Batch(z, y, sample_weight=torch.arange(7.0, dtype=torch.float64)).loss(R, z)
    assert float(weighed) == pytest.approx(float((torch.arange(7.0) * each).sum()))


def test_the_size_of_inputs_is_a_weighed_mean():
    a = torch.randn(40, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    there, repeated = WEIGHTS > 0, a[TIMES]
    found = size_of(Batch(a[there], a[there], sample_weight=WEIGHTS[there]))
    torch.testing.assert_close(found, size_of(Batch(repeated, repeated)))
