"""What users hand to `fit`: every form of the same data trains the same model, and bad input stops before any work."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset, Subset, TensorDataset

import altmin
from altmin import (
    DLADMM,
    DLAM,
    IPDLAM,
    L1,
    MDLAM,
    Backprop,
    CoActivationMemory,
    CrossEntropy,
    InertiaWarning,
    OnlineAM,
    PenaltyWarning,
)

N = 40


def samples():
    """Inputs of three features, and which of two classes they are in."""
    x = torch.randn(N, 3, generator=torch.Generator().manual_seed(1))
    return x, (x[:, 0] > 0.2).long()


X, Y = samples()


def network(outputs=2, dtype=torch.float32, hidden=nn.ReLU):
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 4), hidden(), nn.Linear(4, outputs)).to(dtype)


class Pairs(Dataset):
    """A data set of the user's own."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


def trained(data, *, model=None, loss="cross_entropy", **options):
    """The weights after two epochs of backpropagation in batches."""
    model = model or network()
    generator = torch.Generator().manual_seed(0)
    altmin.fit(model, Backprop(), data, loss=loss, epochs=2, batch_size=16, generator=generator, **options)
    return [p.detach() for p in model.parameters()]


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


FORMS = {
    "tensors in a list": lambda: [X, Y],
    "arrays": lambda: (X.numpy(), Y.numpy()),
    "read-only arrays": lambda: (read_only(X.numpy()), read_only(Y.numpy())),
    "reversed arrays": lambda: (X.flip(0).numpy()[::-1], Y.flip(0).numpy()[::-1]),
    "an array and a list": lambda: (X.numpy(), Y.tolist()),
    "int32 labels": lambda: (X, Y.int()),
    "byte labels": lambda: (X, Y.to(torch.uint8)),
    "truth values as labels": lambda: (X, Y.bool()),
    "images": lambda: (X.reshape(N, 1, 1, 3), Y),
    "inputs that require a gradient": lambda: (X.clone().requires_grad_(), Y),
    "a TensorDataset": lambda: TensorDataset(X, Y),
    "a Subset": lambda: Subset(TensorDataset(X, Y), range(N)),
    "a Dataset of tensors": lambda: Pairs(X, Y),
    "a Dataset of arrays": lambda: Pairs(X.numpy(), Y.numpy()),
    "a Dataset of tensors and ints": lambda: Pairs(X, Y.tolist()),
    "a Dataset of images": lambda: Pairs(X.reshape(N, 1, 1, 3), Y),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_data_trains_the_same_model(form):
    data = FORMS[form]()
    for p, expected in zip(trained(data, validation=data), trained((X, Y)), strict=True):
        assert torch.equal(p, expected)


def test_a_flatten_in_front_changes_nothing():
    model = nn.Sequential(nn.Flatten(), *network())
    for p, expected in zip(trained((X.reshape(N, 3, 1), Y), model=model), trained((X, Y)), strict=True):
        assert torch.equal(p, expected)


REAL = X[:, :2] * 2 + 1
TARGETS = {
    "a column for one output": (1, lambda: (X, REAL[:, :1]), lambda: (X, REAL[:, 0])),
    "a Dataset of rows": (2, lambda: Pairs(X, REAL), lambda: (X, REAL)),
    "a Dataset of numbers": (1, lambda: Pairs(X, REAL[:, 0].tolist()), lambda: (X, REAL[:, 0])),
    "arrays": (2, lambda: (X.numpy(), REAL.numpy()), lambda: (X, REAL)),
}


@pytest.mark.parametrize("form", TARGETS)
def test_every_form_of_real_targets_trains_the_same_model(form):
    outputs, data, plain = TARGETS[form]
    got = trained(data(), model=network(outputs), loss="squared")
    for p, expected in zip(got, trained(plain(), model=network(outputs), loss="squared"), strict=True):
        assert torch.equal(p, expected)


def with_value(t, value, *place):
    t = t.clone()
    t[place] = value
    return t


BAD_CLASSES = {
    "nan in x": (lambda: (with_value(X, float("nan"), 3, 1), Y), ValueError, r"x holds nan at \(3, 1\)"),
    "inf in x": (lambda: (with_value(X, float("inf"), 3, 1), Y), ValueError, r"x holds inf at \(3, 1\)"),
    "-inf in an array": (lambda: (with_value(X, float("-inf"), 0, 0).numpy(), Y.numpy()), ValueError, "x holds -inf"),
    "x in one dimension": (lambda: (X[:, 0], Y), ValueError, r"\(N, 3\).*\(40,\)"),
    "no samples": (lambda: (X[:0], Y[:0]), ValueError, r"N > 0, got \(0, 3\)"),
    "an empty Dataset": (lambda: Pairs(X[:0], Y[:0]), (TypeError, ValueError), "non-empty"),
    "x of another width": (lambda: (X[:, :2], Y), ValueError, "takes 3 features, x has 2"),
    "x and y of different lengths": (lambda: (X, Y[1:]), ValueError, "40 inputs but 39 targets"),
    "y a single number": (lambda: (X, Y[0]), (TypeError, ValueError), r"\(N,\)"),
    "complex x": (lambda: (X.to(torch.complex64), Y), TypeError, "x must hold real numbers, got torch.complex64"),
    "x elsewhere": (lambda: (X.to("meta"), Y), TypeError, "x is on meta, the model on cpu"),
    "y elsewhere": (lambda: (X, Y.to("meta")), TypeError, "y is on meta, the model on cpu"),
    "a label too large": (lambda: (X, Y + 1), ValueError, r"0\.\.1 .*2 output.*1\.\.2"),
    "labels from 1": (
        lambda: (X, Y + 1),
        ValueError,
        r"2 different ones, 1, 2; number .* numpy.unique\(labels, return",
    ),
    "labels that are far apart": (lambda: (X, 10 * Y - 3), ValueError, r"got -3\.\.7; .* ones, -3, 7; number"),
    "more classes than outputs": (
        lambda: (X, torch.arange(N)),
        ValueError,
        "40 diff.* 7 and 32 more, and the model needs",
    ),
    "a negative label": (lambda: (X, Y - 1), ValueError, r"0\.\.1 .*2 output.*-1\.\.0"),
    "labels as a column": (lambda: (X, Y[:, None]), ValueError, r"shape \(N,\), got \(40, 1\)"),
    "one-hot labels": (lambda: (X, nn.functional.one_hot(Y)), ValueError, r"shape \(N,\), got \(40, 2\)"),
    "real targets": (lambda: (X, Y.float()), TypeError, "integer class labels, got torch.float32"),
    "complex labels": (lambda: (X, Y.to(torch.complex64)), TypeError, "complex"),
    "labels as text": (
        lambda: (X.numpy(), np.array(["b", "a"] * 20)),
        TypeError,
        r"y holds the labels 'a', 'b' \(.*<U1\).*classes, y = numpy.unique\(labels, return_inverse=True\)",
    ),
    "a Dataset of labels as text": (lambda: Pairs(X, ["b", "a"] * 20), TypeError, "y holds the labels 'a', 'b' .*<U1"),
    "labels as objects": (lambda: (X, ["cat", None] * 20), TypeError, r"labels 'cat', None \(.*object"),
    "many labels as text": (lambda: (X, [f"c{i:02}" for i in range(N)]), TypeError, "'c00', .*'c07' and 32 more"),
    "x as text": (lambda: (np.array([["a"] * 3] * N), Y), TypeError, "<U1"),
    "x missing": (lambda: (None, Y), TypeError, "object|None"),
    "a ragged list": (lambda: ([[1.0, 2.0], [3.0]], [0, 1]), (TypeError, ValueError), "x"),
    "x alone": (lambda: X, TypeError, "must be a pair"),
    "three parts": (lambda: (X, Y, Y), TypeError, "tuple of length 3"),
    "a generator": (lambda: iter([(X, Y)]), TypeError, "must be a pair"),
    "a Dataset without targets": (lambda: TensorDataset(X), TypeError, "must be a pair"),
    "a Dataset of unequal inputs": (lambda: Pairs([X[0], X[1, :2]], [0, 1]), (TypeError, ValueError), "x"),
}
BAD_TARGETS = {
    "nan in y": (lambda: (X, with_value(REAL, float("nan"), 5, 1)), ValueError, r"y holds nan at \(5, 1\)"),
    "inf in y": (lambda: (X, with_value(REAL, float("inf"), 5, 1)), ValueError, r"y holds inf at \(5, 1\)"),
    "y of another width": (lambda: (X, REAL[:, :1]), ValueError, r"2 output.*\(40, 1\)"),
    "y without width": (lambda: (X, REAL[:, 0]), ValueError, r"2 output.*\(40,\)"),
    "y in three dimensions": (lambda: (X, REAL[:, :, None]), ValueError, r"\(40, 2, 1\)"),
}


class Untouched(Backprop):
    """A method that must not be started."""

    def init(self, sweep):
        raise AssertionError("training started")


def refused(error, text, *, model=None, method=None, data=(X, Y), **options):
    """`fit` raises this error before any work, and leaves the model and the random numbers as they were."""
    model = model or network()
    tensors = model.state_dict(keep_vars=True)
    before = {name: (value, value.clone(), value.requires_grad) for name, value in tensors.items()}
    random = torch.get_rng_state()
    chosen: dict[str, Any] = {"epochs": 3, **options}
    with pytest.raises(error, match=text):
        altmin.fit(model, method or Untouched(), data, **chosen)
    for name, value in model.state_dict(keep_vars=True).items():
        same, old, grad = before[name]
        assert value is same, name
        assert value.device == old.device, name
        assert value.requires_grad == grad, name
        assert value.is_meta or torch.equal(torch.nan_to_num(value), torch.nan_to_num(old)), name
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize("argument", ["data", "validation"])
@pytest.mark.parametrize("case", BAD_CLASSES)
def test_bad_samples_are_refused_by_the_arguments_name(case, argument):
    data, error, text = BAD_CLASSES[case]
    refused(error, f"(?s)`{argument}`.*{text}", **{argument: data()})


@pytest.mark.parametrize("argument", ["data", "validation"])
@pytest.mark.parametrize("case", BAD_TARGETS)
def test_bad_real_targets_are_refused_by_the_arguments_name(case, argument):
    data, error, text = BAD_TARGETS[case]
    refused(error, f"`{argument}`.*{text}", **{"data": (X, REAL), argument: data(), "loss": "squared"})


def test_whole_numbers_as_real_targets_are_refused_with_the_way_out():
    text = r"labels must lie in 0\.\.1 .*numbers must be floating point: y.float\(\)"
    refused(ValueError, text, model=network(1), data=(X, (10 * X[:, 0]).long()), loss="squared")


def test_one_class_only_is_refused():
    refused(ValueError, "`data` holds one class only", data=(X, torch.ones_like(Y)))


@pytest.mark.parametrize("swap", [False, True])
def test_classes_in_one_set_and_real_targets_in_the_other_are_refused(swap):
    sets = [(X, Y), (X, REAL)]
    data, validation = sets[::-1] if swap else sets
    refused(TypeError, "`validation` has .* what came before it", data=data, validation=validation, loss="squared")


def test_cross_entropy_with_one_output_is_refused():
    refused(ValueError, "one output for each class, got a model with 1 output", model=network(1))


def test_labels_of_one_output_are_zero_and_one():
    refused(ValueError, r"0\.\.1 .*1 output.*0\.\.2", model=network(1), data=(X, Y * 2), loss="hinge")


ARGUMENTS = {
    "no epochs": ({"epochs": 0}, ValueError, "`epochs`.*got 0"),
    "negative epochs": ({"epochs": -1}, ValueError, "`epochs`.*got -1"),
    "half an epoch": ({"epochs": 1.5}, (TypeError, ValueError), "`epochs`.*got 1.5"),
    "epochs as a truth value": ({"epochs": True}, (TypeError, ValueError), "`epochs`.*got True"),
    "epochs as text": ({"epochs": "3"}, (TypeError, ValueError), "`epochs`.*got '3'"),
    "an unknown keep": ({"keep": "first"}, ValueError, "`keep` must be 'last' or 'best', got 'first'"),
    "the best of nothing": ({"keep": "best"}, ValueError, "`keep='best'` needs a `validation` set"),
    "an empty batch": ({"batch_size": 0}, ValueError, "`batch_size`.*got 0"),
    "a broken batch": ({"batch_size": 2.5}, (TypeError, ValueError), "`batch_size`.*got 2.5"),
    "a batch as a truth value": ({"batch_size": True}, (TypeError, ValueError), "`batch_size`.*got True"),
    "a batch larger than the data": ({"batch_size": N + 1}, ValueError, "`batch_size` is 41, but there are 40 samples"),
    "mDLAM on a part": ({"method": MDLAM(), "batch_size": 20}, ValueError, "MDLAM.*full batch.*`batch_size`"),
    "dlADMM on a part": ({"method": DLADMM(), "batch_size": 20}, ValueError, "DLADMM.*full batch.*`batch_size`"),
    "a method's class": ({"method": DLADMM}, TypeError, "`method` must be a method such as .*DLADMM"),
    "a method's name, misspelt": ({"method": "dladm"}, ValueError, "unknown method 'dladm'; did you mean 'dladmm'"),
    "an unknown loss": ({"loss": "sqared"}, ValueError, "`loss` 'sqared'.*squared"),
    "another loss of PyTorch's": ({"loss": nn.L1Loss()}, TypeError, "`loss`: L1Loss stands for no loss"),
    "a loss's class": ({"loss": CrossEntropy}, TypeError, "`loss`"),
    "an unknown regulariser": ({"regularizer": "l3:1"}, ValueError, "`regularizer`.*got 'l3:1'"),
    "a number as regulariser": ({"regularizer": 0.1}, TypeError, "`regularizer`.*0.1"),
    "a regulariser's class": ({"regularizer": L1}, TypeError, "`regularizer`"),
    "a callback that is no function": ({"callbacks": [3]}, TypeError, "`callbacks`"),
    "a callback without a list": ({"callbacks": print}, TypeError, "`callbacks`"),
    "a seed as generator": ({"generator": 7}, TypeError, "`generator`.*7"),
    "zero as generator": ({"generator": 0}, TypeError, "`generator`.*0"),
    "an unknown device": ({"device": "gpu"}, (RuntimeError, ValueError), "gpu"),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_bad_arguments_are_refused_by_name(case):
    options, error, text = ARGUMENTS[case]
    refused(error, text, **options)


def test_a_model_is_not_moved_for_data_that_are_refused():
    refused((TypeError, ValueError), "`data`", data=(X.to(torch.complex64), Y), precision="float64")


def frozen():
    model = network()
    model[0].weight.requires_grad_(False)
    return model


def mixed_dtypes():
    model = network()
    model[2].double()
    return model


def mixed_devices():
    model = network()
    model[2].to("meta")
    return model


def not_finite():
    model = network()
    nn.init.constant_(model.get_parameter("2.bias"), float("nan"))
    return model


MODELS = {
    "frozen weights without their intercept": (frozen, TypeError, "`weight` is frozen"),
    "mixed dtypes": (mixed_dtypes, TypeError, "(?s)`model`.*float32.*float64"),
    "mixed devices": (mixed_devices, TypeError, "(?s)`model`.*cpu.*meta"),
    "nan in the weights": (not_finite, ValueError, "`model`.*nan"),
    "half precision": (lambda: network(dtype=torch.float16), TypeError, "`model`.*float16"),
    "integers": (lambda: nn.Linear(3, 2), TypeError, "`model` must be an nn.Sequential"),
}


@pytest.mark.parametrize("case", MODELS)
def test_models_that_cannot_be_trained_are_refused(case):
    model, error, text = MODELS[case]
    model = model()
    dtype = next(model.parameters()).dtype
    refused(error, text, model=model, data=(X.to(dtype), Y))


def conv_network():
    """Images of 2 channels, 6 by 6."""
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 2))


def recurrent_network():
    """Sequences of 5 steps of 3 numbers."""
    return nn.Sequential(altmin.Elman(3, 4), nn.Flatten(), nn.Linear(20, 2))


def broadcasting():
    """A residual connection whose ends PyTorch would broadcast."""
    inside = altmin.Residual(nn.ReLU(), nn.Conv2d(3, 3, 4))
    return nn.Sequential(nn.Conv2d(2, 3, 3), inside, nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))


SHAPES = {
    "images of other channels": (conv_network, (3, 6, 6), r"\(3, 6, 6\).*2 channels"),
    "images of another size": (conv_network, (2, 8, 8), r"\(2, 8, 8\)"),
    "images smaller than the kernel": (conv_network, (2, 2, 2), r"\(2, 2, 2\).*[Kk]ernel size"),
    "flat samples for images": (conv_network, (72,), r"\(72,\)"),
    "sequences of another length": (recurrent_network, (4, 3), r"\(4, 3\)"),
    "sequences of another width": (recurrent_network, (5, 4), r"\(5, 4\)"),
}


@pytest.mark.parametrize("argument", ["data", "validation"])
@pytest.mark.parametrize("case", SHAPES)
def test_samples_that_do_not_pass_through_the_network_are_refused_with_their_shape(case, argument):
    make, shape, text = SHAPES[case]
    fitting = torch.rand(40, 2, 6, 6) if make is conv_network else torch.rand(40, 5, 3)
    bad = (torch.rand(40, *shape), Y)
    options = {"data": bad} if argument == "data" else {"data": (fitting, Y), "validation": bad}
    refused(ValueError, f"`{argument}`: samples of shape {text}", model=make(), **options)


def test_ends_of_a_residual_connection_that_differ_are_refused():
    text = r"`data`.*\(2, 6, 6\).*residual connection to layer 2.*\(3, 4, 4\) to \(3, 1, 1\)"
    refused(ValueError, text, model=broadcasting(), data=(torch.rand(40, 2, 6, 6), Y))


def test_images_and_sequences_train_as_they_are():
    for make, shape in ((conv_network, (2, 6, 6)), (recurrent_network, (5, 3)), (recurrent_network, (15,))):
        history = altmin.fit(make(), OnlineAM(), (torch.rand(40, *shape), Y), epochs=1, validation=None)
        assert len(history["train_loss"]) == 1


def with_norm():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


def dropped():
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(), nn.Linear(4, 2))


def flat_recurrence():
    return nn.Sequential(altmin.Elman(3, 4), nn.Flatten(), nn.Linear(4, 2))


UNSUITABLE = {
    "batch norm with iPDLAM": (IPDLAM(), with_norm, None, "IPDLAM.*batch normalisation.*layer 1"),
    "batch norm with DLAM": (DLAM(), with_norm, None, "DLAM.*batch normalisation.*layer 1"),
    "batch norm with mDLAM": (MDLAM(), with_norm, None, "MDLAM.*batch normalisation.*layer 1"),
    "batch norm with dlADMM": (DLADMM(rho=2.0, rho_max=2.0), with_norm, None, "DLADMM.*batch normalisation.*layer 1"),
    "batch norm with a memory": (
        OnlineAM(rule=CoActivationMemory()),
        with_norm,
        None,
        "memory.*batch normalisation.*layer 1",
    ),
    "dropout with iPDLAM": (IPDLAM(), dropped, None, "IPDLAM.*dropout.*layer 2"),
    "dropout with mDLAM": (MDLAM(), dropped, None, "MDLAM.*dropout.*layer 2"),
    "dropout with dlADMM": (DLADMM(rho=2.0, rho_max=2.0), dropped, None, "DLADMM.*dropout.*layer 2"),
    "a recurrence with DLAM": (DLAM(), flat_recurrence, None, "DLAM.*Elman.*layer 1"),
    "l1 with a ridge memory": (OnlineAM(rule=CoActivationMemory(solver="ridge")), network, "l1:0.1", "ridge.*(l1|L1)"),
}


@pytest.mark.parametrize("case", UNSUITABLE)
def test_what_a_method_cannot_train_is_a_type_error_that_names_it(case):
    method, model, regularizer, text = UNSUITABLE[case]
    refused(TypeError, text, model=model(), method=method, regularizer=regularizer)


NUMBERS = [
    (DLADMM, {"rho": -1}, "`rho` must be > 0, got -1"),
    (DLADMM, {"nu": 0.0}, "`nu` must be > 0, got 0.0"),
    (DLADMM, {"rho": 1.0, "rho_max": 0.5}, "`rho_max` must be >= `rho`"),
    (DLADMM, {"schedule": "linear"}, "`schedule` must be one of .*'adaptive', got 'linear'"),
    (MDLAM, {"rho": 0}, "`rho` must be > 0, got 0"),
    (MDLAM, {"eps": -1.0}, "`eps` must be > 0, got -1.0"),
    (IPDLAM, {"rho": 0}, "`rho` must be > 0, got 0"),
    (IPDLAM, {"theta": 0.5}, "`theta` must be >= 1, got 0.5"),
    (IPDLAM, {"alpha": -0.1}, "`alpha` must be >= 0, got -0.1"),
    (IPDLAM, {"rho": 2, "rho_max": 1}, "`rho_max` must be >= `rho`"),
    (OnlineAM, {"weight_steps": 0}, "`weight_steps` must be >= 1, got 0"),
    (altmin.Codes, {"lr": -1}, "`lr` must be > 0, got -1"),
    (altmin.Mu, {"start": 0}, "`start` must be > 0, got 0"),
    (altmin.Adam, {"lr": 0}, "`lr` must be > 0, got 0"),
    (altmin.SGD, {"momentum": 2}, "`momentum` must be >= 0 and <= 1, got 2"),
    (CoActivationMemory, {"forget": 2}, "`forget` must be > 0 and <= 1, got 2"),
    (Backprop, {"lr": -1}, "`lr` must be > 0, got -1"),
    (Backprop, {"optimizer": "adan"}, r"`optimizer` 'adan'; did you mean 'adam'\?"),
    (L1, {"weight": -1}, "`weight` .*must be >= 0.*got -1"),
    (altmin.L2, {"weight": float("nan")}, "`weight` .*finite, got nan"),
    (CrossEntropy, {"solver": "bfgs"}, "`solver` must be 'newton' or 'fista', got 'bfgs'"),
]


@pytest.mark.parametrize(("kind", "options", "text"), NUMBERS)
def test_numbers_out_of_range_are_refused_when_the_object_is_made(kind, options, text):
    with pytest.raises(ValueError, match=text):
        kind(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"rule": "adam"},
        {"rule": altmin.Adam},
        {"last": CoActivationMemory()},
        {"codes": 5},
        {"mu": 0.1},
        {"refit": "no"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_parts_of_online_am_of_another_kind_are_a_type_error_when_it_is_made(options):
    with pytest.raises(TypeError, match=re.escape(f"`{next(iter(options))}`")):
        OnlineAM(**options)


def test_an_optimiser_that_is_neither_a_name_nor_a_function_is_a_type_error():
    with pytest.raises(TypeError, match=r"`optimizer`.*5"):
        Backprop(optimizer=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["alpha", "beta", "gamma"])
def test_an_inertial_factor_of_one_is_warned_of_in_the_users_line(name):
    factor: dict[str, Any] = {name: 1.0}
    with pytest.warns(InertiaWarning, match=f"`{name}` = 1: .*inertial factors of 1 or more") as caught:
        IPDLAM(**factor)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("loss", "bound"), [("cross_entropy", 1.0), ("squared", 2.0)]
)  # the gradient of softmax cross-entropy is 1/2-Lipschitz, that of 1/2 ||z - y||^2 is 1-Lipschitz
def test_a_penalty_not_above_two_h_is_warned_of(loss, bound):
    def train(rho):
        altmin.fit(network(), DLADMM(rho=rho, rho_max=9.0), (X, Y), loss=loss, epochs=1)

    with pytest.warns(PenaltyWarning, match=f"`rho` = {bound:g} is not above 2H = {bound:g}"):
        train(bound)
    train(bound * 1.001)
