"""`fit_stream`: that it does what `fit` does on the same batches, and never reads or holds more than it must."""

from __future__ import annotations

import itertools
import math
import time
import weakref
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import altmin
from altmin import SGD, Adam, Backprop, CoActivationMemory, DivergenceError, Method, Mu, OnlineAM
from altmin.data.higgs import HIGGS, moments, stream_split
from altmin.train.fit_stream import fit_stream
from altmin.train.options import FIGURES

N, SIZE, CLASSES = 60, 20, 3
METHODS = {
    "am-adam": OnlineAM(rule=Adam(0.01), last=Adam(0.01)),
    "am-sgd": OnlineAM(rule=SGD(0.1), last=SGD(0.1), mu=Mu(add=0.1)),
    "am-mem": OnlineAM(rule=CoActivationMemory(), last=Adam(0.01)),
    "backprop": Backprop("adam", lr=0.01),
}


def samples(n=N, seed=1):
    """Inputs of four features in three classes, by the signs of the first two."""
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0)


def network():
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, CLASSES))


def cut(x, y, size=SIZE):
    return list(zip(x.split(size), y.split(size), strict=True))


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


# The same training as `fit`


@pytest.mark.parametrize("every", [1, 2, 100])
@pytest.mark.parametrize("regularizer", [None, "l2:2.0"])
@pytest.mark.parametrize("name", METHODS)
def test_on_the_batches_of_one_epoch_it_does_what_fit_does(name, regularizer, every):
    (x, y), streamed, fitted = samples(), network(), network()
    order = torch.randperm(N, generator=torch.Generator().manual_seed(3))
    fit_stream(streamed, METHODS[name], cut(x[order], y[order]), regularizer=regularizer, steps=3, every=every)
    options = {"batch_size": SIZE, "generator": torch.Generator().manual_seed(3)}
    altmin.fit(fitted, METHODS[name], (x, y), regularizer=regularizer, epochs=1, **options)
    assert torch.equal(weights(streamed), weights(fitted))
    assert not torch.equal(weights(streamed), weights(network()))


@pytest.mark.parametrize("form", ["lists", "arrays", "loader", "iterable", "generator"])
def test_every_form_of_a_stream_gives_the_same_weights(form):
    (x, y), plain, model = samples(), network(), network()

    class Stream(IterableDataset):
        def __iter__(self):
            yield from zip(x.repeat(10, 1), y.repeat(10), strict=True)

    forms = {
        "lists": [list(pair) for pair in cut(x, y)] * 2,
        "arrays": [(a.numpy(), b.numpy()) for a, b in cut(x, y)] * 2,
        "loader": DataLoader(TensorDataset(x.repeat(2, 1), y.repeat(2)), batch_size=SIZE),
        "iterable": DataLoader(Stream(), batch_size=SIZE),
        "generator": itertools.islice(itertools.cycle(cut(x, y)), 50),
    }
    fit_stream(plain, METHODS["am-adam"], cut(x, y) * 2, steps=6)
    fit_stream(model, METHODS["am-adam"], forms[form], steps=6)
    assert torch.equal(weights(model), weights(plain))


def test_regression():
    x, _ = samples()
    y = torch.stack([x[:, 0], x[:, 1] - x[:, 2], x[:, 3]], 1)
    history = fit_stream(network(), METHODS["backprop"], cut(x, y) * 60, loss="squared", steps=180, every=60)
    assert history["train_accuracy"] == [None] * 3
    assert history["train_loss"][-1] < 0.3 * history["train_loss"][0]


# Records


@pytest.mark.parametrize(
    ("there", "steps", "every", "recorded"),
    [
        (7, 7, 3, [3, 6, 7]),
        (6, 6, 3, [3, 6]),
        (99, 7, 3, [3, 6, 7]),
        (99, 6, 3, [3, 6]),
        (7, 99, 3, [3, 6, 7]),
        (6, 99, 3, [3, 6]),
        (2, 99, 100, [2]),
        (3, 3, 1, [1, 2, 3]),
    ],
)
def test_a_record_every_so_many_batches_and_after_the_last(there, steps, every, recorded):
    batches = itertools.islice(itertools.cycle(cut(*samples(50))), there)  # 20, 20 and 10 samples
    history = fit_stream(network(), METHODS["am-adam"], batches, steps=steps, every=every)
    assert history["iteration"] == list(range(1, len(recorded) + 1))
    assert history["steps"] == recorded
    assert history["samples"] == [sum((20, 20, 10)[i % 3] for i in range(n)) for n in recorded]
    assert history.status == "ok"


def test_a_record_that_is_asked_for_is_about_the_latest_batch():
    model, held, seen = network(), samples(40, seed=2), []
    batches = [samples(SIZE, seed) for seed in range(4)]

    def look(history, state):
        z = [model(x) for x, _ in (batches[2 * len(history) - 1], held)]
        y = [batches[2 * len(history) - 1][1], held[1]]
        losses = [nn.functional.cross_entropy(a, b).item() for a, b in zip(z, y, strict=True)]
        omega = sum(0.5 * 0.3 * model.get_parameter(f"{i}.weight").square().sum().item() for i in (0, 2, 4))
        rates = [(a.argmax(1) == b).double().mean().item() for a, b in zip(z, y, strict=True)]
        seen.append((losses[0] * SIZE + omega, *losses, *rates))

    options = {"regularizer": "l2:0.3", "validation": held, "callbacks": [look], "record": FIGURES}
    history = fit_stream(model, METHODS["am-adam"], batches, steps=4, every=2, **options)
    names = ("objective", "train_loss", "validation_loss", "train_accuracy", "validation_accuracy")
    assert list(zip(*(history[name] for name in names), strict=True)) == [pytest.approx(s, rel=1e-5) for s in seen]


def test_seconds_hold_reading_and_steps_but_no_validation():
    def slow(pairs):
        for pair in pairs:
            time.sleep(0.04)
            yield pair

    options = {"validation": samples(), "callbacks": [lambda history, state: time.sleep(0.5)]}
    history = fit_stream(network(), METHODS["backprop"], slow(cut(*samples()) * 2), steps=6, every=3, **options)
    first, second = history["seconds"]  # the first batch is read before training: its shape is needed
    assert 0.08 <= first < 0.5
    assert 0.12 <= second < 0.5


# What is read and held


@pytest.mark.parametrize("every", [1, 3, 100])
def test_no_more_batches_are_read_than_are_trained_on(every):
    batches = iter(cut(*samples()) * 5)
    fit_stream(network(), METHODS["am-adam"], batches, steps=4, every=every)
    assert len(list(batches)) == 11


def test_a_callback_that_stops_ends_the_reading():
    batches = iter(cut(*samples()) * 5)
    stop = [lambda history, state: len(history) == 2]
    history = fit_stream(network(), METHODS["am-adam"], batches, steps=15, every=3, callbacks=stop)
    assert (history.status, len(history), len(list(batches))) == ("stopped", 2, 9)


@pytest.mark.parametrize("name", METHODS)
def test_batches_that_are_done_are_let_go(name):
    alive, most = [], []

    def source():
        for i in range(30):
            x, y = (t.numpy().copy() for t in samples(SIZE, i))
            alive.append(weakref.ref(x))
            most.append(sum(ref() is not None for ref in alive))
            yield x, y

    fit_stream(network(), METHODS[name], source(), steps=30, every=10)
    assert 2 <= max(most) <= 4, "the first batch, the latest, the one before it and the new one"


# The method


@dataclass(frozen=True)
class Scripted(Method):
    """Stands for an online method on ``z = W x`` without intercept: `slopes` by step, ``W = (-slope, slope)``.

    On `SIDES` a positive slope is right everywhere, a negative one nowhere, and zero in half of the cases.
    """

    slopes: tuple[float, ...] = ()
    online = True
    batched = True
    cure = "another script"

    def init(self, sweep):
        pass

    def step(self, sweep):
        W = sweep.state.W[0]
        W.copy_(W.new_tensor([[-1.0], [1.0]]) * self.slopes[sweep.state.k])

    def evaluate(self, sweep):
        return {"loss": sweep.state.W[0][1, 0].clone()}, {}


SIDES = (torch.tensor([[-2.0], [-1.0], [1.0], [2.0]]), torch.tensor([0, 0, 1, 1]))


def script(*slopes, kind=Scripted, model=None, batches=None, **options):
    """A model that starts with slope 7, trained by the script."""
    model = model or nn.Sequential(nn.Linear(1, 2, bias=False))
    model[0].weight.data = torch.tensor([[-7.0], [7.0]])
    chosen: dict[str, Any] = {"steps": len(slopes), "every": 1, **options}
    return model, fit_stream(model, kind(slopes), batches or [SIDES] * len(slopes), **chosen)


def slope(model):
    return model[0].weight[1, 0].item()


def test_a_method_hears_of_the_expected_samples_and_of_no_epochs():
    heard = []

    class Listening(Scripted):
        def init(self, sweep):
            heard.append((sweep.state.samples, sweep.state.generator))

        def step(self, sweep):
            batch = sweep.batch
            heard.append((batch.count, batch.ends_epoch, batch.rows))
            super().step(sweep)

    generator = torch.Generator()
    small = (SIDES[0][:2], SIDES[1][:2])
    script(1.0, 2.0, 3.0, kind=Listening, batches=[SIDES, small], steps=50, generator=generator)
    assert heard == [(200, generator), (4, False, None), (2, False, None)]


def test_schedules_by_the_epoch_stand_still_and_those_by_the_batch_go_on():
    mu = Mu(start=1.0, add=0.25, factor=10.0, most=100.0)
    method = OnlineAM(last=altmin.Adam(0.01), mu=mu, halve_every=1, decay="none")
    seen = []
    lr = [lambda history, state: seen.append((state.memory.rules[-1].optimizer.param_groups[0]["lr"], state.epoch))]
    history = fit_stream(network(), method, cut(*samples()), steps=3, every=1, callbacks=lr)
    assert history["mu"] == [1.0, 1.25, 1.5]
    assert seen == [(0.01, 0)] * 3


def test_learning_rates_fall_over_the_steps():
    seen = []
    lr = [lambda history, state: seen.append(state.memory.rules[-1].optimizer.param_groups[0]["lr"])]
    method = OnlineAM(last=altmin.Adam(0.01), decay="linear")
    fit_stream(network(), method, cut(*samples()), steps=3, every=1, callbacks=lr)
    assert seen == pytest.approx([0.01, 0.02 / 3, 0.01 / 3])


@pytest.mark.parametrize("method", [altmin.DLADMM(), altmin.IPDLAM(), altmin.MDLAM()], ids=lambda m: type(m).__name__)
def test_methods_that_keep_every_sample_are_refused(method):
    with pytest.raises(TypeError, match=rf"`method`: {type(method).__name__} .* Backprop.* OnlineAM"):
        fit_stream(network(), method, cut(*samples()), steps=3)


def test_a_refit_on_all_samples_is_refused():
    with pytest.raises(ValueError, match="`method`: refit=True"):
        fit_stream(network(), OnlineAM(refit=True), cut(*samples()), steps=3)


# How training ends


@pytest.mark.parametrize(("slopes", "best"), [((0.0, 1.0, -1.0), 2), ((1.0, -1.0, 0.0), 1), ((-1.0, 0.0, 1.0), 3)])
def test_keep_best_leaves_the_weights_that_were_best_on_validation(slopes, best):
    model, history = script(*slopes, keep="best", validation=SIDES)
    assert (slope(model), history.best) == (slopes[best - 1], best)


def test_only_weights_that_were_recorded_can_be_best():
    model, history = script(0.0, 1.0, -1.0, 0.0, every=2, keep="best", validation=SIDES)
    assert (slope(model), history["validation_accuracy"]) == (1.0, [1.0, 0.5])
    model, _ = script(1.0, 0.0, -1.0, -1.0, every=2, keep="best", validation=SIDES)
    assert slope(model) == 0.0


class Failing:
    """A stream that fails after so many batches."""

    def __init__(self, after, error):
        self.after, self.error = after, error

    def __iter__(self):
        yield from [SIDES] * self.after
        raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("the line is cut")], ids=["interrupt", "error"])
@pytest.mark.parametrize(("keep", "kept"), [("last", -1.0), ("best", 1.0)])
@pytest.mark.parametrize("after", [4, 5])
def test_a_stream_that_fails_leaves_the_weights_of_the_last_record(error, keep, kept, after):
    model, seen = nn.Sequential(nn.Linear(1, 2, bias=False)), []
    options = {"keep": keep, "validation": SIDES, "every": 2, "callbacks": [lambda h, s: seen.append(h)]}
    with pytest.raises(type(error)):
        script(0.0, 1.0, 0.0, -1.0, 5.0, 6.0, model=model, batches=Failing(after, error), **options)
    assert slope(model) == kept
    assert seen[-1].status == ("stopped" if isinstance(error, KeyboardInterrupt) else "ok")
    assert len(seen[-1]) == 2


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize(("keep", "kept"), [("last", -1.0), ("best", 1.0)])
def test_divergence_says_what_to_try_and_leaves_finite_weights(bad, keep, kept):
    model = nn.Sequential(nn.Linear(1, 2, bias=False))
    with pytest.raises(DivergenceError, match=r"W_1.*another script") as caught:
        script(1.0, -1.0, bad, model=model, keep=keep, validation=SIDES)
    assert (caught.value.iteration, caught.value.history["steps"]) == (3, [1, 2])
    assert caught.value.history.status == "diverged"
    assert slope(model) == kept


def test_a_learning_rate_far_too_large_diverges():
    model, batches = network(), cut(*samples()) * 30
    with pytest.raises(DivergenceError, match="smaller"):
        fit_stream(model, Backprop("sgd", lr=1e30), batches, loss="squared", steps=90, every=10)
    assert weights(model).isfinite().all()


# What does not fit

X, Y = samples()
NAN = X.clone()
NAN[3, 1] = math.nan


@pytest.mark.parametrize(
    ("batches", "error", "message"),
    [
        ([], ValueError, "`batches` is empty"),
        (7, TypeError, "`batches` must be an iterable of pairs"),
        ((X, Y), TypeError, r"`batches\[0\]` must be a pair \(x, y\).*Tensor of length 60"),
        ([(X, Y), (NAN, Y)], ValueError, r"`batches\[1\]`: x holds nan at \(3, 1\)"),
        ([(X, Y), (X[:, :2], Y)], ValueError, r"`batches\[1\]`: the model takes 4 features, x has 2"),
        ([(X, Y), (X, Y + 1)], ValueError, r"`batches\[1\]`: labels must lie in 0..2"),
        ([(X, Y), (X, Y[:5])], ValueError, r"`batches\[1\]`: 60 inputs but 5 targets"),
        ([(X, Y), (X + 0j, Y)], TypeError, r"`batches\[1\]`: x must hold real numbers, got torch.complex64"),
        ([(X[0], Y[0])], ValueError, r"`batches\[0\]`: x must have shape \(N, 4\)"),
    ],
)
def test_batches_that_do_not_fit_are_named(batches, error, message):
    model = network()
    with pytest.raises(error, match=message):
        fit_stream(model, METHODS["am-adam"], batches, steps=5, every=100)
    assert torch.equal(weights(model), weights(network())), "there was no record yet"


def test_images_that_do_not_pass_through_the_network_are_named():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 2 * 2, CLASSES))
    right, wrong = ((torch.randn(N, 1, n, n), Y) for n in (4, 5))
    cases: list[tuple[list[Any], dict[str, Any]]] = [([right, wrong], {}), ([right] * 2, {"validation": wrong})]
    for there, options in cases:
        name = "validation" if options else r"batches\[1\]"
        with pytest.raises(ValueError, match=rf"`{name}`: samples of shape \(1, 5, 5\) do not fit"):
            fit_stream(model, METHODS["backprop"], there, steps=5, **options)


@pytest.mark.parametrize("validation", [None, (X, X[:, :3])])
def test_kinds_of_targets_cannot_be_mixed(validation):
    batches = [(X, X[:, :3]), (X, Y)] if validation is None else [(X, Y)]
    with pytest.raises(TypeError, match=rf"`batches\[{len(batches) - 1}\]` has class labels, .* real-valued targets"):
        fit_stream(network(), METHODS["backprop"], batches, loss="squared", steps=5, validation=validation)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"steps": 0}, ValueError, "`steps` must be a positive integer, got 0"),
        ({"steps": 2.5}, ValueError, "`steps` must be a positive integer, got 2.5"),
        ({"every": True}, ValueError, "`every` must be a positive integer, got True"),
        ({"keep": "first"}, ValueError, "`keep` must be"),
        ({"keep": "best"}, ValueError, "`keep='best'` needs a `validation` set"),
        ({"method": "am-adm"}, ValueError, "unknown method 'am-adm'; did you mean 'am-adam'"),
        ({"callbacks": 3}, TypeError, "`callbacks` must be a sequence"),
        ({"generator": 0}, TypeError, "`generator` must be a torch.Generator"),
        ({"device": "abacus"}, ValueError, "`device` must be such as cpu"),
        ({"validation": (NAN, Y)}, ValueError, "`validation`: x holds nan"),
    ],
)
def test_options_that_do_not_fit_are_named(options, error, message):
    batches = iter(cut(X, Y))
    chosen: dict[str, Any] = {"method": METHODS["am-adam"], "steps": 3, **options}
    with pytest.raises(error, match=message):
        fit_stream(network(), chosen.pop("method"), batches, **chosen)
    assert len(list(batches)) == 3, "nothing is read before the options are checked"


def test_with_a_generator_the_global_one_is_left_alone():
    before = torch.get_rng_state()
    fit_stream(network(), METHODS["am-adam"], cut(X, Y), steps=3, generator=torch.Generator())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_device_moves_the_model_and_every_batch():
    model, plain = network(), network()
    fit_stream(model, METHODS["backprop"], cut(X, Y), steps=3, validation=(X, Y), device="cuda")
    fit_stream(plain, METHODS["backprop"], cut(X, Y), steps=3)
    assert all(p.is_cuda for p in model.parameters())
    torch.testing.assert_close(weights(model).cpu(), weights(plain), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_am_adam_reaches_its_papers_figure_on_higgs_in_1000_batches(real_data):
    if (found := HIGGS.find(real_data)) is None:
        pytest.skip(f"no HIGGS in {real_data}")
    (path,) = found.values()
    known = moments(path)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(28, 300), nn.ReLU(), nn.Linear(300, 2))
    method = OnlineAM(rule=Adam(0.02), last=Adam(0.0002))
    fit_stream(model, method, stream_split(path, "train", 200, standardise=known, repeat=1000), steps=1000)
    x, y = next(stream_split(path, "test", 100_000, standardise=known))
    assert (model(x).argmax(1) == y).double().mean() >= 0.64
