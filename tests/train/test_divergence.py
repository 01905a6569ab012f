"""Divergence that stays finite: what is stopped, what is not, and which weights are kept."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import altmin
from altmin import AMRidge, DivergenceError, History, Method, ScaleWarning, Sweep
from altmin.methods.base import Terms
from altmin.sweep import network_terms

quiet = pytest.mark.filterwarnings("ignore::altmin.ScaleWarning")


@dataclass(frozen=True)
class Slopes(Method):
    """A network of one weight and one intercept, which take the slopes of a list in turn, a step each."""

    online = True
    batched = True
    cure = "better slopes"

    slopes: tuple[float, ...] = ()

    def init(self, sweep: Sweep[Any]) -> None:
        pass

    def step(self, sweep: Sweep[Any]) -> None:
        sweep.state.W[0].fill_(self.slopes[sweep.state.k])

    def evaluate(self, sweep: Sweep[Any]) -> tuple[Terms, dict[str, Tensor]]:
        return network_terms(sweep), {}


def line(start: float) -> nn.Sequential:
    layer = nn.Linear(1, 1)
    with torch.no_grad():
        layer.weight.fill_(start)
        layer.bias.zero_()
    return nn.Sequential(layer)


def slope(model: nn.Sequential) -> float:
    return float(next(model.parameters()).detach())


X = torch.linspace(-1.0, 1.0, 20)[:, None]


def run(start: float, slopes: tuple[float, ...], **options: Any) -> tuple[float, History, DivergenceError | None]:
    """``y = x`` by these slopes: the weight at the end, the records, and the error."""
    model, y = line(start), X.clone()
    try:
        history, error = altmin.fit(model, Slopes(slopes), (X, y), loss="squared", epochs=len(slopes), **options), None
    except DivergenceError as caught:
        history, error = caught.history, caught
    return slope(model), history, error


def test_a_loss_far_beyond_that_of_zero_ends_with_an_error():
    """``(s - 1)^2`` times the loss of zero: at the end from 100 on."""
    weight, history, error = run(0.5, (2.0, 20.0))
    assert error is not None
    assert (error.iteration, error.block, error.cure) == (2, "train_loss", "better slopes")
    assert (weight, history.status, len(history), history.restored) == (2.0, "diverged", 2, 1)
    assert history.kept is history.records[0]
    assert run(0.5, (2.0, 10.0))[1].status == "ok"


def test_hopeless_losses_end_a_run_after_three_records():
    """The last good weights are the model's."""
    weight, history, error = run(0.5, (2.0, 2e3, 3e3, 4e3, 1.0))
    assert error is not None
    assert (weight, error.iteration, len(history)) == (2.0, 4, 4)


def test_a_way_back_is_not_cut_off():
    """Two hopeless records, or any number of bad ones that are not, and then a good one."""
    assert run(0.5, (2e3, 3e3, 1.0))[1].status == "ok"
    weight, history, error = run(0.5, (20.0, 30.0, 40.0, 50.0, 1.0))
    assert (weight, history.status, error) == (1.0, "ok", None)


def test_a_bad_start_is_no_divergence_and_its_end_is_called_by_name():
    """Far worse than none from the start: it comes down, is never stopped, and is `ok` once it is near."""
    assert run(2e4, (1.5e4, 1e4, 5e3, 5.0))[1].status == "ok"
    weight, history, error = run(2e4, (1.5e4, 1e4, 5e3))
    assert (weight, history.status, error) == (5e3, "diverged", None)


def test_a_start_that_gets_worse_is_given_back():
    weight, history, error = run(2e3, (3e3, 4e3))
    assert error is not None
    assert (weight, history.restored, history.kept) == (2e3, 0, None)


def test_the_best_weights_are_none_of_a_ruin():
    """The first epoch has the best validation there is, and is beyond all use."""
    weight, history, error = run(0.5, (20.0, 30.0), validation=(X, X.clone()), keep="best")
    assert error is not None
    assert (weight, history.best, history.restored) == (0.5, 1, 0)
    weight, history, error = run(0.5, (2.0, 20.0), validation=(X, X.clone()), keep="best")
    assert (weight, history.status, error) == (2.0, "ok", None)


def test_a_run_that_a_callback_stops_is_the_callers():
    weight, history, error = run(0.5, (2.0, 20.0), callbacks=[lambda history, _: len(history) == 2])
    assert (weight, history.status, error) == (20.0, "stopped", None)


def test_a_classifier_that_tells_classes_apart_is_spared_whatever_its_loss():
    y = (X[:, 0] > 0).long()
    y[0] = 1  # one sample is wrong, by much
    assert altmin.fit(line(1.0), Slopes((1e4,)), (X, y), loss="hinge", epochs=1).status == "ok"
    with pytest.raises(DivergenceError):
        altmin.fit(line(-1.0), Slopes((-1e4,)), (X, y), loss="hinge", epochs=1)


@quiet
def test_weights_that_explode_over_inputs_that_do_not_show_it():
    """Inputs of zero: the loss is that of the intercept, whatever the weight."""
    data = torch.zeros(20, 1), X.clone()
    model = line(1.0)
    with pytest.raises(DivergenceError, match=r"iteration 3, block W_1: 1.0e\+07 times") as caught:
        altmin.fit(model, Slopes((1e7,) * 5), data, loss="squared", epochs=5)
    assert len(caught.value.history) == 3
    assert slope(model) == 1.0
    assert altmin.fit(line(1.0), Slopes((1e5,) * 5), data, loss="squared", epochs=5).status == "ok"


def test_streams_are_watched_too():
    model = line(0.5)
    with pytest.raises(DivergenceError) as caught:
        altmin.fit_stream(model, Slopes((2.0, 2e4, 2e4, 2e4, 1.0)), [(X, X)] * 5, loss="squared", steps=5, every=1)
    assert (caught.value.iteration, slope(model)) == (4, 2.0)


def house_prices() -> tuple[nn.Sequential, tuple[Tensor, Tensor]]:
    torch.manual_seed(0)
    x = torch.randn(300, 8)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1)), (x, 2e5 + 1e5 * x[:, :1])


def test_large_targets_are_warned_of_and_the_error_has_the_cure():
    model, data = house_prices()
    before = [p.clone() for p in model.parameters()]
    with (
        pytest.warns(ScaleWarning, match=r"`data` .*entries of y are about 2.*e\+05 in size.*y\.mean") as warned,
        pytest.raises(DivergenceError, match=r"block train_loss.*y\.mean.*smaller `step_size`"),
    ):
        altmin.fit(model, AMRidge(), data, loss="squared", epochs=15)
    assert len(warned) == 1
    assert all(map(torch.equal, before, model.parameters()))


def test_the_cure_cures():
    model, (x, y) = house_prices()
    history = altmin.fit(model, AMRidge(), (x, (y - y.mean(0)) / y.std()), loss="squared", epochs=15)
    assert history.status == "ok"
    assert history["train_loss"][-1] < 0.1


WARNED: dict[str, Callable[[Tensor], Tensor]] = {
    r"entries of x are about 1e\+02 in size": lambda x: 100 * x,
    r"entries of x are about 0.01 in size": lambda x: 0.01 * x,
    r"x lies around 50 and varies by 1 only": lambda x: x + 50,
}


def fit_once(x: Tensor, *between: nn.Module, **options: Any) -> History:
    model = nn.Sequential(nn.Linear(x.shape[1], 4), *between, nn.ReLU(), nn.Linear(4, 2))
    return altmin.fit(model, altmin.OnlineAM(), (x, torch.arange(len(x)) % 2), epochs=1, **options)


@pytest.mark.parametrize("said", WARNED)
def test_inputs_far_from_unit_scale_are_warned_of_once(said: str, generator: torch.Generator):
    x = WARNED[said](torch.randn(200, 6, generator=generator))
    with pytest.warns(ScaleWarning, match=rf"`data` is far from unit scale.*{said}.*x\.mean") as warned:
        fit_once(x, validation=(x, torch.arange(len(x)) % 2))
    assert len(warned) == 1


def test_validation_samples_that_were_forgotten_are_warned_of(generator: torch.Generator):
    x = torch.randn(100, 6, generator=generator)
    with pytest.warns(ScaleWarning, match="`validation` is far"):
        fit_once(x, validation=(100 * x, torch.arange(len(x)) % 2))


@pytest.mark.parametrize("change", ["digits", "ones", "one sample", "one hot", "standardised", "normalised"])
def test_usual_inputs_are_not_warned_of(change: str, generator: torch.Generator):
    x = torch.rand(100, 50, generator=generator)
    usual = {
        "digits": x.round(),
        "ones": torch.ones_like(x),
        "one sample": x[:2],
        "one hot": torch.eye(50).repeat(2, 1),
        "standardised": (7e3 * x - 2e3 * x.mean(0)) / (7e3 * x).std(),
        "normalised": x / x.norm(dim=1, keepdim=True),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_once(usual[change])


def test_batch_normalisation_takes_any_scale_up(generator: torch.Generator):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_once(1e3 * torch.randn(100, 6, generator=generator), nn.BatchNorm1d(4))


@pytest.mark.parametrize("keep", ["last", "best"])
def test_a_run_that_goes_on_knows_its_start_and_what_it_must_not_keep(keep: str, tmp_path: Path):
    """Stopped behind its second hopeless record: the third ends it, and the weights are those before."""
    slopes, options = (2.0, 2e3, 3e3, 4e3, 1.0), {"keep": keep, "validation": (X, X.clone()), "checkpoint": tmp_path}
    stop = [lambda history, _: len(history) == 3]
    every = {"loss": "squared", "epochs": 5, "every": 1, **options}
    altmin.fit(line(0.5), Slopes(slopes), (X, X.clone()), callbacks=stop, **every)
    model = line(0.5)
    with pytest.raises(DivergenceError) as caught:
        altmin.fit(model, Slopes(slopes), (X, X.clone()), resume=True, **every)
    assert (slope(model), caught.value.iteration, caught.value.history.restored) == (2.0, 4, 1)
