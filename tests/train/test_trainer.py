"""`Trainer`: what a loop of one's own does, that it is what `fit` does, and that it can be saved and gone on with."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import altmin
import forked
from altmin import BCD, DLAM, IPDLAM, MDLAM, AMRidge, Backprop, DivergenceError, Method, OnlineAM, Trainer
from altmin.core.score import score
from altmin.methods.registry import METHODS as ENTRIES
from altmin.sweep import network_terms
from altmin.train.options import FIGURES, FitOptions, Options, StreamOptions, TrainerOptions

N, CLASSES = 60, 3
BATCHES = [name for name, entry in ENTRIES.items() if entry.method.batched and name != "straight-through"]
TRAINED = [name for name in ENTRIES if name != "straight-through"]  # it needs an activation of two values
pytestmark = pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")


def samples(n: int = N, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Inputs of four features in three classes, by the signs of the first two."""
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0)


X, Y = samples()


def network(dropout: bool = False, norm: bool = False) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        inner = [nn.Dropout(0.2)] * dropout + [nn.BatchNorm1d(8)] * norm
        return nn.Sequential(nn.Linear(4, 8), *inner, nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, CLASSES))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: t.detach().clone() for name, t in model.state_dict().items()}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# A loop of one's own


@pytest.mark.parametrize("name", TRAINED)
def test_it_does_what_fit_does(name: str):
    method, expected, model = ENTRIES[name].method, network(), network()
    trainer = Trainer(model, method, regularizer="l2:0.01", generator=seeded())
    for i in range(3):
        trainer.step(X, Y, done=i / 3)
    objective, residuals = trainer.objective(), trainer.residuals()
    method.finish(trainer.sweep())
    options = {"regularizer": "l2:0.01", "record": FIGURES, "generator": seeded()}
    history = altmin.fit(expected, method, (X, Y), epochs=3, batch_size=N, **options)
    assert equal(weights(model), weights(expected))
    assert objective == history["objective"][-1]
    assert residuals == history["residuals"][-1]


@pytest.mark.parametrize("name", BATCHES)
def test_epochs_in_batches_are_those_of_fit(name: str):
    method, expected, model = ENTRIES[name].method, network(), network()
    trainer = Trainer(model, method, generator=seeded())
    for i in range(3):
        trainer.epoch(X, Y, 25, epoch=i, epochs=3)
    altmin.fit(expected, method, (X, Y), epochs=3, batch_size=25, generator=seeded())
    assert equal(weights(model), weights(expected))


@pytest.mark.parametrize("name", ["ipdlam", "am-ridge"])
def test_rows_are_a_part_of_the_training_set(name: str):
    method, expected, model = ENTRIES[name].method, network(), network()
    trainer, whole = Trainer(model, method), Trainer(expected, method, generator=seeded())
    order = torch.randperm(N, generator=seeded())
    trainer.load_state_dict(begun(trainer, whole))
    for i in range(0, N, 25):
        trainer.step(X, Y, rows=order[i : i + 25])
    whole.epoch(X, Y, 25)
    assert equal(weights(model), weights(expected))
    assert trainer.state.epoch == whole.state.epoch == 1


def begun(trainer: Trainer, other: Trainer) -> dict:
    """The state before the first step, of both alike."""
    for one in (trainer, other):
        with one.active():
            one.begin(one.reader.read("data", (X, Y)))
    return other.state_dict()


@pytest.mark.parametrize("name", TRAINED)
def test_after_each_step_the_model_is_the_trained_one(name: str):
    model = network()
    trainer = Trainer(model, ENTRIES[name].method)
    before = weights(model)
    for _ in range(3):
        trainer.step(X, Y)
        assert not equal(weights(model), before)
        before = weights(model)
        for own, t in zip((m.weight for m in model if isinstance(m, nn.Linear)), trainer.state.W, strict=True):
            assert own.data_ptr() == t.data_ptr()
    z = model.eval()(X)
    mean = torch.nn.functional.cross_entropy(z, Y).item()
    assert trainer.samples is not None
    assert score(trainer.problem, trainer.state, trainer.samples, True).loss == pytest.approx(mean)


def test_an_online_method_takes_any_batch():
    model, streamed = network(), network()
    trainer = Trainer(model, OnlineAM(), regularizer="l2:0.1", samples=3 * 20)
    batches = [samples(20, seed) for seed in range(3)]
    for i, (x, y) in enumerate(batches):
        trainer.step(x, y, done=i / 3)
    altmin.fit_stream(streamed, OnlineAM(), batches, regularizer="l2:0.1", steps=3)
    assert equal(weights(model), weights(streamed))
    assert trainer.samples is not None
    assert torch.equal(trainer.samples.x, batches[-1][0])
    assert trainer.state.epoch == 1  # 60 samples were taken


def test_memory_that_is_used_again_is_read_again():
    """A loader may hand out one tensor over and over, with other numbers."""
    model, expected = network(), network()
    trainer, fresh = Trainer(model, Backprop(), samples=N), Trainer(expected, Backprop(), samples=N)
    x, y = torch.empty(20, 4), torch.empty(20, dtype=torch.long)
    for seed in range(3):
        for into, values in zip((x, y), samples(20, seed), strict=True):
            into.copy_(values)
        trainer.step(x, y)
        fresh.step(*samples(20, seed))
    assert equal(weights(model), weights(expected))


@pytest.mark.parametrize("form", ["tensors", "copies", "arrays", "lists"])
def test_the_same_samples_may_come_in_any_form(form: str):
    forms = {
        "tensors": lambda: (X, Y),
        "copies": lambda: (X.clone(), Y.clone()),
        "arrays": lambda: (X.numpy().copy(), Y.numpy().copy()),
        "lists": lambda: (np.asarray(X.tolist(), dtype=np.float32), Y.tolist()),
    }
    model, expected = network(), network()
    trainer, other = Trainer(model, BCD()), Trainer(expected, BCD())
    for _ in range(3):
        trainer.step(*forms[form]())
        other.step(X, Y)
    assert equal(weights(model), weights(expected))


OTHERS = {
    "fewer": (lambda: (X[:50], Y[:50]), "`data`: x is not that of the first step, of which BCD keeps variables"),
    "another input": (lambda: (X + 1e-3, Y), "`data`: x is not that of the first step"),
    "another order": (lambda: (X.flip(0), Y.flip(0)), "`data`: x is not that of the first step"),
    "another label": (lambda: (X, (Y + 1) % 3), "`data`: y is not that of the first step"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_samples_are_refused_where_variables_belong_to_the_first(case: str):
    make, text = OTHERS[case]
    model = network()
    trainer = Trainer(model, BCD())
    trainer.step(X, Y)
    before = weights(model)
    with pytest.raises(ValueError, match=text):
        trainer.step(*make())
    assert equal(weights(model), before)
    trainer.step(X, Y)


def test_samples_that_were_written_to_are_refused():
    x, y = samples()
    trainer = Trainer(network(), IPDLAM())
    trainer.step(x, y)
    x.add_(1.0)
    with pytest.raises(ValueError, match="written to since the last step"):
        trainer.step(x, y)


def test_rows_are_refused_by_a_method_on_the_full_batch():
    with pytest.raises(ValueError, match="MDLAM works on the full batch; leave `rows` out"):
        Trainer(network(), MDLAM()).step(X, Y, rows=slice(0, 20))


@pytest.mark.parametrize("move", [lambda m: m.double(), lambda m: setattr(m[0], "bias", None)])
def test_a_model_that_moved_away_is_refused(move):
    model = network()
    trainer = Trainer(model, DLAM())
    trainer.step(X, Y)
    move(model)
    with pytest.raises(RuntimeError, match="was moved or replaced since training began"):
        trainer.step(X, Y)


def test_the_model_is_moved_and_converted_at_the_first_step():
    model = network()
    trainer = Trainer(model, DLAM(), precision="float64")
    assert model[0].weight.dtype == torch.float32
    trainer.step(X, Y)
    assert {p.dtype for p in model.parameters()} == {torch.float64}


def test_the_audit_holds_in_every_step():
    trainer = Trainer(network(), Backprop(), audit=True)
    with pytest.raises(altmin.BackpropError):
        trainer.step(X, Y)
    Trainer(network(), OnlineAM(), audit=True).step(X, Y)


def test_divergence_names_the_step_and_the_cure():
    class Fails(BCD):
        def step(self, sweep):
            if sweep.state.k == 1:
                raise DivergenceError("W_1", 0.0, "nothing")

    trainer = Trainer(network(), Fails())
    trainer.step(X, Y)
    with pytest.raises(DivergenceError, match=f"iteration 2, .*{BCD.cure}"):
        trainer.step(X, Y)


@pytest.mark.parametrize("call", ["objective", "residuals", "state_dict", "sweep"])
def test_before_the_first_step_there_are_no_samples(call: str):
    trainer = Trainer(network(), BCD())
    assert len(trainer.state.W) == 3
    with pytest.raises(RuntimeError, match="before the first step"):
        getattr(trainer, call)()


# Going on


def rounds(trainer: Trainer, numbers: range, size: int | None) -> None:
    for i in numbers:
        trainer.epoch(X, Y, size, epoch=i, epochs=4)


def saved(trainer: Trainer, path: Path) -> dict:
    torch.save(trainer.state_dict(), path)
    return torch.load(path)  # by default it takes nothing but tensors, numbers and texts


@pytest.mark.parametrize("name", TRAINED)
def test_training_goes_on_bit_for_bit(name: str, tmp_path: Path):
    """In batches, in the order that would have been drawn, with the dropout that would have been drawn."""
    method, size = ENTRIES[name].method, 25 if ENTRIES[name].method.batched else None
    whole = network(dropout=name in ("am-adam", "adam"))
    again, trainer = network(dropout=name in ("am-adam", "adam")), Trainer(whole, method, generator=seeded(3))
    rounds(trainer, range(2), size)
    later = Trainer(again, method)
    later.load_state_dict(saved(trainer, tmp_path / "state.pt"))
    assert equal(weights(again), weights(whole))
    rounds(trainer, range(2, 4), size)
    rounds(later, range(2, 4), size)
    assert equal(weights(again), weights(whole))
    assert later.objective() == trainer.objective()
    assert (later.state.k, later.state.epoch) == (trainer.state.k, trainer.state.epoch)


@pytest.mark.parametrize("name", ["ipdlam", "dladmm", "am-adam"])
def test_a_trainer_goes_back_to_what_it_was(name: str, tmp_path: Path):
    """Products that it keeps are of no use then."""
    method, model = ENTRIES[name].method, network()
    trainer = Trainer(model, method, generator=seeded())
    rounds(trainer, range(1), None)
    state = saved(trainer, tmp_path / "state.pt")
    rounds(trainer, range(1, 3), None)
    once = weights(model)
    trainer.load_state_dict(state)
    rounds(trainer, range(1, 3), None)
    assert equal(weights(model), once)


def go_on(_: int, name: str, path: Path) -> None:
    """What the other process of the next test does."""
    torch.set_num_threads(1)
    x, y, state = torch.load(path)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
    trainer = Trainer(model, {"ipdlam": IPDLAM(), "am-adam": OnlineAM()}[name])
    trainer.load_state_dict(state)
    trainer.epoch(x, y, 25)
    torch.save(model.state_dict(), path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ipdlam", "am-adam"])
def test_another_process_goes_on(name: str, tmp_path: Path):
    model, path = network(), tmp_path / "all.pt"
    trainer = Trainer(model, {"ipdlam": IPDLAM(), "am-adam": OnlineAM()}[name], generator=seeded(5))
    trainer.epoch(X, Y, 25)
    torch.save((X, Y, trainer.state_dict()), path)
    forked.run(go_on, name, path)
    trainer.epoch(X, Y, 25)
    assert equal(torch.load(path), weights(model))


def test_an_epoch_that_was_begun_ends_where_it_would_have(tmp_path: Path):
    trainer, later = Trainer(network(), OnlineAM(), samples=N), Trainer(network(), OnlineAM(), samples=N)
    trainer.step(X[:40], Y[:40])
    later.load_state_dict(saved(trainer, tmp_path / "state.pt"))
    later.step(X[40:], Y[40:])
    assert later.state.epoch == 1


def test_batch_statistics_go_on_too(tmp_path: Path):
    whole, again = network(norm=True), network(norm=True)
    trainer, later = Trainer(whole, OnlineAM(), generator=seeded()), Trainer(again, OnlineAM())
    trainer.epoch(X, Y, 25)
    later.load_state_dict(saved(trainer, tmp_path / "state.pt"))
    assert equal(weights(again), weights(whole))


def test_the_state_of_another_network_is_refused():
    trainer, other = Trainer(network(), BCD()), Trainer(nn.Sequential(nn.Linear(4, CLASSES)), BCD())
    trainer.step(X, Y)
    with pytest.raises(ValueError, match="`W`: this state has 1 tensors, the saved one 3"):
        other.load_state_dict(trainer.state_dict())


def test_the_state_of_another_method_is_refused():
    trainer, other = Trainer(network(), AMRidge()), Trainer(network(), OnlineAM())
    trainer.step(X, Y)
    other.load_state_dict(trainer.state_dict())
    with pytest.raises(ValueError, match="memory"):
        other.step(X, Y)


def test_steps_on_all_samples_hand_their_products_on():
    """What one iteration of dlADMM leaves to the next saves it a product with the samples."""
    handed = []

    class Watched(altmin.DLADMM):
        def step(self, sweep):
            handed.append(sweep.products)
            super().step(sweep)

    trainer = Trainer(network(), Watched())
    for _ in range(3):
        trainer.step(X, Y)
    assert handed[0].layers
    assert handed[0] is handed[1] is handed[2]


def test_a_batch_knows_how_much_of_training_lies_behind_it():
    done = []

    class Watched(IPDLAM):
        def step(self, sweep):
            done.append(sweep.batch.done)

    altmin.fit(network(), Watched(), (X, Y), epochs=2, batch_size=20)
    altmin.fit(network(), Watched(), (X, Y), epochs=4)
    assert done == pytest.approx([0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 0, 1 / 4, 2 / 4, 3 / 4])


# Options


def test_what_does_not_fit_is_refused_by_name():
    cases: tuple[tuple[dict[str, Any], type[Exception], str], ...] = (
        ({"loss": "mae"}, ValueError, "`loss`"),
        ({"samples": 0}, ValueError, "`samples` must be a positive integer or None, got 0"),
        ({"audit": 1}, TypeError, "`audit` must be True or False"),
        ({"epochs": 3}, TypeError, "epochs"),
    )
    for options, error, text in cases:
        with pytest.raises(error, match=text):
            Trainer(network(), BCD(), **options)
    with pytest.raises(TypeError, match="`method` must be a method"):
        Trainer(network(), 3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("function", "options"), [(altmin.fit, FitOptions), (altmin.fit_stream, StreamOptions), (Trainer, TrainerOptions)]
)
def test_signature_and_docstring_have_every_option(function, options):
    named = inspect.signature(function).parameters
    documented = inspect.getdoc(function) or ""
    for f in options.listed():
        assert named[f.name].kind is inspect.Parameter.KEYWORD_ONLY
        assert f"\n    {f.name}: " in documented, f.name
    assert "**options" not in documented
    assert max(map(len, documented.splitlines())) <= 120


def test_every_option_says_what_it_means():
    for options in (FitOptions, StreamOptions, TrainerOptions):
        for f in options.listed():
            assert len(f.metadata["help"]) > 10


def test_options_of_one_kind_make_another():
    chosen = FitOptions(epochs=3, loss="squared", audit=True)
    assert Options(**chosen.of(Options)) == Options(loss="squared", audit=True)


def test_a_method_of_ones_own_needs_no_more_than_a_step():
    class Still(Method):
        batched = True

        def step(self, sweep):
            sweep.state.W[0].mul_(0.5)

        def evaluate(self, sweep):
            return network_terms(sweep), {}

    model = network()
    before = model.get_parameter("0.weight").detach().clone()
    Trainer(model, Still()).step(X, Y)
    assert torch.equal(model.get_parameter("0.weight").detach(), 0.5 * before)


def test_an_objective_beyond_all_numbers_is_divergence():
    """The weights stay finite; the loss at them does not."""
    trainer = Trainer(network(), ENTRIES["sgd"].method)
    trainer.step(X, Y)
    for _ in range(2):
        trainer.step(1e10 * X, Y)
    assert all(bool(torch.isfinite(p).all()) for p in trainer.model.parameters())
    with pytest.raises(altmin.DivergenceError, match="iteration 3, block objective"):
        trainer.objective()
