"""What is easily got wrong in a method of one's own: an error says so at once, names the method and what to do."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import altmin
from altmin import activations, maps, operations
from altmin.checks import number
from altmin.core.problem import known_features
from altmin.losses import Loss
from altmin.regularizers import Regularizer

pytestmark = pytest.mark.usefixtures("registrations")

X = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))


def penalty(self: Any, sweep: Any) -> altmin.Penalty:
    return altmin.Penalty(linear=1.0, activation=1.0)


def good_step(self: Any, sweep: Any) -> None:
    sweep.layers[-1].solve_z()


def own(**body: Any) -> altmin.Method:
    """A method with these methods and class attributes."""
    return dataclass(frozen=True)(type("Own", (altmin.Method,), {"penalty": penalty, "step": good_step, **body}))()


def new_weights(self: Any, sweep: Any) -> None:
    sweep.state.W[0] = sweep.state.W[0] - 0.1


def new_intercept(self: Any, sweep: Any) -> None:
    sweep.state.b[1] = sweep.state.b[1] - 0.1


def new_data(self: Any, sweep: Any) -> None:
    sweep.layers[0].W.data = sweep.layers[0].W.data - 0.1


def writes_samples(self: Any, sweep: Any) -> None:
    sweep.layers[0].input.mul_(1.0)


def writes_targets(self: Any, sweep: Any) -> None:
    sweep.batch.y.mul_(1.0)


def returns(self: Any, sweep: Any) -> Any:
    return sweep.state.clone()


def reads_last_a(self: Any, sweep: Any) -> None:
    sweep.layers[-1].solve_a()


def reads_above(self: Any, sweep: Any) -> None:
    assert sweep.layers[-1].above


STEPS: dict[Callable[..., Any], tuple[type[Exception], str]] = {
    new_weights: (RuntimeError, r"Own\.step put a new tensor in the place of W_1,.* layer\.W\.copy_"),
    new_intercept: (RuntimeError, r"Own\.step put a new tensor in the place of b_2,.* layer\.b\.copy_"),
    new_data: (RuntimeError, r"Own\.step put a new tensor in the place of W_1"),
    writes_samples: (RuntimeError, r"Own\.step wrote into the samples"),
    writes_targets: (RuntimeError, r"Own\.step wrote into the samples"),
    returns: (TypeError, r"Own\.step returned a State, .*change `sweep\.state` in place"),
    reads_last_a: (IndexError, "layer 2 is the last: it has no"),
    reads_above: (IndexError, "layer 2 is the last: it has none `above`"),
}


@pytest.mark.parametrize("step", STEPS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_a_step_that_goes_wrong(step: Callable[..., Any], loss: str):
    error, text = STEPS[step]
    with pytest.raises(error, match=text):
        altmin.fit(network(), own(step=step), (X.clone(), Y), epochs=2, loss=loss)


def test_weights_are_compared_in_steps_on_a_part_of_the_data():

    with pytest.raises(RuntimeError, match="W_1"):
        altmin.fit(network(), own(step=new_weights, batched=True), (X, Y), epochs=1, batch_size=10)


def dict_memory(self: Any, sweep: Any) -> None:
    altmin.Method.init(self, sweep)
    sweep.state.memory = {"t": 1}


class Plain(altmin.Memory):
    pass


def plain_memory(self: Any, sweep: Any) -> None:
    altmin.Method.init(self, sweep)
    sweep.state.memory = Plain()


def no_variables(self: Any, sweep: Any) -> None:
    pass


INITS = {
    dict_memory: r"Own\.init left a dict as the state's memory; .* altmin\.Memory",
    plain_memory: r"Own\.init left a Plain as the state's memory; .*dataclass",
    no_variables: r"Own\.init left 0 pre-activations `z` for 2 layers.*super\(\)\.init\(sweep\)",
}


@pytest.mark.parametrize("init", INITS, ids=lambda f: f.__name__)
def test_an_init_that_goes_wrong(init: Callable[..., Any]):
    with pytest.raises(TypeError, match=INITS[init]):
        altmin.Trainer(network(), own(init=init)).step(X, Y)


def test_without_a_driver_a_layer_says_what_it_lacks():
    sweep = altmin.Sweep(own(), altmin.problem_of(network()), altmin.state_of(network()), altmin.Batch(X, Y))
    with pytest.raises(IndexError, match=r"layer 1 has no `z`: Own\.init left 0 of them; begin it with super"):
        assert sweep.layers[0].z


# Definitions


def undecorated() -> None:
    @altmin.method("own", title="t", paper="p")
    class Own(altmin.Method):
        rho: float = number(1.0, "h", above=0.0)


def swapped() -> None:
    @dataclass(frozen=True)
    @altmin.method("own", title="t", paper="p")
    class Own(altmin.Method):
        rho: float = number(1.0, "h", above=0.0)


def annotated() -> None:
    @altmin.method("own", title="t", paper="p")
    @dataclass(frozen=True)
    class Own(altmin.Method):
        cure: str = "smaller steps"  # type: ignore[misc]


def registered(unsupported: Any) -> Callable[[], None]:
    return lambda: altmin.register_method("own", own(unsupported=unsupported), title="t", paper="p")


DEFINITIONS: dict[str, tuple[Callable[[], None], str]] = {
    "without dataclass": (undecorated, r"Own: `rho` is no field yet; put @dataclass\(frozen=True\)"),
    "decorators swapped": (swapped, r"Own: `rho` is no field yet"),
    "annotated": (annotated, r"Own: `cure` is a fact about the class, .*without one"),
    "capitals": (registered(frozenset({"conv2d"})), "has the feature 'conv2d'; did you mean 'Conv2d'"),
    "spelling": (registered({"Batch-Normalization"}), "did you mean 'batch normalisation'"),
    "one of many": (registered({"residual connection"}), "did you mean 'residual connections'"),
    "a text": (registered("dropout"), r"Own\.unsupported must be a set of names"),
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_definition_that_means_something_else(name: str):
    define, text = DEFINITIONS[name]
    with pytest.raises(TypeError, match=text):
        define()


def test_features_of_other_packages_may_be_refused():
    registered(frozenset({"Conv3d"}))()
    every = "Conv2d", "Elman", "pooling or reshaping", "batch normalisation", "dropout", "residual connections"
    assert known_features() >= set(every)
    registered(frozenset(every))()


# What a base class leaves to its subclasses


class Silent(Loss):
    pass


class SilentActivation(activations.Activation):
    pass


@dataclass(frozen=True)
class Empty(altmin.Method):
    pass


ABSENT: dict[str, Callable[[], Any]] = {
    "Empty has no `step`": lambda: altmin.fit(network(), Empty(), (X, Y), epochs=1),
    "Empty has no `penalty`": lambda: Empty().penalty(None),  # type: ignore[arg-type]
    "Silent has no `encode`": lambda: altmin.fit(network(), altmin.DLADMM(), (X, Y), epochs=1, loss=Silent()),
    "SilentActivation has no `prox`": lambda: SilentActivation().prox(X, 1.0, X),
    "Regularizer has no `prox`": lambda: Regularizer().prox(X, 1.0),
    "LinearMap has no `of`": lambda: maps.LinearMap.of(nn.Linear(2, 2)),
    "LinearMap has no `rows`": lambda: maps.LinearMap().rows(X),
    "Operation has no `image`": lambda: operations.Operation().image(X, X),
}


@pytest.mark.parametrize("text", ABSENT)
def test_what_is_left_to_a_subclass_is_named(text: str):
    with pytest.raises(NotImplementedError, match=text):
        ABSENT[text]()


def test_a_loss_is_not_smooth_unless_it_says_so():
    assert Silent().lipschitz == math.inf


@dataclass(frozen=True)
class Scaled(altmin.SquaredLoss):
    weight: float = number(1.0, "factor", above=0.0)


@dataclass(frozen=True)
class Offset(Regularizer):
    weight: float = number(1.0, "factor", above=0.0)

    def __call__(self, W: Tensor) -> Tensor:
        return W.new_zeros(())


@pytest.mark.parametrize("cls", [Scaled, Offset])
def test_numbers_of_losses_and_regularisers_are_checked(cls: Any):
    assert cls(0.5).weight == 0.5
    with pytest.raises(ValueError, match="`weight` must be > 0, got -1"):
        cls(-1.0)


def test_advice_for_a_regulariser_that_is_no_square():
    with pytest.raises(TypeError, match="IPDLAM takes any with a prox"):
        altmin.fit(network(), altmin.MAC(), (X, Y), epochs=1, regularizer="l1:0.1")


# What a call gets wrong

LABELS = Y.to(X.dtype)
CALLS: dict[str, tuple[type[Exception], Callable[[], Any]]] = {
    r"fit has no option `epoch`; did you mean 'epochs'\?": (TypeError, lambda: altmin.fit(*GIVEN, epoch=5)),  # type: ignore[call-arg]
    "fit needs `epochs`: passes over the data": (TypeError, lambda: altmin.fit(*GIVEN)),  # type: ignore[call-arg]
    "fit_stream has no option `epochs`": (TypeError, lambda: altmin.fit_stream(*GIVEN, steps=1, epochs=1)),  # type: ignore[call-arg]
    "Trainer has no option `los`; did you mean 'loss'": (TypeError, lambda: altmin.Trainer(*GIVEN[:2], los="hinge")),  # type: ignore[call-arg]
    r"y has shape \(30,\); class labels must be integers: y\.long\(\)": (
        ValueError,
        lambda: altmin.fit(network(), own(), (X, LABELS), epochs=1, loss="squared"),
    ),
}
GIVEN = network(), own(), (X, Y)


@pytest.mark.parametrize("text", CALLS)
def test_a_call_that_goes_wrong(text: str):
    error, call = CALLS[text]
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize("batched", [True, False])
def test_parts_of_the_data_are_advised_to_methods_that_take_them(batched: bool):
    trainer = altmin.Trainer(network(), own(batched=batched))
    trainer.step(X, Y)
    with pytest.raises(ValueError, match="is not that of the first step") as error:
        trainer.step(X[:10], Y[:10])
    assert ("by `rows`" in str(error.value)) == batched
