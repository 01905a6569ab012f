"""Products that one update leaves to the next: never used when a variable has changed, and used when none has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from altmin import DLADMM, MDLAM, Method, Sweep
from altmin.sweep.products import MEMORY_SHARE, Products, worth_keeping
from methods.table import Loop
from sweep.case import NETS, Weighted, banded, stepped_by_optimizer, sweep_of

nets = pytest.mark.parametrize("net", NETS)


class Counted(Products):
    """Products that count how often each was asked for while it held, and how often it was made."""

    def __init__(self, layers: frozenset[int]):
        super().__init__(layers)
        self.hits: Counter[Any] = Counter()
        self.made: Counter[Any] = Counter()

    def get(self, name: Any, versions: Any, make: Callable[[Any], Any]) -> Any:
        made = []
        value = super().get(name, versions, lambda old: made.append(old) or make(old))
        (self.made if made else self.hits)[name] += 1
        return value


def kept(sweep: Sweep[Any]) -> Sweep[Any]:
    """The same with the products of all layers kept."""
    layers = frozenset(i for i, layer in enumerate(sweep.problem.layers) if not layer.map.piecewise)
    return Sweep(sweep.method, sweep.problem, sweep.whole, sweep.batch, Counted(layers))


def fresh(sweep: Sweep[Any]) -> Sweep[Any]:
    """The same variables with nothing kept."""
    return Sweep(sweep.method, sweep.problem, sweep.whole, sweep.batch, Products())


def all_of(sweep: Sweep[Any]) -> list[Tensor]:
    """Whatever is kept, of every layer, by way of what reads it."""
    found = []
    for layer in sweep.layers:
        s = layer.statistics()
        found += [layer.prediction(), layer.residual(), layer.force(), layer.gram(), s.gram, s.cross, s.a_sum, s.z_sum]
    return found


def assert_current(sweep: Sweep[Any]) -> None:
    for one, two in zip(all_of(sweep), all_of(fresh(sweep)), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-11, atol=1e-11)


def other(t: Tensor) -> Tensor:
    return t + 0.5


WRITES: dict[str, Callable[[Any, int], None]] = {
    "replaced": lambda group, i: group.__setitem__(i, other(group[i])),
    "replaced by a slice": lambda group, i: group.__setitem__(slice(None), [other(t) for t in group]),
    "in place": lambda group, i: group[i].add_(0.5),
    "a slice of it": lambda group, i: group[i][:1].add_(0.5),
    "through a view": lambda group, i: group[i].view(-1)[2:5].mul_(1.5),
    "by an optimiser": lambda group, i: stepped_by_optimizer(group[i]),
}


@pytest.mark.thinned(2)
@nets
@pytest.mark.parametrize("name", ["W", "b", "z", "a"])
@pytest.mark.parametrize("write", WRITES)
def test_whoever_writes_makes_what_was_made_of_it_invalid(net: str, name: str, write: str):
    sweep = kept(sweep_of(net, dual=False))
    all_of(sweep)
    group = getattr(sweep.state, name)
    for i in range(len(group)):
        WRITES[write](group, i)
        assert_current(sweep)


@nets
def test_the_dual_variable_is_never_kept_in_a_product(net: str):
    """It is a part of what the last layer's weights have to explain; written in place, or replaced."""
    sweep = kept(sweep_of(net, dual=True))
    all_of(sweep)
    assert sweep.state.u is not None
    sweep.state.u.add_(0.5)
    assert_current(sweep)
    sweep.ascend_dual(0.7)
    assert_current(sweep)
    sweep.state.u = torch.ones_like(sweep.state.u)
    assert_current(sweep)


def test_a_module_that_trains_elsewhere_invalidates_too():
    """Weights that share the storage of a module's."""
    sweep = kept(sweep_of("chain"))
    module = nn.Linear(7, 12).double()
    sweep.state.W[1] = module.weight.detach()
    all_of(sweep)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    module(torch.ones(1, 7).double()).sum().backward()
    optimizer.step()
    assert_current(sweep)


def test_loading_a_state_invalidates():
    sweep, elsewhere = kept(sweep_of("chain")), sweep_of("chain", scale=0.9).state.clone()
    all_of(sweep)
    sweep.state.load_state_dict(elsewhere.state_dict())
    assert_current(sweep)


def test_what_was_kept_for_a_state_is_not_taken_for_its_clone():
    sweep = kept(sweep_of("chain"))
    all_of(sweep)
    twin = sweep.state.clone()
    for group in (twin.W, twin.z, twin.a):
        for t in group:
            t.mul_(2.0)
    assert_current(Sweep(sweep.method, sweep.problem, twin, sweep.batch, sweep.products))


@nets
def test_what_has_not_changed_is_not_made_again(net: str):
    sweep = kept(sweep_of(net))
    all_of(sweep)
    products = sweep.products
    assert isinstance(products, Counted)
    made = products.made.copy()
    first = all_of(sweep)
    assert products.made == made
    for group in (sweep.state.W, sweep.state.b, sweep.state.z, sweep.state.a):
        assert all(t.isfinite().all() for t in group)
    for one, two in zip(first, all_of(sweep), strict=True):
        assert torch.equal(one, two), "nobody writes into what is kept"


@nets
@pytest.mark.parametrize("size", [2**18, 7 * 64])
@pytest.mark.parametrize("band", [None, 0.3])
def test_a_step_of_the_activations_moves_the_product_above(
    net: str, size: int, band: float | None, monkeypatch: pytest.MonkeyPatch
):
    """It is that of the new activations to rounding, and is not made again."""
    monkeypatch.setattr("altmin.core.forward.STRETCH", size)
    sweep = kept(sweep_of(net, dual=True) if band is None else banded(net, band))
    products = sweep.products
    assert isinstance(products, Counted)
    for layer in sweep.layers[:-1]:
        above = layer.above
        if above.i not in products.layers:
            continue
        before, name = above.residual(), ("image", above.i)
        made = products.made[name]
        layer.step_a(band=band)
        now = above.residual()
        assert products.made[name] == made
        torch.testing.assert_close(now, fresh(sweep).layers[above.i].residual(), rtol=1e-11, atol=1e-11)
        assert not torch.allclose(now, before)


def test_where_steps_go_to_the_previous_iterate_the_product_is_made_again():
    sweep = kept(sweep_of("chain", previous=True))
    sweep.layers[1].residual()
    sweep.layers[0].step_a(0.4)
    torch.testing.assert_close(sweep.layers[1].residual(), fresh(sweep).layers[1].residual(), rtol=1e-11, atol=1e-11)


@nets
def test_verbs_give_the_same_with_and_without_kept_products(net: str):
    """All of them, one after the other, twice."""
    sweeps = [sweep_of(net, Weighted(), dual=True), kept(sweep_of(net, Weighted(), dual=True))]
    for sweep in sweeps:
        for _ in range(2):
            for layer in reversed(sweep.layers):
                if not layer.last:
                    layer.step_a()
                layer.solve_z()
                layer.solve_b()
                layer.step_W()
            for layer in sweep.layers:
                layer.solve_weights(prox=0.3)
                layer.solve_z(prox=0.2)
                if not layer.last:
                    layer.solve_a(prox=0.1)
            sweep.ascend_dual(0.4)
    close = 1e-5 if net == "images" else 1e-9  # conjugate gradients
    for name in ("W", "b", "z", "a"):
        for one, two in zip(*(getattr(s.state, name) for s in sweeps), strict=True):
            torch.testing.assert_close(one, two, rtol=close, atol=close)


# What the methods declare


REUSING: dict[str, Method] = {
    "dladmm": DLADMM(rho=3.0, nu=1.0, schedule="constant"),
    "dladmm-one-step": DLADMM(rho=3.0, nu=1.0, schedule="constant", per_sample=False, start=1.0),
    "mdlam": MDLAM(rho=0.3, eps=0.3, eps_rule="fixed"),
    "mdlam-plain": MDLAM(rho=0.3, eps=0.3, eps_rule="fixed", accelerated=False),
}


@pytest.mark.parametrize("name", REUSING)
@pytest.mark.parametrize("hidden", [(9,), (9, 8), (9, 8, 7)])
def test_declared_reuse_is_how_often_products_are_asked_for_unchanged(name: str, hidden: tuple[int, ...]):
    """In an iteration that goes on from others; the products of all layers are kept, whatever they cost."""
    loop = Loop.on_digits(REUSING[name], hidden=hidden, n=40).scattered()
    last = len(hidden)
    loop.kept = loop.state, (products := Counted(frozenset(range(last + 1))))
    loop.step()
    loop.step()
    products.hits.clear()
    products.made.clear()
    loop.step()
    first, inner, outer = loop.method.reuse
    assert [products.hits["image", i] for i in range(last + 1)] == [first, *[inner] * (last - 1), outer]
    for i in range(last + 1):
        assert products.hits["image", i] + products.made["image", i] > products.hits["image", i]


@pytest.mark.parametrize("name", REUSING)
def test_iterates_do_not_depend_on_what_is_kept(name: str):
    one, two = (Loop.on_digits(REUSING[name], hidden=(9, 8), n=40).scattered() for _ in range(2))
    for _ in range(5):
        one.kept, two.kept = (
            (one.state, Products()),
            (two.state, two.kept[1] if two.kept else Counted(frozenset({0, 1, 2}))),
        )
        one.step()
        two.step()
    for name in ("W", "b", "z", "a"):
        for first, second in zip(getattr(one.state, name), getattr(two.state, name), strict=True):
            torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-10)


# Which are worth their memory


def test_those_that_save_most_are_kept_as_long_as_there_is_room():
    assert worth_keeping([10, 10, 10], [3, 7, 5], 80) == {1, 2}
    assert worth_keeping([10, 10, 10], [3, 7, 5], 1000) == {0, 1, 2}
    assert worth_keeping([30, 10, 10], [9, 7, 5], 80) == {1, 2}, "one that does not fit leaves its room to others"
    assert worth_keeping([10, 10], [0, 5], 1000) == {1}, "what saves nothing is not kept"
    assert worth_keeping([10, 10], [3, 7], 0) == set()


@pytest.mark.parametrize("name", REUSING)
@pytest.mark.parametrize("hidden", [(9,), (60, 50), (300, 20), (12, 40, 30)])
def test_kept_predictions_take_a_share_of_the_variables(name: str, hidden: tuple[int, ...]):
    loop = Loop.on_digits(REUSING[name], hidden=hidden, n=40)
    loop.step()
    assert loop.kept is not None
    state, products = loop.state, loop.kept[1]
    variables = [loop.batch.x, *state.z, *state.a, *([] if state.u is None else [state.u])]
    variables += [] if state.previous is None else [*state.previous.z, *state.previous.a]
    room = MEMORY_SHARE * sum(t.numel() for t in variables)
    assert products.layers
    assert sum(state.z[i].numel() for i in products.layers) <= room
    left = [i for i in range(len(state.z)) if i not in products.layers]
    taken = sum(state.z[i].numel() for i in products.layers)
    wanted = [left_ for left_ in left if loop.method.reuse[0] or left_]
    assert all(taken + state.z[i].numel() > room for i in wanted)


class Often(Weighted):
    reuse = 1, 1, 1


class VeryOften(Weighted):
    reuse = 9, 9, 9


def test_methods_that_reuse_nothing_keep_no_predictions():
    assert sweep_of("chain", Weighted()).products.layers == frozenset()
    assert sweep_of("chain", Often(), n=30).products.layers != frozenset()
    assert 1 not in sweep_of("images", VeryOften()).products.layers, "behind max pooling no image moves"
