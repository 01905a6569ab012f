"""What an iteration of the methods with exact blocks costs: products over the samples, and memory."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from altmin import BCD, DLAM, IPDLAM, Method, TaylorADMM
from methods.table import Loop

METHODS: dict[str, Method] = {
    "ipdlam": IPDLAM(),
    "ipdlam nested": IPDLAM(order="nested"),
    "dlam": DLAM(),
    "bcd": BCD(),
    "taylor": TaylorADMM(warmup=0),
}
methods = pytest.mark.parametrize("name", METHODS)
losses = pytest.mark.parametrize("loss", ["squared", "cross_entropy"])


def begin(name: str, widths: tuple[int, ...], n: int, loss: str = "squared") -> Loop:
    """The method after an iteration, which has made what is made once."""
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(n, widths[0], generator=g), torch.randint(widths[-1], (n,), generator=g)
    modules = [m for p, q in pairwise(widths) for m in (nn.Linear(p, q), nn.ReLU())]
    loop = Loop.on(METHODS[name], nn.Sequential(*modules[:-1]), x, y, loss, classes=widths[-1])
    loop.step()
    return loop


def flops(name: str, widths: tuple[int, ...], n: int) -> int:
    """Those of the matrix products of an iteration."""
    loop = begin(name, widths, n)
    with FlopCounterMode(display=False) as counter:
        loop.step()
    return counter.get_total_flops()


@methods
@pytest.mark.parametrize("widths", [(9, 30, 20, 10), (30, 12, 25, 3), (14, 5)])
def test_no_product_over_the_samples_is_made_twice(name: str, widths: tuple[int, ...]):
    """For each layer the prediction and ``Z^T A``; ``A^T A`` but of the data; two for ``A``, by the smaller side."""
    least = sum(2 * p * q for p, q in pairwise(widths)) + sum(p * p for p in widths[1:-1])
    least += sum(p * q + p * min(p, q) for p, q in pairwise(widths[1:]))
    assert flops(name, widths, 2000) - flops(name, widths, 1000) <= 2 * 1000 * least


class Live(TorchDispatchMode):
    """Counts the bytes of storages that operations make, for as long as these live."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.live: dict[int, weakref.finalize] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """`func`, and a look at the storages of its arguments, which may be old, and of its results."""
        out = func(*args, **(kwargs or {}))
        old, new = ({s._cdata: s for s in storages(tree)} for tree in ((args, kwargs), out))
        for key in new.keys() - old.keys() - self.live.keys():
            self.now += (size := new[key].nbytes())
            self.live[key] = weakref.finalize(new[key], self.gone, key, size)
        self.most = max(self.most, self.now)
        return out

    def gone(self, key: int, size: int) -> None:
        """A storage was freed."""
        self.now -= size
        del self.live[key]


def storages(tree: Any) -> Iterator[torch.UntypedStorage]:
    """Those of all tensors in nested tuples, lists and dicts."""
    return (t.untyped_storage() for t in tree_leaves(tree) if isinstance(t, Tensor))


def test_live_bytes_are_counted():
    with Live() as live:
        one = torch.zeros(100)
        two, view = one + 1, one[:50]
        view += 1
        del one, two
        assert (live.now, live.most) == (400, 800)
        del view
    assert (live.now, live.most) == (0, 800)


@methods
@losses
def test_an_iteration_needs_little_memory_beside_the_variables(name: str, loss: str, monkeypatch: pytest.MonkeyPatch):
    """At most 0.3 of the variables, what inertia keeps of them, and the data; stretches are short, as in long runs."""
    monkeypatch.setattr("altmin.core.forward.STRETCH", 2**11)
    loop = begin(name, (20, 60, 50, 10), 1000, loss)
    state, batch = loop.state, loop.batch
    variables = (list(state.z), list(state.a), batch.x, batch.y)
    if state.previous is not None:
        variables = (*variables, list(state.previous.z), list(state.previous.a))
    with Live() as live:
        loop.step()
        loop.method.evaluate(loop.sweep())
    assert live.most < 0.3 * sum(s.nbytes() for s in storages(variables))
