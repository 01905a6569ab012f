"""Modes of PyTorch that are set around training change nothing in it, for any method, and are left as they were."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import altmin
from altmin.methods.registry import METHODS
from altmin.train.modes import own_modes
from methods.table import ROWS, digits

pytestmark = pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")
EVERY = ROWS | METHODS
N = 30


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


MODES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "inference mode": torch.inference_mode,
    "no gradients": lambda: torch.set_grad_enabled(False),
    "default dtype": lambda: default_dtype(torch.float64),
    "default device": lambda: torch.device("meta"),
}


@contextmanager
def every_mode() -> Iterator[None]:
    with ExitStack() as stack:
        for mode in MODES.values():
            stack.enter_context(mode())
        yield


def network(name: str, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    s = ROWS[name].s if name in ROWS else nn.ReLU
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        return nn.Sequential(nn.Linear(64, 8), s(), nn.Linear(8, 6), s(), nn.Linear(6, 10)).to(dtype)


def trained(name: str, mode: Callable[[], AbstractContextManager[Any]] = nullcontext) -> list[Tensor]:
    """Weights and figures after an epoch; everything but the call of `fit` stands outside the mode."""
    model, data, method = network(name), digits(N, torch.float32), EVERY[name].method
    generator = torch.Generator().manual_seed(0)
    options: Any = {"batch_size": 10} if method.batched else {}
    with mode():
        history = altmin.fit(model, method, data, epochs=1, validation=data, generator=generator, **options)
    figures = [history["objective"], history["train_loss"], history["validation_loss"]]
    return [*(p.detach() for p in model.parameters()), torch.tensor(figures, dtype=torch.float64)]


@pytest.mark.usefixtures("short_refits")
@pytest.mark.parametrize("name", EVERY)
def test_modes_around_fit_change_no_bit(name: str):
    for p, expected in zip(trained(name, every_mode), trained(name), strict=True):
        assert torch.equal(p, expected)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["am-adam", "bcd", "dladmm", "adam"])
def test_each_mode_alone_changes_no_bit(name: str, mode: str):
    for p, expected in zip(trained(name, MODES[mode]), trained(name), strict=True):
        assert torch.equal(p, expected)


@pytest.mark.parametrize("mode", MODES)
def test_modes_around_a_trainer_and_a_stream_change_no_bit(mode: str):
    x, y = digits(N, torch.float32)

    def steps(context: AbstractContextManager[Any]) -> list[Tensor]:
        one, other = network("am-adam"), network("am-adam")
        with context:
            trainer = altmin.Trainer(one, altmin.OnlineAM(), generator=torch.Generator().manual_seed(0))
            trainer.step(x, y)
            saved = copy.deepcopy(trainer.state_dict())
            trainer.epoch(x, y, 10)
            figures = [trainer.objective(), *trainer.residuals().values()]
            trainer.load_state_dict(saved)
            trainer.step(x, y)
            altmin.fit_stream(other, altmin.OnlineAM(), [(x[:15], y[:15])] * 3, steps=3)
        weights = (p.detach() for model in (one, other) for p in model.parameters())
        return [*weights, torch.tensor(figures, dtype=torch.float64)]

    torch.manual_seed(0)
    expected = steps(nullcontext())
    torch.manual_seed(0)
    for p, q in zip(steps(MODES[mode]()), expected, strict=True):
        assert torch.equal(p, q)


@pytest.mark.filterwarnings("ignore::altmin.ScaleWarning")
def test_python_numbers_of_a_data_set_take_the_dtype_of_the_model():
    x, y = digits(N, torch.float32)
    pairs: Any = [(x[i], float(y[i])) for i in range(N)]

    class Pairs(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return N

        def __getitem__(self, i: int) -> Any:
            return pairs[i]

    model = nn.Sequential(nn.Linear(64, 1))
    with default_dtype(torch.float64):
        altmin.fit(model, altmin.BCD(), Pairs(), loss="squared", epochs=1)


def test_callbacks_run_in_the_modes_of_training_and_what_is_around_it_holds_afterwards():
    x, y = digits(N, torch.float32)
    seen: list[tuple[torch.dtype, bool, bool]] = []

    def callback(history: altmin.History, state: altmin.State[Any]) -> None:
        seen.append(((x @ x.T).dtype, torch.is_inference_mode_enabled(), torch.is_grad_enabled()))

    with torch.autocast("cpu", dtype=torch.bfloat16):
        altmin.fit(network("bcd"), altmin.BCD(), (x, y), epochs=1, callbacks=[callback])
        assert (x @ x.T).dtype == torch.bfloat16
    assert seen == [(torch.float32, False, False)]


def test_autocast_forgets_the_weights_from_before():
    """It keeps rounded copies of weights, which are old once they were trained."""
    x, y = digits(N, torch.float32)
    model = network("am-adam")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model(x)
        altmin.fit(model, altmin.OnlineAM(), (x, y), epochs=5)
        now = model(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(model(x), now)


def test_without_modes_around_it_a_step_enters_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: pytest.fail("autocast was entered"))
    with own_modes(torch.device("cpu")):
        assert not torch.is_grad_enabled()
