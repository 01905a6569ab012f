"""From `nn.Sequential` to layers and weights, and back."""

import re

import pytest
import torch
from torch import nn

from altmin import L1, L2, CrossEntropy, Hinge, Problem, Sign, SquaredLoss, State, Step
from altmin.modules import ACTIVATIONS, make_loss, make_regularizer, weights_of, write_back
from altmin.state import forward


def between(*modules):
    """These modules between two linear ones."""
    return [nn.Linear(4, 3), *modules, nn.Linear(3, 2)]


MODELS = {
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
    "sign": lambda: between(Sign()),
    "step": lambda: between(Step()),
    "batch norm": lambda: [nn.Linear(4, 3), nn.BatchNorm1d(3, eps=0.1), nn.ReLU(), nn.Linear(3, 2), nn.BatchNorm1d(2)],
}


def model_of(name):
    """The model in float64, with batch normalisation away from its start and inputs that reach every piece."""
    torch.manual_seed(0)
    model = nn.Sequential(*MODELS[name]()).double().eval()
    for module in model:
        if isinstance(module, nn.BatchNorm1d):
            for t in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                t.uniform_(0.5, 2.0)
    return model


@pytest.mark.parametrize("name", MODELS)
def test_the_layers_compute_what_the_model_computes(name):
    model, x = model_of(name), 10 * torch.randn(50, 4, dtype=torch.float64)
    z = forward(Problem.from_module(model), State.from_module(model), x)[0][-1]
    torch.testing.assert_close(z, model(x).detach(), rtol=1e-8, atol=1e-8)  # softplus is linear above 20 in PyTorch


@pytest.mark.parametrize("name", MODELS)
def test_weights_go_into_the_model_and_come_back(name):
    model = model_of(name)
    state = weights_of(model)
    changed = state.weights()
    for _, t in changed.named():
        t.add_(1.0)
    for norm in changed.norm:
        if norm is not None:
            norm.mean.add_(1.0), norm.var.add_(1.0)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    write_back(changed, model)
    for key, value in model.state_dict().items():
        counter = key.endswith("num_batches_tracked")
        torch.testing.assert_close(value, before[key] + (not counter), msg=key)
    for W, new in zip(weights_of(model).W, changed.W, strict=True):
        assert torch.equal(W, new)


def test_a_state_is_a_copy_of_the_weights():
    model = model_of("batch norm")
    before = {k: v.clone() for k, v in model.state_dict().items()}
    for _, t in weights_of(model).named():
        assert not t.requires_grad
        t.fill_(7.0)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_a_layer_without_bias_has_a_zero_intercept_that_is_not_trained():
    model = model_of("some without bias")
    assert [layer.map.bias for layer in Problem.from_module(model).layers] == [False, True, False]
    assert [bool(b.any()) for b in State.from_module(model).b] == [False, True, False]


def test_sign_and_step_are_two_valued_at_zero_too():
    x = torch.tensor([-2.0, 0.0, 2.0])
    assert Sign()(x).tolist() == [-1.0, -1.0, 1.0]
    assert Step()(x).tolist() == [0.0, 0.0, 1.0]


class Twice(nn.ReLU):
    """A subclass may compute anything."""

    def forward(self, x):
        return 2 * x


def tied():
    layer = nn.Linear(4, 4)
    return [layer, nn.ReLU(), layer]


UNSUPPORTED = {
    "another module": (lambda: between(nn.Dropout()), r"module 1 \(Dropout\)"),
    "a nested model": (lambda: [nn.Sequential(nn.Linear(4, 3)), nn.Linear(3, 2)], r"module 0 \(Sequential\)"),
    "a subclass": (lambda: between(Twice()), r"module 1 \(Twice\)"),
    "softplus of another beta": (lambda: between(nn.Softplus(2.0)), r"module 1 \(Softplus\).*beta"),
    "softplus that is soon linear": (lambda: between(nn.Softplus(1.0, 2.0)), r"module 1 \(Softplus\).*threshold"),
    "a decreasing leaky relu": (lambda: between(nn.LeakyReLU(-0.1)), r"module 1 \(LeakyReLU\)"),
    "two activations": (lambda: between(nn.ReLU(), nn.Tanh()), r"module 2 \(Tanh\)"),
    "an activation first": (lambda: [nn.ReLU(), nn.Linear(4, 2)], r"module 0 \(ReLU\)"),
    "an activation last": (lambda: [nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2), nn.Sigmoid()], "no activation behind"),
    "flatten inside": (lambda: between(nn.Flatten()), r"module 1 \(Flatten\)"),
    "a partial flatten": (lambda: [nn.Flatten(2), nn.Linear(4, 2)], r"module 0 \(Flatten\)"),
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
        Problem.from_module(nn.Sequential(*modules()))


def test_the_error_of_an_unknown_module_lists_what_is_supported():
    with pytest.raises(TypeError) as caught:
        Problem.from_module(nn.Sequential(nn.Linear(4, 3), nn.GELU(), nn.Linear(3, 2)))
    listed = ["Linear", "BatchNorm1d", "Flatten", "Identity", *(kind.__name__ for kind in ACTIVATIONS)]
    assert [name for name in listed if not re.search(rf"\b{name}\b", str(caught.value))] == []


@pytest.mark.parametrize("model", [nn.Linear(4, 2), nn.ModuleList([nn.Linear(4, 2)]), None, nn.Sequential])
def test_a_model_that_is_no_sequential_is_a_type_error(model):
    with pytest.raises(TypeError, match=r"`model` must be an nn\.Sequential"):
        Problem.from_module(model)


@pytest.mark.parametrize(
    ("name", "loss"), [("cross_entropy", CrossEntropy()), ("squared", SquaredLoss()), ("hinge", Hinge())]
)
def test_losses_by_name(name, loss):
    assert make_loss(name) == loss


def test_a_loss_object_is_passed_through():
    loss = CrossEntropy("fista")
    assert make_loss(loss) is loss


@pytest.mark.parametrize(("text", "made"), [("l1:0.5", L1(0.5)), ("l2:1e-4", L2(1e-4)), (None, None), ("none", None)])
def test_regularisers_by_text(text, made):
    W = torch.tensor([[1.0, -2.0]])
    assert make_regularizer(text)(W) == (0.0 if made is None else made(W))
    assert made is None or make_regularizer(text) == made


def test_a_regulariser_object_is_passed_through():
    omega = L1(0.5)
    assert make_regularizer(omega) is omega


def test_an_unknown_loss_is_answered_with_the_nearest_name_and_the_list():
    with pytest.raises(ValueError, match=r"`loss` 'cross_entrpy'; did you mean 'cross_entropy'\?.*squared.*hinge"):
        make_loss("cross_entrpy")


@pytest.mark.parametrize("text", ["l1", "l3:1", "l2:-1", "l2:x", "l1:inf", ""])
def test_a_regulariser_of_another_form_is_a_value_error_that_says_the_form(text):
    with pytest.raises(ValueError, match=rf"`regularizer` must be .*'l1:WEIGHT' or 'l2:WEIGHT'.*got {text!r}"):
        make_regularizer(text)


@pytest.mark.parametrize("loss", [CrossEntropy, nn.CrossEntropyLoss(), None, 1])
def test_something_that_is_no_loss_is_a_type_error(loss):
    with pytest.raises(TypeError, match="`loss`"):
        make_loss(loss)


@pytest.mark.parametrize("regularizer", [L1, 0.1, True, torch.nn.functional.relu])
def test_something_that_is_no_regulariser_is_a_type_error(regularizer):
    with pytest.raises(TypeError, match="`regularizer`"):
        make_regularizer(regularizer)
