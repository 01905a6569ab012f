"""What cannot be read is refused, with its name and its place."""

import re

import pytest
from torch import nn

from altmin import (
    Elman,
    Residual,
    problem_of,
)
from altmin.convert.reading import supported_modules
from convert.networks import between, block, convolved, images, pooled, tail


class Twice(nn.ReLU):
    """A subclass may compute anything."""

    def forward(self, input):
        return 2 * input


def twice_normed():
    norm = nn.BatchNorm1d(3)
    return [nn.Linear(4, 3), norm, nn.ReLU(), nn.Linear(3, 3), norm, *tail()]


def tied():
    layer = nn.Linear(4, 4)
    return [layer, nn.ReLU(), layer]


UNSUPPORTED = {
    "another module": (
        lambda: between(nn.Tanhshrink()),
        r"module 1 \(Tanhshrink\).*did you mean 'Tanh'.* known: .*'?GELU",
    ),
    "a slope that is trained": (lambda: between(nn.PReLU()), r"module 1 \(PReLU\).*nn\.LeakyReLU\(0\.25\)"),
    "several slopes that are trained": (lambda: between(nn.PReLU(3)), r"module 1 \(PReLU\).*nn\.LeakyReLU\(SLOPE\)"),
    "dropout of channels": (lambda: between(nn.Dropout2d()), r"module 1 \(Dropout2d\).*write nn\.Dropout"),
    "weights that are not there yet": (
        lambda: between(nn.ReLU(), nn.LazyLinear(3)),
        r"module 2 \(LazyLinear\).*run the model once on a sample first",
    ),
    "another recurrence": (lambda: [nn.LSTM(3, 4), *tail()], r"module 0 \(LSTM\).*altmin\.Elman"),
    "another module in a nested model": (
        lambda: [nn.Sequential(nn.Linear(4, 3), nn.Sequential(nn.ReLU(), nn.PReLU())), nn.Linear(3, 2)],
        r"module 0\.1\.1 \(PReLU\)",
    ),
    "another module in a residual": (lambda: block(nn.PReLU(), nn.Linear(3, 3)), r"module 1\.0 \(PReLU\)"),
    "a subclass": (lambda: between(Twice()), r"module 1 \(Twice\).*a subclass of ReLU may compute anything"),
    "softplus of another beta": (lambda: between(nn.Softplus(2.0)), r"module 1 \(Softplus\).*beta"),
    "softplus that is soon linear": (lambda: between(nn.Softplus(1.0, 2.0)), r"module 1 \(Softplus\).*threshold"),
    "an elu that falls": (lambda: between(nn.ELU(-1.0)), r"module 1 \(ELU\).*`alpha` of ELU must be positive"),
    "a decreasing leaky relu": (lambda: between(nn.LeakyReLU(-0.1)), r"module 1 \(LeakyReLU\)"),
    "two activations": (lambda: between(nn.ReLU(), nn.Tanh()), r"module 2 \(Tanh\)"),
    "an activation first": (lambda: [nn.ReLU(), nn.Linear(4, 2)], r"module 0 \(ReLU\)"),
    "an activation last": (
        lambda: [nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2), nn.Sigmoid()],
        "no activation, pooling or dropout behind",
    ),
    "a partial flatten": (lambda: [nn.Flatten(2), nn.Linear(4, 2)], r"module 0 \(Flatten\).*start_dim=1"),
    "a flatten that keeps an axis": (lambda: [nn.Flatten(1, 2), nn.Linear(4, 2)], r"module 0 \(Flatten\).*end_dim=-1"),
    "unflatten of another axis": (lambda: between(nn.Unflatten(2, (1, 3))), r"module 1 \(Unflatten\).*dimension 1"),
    "unflatten of an open size": (lambda: between(nn.Unflatten(1, (1, -1))), r"module 1 \(Unflatten\).*fixed"),
    "dropout of all": (lambda: between(nn.Dropout(1.0)), r"module 1 \(Dropout\).*p must be below 1"),
    "softmax last": (lambda: [nn.Linear(4, 2), nn.Softmax(1)], "leave it out, the softmax is a part of cross_entropy"),
    "log-softmax last": (lambda: [nn.Linear(4, 2), nn.LogSoftmax(1)], "Softmax.: leave it out"),
    "sigmoid last": (
        lambda: [nn.Linear(4, 1), nn.Sigmoid()],
        "leave it out.*a sigmoid is a part of binary",
    ),
    "dropout last": (lambda: [nn.Linear(4, 2), nn.Dropout()], "no activation, pooling or dropout behind"),
    "two dropouts before an activation": (
        lambda: between(nn.Dropout(), nn.Dropout(), nn.ReLU()),
        r"module 3 \(ReLU\)",
    ),
    "padding that is no zeros": (
        lambda: convolved(3, 3, padding=1, padding_mode="reflect", features=168),
        r"module 0 \(Conv2d\).*padding_mode='reflect'.*zeros",
    ),
    "padding same that is not symmetric": (
        lambda: convolved(3, 2, padding="same", features=168),
        r"module 0 \(Conv2d\).*padding='same'.*\(2, 2\)",
    ),
    "a divisor of the user": (
        lambda: pooled(nn.AvgPool2d(2, divisor_override=3), features=24),
        r"module 2 \(AvgPool2d\).*divisor_override",
    ),
    "max pooling with places": (
        lambda: pooled(nn.MaxPool2d(2, return_indices=True), features=24),
        r"module 2 \(MaxPool2d\).*return_indices",
    ),
    "max pooling of sequences with places": (
        lambda: [nn.Conv1d(4, 3, 2), nn.MaxPool1d(2, return_indices=True), nn.Flatten(), nn.Linear(3, 2)],
        r"module 1 \(MaxPool1d\).*return_indices",
    ),
    "a convolution last": (lambda: [nn.Conv2d(2, 3, 3)], "the last module with weights must be a Linear, got Conv2d"),
    "a recurrence last": (lambda: [Elman(3, 4)], "the last module with weights must be a Linear, got Recurrent"),
    "pooling before the activation": (
        lambda: images(nn.Conv2d(2, 3, 3), nn.MaxPool2d(2), nn.ReLU(), features=18),
        r"module 2 \(ReLU\).*before any pooling",
    ),
    "pooling last": (lambda: [nn.Linear(4, 2), nn.MaxPool2d(2)], "no activation, pooling or dropout behind"),
    "channels that do not meet": (
        lambda: [nn.Conv2d(2, 3, 3), nn.ReLU(), *convolved(4, 3, features=4)],
        r"module 2 \(Conv2d\) takes 2 channels, the Conv2d before it gives 3",
    ),
    "batch norm of vectors on images": (
        lambda: images(nn.Conv2d(2, 3, 3), nn.BatchNorm1d(3), nn.ReLU(), features=90),
        r"module 1 \(BatchNorm1d\) must stand right after a Conv1d or Linear",
    ),
    "batch norm of images on vectors": (
        lambda: between(nn.BatchNorm2d(3), nn.ReLU()),
        r"module 1 \(BatchNorm2d\) must stand right after a Conv2d",
    ),
    "batch norm behind a residual": (
        lambda: [nn.Linear(4, 3), Residual(nn.ReLU(), nn.Linear(3, 3)), nn.BatchNorm1d(3), *tail()],
        r"module 2 \(BatchNorm1d\)",
    ),
    "batch norm behind dropout": (
        lambda: between(nn.Dropout(), nn.BatchNorm1d(3), nn.ReLU()),
        r"module 2 \(BatchNorm1d\)",
    ),
    "one batch norm in two places": (twice_normed, r"module 4 \(BatchNorm1d\) shares"),
    "a recurrence inside": (lambda: [nn.Linear(4, 6), nn.Tanh(), Elman(6, 2), *tail()], r"module 2 \(Elman\).*first"),
    "a recurrence behind dropout": (
        lambda: [nn.Dropout(), Elman(3, 4), nn.Flatten(), nn.Linear(20, 2)],
        r"module 1 \(Elman\).*first",
    ),
    "a linear residual": (lambda: block(nn.Linear(3, 3)), r"module 1 \(Residual\).*activation inside"),
    "an empty residual": (lambda: block(), r"module 1 \(Residual\).*activation inside"),
    "a residual without a map": (lambda: block(nn.ReLU()), r"module 1 \(Residual\).*end with a map"),
    "a residual that ends with an activation": (
        lambda: block(nn.ReLU(), nn.Linear(3, 3), nn.ReLU()),
        r"module 1 \(Residual\).*end with a map",
    ),
    "a residual that ends with dropout": (
        lambda: block(nn.ReLU(), nn.Linear(3, 3), nn.Dropout()),
        r"module 1 \(Residual\).*end with a map",
    ),
    "a linear residual behind an activation": (
        lambda: [nn.Linear(4, 3), nn.ReLU(), Residual(nn.Linear(3, 3)), *tail()],
        r"module 2 \(Residual\).*activation inside",
    ),
    "a residual that ends with another": (
        lambda: block(nn.Tanh(), nn.Linear(3, 3), Residual(nn.Tanh(), nn.Linear(3, 3))),
        r"module 1 \(Residual\).*must not end with another",
    ),
    "a residual right after pooling": (
        lambda: [nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), Residual(nn.Conv2d(3, 3, 1), nn.ReLU())],
        r"module 3 \(Residual\).*right after pooling",
    ),
    "a residual right after a recurrence": (
        lambda: [Elman(3, 4), Residual(nn.Tanh(), nn.Linear(4, 4)), nn.Linear(4, 2)],
        r"module 1 \(Residual\).*Elman",
    ),
    "batch norm first": (lambda: [nn.BatchNorm1d(4), nn.Linear(4, 2)], r"module 0 \(BatchNorm1d\)"),
    "batch norm behind an activation": (
        lambda: between(nn.ReLU(), nn.BatchNorm1d(3)),
        r"module 2 \(BatchNorm1d\)",
    ),
    "two batch norms": (
        lambda: between(nn.BatchNorm1d(3), nn.BatchNorm1d(3)),
        r"module 2 \(BatchNorm1d\)",
    ),
    "batch norm without scale": (
        lambda: between(nn.BatchNorm1d(3, affine=False)),
        r"module 1 \(BatchNorm1d\)",
    ),
    "batch norm without statistics": (
        lambda: between(nn.BatchNorm1d(3, track_running_stats=False)),
        r"module 1 \(BatchNorm1d\)",
    ),
    "widths that do not meet": (
        lambda: [nn.Linear(4, 3), nn.ReLU(), nn.Linear(5, 2)],
        r"module 2 \(Linear\).*\b5\b.*\b3\b",
    ),
    "a batch norm of another width": (
        lambda: between(nn.BatchNorm1d(5), nn.ReLU()),
        r"module 1 \(BatchNorm1d\).*\b5\b.*\b3\b",
    ),
    "one layer in two places": (tied, r"module 2 \(Linear\)"),
    "no layer": (lambda: [], "no Linear"),
}


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_what_is_not_supported_is_a_type_error_that_names_the_module_and_its_place(case):
    modules, text = UNSUPPORTED[case]
    with pytest.raises(TypeError, match=text):
        problem_of(nn.Sequential(*modules()))


def test_the_error_of_an_unknown_module_lists_what_is_supported():
    with pytest.raises(TypeError) as caught:
        problem_of(nn.Sequential(nn.Linear(4, 3), nn.Tanhshrink(), nn.Linear(3, 2)))
    listed = ["Linear", "Conv2d", "Elman", "Residual", "Dropout", *(kind.__name__ for kind in supported_modules())]
    assert [name for name in listed if not re.search(rf"\b{name}\b", str(caught.value))] == []


@pytest.mark.parametrize("model", [nn.Linear(4, 2), nn.ModuleList([nn.Linear(4, 2)]), None, nn.Sequential])
def test_a_model_that_is_no_sequential_is_a_type_error(model):
    with pytest.raises(TypeError, match=r"`model` must be an nn\.Sequential"):
        problem_of(model)
