"""One signature for every prox, ``prox(v, r, target, start)``: each class against a numerical minimiser."""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import Tensor, nn

from altmin.activations import DropoutBefore, Estimated, Identity, ReLU, Sign
from altmin.losses import LOSSES, CrossEntropy
from altmin.registration import conversion_of, modules_of
from altmin.regularizers import L1, L2, REGULARIZERS, Binary, Box, GroupSparsity, Nonnegative, NoRegularizer

LABELS = torch.tensor([0, 2, 1, 1])


class Case(NamedTuple):
    """A function to which a prox belongs, with its targets, and how it acts on one row."""

    f: Any
    kind: str

    def target(self, v: Tensor) -> Tensor | None:
        if self.kind in ("regulariser", "set"):
            return None
        return self.f.encode(LABELS, 3, v.dtype) if self.kind == "loss" else torch.sin(3 * v.flip(0)) + 0.2

    def value(self, x: Tensor, target: Tensor | None) -> Tensor:
        """``f(x; target)`` of one row, a scalar."""
        if self.kind == "activation":
            return 0.5 * (self.f(x) - target).square().sum()
        return self.f(x) if target is None else self.f(x, target)


def activations() -> dict[str, Any]:
    """Of every registered module, and those that stand for none."""
    found = {}
    for module in modules_of("activation"):
        if module.__module__.startswith(("torch", "altmin")):
            conversion = conversion_of(module)
            assert conversion is not None
            found[module.__name__] = conversion.of(module())
    mask = torch.tensor([0.0, 2.0, 2.0], dtype=torch.float64)
    return found | {
        "identity": Identity(),
        "estimated": Estimated(Sign(), 1.0),
        "dropout": DropoutBefore(0.5, ReLU(), mask),
        "dropout that is not drawn": DropoutBefore(0.5, nn_tanh()),
    }


def nn_tanh() -> Any:
    conversion = conversion_of(nn.Tanh)
    assert conversion is not None
    return conversion.of(nn.Tanh())


OWN = {name: kind for name, kind in LOSSES.items() if kind.__module__.startswith("altmin")}
CASES = {
    **{f"activation {name}": Case(s, "activation") for name, s in activations().items()},
    **{f"loss {name}": Case(kind(), "loss") for name, kind in OWN.items()},
    "loss fista": Case(CrossEntropy("fista"), "loss"),
    **{f"regulariser {omega!r}": Case(omega, "regulariser") for omega in (NoRegularizer(), L1(0.3), L2(0.7))},
    **{f"set {omega!r}": Case(omega, "set") for omega in (Nonnegative(), Box(-0.5, 1.0), Binary(0.5))},
    "set GroupSparsity": Case(GroupSparsity(0.3), "set"),
}


def by_search(case: Case, v: Tensor, r: float, target: Tensor | None) -> float:
    """The least value of one row's objective: on refined grids where it is separable, else by a simplex search."""

    def of(x: Tensor) -> Tensor:
        return case.value(x[None], target) + 0.5 * r * (x - v[0]).square().sum()

    if isinstance(case.f, CrossEntropy):  # convex: where the search starts does not matter
        options = {"xatol": 1e-10, "fatol": 1e-14, "maxiter": 4000}
        start = (v + 1.0)[0].numpy()
        return minimize(lambda x: float(of(torch.from_numpy(x))), start, method="Nelder-Mead", options=options).fun
    x = v[0].clone()
    for j in range(len(x)):
        around = torch.tensor([v[0, j].item(), 0.0, 1e-300], dtype=x.dtype)
        points, width = torch.cat([torch.linspace(-12, 12, 961, dtype=x.dtype), around]), 0.025
        for _ in range(6):
            candidates = x.repeat(len(points), 1)
            candidates[:, j] = points
            x[j] = points[torch.vmap(of)(candidates).argmin()]
            steps = torch.linspace(-width, width, 41, dtype=x.dtype)
            points = torch.cat([x[j : j + 1], x[j] + steps])
            width /= 20
    return float(of(x))


@pytest.mark.slow
@pytest.mark.parametrize("r", [0.3, 2.0])
@pytest.mark.parametrize("name", CASES)
def test_prox_is_the_argmin_of_the_function_and_the_proximal_term(name: str, r: float):
    case = CASES[name]
    v = 2 * torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    target = case.target(v)
    x = case.f.prox(v, r, target)
    assert x.shape == v.shape
    for i in range(len(v)):
        row = slice(i, i + 1)
        y = None if target is None else target[row]
        value = float(case.value(x[row], y) + 0.5 * r * (x[row] - v[row]).square().sum())
        assert value <= by_search(case, v[row], r, y) + 1e-9


@pytest.mark.parametrize("name", CASES)
def test_every_prox_has_the_same_arguments(name: str):
    assert list(inspect.signature(CASES[name].f.prox).parameters) == ["v", "r", "target", "start"]


@pytest.mark.parametrize("name", CASES)
def test_a_start_does_not_change_the_minimiser(name: str):
    case = CASES[name]
    v = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    target = case.target(v)
    there, here = case.f.prox(v, 1.0, target, start=v + 1.0), case.f.prox(v, 1.0, target)
    torch.testing.assert_close(there, here, rtol=1e-6, atol=1e-6)


CONVEX = [name for name, case in CASES.items() if case.kind not in ("activation", "set")]


@pytest.mark.parametrize("name", CONVEX)
@settings(deadline=None, database=None, max_examples=30)
@given(numbers=st.lists(st.floats(-20, 20), min_size=12, max_size=12), r=st.sampled_from([0.1, 1.0, 10.0]))
def test_the_moreau_envelope_has_the_gradient_that_the_prox_says(name: str, numbers: list[float], r: float):
    """``r (v - x)`` is a subgradient of `f` at ``x = prox(v)``: ``f(w) >= f(x) + <r (v - x), w - x>`` for every `w`."""
    case = CASES[name]
    v = torch.tensor(numbers, dtype=torch.float64).view(4, 3)
    target = case.target(v)
    x = case.f.prox(v, r, target)
    g = r * (v - x)
    for w in (x + 1.0, x - 1.0, torch.zeros_like(x), v, -2 * x, x + 1e-2 * torch.sin(v)):
        below = case.value(x, target) + (g * (w - x)).sum()
        assert float(case.value(w, target) - below) >= -1e-6 * (1 + abs(float(below)) + float(g.abs().sum()))


@pytest.mark.parametrize("name", CONVEX)
def test_moreaus_identity(name: str):
    """``v = prox_f(v; r) + prox_{f*}(r v; 1/r)/r``, that is, `g` below is the prox of the conjugate.

    With ``g = r (v - x)`` Fenchel and Young hold with equality: ``f(x) + f*(g) = <x, g>``, and the conjugates are
    written out here.
    """
    case = CASES[name]
    v = 2 * torch.randn(4, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    target, r = case.target(v), 0.8
    x = case.f.prox(v, r, target)
    g = r * (v - x)
    if isinstance(case.f, L1):
        assert (g.abs() <= case.f.weight + 1e-12).all()
        conjugate = torch.zeros(())
    elif isinstance(case.f, L2):
        conjugate = g.square().sum() / (2 * case.f.weight)
    elif name == "loss squared":
        assert target is not None
        conjugate = 0.5 * g.square().sum() + (g * target).sum()
    elif isinstance(case.f, CrossEntropy):
        assert target is not None
        p = g + target  # the conjugate is the negative entropy of the shifted dual variable, on the simplex
        torch.testing.assert_close(p.sum(1), torch.ones(4, dtype=torch.float64), rtol=0, atol=1e-6)
        conjugate = (p * p.log()).sum()
    elif name == "loss binary_cross_entropy":
        assert target is not None
        p = g + target  # of each output by itself, the chance of 1
        conjugate = (p * p.log() + (1 - p) * (1 - p).log()).sum()
    elif name == "loss hinge":
        assert target is not None
        conjugate = (target * g).sum()
        assert ((target * g >= -1 - 1e-12) & (target * g <= 1e-12)).all()
    else:
        assert not g.any()
        conjugate = torch.zeros(())
    torch.testing.assert_close(case.value(x, target) + conjugate, (x * g).sum(), rtol=1e-6, atol=1e-6)


def test_every_registered_class_is_here():
    kinds = {type(case.f) for case in CASES.values()}
    own = {kind for kind in REGULARIZERS.values() if kind.__module__.startswith("altmin")} | set(OWN.values())
    assert own <= kinds
