"""Layer and group normalisation: values, derivatives and steps are those of PyTorch's modules."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import altmin
from altmin.core.forward import outputs
from altmin.layerwise.function import layer_functions
from altmin.study.starts import draw_start, parse_start
from altmin.train.trainer import Trainer

NETWORKS = {
    "layer norm": (lambda: [nn.Linear(6, 4), nn.LayerNorm(4, eps=0.1)], (6,)),
    "group norm of rows": (lambda: [nn.Linear(6, 4, bias=False), nn.GroupNorm(2, 4)], (6,)),
    "group norm of sequences": (lambda: [nn.Conv1d(2, 4, 2), nn.GroupNorm(4, 4)], (2, 5)),
    "group norm of images": (lambda: [nn.Conv2d(1, 4, 2, groups=1), nn.GroupNorm(2, 4, eps=0.01)], (1, 4, 3)),
}
every_network = pytest.mark.parametrize("name", NETWORKS)


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def case(name: str, n: int = 7) -> tuple[nn.Sequential, Tensor, Tensor]:
    """A network whose scales have both signs, samples and labels."""
    make, shape = NETWORKS[name]
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        first = make()
        width = nn.Sequential(*first, nn.Flatten())(torch.ones(1, *shape)).shape[1]
        model = nn.Sequential(*first, nn.Tanh(), nn.Flatten(), nn.Linear(width, 3)).double()
    model.get_parameter("1.weight").data.copy_(randn(4, seed=1))
    model.get_parameter("1.bias").data.copy_(randn(4, seed=2))
    return model, randn(n, *shape, seed=3), torch.arange(n) % 3


@every_network
def test_a_layer_is_its_modules(name: str):
    model, a, _ = case(name)
    a.requires_grad_()
    wanted = model[:2](a)
    r = randn(*wanted.shape, seed=4)
    to_input, *to_params = torch.autograd.grad((wanted * r).sum(), [a, *model[:2].parameters()])
    value = layer_functions(altmin.problem_of(model), altmin.state_of(model))[0](a.detach())
    torch.testing.assert_close(value.z, wanted)
    torch.testing.assert_close(value.to_input(r), to_input, rtol=1e-9, atol=1e-10)
    found = [g.view_as(p) for g, p in zip(value.to_params(r), model[:2].parameters(), strict=True)]
    torch.testing.assert_close(found, to_params, rtol=1e-9, atol=1e-10)


@every_network
def test_predictions_and_steps_of_backpropagation_are_pytorchs(name: str):
    ours, x, y = case(name)
    theirs = copy.deepcopy(ours)
    trainer, optimizer = Trainer(ours, altmin.Backprop("sgd", lr=0.2)), torch.optim.SGD(theirs.parameters(), 0.2)
    for _ in range(3):
        trainer.step(x, y)
        optimizer.zero_grad()
        nn.functional.cross_entropy(theirs(x), y).backward()
        optimizer.step()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q)
    torch.testing.assert_close(outputs(trainer.problem, trainer.state, x), theirs(x).detach())


@every_network
@pytest.mark.parametrize("method", ["am-adam", "am-sgd", "am-newton", "proxprop"])
def test_online_methods_train_scale_and_shift(name: str, method: str):
    model, x, y = case(name, n=60)
    start = copy.deepcopy(model)
    history = altmin.fit(model, method, (x, y), epochs=5, batch_size=20, seed=0)
    assert history["train_loss"][-1] < history["train_loss"][0]
    assert all(not torch.equal(p, q) for p, q in zip(model.parameters(), start.parameters(), strict=True))


def test_the_local_gradients_of_weights_are_those_of_backpropagation():
    """The default AM-SGD: codes move by one step, and weights by what that would be of backpropagated gradients."""
    model, x, y = case("layer norm")
    start = copy.deepcopy(model)
    altmin.Trainer(model, "am-adam").step(x, y)
    grads = torch.autograd.grad(nn.functional.cross_entropy(start(x), y), list(start.parameters()))
    for p, q, g in zip(model.parameters(), start.parameters(), grads, strict=True):
        away = g.abs() > 1e-6
        assert torch.equal((q - p)[away].sign(), g[away].sign())


def test_one_sample_is_a_batch():
    model, x, y = case("layer norm", n=1)
    altmin.Trainer(model, "am-adam").step(x, y)


def test_a_run_goes_on_to_the_bit():
    model, x, y = case("group norm of images")
    other = copy.deepcopy(model)
    one, two = altmin.Trainer(model, "am-adam"), altmin.Trainer(other, "am-adam")
    one.step(x, y)
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    for trainer in (one, two):
        trainer.step(x, y)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True))


def test_a_start_that_is_drawn_leaves_scale_and_shift_alone():
    model, _, _ = case("layer norm")
    scale = model.get_parameter("1.weight").detach().clone()
    draw_start(model, parse_start("normal:0.1"))
    assert torch.equal(model.get_parameter("1.weight"), scale)


WRONG = {
    "no shift": (lambda: [nn.Linear(4, 3), nn.LayerNorm(3, bias=False)], r"module 1 .LayerNorm.* a scale and a shift"),
    "neither": (lambda: [nn.Linear(4, 3), nn.GroupNorm(1, 3, affine=False)], r"module 1 .GroupNorm.* a scale and a"),
    "several axes": (lambda: [nn.Conv1d(4, 3, 2), nn.LayerNorm([3, 2])], r"module 1 .LayerNorm.*only rows"),
    "an image": (
        lambda: [nn.Conv1d(4, 3, 2), nn.LayerNorm(2)],
        r"module 1 .LayerNorm. must stand right after a Linear",
    ),
    "another width": (
        lambda: [nn.Linear(4, 3), nn.LayerNorm(2)],
        r"LayerNorm. takes 2 features, the Linear .* gives 3",
    ),
    "behind an activation": (lambda: [nn.Linear(4, 3), nn.ReLU(), nn.LayerNorm(3)], r"module 2 .LayerNorm. must stand"),
}


@pytest.mark.parametrize(("make", "text"), WRONG.values(), ids=list(WRONG))
def test_what_cannot_be_read_is_refused(make, text: str):
    with pytest.raises(TypeError, match=text):
        altmin.problem_of(nn.Sequential(*make(), nn.Flatten(), nn.Linear(3, 2)))


@pytest.mark.parametrize("method", ["bcd", "dladmm", "am-ridge", "mac", "am-mem"])
def test_methods_that_cannot_refuse_by_name(method: str):
    with pytest.raises(TypeError, match=r"layer or group normalisation \(layer 1\)"):
        altmin.Trainer(case("layer norm")[0], method)
