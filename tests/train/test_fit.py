"""`fit` as a user meets it: what it leaves in the model, what it records, how it stops, and what it draws."""

import itertools
import math
import time
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import altmin
from altmin import (
    DLADMM,
    DLAM,
    IPDLAM,
    MDLAM,
    SGD,
    Adam,
    Backprop,
    CoActivationMemory,
    Codes,
    DivergenceError,
    Method,
    OnlineAM,
)
from altmin.train.options import FIGURES

N, CLASSES = 60, 3
FULL = {
    "ipdlam": IPDLAM(),
    "dlam": DLAM(),
    "mdlam": MDLAM(rho=0.1, accelerated=False),
    "mdlam-accelerated": MDLAM(rho=0.1, accelerated=True),
    "dladmm": DLADMM(rho=2.5, nu=0.1, rho_max=2.5),
}
BATCHED = {
    "ipdlam-batches": IPDLAM(),
    "am-adam": OnlineAM(rule=Adam(0.01), last=Adam(0.01), decay="none"),
    "am-sgd": OnlineAM(rule=SGD(0.1), last=SGD(0.1), codes=Codes(steps=5), regressors="codes", decay="none"),
    "am-mem": OnlineAM(rule=CoActivationMemory(), last=Adam(0.01)),
    "am-mem-ridge": OnlineAM(rule=CoActivationMemory(solver="ridge"), last=Adam(0.01)),
    "am-mem-forget": OnlineAM(rule=CoActivationMemory(forget=0.9), last=Adam(0.01)),
    "backprop-adam": Backprop("adam", lr=0.01),
    "backprop-sgd": Backprop("sgd", lr=0.2),
}
METHODS = FULL | BATCHED
LOSSES = ("cross_entropy", "squared", "hinge")
no_bound_for_hinge = pytest.mark.filterwarnings("ignore:.*the loss is not smooth:altmin.PenaltyWarning")


def samples(n=N, seed=1):
    """Inputs of four features in three classes, by the signs of the first two."""
    x = torch.randn(n, 4, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0)


def network(*widths, bias=True, dtype=torch.float32, s=nn.ReLU):
    """A fully connected network, 4-8-6-3 unless told, with PyTorch's start from a fixed seed."""
    widths = widths or (4, 8, 6, CLASSES)
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        parts = [m for p, q in itertools.pairwise(widths) for m in (nn.Linear(p, q, bias=bias), s())]
    return nn.Sequential(*parts[:-1]).to(dtype)


def normed():
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, CLASSES))


def run(name, model=None, data=None, *, epochs=3, seed=0, **options):
    """The trained model and its history."""
    model, size = network() if model is None else model, 25 if name in BATCHED else None
    options = {"batch_size": size, "generator": torch.Generator().manual_seed(seed), "record": FIGURES} | options
    return model, altmin.fit(model, METHODS[name], data or samples(), epochs=epochs, **options)


def weights(model):
    return {k: v.detach().clone() for k, v in model.state_dict().items()}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@torch.no_grad()
def plain(model, loss, x, y):
    """Mean loss and accuracy of the plain `nn.Sequential` in eval mode."""
    z = model.eval()(x)
    signs = 2.0 * nn.functional.one_hot(y, CLASSES) - 1.0
    total = {
        "cross_entropy": lambda: nn.functional.cross_entropy(z, y, reduction="sum"),
        "squared": lambda: 0.5 * (z - (signs + 1) / 2).square().sum(),
        "hinge": lambda: (1 - signs * z).clamp(min=0).sum(),
    }[loss]()
    return total.item() / len(x), (z.argmax(1) == y).double().mean().item()


def numbers_of(record):
    for value in record.values():
        if isinstance(value, dict):
            yield from numbers_of(value)
        elif value is not None:
            yield value


# Every method, loss and regulariser


def with_regularizers(*texts):
    """Every method with each of these; the ridge memory solves by a factorisation and takes no l1."""
    pairs = [(name, text) for name in METHODS for text in texts if (name, str(text)[:2]) != ("am-mem-ridge", "l1")]
    return pytest.mark.parametrize(("name", "regularizer"), pairs)


@pytest.mark.slow
@no_bound_for_hinge
@pytest.mark.parametrize("loss", LOSSES)
@with_regularizers(None, "l1:0.01", "l2:0.01")
def test_training_lowers_the_loss(name, loss, regularizer):
    start = plain(network(), loss, *samples())[0]
    model, history = run(name, loss=loss, regularizer=regularizer, epochs=8)
    assert plain(model, loss, *samples())[0] < 0.95 * start
    assert history["iteration"] == list(range(1, 9))
    assert all(math.isfinite(v) for record in history.records for v in numbers_of(record))


@pytest.mark.slow
@with_regularizers("l1:20", "l2:80")
def test_a_strong_regulariser_shrinks_every_layer(name, regularizer):
    without, _ = run(name, epochs=15)
    shrunk, _ = run(name, epochs=15, regularizer=regularizer)
    for i in (0, 2, 4):
        small, large = (net.get_parameter(f"{i}.weight").norm() for net in (shrunk, without))
        assert small < 0.95 * large, f"module {i}"


@pytest.mark.thinned(1)
@no_bound_for_hinge
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", METHODS)
def test_the_last_record_describes_the_model(name, loss):
    held = samples(31, seed=2)
    model, history = run(name, loss=loss, regularizer="l2:0.5", validation=held)
    record = history.records[-1]
    for which, data in (("train", samples()), ("validation", held)):
        figures = (record[f"{which}_loss"], record[f"{which}_accuracy"])
        assert figures == pytest.approx(plain(model, loss, *data), rel=1e-5), which
    penalty = 0.25 * sum(float(m.weight.detach().square().sum()) for m in model if isinstance(m, nn.Linear))
    assert record["terms"]["regularizer"] == pytest.approx(penalty, rel=1e-5)
    assert record["objective"] == pytest.approx(sum(record["terms"].values()), rel=1e-5)


def test_samples_for_test_are_looked_at_in_every_record_and_used_for_nothing():
    held, test = samples(31, seed=2), samples(29, seed=4)
    model, history = run("am-adam", validation=held, test=test, keep="best", epochs=8)
    assert history.kept is not None
    assert history.kept["iteration"] == history.best
    assert (history.kept["test_loss"], history.kept["test_accuracy"]) == pytest.approx(
        plain(model, "cross_entropy", *test), rel=1e-5
    )
    other, without = run("am-adam", validation=held, keep="best", epochs=8)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    assert "test_loss" not in without.records[0]


@pytest.mark.parametrize("name", METHODS)
def test_a_record_has_the_same_names_in_every_iteration(name):
    _, history = run(name)
    figures = {f"{which}_{figure}" for which in ("train", "validation") for figure in ("loss", "accuracy")}
    figures |= {"iteration", "seconds", "cpu_seconds", "objective", "terms", "residuals", "gap"}
    assert figures <= history.records[0].keys()
    assert all(record.keys() == history.records[0].keys() for record in history.records)
    assert (history.status, history.keep, history.best, len(history)) == ("ok", "last", None, 3)
    assert history["validation_accuracy"] == [None] * 3


@pytest.mark.parametrize("name", METHODS)
def test_methods_with_auxiliary_variables_record_residuals_and_a_gap(name):
    _, history = run(name)
    record, method = history.records[-1], METHODS[name]
    if isinstance(method, IPDLAM | MDLAM | DLADMM):
        assert set(record["residuals"]) == {"E_1", "E_2", "E_3", "D_1", "D_2"}
        assert record["gap"] > 0
    else:
        assert set(record["residuals"]) == ({"C_1", "C_2"} if isinstance(method, OnlineAM) else set())
        assert record["gap"] is None


@pytest.mark.parametrize("name", METHODS)
def test_without_bias_the_intercepts_stay_zero(name):
    seen = []
    model, history = run(name, network(bias=False), callbacks=[lambda h, state: seen.extend(state.b)])
    assert all(m.bias is None for m in model if isinstance(m, nn.Linear))
    assert len(seen) == 9
    assert not any(b.any() for b in seen)
    assert history["train_loss"][-1] == pytest.approx(plain(model, "cross_entropy", *samples())[0], rel=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_a_start_from_zero_weights_records_finite_numbers(name):
    model = network()
    for p in model.parameters():
        nn.init.zeros_(p)
    _, history = run(name, model)
    assert all(math.isfinite(v) for record in history.records for v in numbers_of(record))


@pytest.mark.parametrize("name", METHODS)
def test_the_users_data_are_not_written_to(name):
    x, _ = samples(50)
    model, data = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)), (x.clone(), x[:, :2].clone())
    run(name, model, data, loss="squared", validation=data)
    assert torch.equal(data[0], x)
    assert torch.equal(data[1], x[:, :2])


# Networks and targets


@pytest.mark.parametrize("name", METHODS)
def test_a_network_of_one_layer_trains(name):
    _, history = run(name, network(4, CLASSES), epochs=15)
    assert history["train_loss"][-1] < 0.9 * plain(network(4, CLASSES), "cross_entropy", *samples())[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    "s", [nn.Identity, nn.LeakyReLU, nn.Hardtanh, nn.ReLU6, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.ELU]
)
def test_activations_train(name, s):
    _, history = run(name, network(s=s), epochs=10)
    assert history["train_loss"][-1] < plain(network(s=s), "cross_entropy", *samples())[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("s", [nn.GELU, nn.SiLU, nn.Mish])
def test_activations_that_turn_train_or_are_refused(name, s):
    if METHODS[name].monotone:
        with pytest.raises(TypeError, match=f"MDLAM needs activations that never fall, {s.__name__} .layer 1. does"):
            run(name, network(s=s), epochs=1)
    else:
        _, history = run(name, network(s=s), epochs=10)
        assert history["train_loss"][-1] < plain(network(s=s), "cross_entropy", *samples())[0]


@pytest.mark.thinned(1)
@pytest.mark.parametrize("name", FULL)
@pytest.mark.parametrize("s", [altmin.Sign, altmin.Step])
def test_two_valued_activations_train_without_derivatives(name, s):
    _, history = run(name, network(s=s), epochs=20)
    assert max(history["train_accuracy"]) > plain(network(s=s), "cross_entropy", *samples())[1]


@pytest.mark.thinned(1)
@pytest.mark.parametrize("name", ["am-adam", "am-sgd", "backprop-adam"])
@pytest.mark.parametrize("keep", ["last", "best"])
def test_batch_norm_trains_and_the_model_holds_its_statistics(name, keep):
    held, start = samples(40, seed=2), normed()
    model, history = run(name, normed(), validation=held, keep=keep, epochs=8)
    assert history["train_loss"][-1] < 0.9 * plain(start, "cross_entropy", *samples())[0]
    for part in ("weight", "bias", "running_mean", "running_var"):
        assert not torch.equal(getattr(model[1], part), getattr(start[1], part)), part
    assert history.kept is not None
    kept = (history.kept["validation_loss"], history.kept["validation_accuracy"])
    assert kept == pytest.approx(plain(model, "cross_entropy", *held), rel=1e-5)


@pytest.mark.thinned(1)
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("name", METHODS)
def test_regression(name, outputs):
    x, _ = samples()
    y = 2 * x[:, 0] - x[:, 1] if outputs == 1 else x[:, 1:] * 2 + 1
    model = network(4, 8, outputs)
    rows = y.reshape(N, outputs)
    before = 0.5 * (model(x) - rows).square().sum().item() / N
    model, history = run(name, model, (x, y), validation=(x[:20], y[:20]), loss="squared", epochs=10)
    assert history["train_loss"][-1] == pytest.approx(0.5 * (model(x) - rows).square().sum().item() / N, rel=1e-5)
    assert history["train_loss"][-1] < 0.8 * before
    assert history["train_accuracy"] == history["validation_accuracy"] == [None] * 10
    assert history.best == 1 + min(range(10), key=history["validation_loss"].__getitem__)


@pytest.mark.filterwarnings("ignore::altmin.ScaleWarning")
def test_linear_regression_is_least_squares():
    x = samples()[0].double()
    y = x[:, :2] @ torch.tensor([[1.0, 2.0], [3.0, 4.0]]).double() + x.square()[:, 2:] + 5
    model = network(4, 2, dtype=torch.float64)
    altmin.fit(model, DLAM(), (x, y), loss="squared", epochs=60)
    design = torch.cat([x, torch.ones(N, 1).double()], 1)
    exact = torch.linalg.lstsq(design, y).solution
    torch.testing.assert_close(model.get_parameter("0.weight").detach(), exact[:-1].T, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(model.get_parameter("0.bias").detach(), exact[-1], rtol=1e-9, atol=1e-9)


@pytest.mark.thinned(1)
@no_bound_for_hinge
@pytest.mark.parametrize(("loss", "threshold"), [("hinge", 0.0), ("squared", 0.5)])
@pytest.mark.parametrize("name", METHODS)
def test_two_classes_with_one_output(name, loss, threshold):
    y = torch.arange(N) % 2
    x = samples()[0] * 0.3 + 3.0 * y[:, None] - 1.5
    model, history = run(name, network(4, 16, 1), (x, y), loss=loss, epochs=30)
    right = ((model(x)[:, 0] > threshold).long() == y).double().mean().item()
    assert history["train_accuracy"][-1] == pytest.approx(right)
    assert right > 0.95


# Passes over the data


@dataclass(frozen=True)
class Scripted(Method):
    """Stands for a method on ``z = W x`` without intercept: `slopes` by epoch, ``W = (-slope, slope)``.

    On `SIDES` a positive slope is right everywhere, a negative one nowhere, and zero in half of the cases.
    """

    slopes: tuple[float, ...] = ()
    batched = True
    cure = "another script"

    def init(self, sweep):
        pass

    def step(self, sweep):
        W = sweep.state.W[0]
        W.copy_(W.new_tensor([[-1.0], [1.0]]) * self.slopes[sweep.state.epoch])

    def evaluate(self, sweep):
        return {"loss": sweep.state.W[0][1, 0].clone()}, {}


SIDES = (torch.tensor([[-2.0], [-1.0], [1.0], [2.0]]), torch.tensor([0, 0, 1, 1]))


def script(*slopes, kind=Scripted, model=None, epochs=None, **options):
    """A model that starts with slope 7, trained by the script."""
    model = model or nn.Sequential(nn.Linear(1, 2, bias=False))
    model[0].weight.data = torch.tensor([[-7.0], [7.0]])
    return model, altmin.fit(model, kind(slopes), SIDES, epochs=epochs or len(slopes), **options)


def slope(model):
    assert model[0].weight[0, 0] == -model[0].weight[1, 0]
    return model[0].weight[1, 0].item()


@pytest.mark.parametrize(("size", "steps"), [(20, 3), (25, 3), (N, 1), (1, N), (None, 1)])
def test_an_epoch_is_one_step_for_each_batch(size, steps):
    seen = []
    run("ipdlam-batches", batch_size=size, epochs=2, callbacks=[lambda h, state: seen.append((state.k, state.epoch))])
    assert seen == [(steps, 1), (2 * steps, 2)]


def test_by_default_online_methods_take_batches_of_200():
    seen = []
    altmin.fit(network(), Backprop(), samples(450), epochs=1, callbacks=[lambda h, state: seen.append(state.k)])
    assert seen == [3]


@pytest.mark.filterwarnings("ignore::altmin.ScaleWarning")
def test_an_epoch_takes_every_sample_once_in_a_fresh_order():
    steps = []

    class Watched(Scripted):
        def step(self, sweep):
            batch = sweep.batch
            assert torch.equal(batch.rows, batch.x[:, 0].long())
            assert torch.equal(batch.y[:, 1].bool(), batch.x[:, 0] > 4)
            steps.append((sweep.state.epoch, batch.x[:, 0].tolist(), batch.ends_epoch))
            super().step(sweep)

    x = torch.arange(10.0)[:, None]
    model = nn.Sequential(nn.Linear(1, 2, bias=False))
    altmin.fit(model, Watched((1.0, 1.0)), (x, (x[:, 0] > 4).long()), epochs=2, batch_size=4)
    sizes = [(epoch, len(rows), last) for epoch, rows, last in steps]
    assert sizes == [(epoch, n, n == 2) for epoch in (0, 1) for n in (4, 4, 2)]
    first, second = ([i for epoch, rows, _ in steps if epoch == e for i in rows] for e in (0, 1))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_training_starts_from_the_present_weights():
    model = network()
    before = weights(model)
    altmin.fit(model, Backprop("sgd", lr=1e-12), samples(), epochs=1)
    assert all(torch.allclose(v, before[k], rtol=0, atol=1e-9) for k, v in weights(model).items())


# Which weights are kept


@pytest.mark.parametrize(
    ("slopes", "best"),
    [
        ((0.0, 1.0, -1.0), 2),
        ((1.0, -1.0, 0.0), 1),
        ((-1.0, 0.0, 1.0), 3),
        ((0.0, 1.0, -1.0, 2.0), 2),  # of equals the first
    ],
)
def test_keep_best_leaves_the_weights_that_were_best_on_validation(slopes, best):
    model, history = script(*slopes, keep="best", validation=SIDES)
    assert slope(model) == slopes[best - 1]
    assert history.kept is not None
    assert (history.best, history.kept["iteration"]) == (best, best)
    assert history.kept["validation_accuracy"] == plain_accuracy(model) == max(history["validation_accuracy"])


def test_keep_last_leaves_the_last_weights():
    model, history = script(1.0, -1.0, validation=SIDES)
    assert slope(model) == -1.0
    assert history.kept is not None
    assert (history.best, history.kept["iteration"]) == (1, 2)


def plain_accuracy(model):
    return (model(SIDES[0]).argmax(1) == SIDES[1]).double().mean().item()


@pytest.mark.parametrize("name", ["ipdlam", "am-sgd", "backprop-adam"])
def test_the_best_weights_of_real_training_have_the_accuracy_of_their_record(name):
    x, y = samples(40, seed=2)
    held = x, (y + 1) % CLASSES  # wrong ones: the more is learnt, the worse
    model, history = run(name, validation=held, keep="best", epochs=12)
    assert history.best is not None
    assert history.best < 12  # otherwise this test could not tell best from last
    assert plain(model, "cross_entropy", *held)[1] == pytest.approx(max(history["validation_accuracy"]))


def test_refitting_the_last_layer_works_on_the_weights_that_are_kept():
    method = OnlineAM(rule=SGD(0.1), last=SGD(1e-9), refit=True)
    model = network()
    history = altmin.fit(model, method, samples(), epochs=2, batch_size=20)
    assert plain(model, "cross_entropy", *samples())[0] < 0.8 * history["train_loss"][-1]


# How training ends


def test_a_callback_sees_every_record_and_true_stops():
    seen = []

    def stop(history, state):
        seen.append((len(history), history.records[-1]["iteration"], state.W[0][1, 0].item()))
        return len(history) == 2

    model, history = script(1.0, 2.0, 3.0, callbacks=[stop])
    assert seen == [(1, 1, 1.0), (2, 2, 2.0)]
    assert (history.status, len(history), slope(model)) == ("stopped", 2, 2.0)


def test_all_callbacks_are_called_and_only_true_stops():
    seen = []
    callbacks = [lambda h, s: len(h) == 2, lambda h, s: seen.append(len(h)), lambda h, s: False]
    _, history = script(1.0, 2.0, 3.0, callbacks=callbacks)
    assert seen == [1, 2]
    assert len(history) == 2


def interrupt(history, state):
    if len(history) == 2:
        raise KeyboardInterrupt


class Interrupted(Scripted):
    """Is interrupted when the third step has written weights."""

    def step(self, sweep):
        super().step(sweep)
        if sweep.state.epoch == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("kind", "callbacks"), [(Scripted, [interrupt]), (Interrupted, [])], ids=["callback", "step"])
@pytest.mark.parametrize(("keep", "kept"), [("last", -1.0), ("best", 1.0)])
def test_an_interrupt_leaves_the_trained_weights(kind, callbacks, keep, kept):
    model, histories = nn.Sequential(nn.Linear(1, 2, bias=False)), []
    callbacks = [lambda h, s: histories.append(h), *callbacks]
    with pytest.raises(KeyboardInterrupt):
        script(1.0, -1.0, 3.0, kind=kind, model=model, callbacks=callbacks, keep=keep, validation=SIDES)
    assert slope(model) == kept
    assert histories[-1].status == "stopped"
    assert torch.is_grad_enabled()


class Fails(Scripted):
    """Ends as solvers do that find no step."""

    def step(self, sweep):
        super().step(sweep)
        if sweep.state.epoch == 2:
            raise DivergenceError("W_1", "no decrease after 100 doublings", "nothing")


class Unbounded(Scripted):
    """Finite weights, an objective that is not."""

    def evaluate(self, sweep):
        return {"loss": torch.tensor(math.inf if sweep.state.epoch == 3 else 1.0)}, {}


@pytest.mark.parametrize(
    ("kind", "third", "block", "value"),
    [
        (Scripted, math.nan, "W_1", "nan"),
        (Scripted, math.inf, "W_1", "inf"),
        (Unbounded, 3.0, "objective", "inf"),
        (Fails, 3.0, "W_1", "no decrease"),
    ],
    ids=["nan", "inf", "objective", "solver"],
)
@pytest.mark.parametrize(("keep", "kept"), [("last", -1.0), ("best", 1.0)])
def test_divergence_says_what_to_try_and_leaves_the_last_finite_weights(kind, third, block, value, keep, kept):
    model = nn.Sequential(nn.Linear(1, 2, bias=False))
    with pytest.raises(DivergenceError) as caught:
        script(1.0, -1.0, third, 4.0, kind=kind, model=model, keep=keep, validation=SIDES)
    error = caught.value
    assert (error.iteration, error.block, error.cure) == (3, block, "another script")
    assert value in str(error.value).removeprefix("-")
    assert all(part in str(error) for part in ("iteration 3", block, value, "another script"))
    assert (error.history.status, error.history["iteration"]) == ("diverged", [1, 2])
    assert slope(model) == kept


@pytest.mark.parametrize(
    "method", [Backprop("sgd", lr=1e30), OnlineAM(rule=SGD(1e30), last=SGD(1e30))], ids=["backprop", "online"]
)
def test_a_learning_rate_far_too_large_diverges_and_leaves_finite_weights(method):
    model = network()
    with pytest.raises(DivergenceError, match="smaller") as caught:
        altmin.fit(model, method, samples(), loss="squared", epochs=20, batch_size=20)
    assert caught.value.iteration is not None
    assert len(caught.value.history) == caught.value.iteration - 1
    assert all(p.isfinite().all() for p in model.parameters())


# Time


class Slow(Scripted):
    """Sleeps in a step, and both sleeps and works in an evaluation."""

    def step(self, sweep):
        time.sleep(0.05)
        super().step(sweep)

    def evaluate(self, sweep):
        time.sleep(0.2)
        spin(0.2)
        return super().evaluate(sweep)


def spin(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_seconds_hold_the_steps_and_nothing_else():
    _, history = script(1.0, 2.0, kind=Slow, callbacks=[lambda h, s: time.sleep(0.2)])
    assert all(0.05 <= seconds < 0.2 for seconds in history["seconds"])
    assert all(0 <= seconds < 0.1 for seconds in history["cpu_seconds"])


# Randomness and the state of PyTorch


@pytest.mark.parametrize("name", METHODS)
def test_a_generators_seed_decides_the_weights(name):
    first, again, other = (weights(run(name, seed=seed)[0]) for seed in (3, 3, 4))
    assert equal(first, again)
    assert equal(first, other) == (name not in BATCHED)  # only the order of the samples is drawn


def test_by_default_manual_seed_decides_the_weights():
    def train(seed):
        torch.manual_seed(seed)
        return weights(run("backprop-sgd", generator=None)[0])

    first, again, other = train(3), train(3), train(4)
    assert equal(first, again)
    assert not equal(first, other)


@pytest.mark.parametrize("name", METHODS)
def test_with_a_generator_the_global_one_is_left_alone(name):
    before = torch.get_rng_state()
    run(name)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.thinned(1)
@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("name", METHODS)
def test_grad_mode_is_as_before(name, enabled):
    with torch.set_grad_enabled(enabled):
        model, _ = run(name, epochs=1)
        assert torch.is_grad_enabled() == enabled
    assert not equal(weights(model), weights(network()))


@pytest.mark.parametrize("name", METHODS)
def test_the_model_stays_an_ordinary_one_that_pytorch_can_train_on(name):
    model = network().train()
    own = list(model.parameters())
    run(name, model)
    assert model.training
    for p, q in zip(model.parameters(), own, strict=True):
        assert p is q
        assert (p.requires_grad, p.is_leaf, p.grad) == (True, True, None)
    x, y = samples()
    before, optimizer = plain(model, "cross_entropy", x, y)[0], torch.optim.SGD(model.parameters(), lr=1e-3)
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
    assert plain(model, "cross_entropy", x, y)[0] < before


# What user code sees meanwhile


@pytest.mark.parametrize("name", METHODS)
def test_in_a_callback_the_model_has_the_weights_of_the_record(name):
    model, held = network(), samples(31, seed=2)

    def look(history, state):
        record = history.records[-1]
        for which, data in (("train", samples()), ("validation", held)):
            figures = (record[f"{which}_loss"], record[f"{which}_accuracy"])
            assert figures == pytest.approx(plain(model, "cross_entropy", *data), rel=1e-5), which

    _, history = run(name, model, validation=held, keep="best", callbacks=[look])
    assert len(history) == 3


@pytest.mark.parametrize(("keep", "left"), [("last", -1.0), ("best", 1.0)])
@pytest.mark.parametrize("where", ["callback", "step"])
def test_an_exception_leaves_the_weights_of_the_last_record_or_the_best(where, keep, left):
    class Broken(Scripted):
        def step(self, sweep):
            super().step(sweep)
            if sweep.state.epoch == 2 and where == "step":
                raise OSError("the disk is full")

    def save(history, state):
        if len(history) == 2 and where == "callback":
            raise OSError("the disk is full")

    model, histories = nn.Sequential(nn.Linear(1, 2, bias=False)), []
    callbacks = [lambda h, s: histories.append(h), save]
    with pytest.raises(OSError, match="the disk is full"):
        script(1.0, -1.0, 3.0, kind=Broken, model=model, callbacks=callbacks, keep=keep, validation=SIDES)
    assert slope(model) == left
    assert len(histories[-1]) == 2


@pytest.mark.parametrize("way", ["converted", "replaced"])
def test_a_callback_that_moves_the_parameters_away_ends_training(way):
    model = network()

    def move(history, state):
        if way == "converted":
            model.double().float()
        else:
            model[2].weight = nn.Parameter(model.get_parameter("2.weight").detach().clone())

    with pytest.raises(RuntimeError, match="weight was moved or replaced"):
        run("ipdlam", model, callbacks=[move])


def test_inference_mode_is_left_for_training():
    plain_model, model = network(), network()
    run("backprop-adam", plain_model)
    with torch.inference_mode():
        x, y = (t.clone() for t in samples())
        run("backprop-adam", model, (x, y))
    assert equal(weights(model), weights(plain_model))
    assert not any(p.is_inference() for p in model.parameters())


# Devices


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("form", ["tensors", "arrays", "dataset"])
@pytest.mark.parametrize("name", ["ipdlam", "backprop-sgd"])
def test_device_moves_the_model_and_every_form_of_data(name, form):
    x, y = samples()
    data = {"tensors": (x, y), "arrays": (x.numpy(), y.numpy()), "dataset": TensorDataset(x, y)}[form]
    model, history = run(name, data=data, validation=data, device="cuda")
    assert all(p.is_cuda for p in model.parameters())
    assert history["train_loss"][-1] == pytest.approx(plain(model.cpu(), "cross_entropy", x, y)[0], rel=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_arrays_follow_a_model_that_is_on_a_device():
    x, y = samples()
    _, history = run("backprop-adam", network().cuda(), (x.numpy(), y.numpy()))
    assert len(history) == 3


def test_divergence_of_the_start_has_a_history_and_leaves_the_weights():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    before = [p.detach().clone() for p in model.parameters()]
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    with pytest.raises(DivergenceError) as caught:
        altmin.fit(model, altmin.AMRidge(data_damping=1e300), (x, (x[:, 0] > 0).long()), epochs=1)
    assert (caught.value.history.status, len(caught.value.history)) == ("diverged", 0)
    assert all(torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))
