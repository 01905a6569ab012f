"""The variables of a method: copies, what is saved, errors, and versions."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from altmin import Memory, State, state_of
from altmin.core.state import Iterate, Norm
from altmin.core.variables import Variables


@dataclass(eq=False)
class Kept(Memory):
    optimizer: torch.optim.Optimizer
    mean: Tensor
    rho: float = 1.0


def randn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def state(seed: int = 0) -> State[Kept]:
    """Every field filled in."""
    W, b = [randn(seed, 3, 4), randn(seed + 1, 2, 3)], [randn(seed + 2, 3), randn(seed + 3, 2)]
    z, a = [randn(seed + 4, 5, 3), randn(seed + 5, 5, 2)], [randn(seed + 6, 5, 3)]
    norm = Norm(*(randn(seed + 7 + i, 3) for i in range(4)))
    previous = Iterate(*map(Variables, (W, b, z, a))).clone()
    previous.a[0].add_(1.0)
    made = State(W, b, z, a, randn(seed + 20, 5, 2), [norm, None], seed + 7, seed + 2, 5, None, previous)
    made.generator = torch.Generator().manual_seed(seed)
    made.memory = Kept(torch.optim.SGD([made.W[0]], lr=0.1, momentum=0.9), randn(seed + 30, 3), 1.0 + seed)
    made.W[0].grad = torch.ones(3, 4)
    made.memory.optimizer.step()
    return made


def tensors(value: Any) -> list[Any]:
    """The leaves of nested dicts and lists."""
    if isinstance(value, dict):
        return [leaf for key in sorted(value, key=str) for leaf in tensors(value[key])]
    return [leaf for v in value for leaf in tensors(v)] if isinstance(value, list) else [value]


def same(one: State[Any], two: State[Any]) -> bool:
    pairs = zip(tensors(one.state_dict()), tensors(two.state_dict()), strict=True)
    return all(torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in pairs)


def test_a_clone_is_equal_and_shares_nothing():
    one = state()
    two = one.clone()
    assert same(one, two)
    assert two.memory.optimizer.param_groups[0]["params"][0] is two.W[0]
    first, second = ([t for t in tensors(s.state_dict()) if isinstance(t, Tensor)] for s in (one, two))
    assert not {t.data_ptr() for t in first} & {t.data_ptr() for t in second}
    kept = copy.deepcopy(one.state_dict())
    two.W[0].grad = torch.ones(3, 4)
    two.memory.optimizer.step()
    for leaf in tensors(two.state_dict()):
        if isinstance(leaf, Tensor) and leaf.is_floating_point():
            leaf.zero_()
    torch.rand(3, generator=two.generator)
    pairs = zip(tensors(one.state_dict()), tensors(kept), strict=True)
    assert all(torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in pairs)


def test_all_fields_are_saved_and_restored_in_place():
    one, two = state(0), state(50)
    assert not same(one, two)
    lists, places = (two.W, two.b, two.z, two.a), [t for _, t in two.named()]
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    assert same(one, two)
    assert all(a is b for a, b in zip(lists, (two.W, two.b, two.z, two.a), strict=True))
    assert all(a is b for a, b in zip(places, (t for _, t in two.named()), strict=True))
    assert isinstance(two.previous, Iterate)
    assert isinstance(two.previous.a, Variables)
    assert isinstance(two.norm[0], Norm)
    assert (two.k, two.epoch, two.samples) == (7, 2, 5)
    assert torch.equal(torch.rand(4, generator=one.generator), torch.rand(4, generator=two.generator))


def changed(**values: Any) -> dict[str, Any]:
    saved = state(50).state_dict()
    for name, value in values.items():
        saved[name] = value(saved[name]) if callable(value) else value
    return saved


BAD = {
    "fewer layers": (changed(W=lambda W: W[:1]), r"`W`: this state has 2 tensors, the saved one 1 of them"),
    "no list": (changed(a=3), r"`a`: this state has 1 tensors, the saved one 3"),
    "shape of W": (
        changed(W=lambda W: [W[0], W[1].T]),
        r"`W` of layer 2 has the shape \(2, 3\), the saved one \(3, 2\)",
    ),
    "samples": (
        changed(z=lambda z: [z[0][:4], z[1]]),
        r"`z` of layer 1 has the shape \(5, 3\), the saved one \(4, 3\)",
    ),
    "dtype": (
        changed(b=lambda b: [b[0].double(), b[1]]),
        r"`b` of layer 1 has dtype torch.float32, the saved one torch.float64",
    ),
    "shape of U": (changed(u=lambda u: u[:1]), r"`u` has the shape \(5, 2\), the saved one \(1, 2\)"),
    "no U": (changed(u=None), r"`u`: this state has one, the saved one none"),
    "no previous iterate": (changed(previous=None), r"`previous`: this state has one, the saved one none"),
    "no generator": (changed(generator=None), r"`generator`: this state has one, the saved one none"),
    "norm of another layer": (
        changed(norm=lambda n: n[::-1]),
        r"`norm` of layer 1: this state has one, the saved one none",
    ),
    "another method": (changed(memory={"eps": 1.0}), r"`memory`: expected the fields \['mean', 'optimizer', 'rho'\]"),
    "another field": ({**changed(), "extra": 1}, r"State: expected the fields .*, got .*'extra'"),
    "a missing field": ({k: v for k, v in changed().items() if k != "k"}, r"State: expected the fields .*'k'"),
    "no state": ([1, 2], r"State: expected the fields .*, got list"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_named_and_nothing_is_written(case: str):
    saved, message = BAD[case]
    mine, kept = state(), state()
    with pytest.raises(ValueError, match=message):
        mine.load_state_dict(saved)
    assert same(mine, kept)


@pytest.mark.parametrize("name", ["u", "previous", "generator"])
def test_what_a_state_has_no_place_for_is_refused(name: str):
    """A dict would take the place of an iterate, and a tensor that of a generator."""
    mine = state()
    setattr(mine, name, None)
    with pytest.raises(ValueError, match=f"`{name}`: this state has none, the saved one one"):
        mine.load_state_dict(state(50).state_dict())


def test_weights_are_copies_of_what_the_network_needs():
    one = state()
    two = one.weights()
    assert all(torch.equal(a, b) for a, b in zip([*one.W, *one.b], [*two.W, *two.b], strict=True))
    assert two.norm[0] is not None
    assert one.norm[0] is not None
    assert all(torch.equal(a, b) for a, b in zip(one.norm[0].tensors(), two.norm[0].tensors(), strict=True))
    assert (list(two.z), list(two.a), two.u, two.k) == ([], [], None, 0)
    for t in (*two.W, *two.b, *two.norm[0].tensors()):
        t.zero_()
    assert all(float(t.abs().sum()) > 0 for t in (*one.W, *one.b, *one.norm[0].tensors()))


def test_set_weights_writes_into_the_module_that_shares_them():
    def network(seed: int) -> nn.Sequential:
        torch.manual_seed(seed)
        conv = nn.Conv2d(2, 4, 2, groups=2)
        return nn.Sequential(conv, nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3, bias=False))

    one, two = network(0), network(1)
    nn.init.normal_(two[1].weight)  # type: ignore[arg-type]
    nn.init.normal_(two[1].running_mean)  # type: ignore[arg-type]
    state_of(one).set_weights(state_of(two))
    for key, value in one.state_dict().items():
        if key != "1.num_batches_tracked":
            assert torch.equal(value, two.state_dict()[key]), key


def test_names_are_the_papers():
    names = [name for name, _ in state().named()]
    assert names == ["W_1", "W_2", "b_1", "b_2", "Z_1", "Z_2", "A_1", "scale_1", "shift_1", "U"]


def test_in_another_dtype_the_weights_alone_are_left():
    double = state().to(torch.zeros(1, dtype=torch.float64))
    assert {t.dtype for _, t in double.named()} == {torch.float64}
    assert list(double.z) == []


# Versions


def replaced(group: Variables) -> None:
    group[1] = torch.ones(2)


def replaced_by_slice(group: Variables) -> None:
    group[:] = [torch.ones(2), torch.ones(2)]


WRITES = {
    "replaced": replaced,
    "replaced from behind": lambda g: g.__setitem__(-1, torch.ones(2)),
    "replaced by a slice": replaced_by_slice,
    "swapped": lambda g: g.__setitem__(slice(None), [g[1], g[0]]),
    "in place": lambda g: g[1].add_(1.0),
    "a slice of it": lambda g: g[1][:1].zero_(),
    "an index": lambda g: g[1].__setitem__(0, 5.0),
    "through a view": lambda g: g[1].view(2, 1).copy_(torch.ones(2, 1)),
    "through a detached one": lambda g: g[1].detach().mul_(2.0),
    "as an output": lambda g: torch.add(torch.ones(2), 1.0, out=g[1]),
    "by an optimiser": lambda g: stepped(g[1]),
}


def stepped(t: Tensor) -> None:
    t.grad = torch.ones_like(t)
    torch.optim.Adam([t]).step()


@pytest.mark.parametrize("write", WRITES)
def test_every_write_is_another_version(write: str):
    group = Variables([torch.zeros(2), torch.zeros(2)])
    before = group.version(0), group.version(1)
    assert group.version(1) == before[1]
    WRITES[write](group)
    assert group.version(1) != before[1]
    assert (group.version(0) == before[0]) == (write not in ("replaced by a slice", "swapped"))


def test_a_write_in_inference_mode_is_another_version():
    group = Variables([torch.zeros(2)])
    before = group.version(0)
    with torch.inference_mode():
        group[0].add_(1.0)
    assert group.version(0) != before


def test_a_tensor_that_comes_back_has_another_version():
    """Who swaps twice has the old tensors, which may have been written meanwhile."""
    group = Variables([torch.zeros(2)])
    before, old = group.version(0), group[0]
    group[0] = torch.ones(2)
    group[0] = old
    assert group.version(0) != before


def test_copies_and_new_lists_have_versions_of_their_own():
    group = Variables([torch.zeros(2)])
    others = [copy.deepcopy(group), Variables(group), Variables([torch.zeros(2)])]
    assert len({g.version(0) for g in (group, *others)}) == 4


def versions(of: State[Any]) -> list[tuple[int, int]]:
    groups = [group for group in (of.a, of.W, of.z) if isinstance(group, Variables)]
    return [group.version(i) for group, i in zip(groups, (0, 0, 1), strict=True)]


def test_a_loaded_state_has_other_versions():
    one = state()
    before = versions(one)
    one.load_state_dict(copy.deepcopy(one.state_dict()))
    assert all(a != b for a, b in zip(before, versions(one), strict=True))
