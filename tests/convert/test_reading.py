"""From `nn.Sequential` to layers and weights, and back."""

import pytest
import torch
from torch import nn

from altmin import (
    Elman,
    Residual,
    Sign,
    State,
    Step,
    problem_of,
    state_of,
)
from altmin.activations import DropoutBefore
from altmin.convert.weights import variables_of
from altmin.core.forward import forward
from altmin.core.problem import Skip
from altmin.maps import Composed
from altmin.operations import Dropout
from convert.networks import between, block, convolved, images, pooled, tail


def sequence(*modules, features):
    """These modules on sequences of 4 channels, 5 steps, between a convolution and a linear layer."""
    return [nn.Conv1d(5, 4, 3, padding=2), nn.ReLU(), *modules, nn.Flatten(), nn.Linear(features, 3)]


VECTORS = {
    "one layer": lambda: [nn.Linear(4, 2)],
    "linear layers": lambda: [nn.Linear(4, 3), nn.Linear(3, 2)],
    "identity": lambda: [nn.Linear(4, 3), nn.Identity(), nn.Linear(3, 2), nn.Identity()],
    "flatten": lambda: [nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)],
    "some without bias": lambda: [nn.Linear(4, 4, bias=False), nn.ReLU(), nn.Linear(4, 3), nn.Linear(3, 2, bias=False)],
    "relu": lambda: between(nn.ReLU()),
    "relu in place": lambda: between(nn.ReLU(inplace=True)),
    "leaky relu": lambda: between(nn.LeakyReLU(0.3)),
    "hard tanh": lambda: between(nn.Hardtanh(-0.2, 0.5)),
    "relu6": lambda: between(nn.ReLU6()),
    "sigmoid": lambda: between(nn.Sigmoid()),
    "tanh": lambda: between(nn.Tanh()),
    "softplus": lambda: between(nn.Softplus()),
    "elu": lambda: between(nn.ELU(0.7)),
    "selu": lambda: between(nn.SELU()),
    "gelu": lambda: between(nn.GELU()),
    "gelu by tanh": lambda: between(nn.GELU(approximate="tanh")),
    "silu": lambda: between(nn.SiLU(inplace=True)),
    "mish": lambda: between(nn.Mish()),
    "sign": lambda: between(Sign()),
    "step": lambda: between(Step()),
    "batch norm": lambda: [nn.Linear(4, 3), nn.BatchNorm1d(3, eps=0.1), nn.ReLU(), nn.Linear(3, 2), nn.BatchNorm1d(2)],
    "nested models": lambda: [
        nn.Sequential(nn.Linear(4, 3), nn.Sequential(nn.BatchNorm1d(3), nn.Tanh())),
        nn.Sequential(),
        nn.Sequential(nn.Linear(3, 2)),
    ],
    "flatten inside": lambda: between(nn.ReLU(), nn.Flatten()),
    "dropout behind the activation": lambda: between(nn.ReLU(), nn.Dropout(0.3)),
    "dropout before the activation": lambda: between(nn.Dropout(0.3), nn.ReLU()),
    "dropout of the data": lambda: [nn.Dropout(), nn.Linear(4, 2)],
    "dropout without activation": lambda: between(nn.Dropout(0.3)),
    "dropout behind batch norm": lambda: between(nn.BatchNorm1d(3), nn.Dropout(0.3), nn.ReLU()),
    "residual from the pre-activation": lambda: block(nn.ReLU(), nn.Linear(3, 3)),
    "residual without intercept": lambda: block(nn.ReLU(), nn.Linear(3, 3, bias=False)),
    "residual of two maps": lambda: block(nn.ReLU(), nn.Linear(3, 5), nn.Sigmoid(), nn.Linear(5, 3)),
    "residual of two maps, the first one bare": lambda: block(nn.Linear(3, 5), nn.Sigmoid(), nn.Linear(5, 3)),
    "residual from the activation": lambda: [
        nn.Linear(4, 3),
        nn.ReLU(),
        Residual(nn.Linear(3, 5), nn.Sigmoid(), nn.Linear(5, 3)),
        nn.ReLU(),
        nn.Linear(3, 2),
    ],
    "residual of the data": lambda: [Residual(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 4)), nn.ReLU(), nn.Linear(4, 2)],
    "residual to the outputs": lambda: [nn.Linear(4, 2), Residual(nn.Tanh(), nn.Linear(2, 2))],
    "residual with batch norm": lambda: block(nn.ReLU(), nn.Linear(3, 3), nn.BatchNorm1d(3)),
    "residual with dropout": lambda: block(nn.Dropout(0.2), nn.ReLU(), nn.Dropout(0.3), nn.Linear(3, 3)),
    "residual behind batch norm": lambda: [nn.Linear(4, 3), nn.BatchNorm1d(3), *block(nn.ReLU(), nn.Linear(3, 3))[1:]],
    "residuals in turn": lambda: [nn.Linear(4, 3), *(Residual(nn.Tanh(), nn.Linear(3, 3)) for _ in range(3)), *tail()],
    "residual in a residual": lambda: block(
        nn.Tanh(), nn.Linear(3, 3), Residual(nn.Tanh(), nn.Linear(3, 3)), nn.Sigmoid(), nn.Linear(3, 3)
    ),
    "residual of a nested model": lambda: block(nn.Sequential(nn.ReLU(), nn.Sequential(nn.Linear(3, 3)))),
}
IMAGES = {
    "conv": lambda: convolved(3, 3, features=90),
    "conv of a flat kernel": lambda: convolved(3, (1, 4), features=96),
    "conv without intercept": lambda: convolved(3, 3, bias=False, features=90),
    "conv with stride": lambda: convolved(3, 3, stride=2, features=27),
    "conv with two strides": lambda: convolved(3, 3, stride=(1, 3), features=36),
    "conv with padding": lambda: convolved(3, 3, padding=(2, 1), features=210),
    "conv with padding same": lambda: convolved(3, (3, 5), padding="same", features=168),
    "conv with padding same, dilated": lambda: convolved(3, (3, 2), padding="same", dilation=(1, 2), features=168),
    "conv with padding valid": lambda: convolved(3, 3, padding="valid", features=90),
    "conv with dilation": lambda: convolved(3, 3, dilation=(2, 1), features=60),
    "conv with groups": lambda: convolved(4, 3, groups=2, features=120),
    "conv with all": lambda: convolved(6, (3, 2), (2, 1), (1, 2), (1, 3), 2, features=192),
    "batch norm of images": lambda: images(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, eps=0.1), nn.ReLU(), features=90),
    "max pooling": lambda: pooled(nn.MaxPool2d(2), features=24),
    "max pooling, overlapping": lambda: pooled(nn.MaxPool2d((3, 2), (1, 2), (1, 0)), features=48),
    "max pooling, ceil": lambda: pooled(nn.MaxPool2d(2, ceil_mode=True), features=32),
    "max pooling, dilated": lambda: pooled(nn.MaxPool2d(3, 1, dilation=(2, 1)), features=40),
    "mean pooling": lambda: pooled(nn.AvgPool2d(2), features=24),
    "mean pooling, ceil": lambda: pooled(nn.AvgPool2d(3, 2, ceil_mode=True), features=24),
    "mean pooling, padded": lambda: pooled(nn.AvgPool2d(3, 2, 1), features=32),
    "mean pooling, padding not counted": lambda: pooled(nn.AvgPool2d(3, 2, 1, count_include_pad=False), features=32),
    "mean pooling, ceil and padded": lambda: pooled(nn.AvgPool2d((3, 4), (2, 3), 1, True), features=30),
    "mean pooling, ceil, padding not counted": lambda: pooled(
        nn.AvgPool2d((3, 4), (2, 3), 1, True, False), features=30
    ),
    "adaptive pooling": lambda: pooled(nn.AdaptiveAvgPool2d((3, 5)), features=30),
    "adaptive pooling to one": lambda: pooled(nn.AdaptiveAvgPool2d(1), features=2),
    "adaptive pooling, width kept": lambda: pooled(nn.AdaptiveAvgPool2d((2, None)), features=28),
    "pooling of the data": lambda: images(nn.MaxPool2d(2), features=24),
    "pooling without activation": lambda: images(nn.Conv2d(2, 3, 3), nn.MaxPool2d(2), features=18),
    "pooling of pooled": lambda: pooled(nn.MaxPool2d(2), nn.AvgPool2d(2), nn.Identity(), nn.Dropout(), features=4),
    "dropout of images": lambda: images(nn.Conv2d(2, 3, 3), nn.Dropout(0.3), nn.ReLU(), features=90),
    "residual of images": lambda: images(
        nn.Conv2d(2, 3, 3), Residual(nn.ReLU(), nn.Conv2d(3, 3, 3, padding=1)), nn.ReLU(), features=90
    ),
    "residual of images, two maps": lambda: images(
        nn.Conv2d(2, 3, 3),
        nn.ReLU(),
        Residual(nn.Conv2d(3, 5, 1), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 3, 3, padding="same")),
        nn.MaxPool2d(2),
        features=18,
    ),
    "residual of images in the data": lambda: images(
        Residual(nn.Conv2d(2, 3, 1), nn.Tanh(), nn.Conv2d(3, 2, 1)), nn.ReLU(), features=112
    ),
    "flatten and back": lambda: images(
        nn.Flatten(), nn.Linear(112, 24), nn.ReLU(), nn.Unflatten(1, (2, 3, 4)), nn.Conv2d(2, 3, 2), features=18
    ),
    "linear on images": lambda: [nn.Flatten(), nn.Linear(112, 5), nn.ReLU(), nn.Linear(5, 3)],
}
SEQUENCES = {
    "elman": lambda: [Elman(3, 4), nn.Flatten(), nn.Linear(20, 2)],
    "elman without intercept": lambda: [Elman(3, 4, bias=False), nn.Flatten(), nn.Linear(20, 3), *tail()],
    "conv of sequences": lambda: [nn.Conv1d(5, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)],
    "conv of sequences with all": lambda: [
        nn.Conv1d(5, 6, 3, 2, 2),
        nn.Conv1d(6, 4, 2, dilation=2, groups=2, padding="same"),
        nn.BatchNorm1d(4),
        nn.Tanh(),
        *(nn.Flatten(), nn.Linear(12, 3)),
    ],
    "max pooling of sequences": lambda: sequence(nn.MaxPool1d(2, 1, 1, ceil_mode=True), features=24),
    "max pooling of sequences, dilated": lambda: sequence(nn.MaxPool1d(2, 1, dilation=2), features=12),
    "mean pooling of sequences": lambda: sequence(nn.AvgPool1d(2, 2, 1, count_include_pad=False), features=12),
    "adaptive pooling of sequences": lambda: sequence(nn.AdaptiveAvgPool1d(2), features=8),
    "elman with dropout": lambda: [Elman(3, 4), nn.Dropout(0.2), nn.Flatten(), nn.Linear(20, 2)],
}
MODELS = {**VECTORS, **IMAGES, **SEQUENCES}


def data(name, n=50):
    """Samples that the model takes."""
    shape = (4,) if name in VECTORS else (2, 8, 7) if name in IMAGES else (5, 3)
    return 3 * torch.randn(n, *shape, dtype=torch.float64)


def model_of(name):
    """The model in float64, with batch normalisation away from its start and inputs that reach every piece."""
    torch.manual_seed(0)
    model = nn.Sequential(*MODELS[name]()).double().eval()
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            assert module.running_mean is not None
            assert module.running_var is not None
            for t in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                t.uniform_(0.5, 2.0)
    return model


@pytest.mark.parametrize("name", MODELS)
def test_the_layers_compute_what_the_model_computes(name):
    model, x = model_of(name), data(name)
    problem = problem_of(model)
    z = forward(problem, state_of(model), x.flatten(1) if problem.inputs else x)[0][-1]
    torch.testing.assert_close(z, model(x).detach(), rtol=1e-8, atol=1e-8)  # softplus is linear above 20 in PyTorch


@pytest.mark.parametrize("name", MODELS)
def test_weights_go_into_the_model_and_come_back(name):
    model = model_of(name)
    state = state_of(model).weights()
    changed = state.weights()
    for _, t in changed.named():
        t.add_(1.0)
    for norm in changed.norm:
        if norm is not None:
            norm.mean.add_(1.0)
            norm.var.add_(1.0)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state_of(model).set_weights(changed)
    for key, value in model.state_dict().items():
        counter = key.endswith("num_batches_tracked")
        torch.testing.assert_close(value, before[key] + (not counter), msg=key)
    for W, new in zip(state_of(model).weights().W, changed.W, strict=True):
        assert torch.equal(W, new)


def test_a_state_is_a_copy_of_the_weights():
    model = model_of("batch norm")
    before = {k: v.clone() for k, v in model.state_dict().items()}
    for _, t in state_of(model).weights().named():
        assert not t.requires_grad
        t.fill_(7.0)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("name", MODELS)
def test_variables_share_the_memory_of_the_model(name):
    """What is written into them is what the model computes with, and they have the shapes of the maps."""
    model, x = model_of(name), data(name)
    W, b, norms = variables_of(model)
    problem = problem_of(model)
    assert [tuple(w.shape) for w in W] == [layer.map.shape for layer in problem.layers]
    assert [len(t) for t in b] == [layer.map.outputs for layer in problem.layers]
    biased = [t for t, layer in zip(b, problem.layers, strict=True) if layer.map.bias]
    numbers = [t for norm in norms if norm is not None for t in vars(norm).values()]
    for t in (*W, *biased, *numbers):
        assert not t.requires_grad
        t.mul_(0.5).add_(0.25)
    assert [float(t.abs().sum()) for t, layer in zip(b, problem.layers, strict=True) if not layer.map.bias] == [0.0] * (
        len(b) - len(biased)
    )
    z = forward(problem, State(list(W), list(b), norm=list(norms)), x.flatten(1) if problem.inputs else x)[0][-1]
    torch.testing.assert_close(z, model(x).detach(), rtol=1e-8, atol=1e-8)


def test_a_kernel_that_no_matrix_shares_memory_with_is_refused():
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(90, 3))
    kernel = model.get_parameter("0.weight")
    kernel.data = kernel.data.to(memory_format=torch.channels_last)
    with pytest.raises(ValueError, match="contiguous_format"):
        variables_of(model)


def test_a_layer_without_bias_has_a_zero_intercept_that_is_not_trained():
    model = model_of("some without bias")
    assert [layer.map.bias for layer in problem_of(model).layers] == [False, True, False]
    assert [bool(b.any()) for b in state_of(model).b] == [False, True, False]


def test_sign_and_step_are_two_valued_at_zero_too():
    x = torch.tensor([-2.0, 0.0, 2.0])
    assert Sign()(x).tolist() == [-1.0, -1.0, 1.0]
    assert Step()(x).tolist() == [0.0, 0.0, 1.0]


def copy_into(rnn, elman):
    """The weights of an Elman network into PyTorch's, whose second intercept is not needed."""
    with torch.no_grad():
        rnn.weight_ih_l0.copy_(elman.weight[:, : elman.inputs])
        rnn.weight_hh_l0.copy_(elman.weight[:, elman.inputs :])
        if rnn.bias:
            rnn.bias_ih_l0.copy_(elman.bias)
            rnn.bias_hh_l0.zero_()


@pytest.mark.parametrize("bias", [True, False])
def test_elman_is_pytorchs_recurrence(bias):
    torch.manual_seed(0)
    elman = Elman(3, 4, bias, dtype=torch.float64)
    rnn = nn.RNN(3, 4, nonlinearity="tanh", bias=bias, batch_first=True).double()
    copy_into(rnn, elman)
    x = torch.randn(7, 5, 3, dtype=torch.float64)
    torch.testing.assert_close(elman(x), rnn(x)[0])
    torch.testing.assert_close(elman(x.flatten(1)), rnn(x)[0])


def test_elman_starts_as_pytorchs_recurrence_within_the_root_of_its_width():
    torch.manual_seed(0)
    elman = Elman(10, 100)
    assert 0.099 < elman.weight.abs().max() <= 0.1
    assert elman.bias is not None
    assert 0.08 < elman.bias.abs().max() <= 0.1


def test_residual_adds_its_input():
    torch.manual_seed(0)
    linear, x = nn.Linear(3, 3), torch.randn(5, 3)
    torch.testing.assert_close(Residual(nn.ReLU(), linear)(x), x + linear(torch.relu(x)))


def layers(name):
    return problem_of(model_of(name)).layers


@pytest.mark.parametrize(
    ("name", "skips"),
    [
        ("residual from the pre-activation", {1: Skip("z", 0)}),
        ("residual of two maps", {2: Skip("z", 0)}),
        ("residual from the activation", {2: Skip("a", 0)}),
        ("residual of the data", {1: Skip("a", -1)}),
        ("residuals in turn", {1: Skip("z", 0), 2: Skip("z", 1), 3: Skip("z", 2)}),
        ("residual in a residual", {2: Skip("z", 1), 3: Skip("z", 0)}),
    ],
)
def test_where_residual_connections_lead(name, skips):
    assert {i: layer.skip for i, layer in enumerate(layers(name)) if layer.skip} == skips


def test_where_dropout_goes():
    """Behind an activation it belongs to the next map, between map and activation to the activation."""
    _, behind = layers("dropout behind the activation")
    assert isinstance(behind.map, Composed)
    assert behind.map.before == (Dropout(0.3),)
    before, _ = layers("dropout before the activation")
    assert isinstance(before.activation, DropoutBefore)
    assert before.activation.p == 0.3
    assert [layer.random for layer in layers("residual with dropout")] == [True, True, False]


@pytest.mark.parametrize(
    ("name", "inputs"),
    [("flatten", 4), ("dropout of the data", 4), ("linear on images", 112), ("conv", None), ("elman", None)],
)
def test_the_numbers_of_a_flat_sample(name, inputs):
    assert problem_of(model_of(name)).inputs == inputs


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("relu", {()}),
        ("batch norm", {("batch normalisation",)}),
        ("max pooling", {("Conv2d",), ("Conv2d", "pooling or reshaping"), ("pooling or reshaping",)}),
        ("max pooling of sequences", {("Conv1d",), ("pooling or reshaping",)}),
        ("elman", {("Elman",), ("pooling or reshaping",)}),
        ("dropout before the activation", {("dropout",), ()}),
        ("residual of the data", {(), ("residual connections",)}),
    ],
)
def test_what_methods_are_told_of_a_network(name, features):
    assert {layer.features for layer in layers(name)} == features


def test_lazy_modules_are_read_once_they_have_seen_a_sample():
    model = nn.Sequential(nn.Unflatten(1, (1, 6)), nn.LazyConv1d(2, 3), nn.LazyBatchNorm1d(), nn.ReLU(), nn.Flatten())
    model.append(nn.LazyLinear(3))
    with pytest.raises(TypeError, match=r"module 1 .LazyConv1d.*run the model once"):
        problem_of(model)
    model(torch.randn(2, 6))
    assert [layer.map.outputs for layer in problem_of(model).layers] == [2, 3]
