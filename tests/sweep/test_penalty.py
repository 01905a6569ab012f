"""The objective of every method of the penalty family, by its docstring, term by term."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from altmin import BCD, DLADMM, DLAM, IPDLAM, MDLAM, Batch, Method, Sweep, TaylorADMM
from altmin.sweep import Penalty, penalty_terms
from altmin.sweep.penalty import network_terms, row_squares
from methods.table import Loop, seeded, takes
from sweep.case import NETS, Weighted, sweep_of

pytestmark = pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")

# The method, and half the weights of ||E_l||^2 of hidden layers, of ||E_L||^2 and of ||D_l||^2, by its docstring.
FAMILY: dict[str, tuple[Method, float, float, float]] = {
    "ipdlam": (IPDLAM(rho=0.6), 0.3, 0.3, 0.3),
    "dlam": (DLAM(rho=0.8), 0.4, 0.4, 0.4),
    "mdlam": (MDLAM(rho=0.5), 0.25, 0.25, 0.0),
    "dladmm": (DLADMM(rho=2.2, nu=0.4, schedule="constant"), 0.2, 1.1, 0.2),
    "dladmm-follow": (DLADMM(rho=2.2, nu=None, schedule="constant"), 1.1, 1.1, 1.1),
    "taylor": (TaylorADMM(beta=0.7, gamma=1.2, start="forward"), 0.7, 0.7, 1.2),
    "bcd": (BCD(gamma=0.9), 0.45, 0.45, 0.45),
}


def begin(name: str, net: str, loss: str, regularizer: str | None) -> Loop:
    """Variables and a dual variable that no forward pass would give."""
    model = seeded(lambda: NETS[net](nn.Tanh))
    loop = Loop.of(FAMILY[name][0], model, loss, n=25, regularizer=regularizer)
    g = torch.Generator().manual_seed(2)
    state = loop.state
    for t in (*state.z, *state.a, *([] if state.u is None else [state.u])):
        t.add_(torch.randn(t.shape, generator=g, dtype=t.dtype), alpha=0.5)
    return loop


def residuals(loop: Loop) -> tuple[list[Tensor], list[Tensor]]:
    """``E_l`` and ``D_l`` of every layer, the latter of the output variable too."""
    state, inputs = loop.state, [loop.batch.x, *loop.state.a]
    E, D = [], []
    for i, layer in enumerate(loop.problem.layers):
        predicted = layer.map(state.W[i], state.b[i], inputs[i])
        if layer.skip is not None:
            predicted = predicted + (
                state.z[layer.skip.layer] if layer.skip.kind == "z" else inputs[layer.skip.layer + 1]
            )
        E.append(state.z[i] - predicted)
        if i < len(state.a):
            D.append(state.a[i] - layer.activation(state.z[i]))
    return E, D


def cases() -> list[tuple[str, str]]:
    return [
        (name, net) for name in FAMILY for net in NETS if takes(FAMILY[name][0], seeded(lambda n=net: NETS[n](nn.Tanh)))
    ]


@pytest.mark.thinned(2)
@pytest.mark.parametrize(("name", "net"), cases())
@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
@pytest.mark.parametrize("regularizer", [None, "l2:0.4"])
@pytest.mark.parametrize("size", [2**18, 64 * 4])
def test_terms_are_the_docstrings(
    name: str, net: str, loss: str, regularizer: str | None, size: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("altmin.core.forward.STRETCH", size)
    loop = begin(name, net, loss, regularizer)
    _, hidden, last, d = FAMILY[name]
    state, (E, D) = loop.state, residuals(loop)
    outputs = state.a[-1] if isinstance(loop.method, BCD) else state.z[-1]
    expected = {
        "loss": loop.problem.loss(outputs, loop.batch.y),
        "regularizer": 0.2 * sum(float(W.square().sum()) for W in state.W) * (regularizer is not None),
        "linear": hidden * sum(e.square().sum() for e in E[:-1]) + last * E[-1].square().sum(),
    }
    if d:
        expected["activation"] = d * sum(t.square().sum() for t in D)
    if state.u is not None:
        expected["dual"] = (state.u * (state.z[-1] if isinstance(loop.method, TaylorADMM) else E[-1])).sum()
    terms, sizes = loop.method.evaluate(loop.sweep())
    assert set(terms) == set(expected)
    for key, value in expected.items():
        assert float(terms[key]) == pytest.approx(float(value), rel=1e-11, abs=1e-13), key
    assert loop.objective() == pytest.approx(sum(map(float, expected.values())), rel=1e-11)
    norms = {f"E_{i + 1}": float(e.norm()) for i, e in enumerate(E)}
    norms |= {f"D_{i + 1}": float(t.norm()) for i, t in enumerate(D)}
    assert {k: float(v) for k, v in sizes.items()} == pytest.approx(norms, rel=1e-11)


@pytest.mark.parametrize("rows", [slice(3, 14), torch.tensor([4, 1, 20, 9])])
@pytest.mark.parametrize("net", NETS)
def test_terms_of_some_samples_are_those_of_a_state_of_theirs(net: str, rows: Any):
    """And the sum over parts is the whole."""
    part = sweep_of(net, dual=True, rows=rows)
    state = part.whole.clone()
    for group in (state.z, state.a):
        group[:] = [t[rows] for t in group]
    assert state.u is not None
    state.u = state.u[rows]
    alone = Sweep(part.method, part.problem, state, Batch(part.batch.x, part.batch.y))
    for one, two in zip(penalty_terms(part), penalty_terms(alone), strict=True):
        assert {k: float(v) for k, v in one.items()} == pytest.approx({k: float(v) for k, v in two.items()}, rel=1e-11)
    whole = sweep_of(net, dual=True)
    parts = [sweep_of(net, dual=True, rows=r) for r in (slice(0, 11), slice(11, 30))]
    for key, value in penalty_terms(whole)[0].items():
        if key != "regularizer":
            total = sum(float(penalty_terms(p)[0][key]) for p in parts)
            assert float(value) == pytest.approx(total, rel=1e-11), key


def test_weights_of_hidden_layers_and_of_the_last_one():
    assert Penalty(0.5).of(last=True) == Penalty(0.5).of(last=False) == 0.5
    assert Penalty(0.5, last=2.0).of(last=True) == 2.0
    assert Penalty(0.5, last=2.0).of(last=False) == 0.5
    assert Penalty(0.5, last=0.0).of(last=True) == 0.0


def test_without_hidden_layers_there_is_no_activation_term():
    """Or rather a term that is zero, for tables whose columns do not depend on the network."""
    loop = Loop.on_digits(IPDLAM(), hidden=(), n=20)
    loop.state.z[0].add_(1.0)
    terms, norms = loop.method.evaluate(loop.sweep())
    assert float(terms["activation"]) == 0.0
    assert set(norms) == {"E_1"}
    assert float(terms["linear"]) == pytest.approx(0.5 * 200)


def test_networks_own_objective_is_that_of_its_forward_pass():
    sweep = sweep_of("inner", regularizer="l2:0.6")
    x, state = sweep.batch.x, sweep.state
    torch.manual_seed(0)
    z1 = x @ state.W[0].T + state.b[0]
    z2 = torch.tanh(z1) @ state.W[1].T + state.b[1] + z1
    a2 = torch.tanh(z2)
    z3 = a2 @ state.W[2].T + state.b[2]
    a4 = torch.tanh(torch.tanh(z3) @ state.W[3].T + state.b[3] + a2)
    out = a4 @ state.W[4].T + state.b[4]
    terms = network_terms(sweep)
    loss = -(torch.log_softmax(out, 1) * sweep.batch.y).sum()
    assert float(terms["loss"]) == pytest.approx(float(loss), rel=1e-11)
    assert float(terms["regularizer"]) == pytest.approx(0.3 * sum(float(W.square().sum()) for W in state.W), rel=1e-11)


def test_squares_of_rows():
    t = [torch.arange(12.0).view(2, 2, 3), torch.ones(2, 5)]
    assert row_squares(t).tolist() == pytest.approx(
        [float(sum(i * i for i in range(6)) + 5), float(sum(i * i for i in range(6, 12)) + 5)]
    )


def test_a_method_outside_the_family_says_so():
    with pytest.raises(NotImplementedError, match="Method has no `penalty`"):
        Method().penalty(sweep_of("chain", Weighted()))
