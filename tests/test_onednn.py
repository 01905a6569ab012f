"""Which library multiplies: the faster one, never at the price of digits, and only where nobody chose."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

import altmin
from altmin import onednn
from altmin.precision import computing, cpu_rounds

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
    def seconds(setting: str, a: Tensor, b: Tensor) -> float:
        return {"highest": 2.0, "medium": 1.0}[setting]

    def rounded(setting: str, product: Callable[[], Tensor]) -> Tensor:
        return product().bfloat16().float()

    monkeypatch.setattr(onednn, "_seconds", seconds)
    exactly = onednn.onednn_is_faster()
    onednn.onednn_is_faster.cache_clear()
    monkeypatch.setattr(onednn, "_under", rounded)
    assert not onednn.onednn_is_faster()
    assert exactly == (not cpu_rounds())


def test_training_has_it_in_steps_and_figures_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("altmin.precision.onednn_is_faster", lambda: True)
    seen: list[str] = []

    class Watching(altmin.OnlineAM):
        def step(self, sweep: altmin.Sweep) -> None:
            seen.append(torch.get_float32_matmul_precision())
            super().step(sweep)

    x, y = randn(20, 256), torch.arange(20) % 3
    model = nn.Sequential(nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 3))
    altmin.fit(model, Watching(), (x, y), epochs=1, batch_size=10)
    assert seen == ["medium", "medium"]
    assert torch.get_float32_matmul_precision() == "highest"
