"""Which library multiplies: the faster one, never at the price of digits, and only where nobody chose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import altmin
from altmin import onednn
from altmin.precision import RoundedProducts, computing, cpu_rounds, rounded
from test_precision import emulated

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    onednn.onednn_is_faster.cache_clear()
    yield
    onednn.onednn_is_faster.cache_clear()


def randn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("shape", [(300, 784, 100), (7, 300, 200), (2000, 33, 129), (400, 1, 400)])
def test_what_is_chosen_here_has_the_digits_of_float32(shape: tuple[int, int, int]):
    n, p, q = shape
    for a in (randn(n, p), randn(p, n).T):
        for b in (randn(p, q), randn(q, p).T):
            fine = a.double() @ b.double()
            with computing(None, CPU, onednn.LARGE):
                found = a @ b
                biased = torch.addmm(randn(q), a, b)
            assert (found - fine).norm() <= onednn.ROUNDING * fine.norm()
            assert (biased - fine - randn(q)).norm() <= onednn.ROUNDING * (fine + randn(q)).norm()


@pytest.mark.parametrize(
    ("faster", "largest", "setting"), [(True, 2**15, "medium"), (True, 2**10, "highest"), (False, 2**15, "highest")]
)
def test_it_is_used_for_large_layers_where_it_is_faster(
    faster: bool, largest: int, setting: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("altmin.precision.onednn_is_faster", lambda: faster)
    with computing(None, CPU, largest):
        assert torch.get_float32_matmul_precision() == setting
    assert torch.get_float32_matmul_precision() == "highest"


def test_a_users_own_setting_stands(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("altmin.precision.onednn_is_faster", lambda: True)
    torch.set_float32_matmul_precision("high")
    try:
        with computing(None, CPU, onednn.LARGE):
            assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_settings_by_backend_are_left_alone(monkeypatch: pytest.MonkeyPatch):
    def refuse() -> str:
        raise RuntimeError("mix of the legacy and new APIs")

    monkeypatch.setattr("altmin.precision.onednn_is_faster", lambda: True)
    with monkeypatch.context() as patched:
        patched.setattr(torch, "get_float32_matmul_precision", refuse)
        with computing(None, CPU, onednn.LARGE):
            pass


def test_a_processor_that_rounds_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(onednn, "_seconds", lambda setting, a, b: {"highest": 2.0, "medium": 1.0}[setting])
    assert onednn.onednn_is_faster() == (not cpu_rounds())
    onednn.onednn_is_faster.cache_clear()
    monkeypatch.setattr(onednn, "products", lambda setting: rounded(RoundedProducts(emulated)))
    assert not onednn.onednn_is_faster()


def test_an_equal_time_is_no_reason(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(onednn, "_keeps_digits", lambda a, b: True)
    monkeypatch.setattr(onednn, "_seconds", lambda setting, a, b: {"highest": 1.0, "medium": 0.9}[setting])
    assert not onednn.onednn_is_faster()


def test_training_has_it_in_steps_and_figures_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("altmin.precision.onednn_is_faster", lambda: True)
    seen: dict[str, list[str]] = {"step": [], "evaluate": []}

    class Watching(altmin.BCD):
        def step(self, sweep: Any) -> None:
            seen["step"].append(torch.get_float32_matmul_precision())
            super().step(sweep)

        def evaluate(self, sweep: Any) -> Any:
            seen["evaluate"].append(torch.get_float32_matmul_precision())
            return super().evaluate(sweep)

    x, y = randn(20, 256), torch.arange(20) % 3
    model = nn.Sequential(nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 3))
    altmin.fit(model, Watching(), (x, y), epochs=2)
    assert seen == {"step": ["medium"] * 2, "evaluate": ["medium"] * 2}
    assert torch.get_float32_matmul_precision() == "highest"
