"""What records are about, and how often they are made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import altmin
from altmin import Backprop, DivergenceError, History, OnlineAM, Sweep
from altmin.core.forward import outputs
from altmin.sweep import network_terms
from altmin.train.options import FIGURES

G = torch.Generator().manual_seed(3)
X = torch.randn(60, 4, generator=G)
Y = (X[:, 0] > 0).long() + (X[:, 1] > 0)
HELD = torch.randn(40, 4, generator=G), torch.randint(3, (40,), generator=G)
METHODS = {
    "am-adam": OnlineAM(),
    "adam": Backprop("adam"),
    "dtp": altmin.DTP(),
    "dladmm": altmin.DLADMM(rho=2.5),
    "am-ridge": altmin.AMRidge(),
}
ONLINE = ("am-adam", "adam", "dtp")
BATCH = ("dladmm", "am-ridge")


def network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))


def fit(name: str, model: nn.Sequential | None = None, **options: Any) -> History:
    size = 25 if name in ONLINE else None
    options = {"epochs": 3, "batch_size": size, "generator": torch.Generator().manual_seed(0)} | options
    return altmin.fit(model or network(), METHODS[name], (X, Y), **options)


@torch.no_grad()
def plain_loss(model: nn.Sequential) -> float:
    return float(nn.functional.cross_entropy(model(X), Y))


@pytest.mark.parametrize("name", ONLINE)
def test_online_methods_record_their_own_forward_passes(name: str):
    """Means over all samples of an epoch, each at the weights that the step on its batch began with."""
    model, generator = network(), torch.Generator().manual_seed(0)
    trainer = altmin.Trainer(model, METHODS[name], regularizer="l2:0.1", generator=generator)
    history = fit(name, regularizer="l2:0.1", epochs=2)
    trainer.begin(trainer.reader.read("data", (X, Y)))
    for epoch in range(2):
        loss = right = 0.0
        with trainer.active():
            for batch in trainer.batches(25, epoch, 2):
                z, labels = model(batch.x), batch.y.argmax(1)
                loss += float(nn.functional.cross_entropy(z, labels, reduction="sum"))
                right += int((z.argmax(1) == labels).sum())
                trainer.advance(batch)
        omega = 0.05 * sum(float(p.detach().square().sum()) for p in model.parameters() if p.ndim == 2)
        record = history.records[epoch]
        assert record["train_loss"] == pytest.approx(loss / 60, rel=1e-5)
        assert record["train_accuracy"] == pytest.approx(right / 60)
        assert record["objective"] == pytest.approx(loss + omega, rel=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_figures_that_are_named_are_those_of_the_weights(name: str):
    """Also where the network's pass shares a product with the objective."""
    model, both = network(), network()
    history = fit(name, model, record=("train",), validation=HELD)
    assert history["train_loss"][-1] == pytest.approx(plain_loss(model), rel=1e-5)
    shared = fit(name, both, record=FIGURES, validation=HELD)
    assert shared["train_loss"] == pytest.approx(history["train_loss"], rel=1e-5)
    for one, two in zip(shared["gap"], history["gap"], strict=True):
        assert one == (None if two is None else pytest.approx(two, rel=1e-4))
    assert history["objective"] == history["validation_loss"] == [None] * 3
    assert history["terms"] == history["residuals"] == [{}] * 3
    assert fit(name, record=("objective",))["train_loss"] == [None] * 3
    assert fit(name, record=())["train_loss"] == fit(name, record=())["objective"] == [None] * 3


@pytest.mark.parametrize("name", METHODS)
def test_what_is_recorded_changes_no_weight(name: str):
    models = [network() for _ in range(3)]
    for model, record in zip(models, (None, FIGURES, ()), strict=True):
        fit(name, model, record=record)
    for other in models[1:]:
        assert all(map(torch.equal, models[0].parameters(), other.parameters()))


# Of many samples some are looked at


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """The 60 samples are many."""
    monkeypatch.setattr("altmin.train.record.MANY", 59)


def some(t: Tensor) -> Tensor:
    return t[::11]


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("name", BATCH)
def test_default_records_of_many_samples_are_of_every_eleventh(name: str):
    """With sums made up to all samples: six stand for sixty. The last record is of all."""
    losses: list[float] = []

    def look(history: History, _: Any) -> None:
        z = model(some(X) if history.iterations < 3 else X)
        losses.append(float(nn.functional.cross_entropy(z, some(Y) if history.iterations < 3 else Y)))

    model = network()
    history = fit(name, model, callbacks=[look])
    assert history["train_loss"] == pytest.approx(losses, rel=1e-5)
    if name == "am-ridge":
        assert history["objective"] == pytest.approx([60 * loss for loss in losses], rel=1e-5)
    exact = fit(name, record=FIGURES)
    assert exact["objective"][-1] == pytest.approx(history["objective"][-1], rel=1e-6)
    assert exact["objective"][0] != pytest.approx(history["objective"][0], rel=1e-4)


@pytest.mark.usefixtures("many")
def test_terms_residuals_and_the_gap_are_estimated_from_the_same_samples():
    """dlADMM's, made from its variables as the formulas say."""
    checked = []

    def look(history: History, state: altmin.State) -> None:
        if history.iterations == 3:
            return
        assert state.u is not None
        record, x, u = history.records[-1], some(X), some(state.u)
        (z1, z2), a = map(some, state.z), some(state.a[0])
        E = z1 - (x @ state.W[0].T + state.b[0]), z2 - (a @ state.W[1].T + state.b[1])
        norms = {"E_1": E[0], "E_2": E[1], "D_1": a - z1.tanh()}
        assert record["residuals"] == pytest.approx({k: 10**0.5 * float(t.norm()) for k, t in norms.items()}, rel=1e-3)
        loss = float(nn.functional.cross_entropy(z2, some(Y), reduction="sum"))
        assert record["terms"]["loss"] == pytest.approx(10 * loss, rel=1e-4)
        assert record["terms"]["dual"] == pytest.approx(10 * float((u * E[1]).sum()), rel=1e-3)
        f1 = model[0](x)
        f2 = model[2](f1.tanh())
        off, size = (z1 - f1).square().sum() + (z2 - f2).square().sum(), f1.square().sum() + f2.square().sum()
        assert record["gap"] == pytest.approx(float((off / size).sqrt()), rel=1e-3)
        checked.append(history.iterations)

    model = network()
    fit("dladmm", model, callbacks=[look])
    assert checked == [1, 2]


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("record", [FIGURES, ("train",)])
def test_named_figures_of_many_samples_are_exact(record: tuple[str, ...]):
    def look(history: History, _: Any) -> None:
        assert history["train_loss"][-1] == pytest.approx(plain_loss(model), rel=1e-5)

    model = network()
    assert len(fit("dladmm", model, record=record, callbacks=[look])) == 3


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("name", METHODS)
def test_a_record_of_some_samples_changes_no_weight(name: str):
    models = network(), network()
    fit(name, models[0])
    fit(name, models[1], record=())
    assert all(map(torch.equal, *(model.parameters() for model in models)))


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("name", ONLINE)
def test_records_that_steps_have_paid_for_are_of_all_samples(name: str, monkeypatch: pytest.MonkeyPatch):
    before = fit(name)
    monkeypatch.setattr("altmin.train.record.MANY", 61)
    assert fit(name)["train_loss"] == before["train_loss"]


@dataclass(frozen=True)
class Silent(altmin.Method):
    """An online method of a user's, that tells nobody of its outputs; its last step of three is a ruin."""

    online = True
    batched = True

    def init(self, sweep: Sweep[Any]) -> None:
        pass

    def step(self, sweep: Sweep[Any]) -> None:
        sweep.state.W[-1].mul_(1e5 if sweep.state.k == 2 else 0.9)

    def evaluate(self, sweep: Sweep[Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        return network_terms(sweep), {}


class Telling(Silent):
    def step(self, sweep: Sweep[Any]) -> None:
        sweep.note_outputs(outputs(sweep.problem, sweep.state, sweep.batch.x))
        super().step(sweep)


def test_a_method_that_tells_of_no_outputs_has_a_pass_made():
    model = network()
    history = altmin.fit(model, Silent(), (X, Y), epochs=2)
    assert history["train_loss"][-1] == pytest.approx(plain_loss(model), rel=1e-5)


def test_a_last_step_that_ruins_is_found_though_its_batch_did_not_show_it():
    model, history = network(), altmin.fit(network(), Telling(), (X, Y), epochs=2)
    assert history.status == "ok"
    with pytest.raises(DivergenceError) as caught:
        altmin.fit(model, Telling(), (X, Y), epochs=3)
    assert caught.value.history["train_loss"][-1] < 5


def test_a_ruin_that_was_saved_is_found_again(tmp_path: Path):
    """The last checkpoint is written before the run is judged: who goes on from it has no record left to make."""
    for resume in (False, True):
        generator = torch.Generator().manual_seed(0)
        with pytest.raises(DivergenceError):
            altmin.fit(network(), Telling(), (X, Y), epochs=3, generator=generator, checkpoint=tmp_path, resume=resume)


@pytest.mark.parametrize("name", ["dladmm", "am-ridge"])
def test_a_look_from_outside_sees_weights_that_were_changed_behind_pytorchs_back(name: str):
    """What is written by way of ``data`` has no version, so that products of the last step cannot tell."""
    trainer = altmin.Trainer(network(), METHODS[name])
    trainer.step(X, Y)
    before = trainer.objective()
    for p in trainer.model.parameters():
        p.data.mul_(2.0)
    after = trainer.objective()
    assert after != pytest.approx(before, rel=1e-3)
    trainer._products = None
    assert trainer.objective() == pytest.approx(after, rel=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_records_now_and_then_are_the_same_ones(name: str, tmp_path: Path):
    """Numbers of iterations and all figures but times; a batch of an online method's record counts once."""
    model, other, seen = network(), network(), []
    whole = fit(name, model, epochs=5, validation=HELD, keep="best", record=FIGURES)
    look = {"callbacks": [lambda history, _: seen.append(history.iterations)]}
    kept = {"checkpoint": tmp_path / "c", "every": 2, "checkpoints_kept": 5}
    some = fit(name, other, epochs=5, validation=HELD, record_every=2, record=FIGURES, **look, **kept)
    assert (some["iteration"], seen, len(some), some.iterations) == ([2, 4, 5], [2, 4, 5], 3, 5)
    for record in some.records:
        before = whole.records[record["iteration"] - 1]
        assert {k: v for k, v in record.items() if "seconds" not in k} == {
            k: v for k, v in before.items() if "seconds" not in k
        }
    (tmp_path / "c" / sorted(p.name for p in (tmp_path / "c").iterdir())[-1]).rename(tmp_path / "gone")
    again = network()
    history = fit(name, again, epochs=5, validation=HELD, record_every=2, record=FIGURES, resume=True, **kept)
    assert history["iteration"] == [2, 4, 5]
    assert all(map(torch.equal, other.parameters(), again.parameters()))


def test_the_best_of_few_records_is_kept():
    model = network()
    wrong = HELD[0], (Y[:40] + 1) % 3
    history = fit("am-adam", model, epochs=5, validation=wrong, keep="best", record_every=2)
    assert history.best in (2, 4, 5)
    assert history.kept is not None
    assert history.kept["iteration"] == history.best
    accuracy = (model(wrong[0]).argmax(1) == wrong[1]).double().mean().item()
    assert accuracy == pytest.approx(history.kept["validation_accuracy"])


@pytest.mark.parametrize("record", ["train", ("trian",), 3])
def test_unknown_figures_are_refused(record: Any):
    with pytest.raises(
        ValueError, match=r"`record` must hold names among objective, train, validation, test, or be None"
    ):
        fit("adam", record=record)


def test_the_best_needs_its_figures():
    with pytest.raises(ValueError, match=r"`keep='best'` needs .* its figures in `record`"):
        fit("adam", record=("train",), keep="best", validation=HELD)
