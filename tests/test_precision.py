"""What is computed in which precision: conversion at the door, rounded products, and what stays in float32."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest
import torch
from torch import Tensor, nn

import altmin
from altmin import BCD, IPDLAM, Batch, DivergenceError, PrecisionWarning, TaylorADMM, precision
from altmin.maps import Linear
from altmin.precision import Precision, RoundedProducts, computing, cpu_rounds, exact, or_exact, rounded
from altmin.solvers import weight_least_squares as ridge
from altmin.train.options import FIGURES
from methods.table import digits, network

FLOAT, DOUBLE = torch.float32, torch.float64


def emulated(a: Tensor, b: Tensor) -> Tensor:
    """What a product in bfloat16 with float32 accumulation is: those of two such numbers are exact in float32."""
    assert a.dtype == b.dtype == torch.bfloat16
    return a.float() @ b.float()


@pytest.fixture
def bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products in bfloat16 on any hardware, their rounding emulated."""

    def computing(name: Precision | None, device: torch.device, largest: int) -> AbstractContextManager[None]:
        return rounded(RoundedProducts(emulated)) if name == "bf16" else nullcontext()

    monkeypatch.setattr("altmin.train.driver.computing", computing)


def randn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


a, b, c, stack = randn(5, 40), randn(40, 3), randn(5, 3), randn(2, 40, 3)
PRODUCTS: dict[str, Callable[[], Tensor]] = {
    "mm": lambda: a @ b,
    "transposed": lambda: b.T @ a.T,
    "bmm": lambda: torch.bmm(torch.stack([a, a]), stack),
    "matmul of stacks": lambda: a @ stack,
    "addmm": lambda: torch.addmm(c, a, b, beta=0.5, alpha=-2.0),
    "addmm with a row": lambda: c[0].addmm(a, b),
    "addmm in place": lambda: c.clone().addmm_(a, b, alpha=3.0),
    "mm into": lambda: torch.mm(a, b, out=torch.empty(5, 3)),
    "baddbmm": lambda: torch.baddbmm(stack.new_ones(2, 5, 3), torch.stack([a, a]), stack, beta=2.0),
    "linear": lambda: nn.functional.linear(a, b.T, c[0]),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_operands_of_products_are_rounded_and_results_are_not(name: str, monkeypatch: pytest.MonkeyPatch):
    whole = PRODUCTS[name]()
    with rounded(RoundedProducts(emulated)):
        found = PRODUCTS[name]()
        with exact():
            assert torch.equal(PRODUCTS[name](), whole)
    for operand in ("a", "b", "stack"):
        monkeypatch.setitem(globals(), operand, globals()[operand].bfloat16().float())
    torch.testing.assert_close(found, PRODUCTS[name](), rtol=1e-6, atol=1e-6)
    assert found.dtype == FLOAT
    assert not torch.equal(found, whole)


def test_all_else_is_as_it_was():
    square = a @ a.T + torch.eye(5)
    with rounded(RoundedProducts(emulated)):
        assert torch.equal(torch.linalg.cholesky(square), torch.linalg.cholesky(square.clone()))
        assert torch.equal(a + 1 - 1, (a + 1) - 1)
        torch.testing.assert_close(a.double() @ b.double(), torch.einsum("ij,jk->ik", a.double(), b.double()))


def test_settings_are_restored_even_on_errors():
    before = torch.get_float32_matmul_precision()

    def seen() -> list[str]:
        outer = torch.get_float32_matmul_precision()
        with exact():
            inner = torch.get_float32_matmul_precision()
        return [outer, inner, torch.get_float32_matmul_precision()]

    with pytest.raises(KeyError, match=str(["medium", "highest", "medium"])[1:-1]), rounded():
        raise KeyError(seen())
    assert torch.get_float32_matmul_precision() == before


def test_exact_leaves_a_users_own_setting_alone():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    with exact():
        assert torch.get_float32_matmul_precision() == "high"
    torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("capable", [False, True])
def test_hardware_without_such_products_is_reported(capable: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(precision, "cpu_rounds", lambda: capable)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with computing("bf16", torch.device("cpu")):
            assert (torch.get_float32_matmul_precision() == "medium") == capable
    assert [w.category for w in caught] == ([] if capable else [PrecisionWarning])


def test_the_probe_tells_what_this_processor_does():
    with rounded():
        off = (randn(300, 300) @ randn(300, 300) - randn(300, 300).double() @ randn(300, 300).double()).abs().max()
    assert (off > 1e-2) == cpu_rounds()


def test_pytorch_has_the_products_that_cuda_needs():
    """The default `product`, whose kernels are CUDA's alone: their signatures, from PyTorch 2.8 on."""
    version = tuple(map(int, torch.__version__.split(".")[:2]))
    for packet in (torch.ops.aten.mm, torch.ops.aten.bmm):
        assert ("dtype" in packet.overloads()) == (version >= (2, 8))
        assert version < (2, 8) or "ScalarType out_dtype" in str(packet.dtype._schema)


@pytest.mark.parametrize(("name", "dtype"), [("float32", FLOAT), ("float64", DOUBLE)])
@pytest.mark.parametrize("given", [FLOAT, DOUBLE])
def test_model_and_data_are_converted_at_the_door(name: Precision, dtype: torch.dtype, given: torch.dtype):
    model = network(8, dtype=FLOAT)
    x, y = digits(60, dtype=given)
    seen: list[altmin.State] = []
    method, callbacks = IPDLAM(), [lambda history, state: seen.append(state)]
    altmin.fit(model, method, (x, y), validation=(x, y), epochs=1, callbacks=callbacks, precision=name)
    assert {p.dtype for p in model.parameters()} == {t.dtype for _, t in seen[0].named()} == {dtype}


def test_real_targets_and_arrays_are_converted_too():
    model, (x, y) = network(8, dtype=FLOAT), digits(60, dtype=FLOAT)
    targets = nn.functional.one_hot(y, 10).float()
    altmin.fit(model, BCD(), (x.numpy(), targets.numpy()), loss="squared", epochs=1, precision="float64")
    assert model[0].weight.dtype == DOUBLE


def test_a_stream_is_converted_batch_by_batch():
    model, (x, y) = network(8, dtype=FLOAT), digits(60)
    batches = [(x[:30], y[:30]), (x[30:].float(), y[30:])]
    history = altmin.fit_stream(model, altmin.OnlineAM(), batches, steps=2, precision="float64")
    assert model[0].weight.dtype == DOUBLE
    assert len(history) == 1


def test_without_a_precision_the_model_says_the_dtype():
    model = network(8, dtype=FLOAT)
    with pytest.warns(altmin.ConversionWarning, match="x of torch.float64 is converted to torch.float32"):
        altmin.fit(model, IPDLAM(), digits(60), epochs=1)
    assert {p.dtype for p in model.parameters()} == {FLOAT}


def test_unknown_precisions_are_named():
    with pytest.raises(ValueError, match="`precision` must be one of float32, float64, bf16 or None, got 'half'"):
        altmin.fit(network(8), IPDLAM(), digits(60), epochs=1, precision="half")  # type: ignore[arg-type]


# Products of rounded numbers move a run: how far, in the objective's share, is what these rows hold. With larger steps,
# as AM-Adam's own defaults, two runs part by chance.
PAPERS = altmin.OnlineAM(
    altmin.Adam(0.002), altmin.Adam(0.002), altmin.Codes(steps=5), regressors="codes", decay="none"
)
METHODS = {
    "ipdlam": (IPDLAM(), 12, None),
    "ipdlam in batches": (IPDLAM(), 10, 100),
    "bcd": (BCD(), 12, None),
    "taylor": (TaylorADMM(beta=0.1, gamma=10.0, start="forward", ridge=0.1), 10, None),
    "am-adam": (PAPERS, 10, 100),
}


@pytest.mark.usefixtures("bf16")
@pytest.mark.parametrize("name", METHODS)
def test_bf16_is_close_to_float32(name: str):
    """Objective within a twentieth, accuracy within a point; figures are taken with products in float32."""
    method, epochs, size = METHODS[name]

    def run(numbers: Precision) -> tuple[altmin.History, nn.Sequential]:
        model, data, g = network(40, 30, dtype=FLOAT), digits(500, dtype=FLOAT), torch.Generator().manual_seed(0)
        options = {"epochs": epochs, "batch_size": size, "generator": g, "precision": numbers, "record": FIGURES}
        return altmin.fit(model, method, data, loss="squared", **options), model  # type: ignore[arg-type]

    (one, _), (two, model) = run("float32"), run("bf16")
    assert one["objective"] != two["objective"]
    assert two["objective"][-1] == pytest.approx(one["objective"][-1], rel=0.05)
    assert two["train_accuracy"][-1] == pytest.approx(one["train_accuracy"][-1], abs=0.01)
    x, y = digits(500, dtype=FLOAT)
    fit = 0.5 * (model(x).detach() - nn.functional.one_hot(y, 10)).square().sum(1).mean()
    assert two["train_loss"][-1] == pytest.approx(float(fit), rel=1e-5)


@pytest.mark.usefixtures("bf16")
def test_a_stream_takes_bf16():
    (x, y), losses = digits(60, dtype=FLOAT), []
    for numbers in (None, "bf16"):
        history = altmin.fit_stream(
            network(8, dtype=FLOAT), altmin.OnlineAM(), [(x, y)] * 4, steps=4, precision=numbers
        )
        losses.append(history["train_loss"][-1])
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.01)


CASES = {"statistics": (30, 6), "more inputs than samples": (6, 30)}


@pytest.mark.parametrize("name", CASES)
def test_a_factorisation_that_fails_is_done_again_in_float32(name: str, monkeypatch: pytest.MonkeyPatch):
    """A Cholesky decomposition that takes nothing but what float32 products make."""
    (n, p), whole = CASES[name], ridge.cholesky
    x, z, W0 = randn(n, p), randn(n, 4), torch.zeros(4, p)
    small = x.T @ x if p < n else x @ x.T

    def picky(matrix: Tensor, block: str) -> Tensor:
        if (matrix - small - torch.eye(len(small))).abs().max() > 1e-4:
            raise DivergenceError(block, "not what float32 makes", "float32")
        return whole(matrix, block)

    def fit(known: Tensor | None = None) -> Tensor:
        return ridge.fit_weights(Linear(p, 4), x, z, torch.zeros(4), W0, 1.0, 1.0, Batch(x, z), known)[0]

    expected = fit()
    monkeypatch.setattr(ridge, "cholesky", picky)
    with rounded(RoundedProducts(emulated)):
        for known in (None, x.T @ x)[: 1 + (p < n)]:
            with pytest.warns(PrecisionWarning, match="block W: not what float32 makes"):
                torch.testing.assert_close(fit(known), expected)


def test_without_bf16_nothing_is_done_twice():
    def fails() -> Tensor:
        raise DivergenceError("W_1", "nan", "less")

    with pytest.raises(DivergenceError):
        or_exact(fails, lambda: pytest.fail("done again"))
