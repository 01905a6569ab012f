"""What changes a module's value beside its class is found by kind, before training, wherever it stands."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.nn.utils import parametrizations, prune

import altmin

X = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


def network(kind: type[nn.Sequential] = nn.Sequential) -> nn.Sequential:
    return kind(nn.Linear(6, 5), nn.ReLU(), nn.Sequential(nn.Linear(5, 4), nn.Tanh()), nn.Linear(4, 2))


def old(norm: Callable[..., Any]) -> Callable[[nn.Module], None]:
    def change(module: nn.Module) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            norm(module)

    return change


def no_parameter(module: Any) -> None:
    weight = module.weight.detach()
    del module.weight
    module.weight = weight


def no_bias_parameter(module: Any) -> None:
    bias = module.bias.detach()
    del module.bias
    module.register_buffer("bias", bias)


ON_LAYERS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "pruned": (lambda m: prune.l1_unstructured(m, "weight", 0.5), r"prunes its `weight`.*prune\.remove"),
    "pruned intercept": (lambda m: prune.random_unstructured(m, "bias", 0.5), "prunes its `bias`"),
    "weight norm by hooks": (old(nn.utils.weight_norm), "by weight_norm.*remove_weight_norm"),
    "spectral norm by hooks": (old(nn.utils.spectral_norm), "by spectral_norm.*remove_spectral_norm"),
    "weight norm": (parametrizations.weight_norm, r"`weight` by a parametrisation.*remove_parametrizations"),
    "spectral norm": (parametrizations.spectral_norm, "by a parametrisation"),
    "orthogonal": (parametrizations.orthogonal, "by a parametrisation"),
    "a weight that is a tensor": (no_parameter, "`weight` that is a Tensor and no parameter"),
    "an intercept that is a buffer": (no_bias_parameter, "`bias` that is a Tensor and no parameter"),
}
ANYWHERE: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a forward hook": (lambda m: m.register_forward_hook(lambda m, args, out: 2 * out), "forward hook .*lambda"),
    "a hook that changes nothing": (lambda m: m.register_forward_hook(lambda *_: None), "forward hook"),
    "a hook with keywords": (lambda m: m.register_forward_hook(lambda *_: None, with_kwargs=True), "forward hook"),
    "a forward pre-hook": (lambda m: m.register_forward_pre_hook(lambda m, args: args), "forward pre-hook"),
    "a forward of the object": (
        lambda m: setattr(m, "forward", lambda x: x),
        r"set on the object.*del module\.forward",
    ),
    "a call of the object": (lambda m: setattr(m, "_call_impl", lambda x: x), "set on the object"),
}
PLACES = {
    r"`model` \(Sequential\)": lambda model: model,
    r"module 0 \(Linear\)": lambda model: model[0],
    r"module 1 \(ReLU\)": lambda model: model[1],
    r"module 2 \(Sequential\)": lambda model: model[2],
    r"module 2\.1 \(Tanh\)": lambda model: model[2][1],
}


def refused(model: Any, text: str, saved: bool = True) -> None:
    """By `fit`, `fit_stream` and `Trainer`, before data are looked at, and without a change in what is saved."""
    before = copy.deepcopy(model.state_dict()) if saved else {}
    for train in (
        lambda: altmin.fit(model, altmin.OnlineAM(), "no data", epochs=1),
        lambda: altmin.fit_stream(model, altmin.OnlineAM(), "no data", steps=1),  # type: ignore[arg-type]
        lambda: altmin.Trainer(model, altmin.IPDLAM()),
        lambda: altmin.problem_of(model),
    ):
        with pytest.raises(TypeError, match=text):
            train()
    assert all(torch.equal(model.state_dict()[name], t) for name, t in before.items())


@pytest.mark.parametrize("case", ON_LAYERS)
@pytest.mark.parametrize("place", [r"module 0 \(.*Linear\)", r"module 2\.0 \(.*Linear\)"])
def test_weights_that_are_no_parameters_are_refused_by_kind(case: str, place: str):
    change, text = ON_LAYERS[case]
    model = network()
    change(model[0] if place.startswith("module 0") else model[2][0])  # type: ignore[index]
    refused(model, f"{place} .*{text}")


@pytest.mark.parametrize("case", ANYWHERE)
@pytest.mark.parametrize("place", PLACES)
def test_hooks_and_forwards_of_objects_are_refused_wherever_they_stand(case: str, place: str):
    change, text = ANYWHERE[case]
    model = network()
    change(PLACES[place](model))
    refused(model, f"{place} .*{text}")


class Scaled(nn.Sequential):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(3.0 * input)


class Called(nn.Sequential):
    def __call__(self, input: torch.Tensor) -> torch.Tensor:
        return 3.0 * super().__call__(input)


class Named(nn.Sequential):
    """A class without a forward of its own."""


@pytest.mark.parametrize(("kind", "call"), [(Scaled, "forward"), (Called, "__call__"), (altmin.Residual, "forward")])
def test_a_sequence_with_a_forward_of_its_own_is_refused(kind: type[nn.Sequential], call: str):
    refused(network(kind), rf"`model` \({kind.__name__}\) has a `{call}` of its own")


def test_a_subclass_of_a_layer_is_refused():
    model = network()
    model[0] = type("Own", (nn.Linear,), {"forward": lambda self, x: x})(6, 5)
    refused(model, r"module 0 \(Own\) is not supported")


@pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning")
def test_a_lazy_layer_is_refused_as_such():
    refused(nn.Sequential(nn.LazyLinear(2)), r"module 0 \(LazyLinear\) is not supported", saved=False)


def test_wrapped_models_are_refused_with_the_model_inside():
    refused(nn.DataParallel(network()), "DataParallel; hand in its `module`")


@pytest.fixture(params=[register_module_forward_hook, register_module_forward_pre_hook])
def global_hook(request: pytest.FixtureRequest) -> Iterator[None]:
    handle = request.param(lambda *_: None)
    yield
    handle.remove()


@pytest.mark.usefixtures("global_hook")
def test_hooks_of_all_modules_are_refused():
    refused(network(), "a forward hook of all modules is registered")


HARMLESS: dict[str, Callable[[Any], Any]] = {
    "a subclass without a forward": lambda model: Named(*model),
    "a backward hook": lambda model: model[0].register_full_backward_hook(lambda *_: None),
    "a hook of a parameter": lambda model: model.get_parameter("0.weight").register_hook(lambda g: g),
    "a hook of the state dict": lambda model: model.register_load_state_dict_post_hook(lambda *_: None),
    "a pruning that was made permanent": lambda model: prune.remove(
        prune.random_unstructured(model[0], "weight", 0.5), "weight"
    ),
    "a removed hook": lambda model: model[0].register_forward_hook(lambda *_: None).remove(),
    "one activation twice": lambda model: model[2].__setitem__(1, model[1]),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_what_changes_no_value_is_trained(case: str):
    model = network()
    changed = HARMLESS[case](model)
    model = changed if isinstance(changed, Named) else model
    history = altmin.fit(model, altmin.OnlineAM(), (X, Y), epochs=1, record=("train",))
    assert history["train_loss"][-1] == pytest.approx(nn.functional.cross_entropy(model(X), Y).item(), rel=1e-5)


@pytest.mark.slow  # the first import of PyTorch's compiler
def test_a_compiled_model_is_refused_and_one_compiled_in_place_is_trained():
    model = network()
    refused(torch.compile(model, backend="eager"), "OptimizedModule; hand in its `_orig_mod`")

    def never(*_: object) -> None:
        raise AssertionError("the comparison compiled")

    model.compile(backend=never)
    altmin.fit(model, altmin.OnlineAM(), (X, Y), epochs=1)
