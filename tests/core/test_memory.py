"""What a method remembers: copied, packed to what can be saved, and written back in place."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from altmin.core.memory import Memory, packed


@dataclass(eq=False)
class Inner(Memory):
    t: Tensor
    count: int = 0


@dataclass(eq=False)
class Outer(Memory):
    tensors: list[Tensor]
    inner: Inner
    by_name: dict[str, Tensor]
    layers: list[Inner | None]
    pair: tuple[Tensor, float]
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    rate: float = 0.5
    flag: bool = False
    kind: str = "plain"
    later: Tensor | None = None
    extras: list[Any] = field(default_factory=list)


def made(seed: int) -> Outer:
    """Every kind of field, all of it drawn; the optimiser moves the first tensor."""
    g = torch.Generator().manual_seed(seed)
    t = [torch.randn(2, 3, generator=g) for _ in range(7)]
    optimizer = torch.optim.Adam([t[0]], lr=0.1 * (seed + 1))
    t[0].grad = torch.ones(2, 3)
    for _ in range(seed + 1):
        optimizer.step()
    inner = Inner(t[1], seed)
    return Outer(
        [t[0], t[2]], inner, {"x": t[3], "y": t[4]}, [Inner(t[5], 3), None], (t[6], float(seed)), optimizer, g, seed
    )


def assert_same(one: Any, two: Any) -> None:
    assert type(one) is type(two)
    if isinstance(one, dict):
        assert one.keys() == two.keys()
        for key in one:
            assert_same(one[key], two[key])
    elif isinstance(one, list):
        assert len(one) == len(two)
        for a, b in zip(one, two, strict=True):
            assert_same(a, b)
    elif isinstance(one, Tensor):
        assert one.dtype == two.dtype
        assert torch.equal(one, two)
    else:
        assert one == two


def test_every_kind_of_field_is_saved_and_restored(tmp_path: Path):
    """By way of a file that PyTorch loads without running code."""
    one, two = made(1), made(4)
    torch.save(one.state_dict(), tmp_path / "memory.pt")
    two.load_state_dict(torch.load(tmp_path / "memory.pt", weights_only=True))
    assert_same(two.state_dict(), one.state_dict())
    assert isinstance(two.inner, Inner)
    assert isinstance(two.layers[0], Inner)
    assert two.layers[1] is None
    assert isinstance(two.pair, tuple)
    assert isinstance(two.optimizer, torch.optim.Adam)
    assert torch.equal(torch.rand(3, generator=one.generator), torch.rand(3, generator=two.generator))


def test_tensors_are_written_where_they_are():
    one, two = made(1), made(4)
    tensors = [*two.tensors, two.inner.t, *two.by_name.values(), two.layers[0].t, two.pair[0]]  # type: ignore[union-attr]
    lists = two.tensors, two.layers
    two.load_state_dict(one.state_dict())
    now = [*two.tensors, two.inner.t, *two.by_name.values(), two.layers[0].t, two.pair[0]]  # type: ignore[union-attr]
    assert all(a is b for a, b in zip(tensors, now, strict=True))
    assert lists[0] is two.tensors
    assert lists[1] is two.layers
    assert two.optimizer.param_groups[0]["params"][0] is two.tensors[0]


def test_what_was_loaded_shares_nothing_with_what_was_saved():
    one, two = made(1), made(4)
    two.later, one.later = None, torch.ones(3)
    saved = one.state_dict()
    two.load_state_dict(saved)
    assert two.later is not None
    two.later.zero_()
    two.inner.t.zero_()
    two.optimizer.step()
    assert torch.equal(one.later, torch.ones(3))
    assert one.inner.t.abs().sum() > 0
    assert float(saved["optimizer"]["state"][0]["step"]) == 2
    assert float(two.optimizer.state_dict()["state"][0]["step"]) == 2 if two.tensors[0].grad is None else 3


def test_a_tensor_of_another_shape_takes_the_place_of_the_old_one():
    memory, saved = Inner(torch.zeros(2)), Inner(torch.ones(3)).state_dict()
    memory.load_state_dict(saved)
    assert torch.equal(memory.t, torch.ones(3))
    memory.t.zero_()
    assert torch.equal(saved["t"], torch.ones(3))


def test_a_list_may_grow():
    one, two = made(1), made(4)
    one.extras = [torch.ones(2), 3]
    two.load_state_dict(one.state_dict())
    assert_same(two.extras, one.extras)


def test_tensors_are_not_copied_to_be_saved_but_leave_their_graph():
    t = torch.ones(2, requires_grad=True)
    saved = Inner(t).state_dict()
    assert saved["t"].data_ptr() == t.data_ptr()
    assert not saved["t"].requires_grad


def test_a_clone_shares_no_tensor_and_keeps_what_is_shared_inside():
    one = made(1)
    two = one.clone()
    assert_same(two.state_dict(), one.state_dict())
    assert two.optimizer.param_groups[0]["params"][0] is two.tensors[0]
    before = one.tensors[0].clone()
    two.tensors[0].grad = torch.ones(2, 3)
    two.optimizer.step()
    torch.rand(5, generator=two.generator)
    assert torch.equal(one.tensors[0], before)
    assert not torch.equal(two.tensors[0], before)
    assert not torch.equal(one.generator.get_state(), two.generator.get_state())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("rate"), r"Outer: expected the fields \[.*'rate'.*\], got \["),
        (lambda d: d.update(more=1), r"Outer: expected the fields \[.*\], got \[.*'more'.*\]"),
        (lambda d: d["inner"].pop("count"), r"`inner`: expected the fields \['count', 't'\], got \['t'\]"),
        (lambda d: d.update(inner=3), r"`inner`: expected the fields \['count', 't'\], got int"),
        (
            lambda d: d["inner"].update(t=torch.ones(2, 3).double()),
            r"`inner.t` has dtype torch.float32, .* torch.float64",
        ),
        (lambda d: d["layers"][0].pop("t"), r"`layers.0`: expected the fields"),
    ],
)
def test_what_does_not_fit_is_named(change: Any, message: str):
    saved = made(1).state_dict()
    change(saved)
    with pytest.raises(ValueError, match=message):
        made(4).load_state_dict(saved)


@pytest.mark.parametrize("value", [lambda: 1, torch.relu, object(), {1, 2}, torch.nn.Linear(1, 1), torch.float32])
def test_functions_and_objects_cannot_be_saved(value: Any):
    memory = made(1)
    memory.extras = [1, {"deep": [value]}]
    with pytest.raises(TypeError, match=r"`extras.1.deep.0`: a \w+ cannot be saved"):
        memory.state_dict()


def test_numbers_keep_their_types():
    assert [type(v) for v in packed([True, 1, 1.5, "a", None])] == [bool, int, float, str, type(None)]
