"""What the papers prove of each iteration, on digits in float64, with quantities computed anew beside the library's."""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

import altmin
from altmin import BCD, DLADMM, DLAM, IPDLAM, MDLAM, LemmaWarning, Method, TaylorADMM
from altmin.diagnostics import forces
from altmin.diagnostics.theory import THEORIES, Theory, theory_of
from altmin.sweep import LayerView, Sweep
from altmin.train.history import History
from methods.table import digits, network

BAND = MDLAM(rho=0.01, eps=0.05, eps_rule="fixed", accelerated=False)
CONVERGING = DLADMM(rho=2.5, nu=1.0, schedule="constant")  # softmax cross-entropy: 2H = 1
QUIET = pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")
SMOOTH = [nn.ReLU, nn.Tanh, nn.LeakyReLU, nn.Softplus]


def trained(method: Method, loss: str = "cross_entropy", s: Any = nn.ReLU, epochs: int = 25, **more: Any) -> History:
    """A history with the diagnosis on; a lemma that fails is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", LemmaWarning)
        return altmin.fit(network(20, 15, s=s), method, digits(200), loss=loss, epochs=epochs, diagnose=True, **more)


def held(history: History, name: str) -> list[bool | None]:
    key = next(key for key in history.records[-1]["holds"] if name in key)
    return [record["holds"][key] for record in history.records]


@pytest.mark.parametrize("s", SMOOTH)
def test_mdlam_descends_as_lemma_1_says_and_lemma_3_bounds_its_subgradients(s: type[nn.Module]):
    history = trained(BAND, s=s)
    assert all(held(history, "Lemma 1"))
    assert all(held(history, "Lemma 3"))
    for record in history.records:
        assert record["descent"] >= record["descent_bound"] * (1 - 1e-9) - 1e-10
        assert record["descent_bound"] == record["change"]
    assert max(history["descent_bound"]) > 1e-3


def test_accelerated_mdlam_only_never_rises_and_says_nothing_where_eps_changes():
    history = trained(MDLAM(rho=0.01, eps=1.0))
    changed = [before != after for before, after in zip([1.0, *history["eps"]], history["eps"], strict=False)]
    assert [h is None for h in held(history, "Lemma 1")] == changed
    assert any(changed)
    assert set(history["descent_bound"]) == {0.0, None}
    assert set(held(history, "Lemma 3")) == {None}


@pytest.mark.parametrize("factor", [0.0, 0.3, 0.5, 0.7, 0.95])
@pytest.mark.parametrize("order", ["increase", "nested"])
def test_ipdlam_descends_as_its_inertia_allows(factor: float, order: str):
    """The inequality for every factor; that ``xi_k`` falls for factors up to one half."""
    history = trained(IPDLAM(alpha=factor, beta=factor, gamma=factor, order=order), "squared")
    assert all(held(history, "Lemma 1"))
    if factor <= 0.5:
        assert min(history["descent_bound"]) >= 0.0
        assert all(record["descent"] >= -1e-12 * record["xi"] for record in history.records)


def test_ipdlam_claims_nothing_while_its_penalty_grows():
    history = trained(IPDLAM(rho=0.5, rho_max=0.6), "squared", epochs=5)
    assert history["rho"] == pytest.approx([0.5, 0.55, 0.6, 0.6, 0.6])
    assert held(history, "Lemma 1") == [True, None, None, True, True]


def test_ipdlam_descends_on_the_samples_of_each_batch():
    history = trained(IPDLAM(alpha=0.4), "squared", epochs=4, batch_size=64)
    assert held(history, "Lemma 1") == [True] * 4


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
@pytest.mark.parametrize("s", SMOOTH)
def test_dladmms_three_properties_hold_from_the_second_iteration_on(s: type[nn.Module], loss: str):
    history = trained(CONVERGING, loss, s)
    for name in ("Property 1", "Property 2", "Property 3"):
        assert held(history, name) == [None] + [True] * 24, name
    assert history["dual_residual"][-1] > history["primal_residual"][-1] > 0


@QUIET
def test_dladmm_claims_nothing_below_its_bound():
    history = trained(DLADMM(rho=0.5, schedule="constant"), epochs=4)
    assert held(history, "Property 2") == [None] * 4


@pytest.mark.filterwarnings("ignore::altmin.ScaleWarning")
def test_dladmms_constant_holds_with_half_the_step_sizes_and_not_as_printed():
    """(17) has whole ``theta``; with small inputs and a large ``nu`` it is the smallest, and W moves most."""
    (x, y), method = digits(200), DLADMM(rho=3.0, nu=1e4, schedule="constant")
    model = nn.Sequential(nn.Linear(64, 10, bias=False)).double()
    with warnings.catch_warnings():
        warnings.simplefilter("error", LemmaWarning)
        history = altmin.fit(model, method, (0.01 * x, y), epochs=6, diagnose=True)
    assert all(held(history, "Property 2")[1:])
    printed = 0
    for record in history.records[1:]:
        theta = min(record["step_sizes"].values())
        assert record["C_2"] == pytest.approx(theta / 2)
        printed += record["descent"] >= theta * record["change"]
    assert printed <= 1


def test_dladmms_first_iteration_may_raise_the_lagrangian():
    """From ``U = 0``, which is not ``-grad R``; the paper claims Property 2 from any start."""
    model = network(20, 15)
    with torch.no_grad():
        model.get_parameter("4.weight").zero_()
    history = altmin.fit(model, CONVERGING, digits(200), epochs=3, diagnose=True)
    assert history["descent"][0] < -1.0
    assert held(history, "Property 2") == [None, True, True]


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
def test_bcd_descends_by_its_proximal_terms(loss: str):
    assert all(held(trained(BCD(), loss), "descent"))


def test_taylors_admm_never_rises_in_its_warm_up_alone():
    history = trained(TaylorADMM(warmup=3), "hinge", epochs=6)
    assert held(history, "warm-up") == [True] * 3 + [None] * 3


@pytest.mark.slow
@pytest.mark.parametrize(("method", "epochs"), [(BAND, 400), (CONVERGING, 400), (IPDLAM(alpha=0.4), 400)])
def test_k_times_c_k_falls(method: Method, epochs: int):
    """``c_k = o(1/k)``: Theorem 2 of mDLAM, and of dlADMM's Theorem 4.3, whose paper prints ``O(1/k)``."""
    history = trained(method, "squared" if isinstance(method, IPDLAM) else "cross_entropy", epochs=epochs)
    c = history["c_k"]
    assert c == sorted(c, reverse=True)
    assert epochs * c[-1] < 100 * c[99] < 25 * c[24]


@pytest.mark.parametrize("method", [BAND, CONVERGING])
@pytest.mark.parametrize("s", SMOOTH)
def test_every_blocks_subgradient_is_within_its_own_bound(s: type[nn.Module], method: Method):
    """Of Lemma 3 and Property 3, whose sums over blocks could hide one that is not."""
    trainer, (x, y) = altmin.Trainer(network(20, 15, s=s), method, diagnose=True), digits(200)
    tightest = {"W": 0.0, "b": 0.0, "Z": 0.0, "A": 0.0}
    for k in range(12):
        trainer.step(x, y)
        assert trainer.diagnosis is not None
        it = trainer.diagnosis.latest
        assert it is not None
        dual = 0.5 * sum(c.square**0.5 for c in it.changes if (c.kind, c.layer) == ("z", 2)) if k else math.inf
        moves = [0.0, 0.0, 0.0 if method is BAND else dual]
        bounds = {f"W_{i + 1}": forces.weights_bound(it, i, u) for i, u in enumerate(moves)}
        bounds |= {f"b_{i + 1}": forces.intercept_bound(it, i, u) for i, u in enumerate(moves)}
        if method is CONVERGING:
            bounds |= {f"Z_{i + 1}": forces.hidden_bound(it, i) for i in range(2)} | {"Z_3": dual}
            bounds |= {f"A_{i + 1}": forces.activations_bound(it, i, moves[i + 1]) for i in range(2)}
        for name, bound in bounds.items():
            norm = it.stationarity[name]
            assert norm <= bound * (1 + 1e-9) + 1e-7, (k, name)  # the prox of cross-entropy is iterated
            if norm > 1e-5:
                tightest[name[0]] = max(tightest[name[0]], norm / bound)
    assert min(v for kind, v in tightest.items() if method is CONVERGING or kind in "Wb") > 0.01


# Figures beside a naive computation


def test_c_k_of_dladmm_is_that_of_every_half_sweep(monkeypatch: pytest.MonkeyPatch):
    moved: list[float] = []
    for verb, name in (("step_W", "W"), ("solve_b", "b"), ("step_a", "a"), ("solve_z", "z")):
        original = getattr(LayerView, verb)

        def noted(self: LayerView, *args: Any, original: Any = original, name: str = name, **kwargs: Any) -> None:
            before = getattr(self, name).clone()
            original(self, *args, **kwargs)
            if name != "z" or self.last:
                moved.append(float((getattr(self, name) - before).square().sum()))

        monkeypatch.setattr(LayerView, verb, noted)
    sums = []

    def count(*_: Any) -> None:
        sums.append(sum(moved))
        moved.clear()

    history = trained(CONVERGING, epochs=8, callbacks=[count])
    assert history["change"] == pytest.approx(sums, rel=1e-12)
    assert history["c_k"] == pytest.approx([min(sums[: k + 1]) for k in range(8)], rel=1e-12)


def test_c_k_of_mdlam_weighs_each_samples_step_by_its_own_size():
    """From the gradients: without a clip ``A+ - A = -g/tau``, so that ``tau`` is ``||g||/||A+ - A||``."""
    trainer = altmin.Trainer(network(20, 15), replace(BAND, eps=50.0), diagnose=True)
    x, y = digits(50)
    for _ in range(4):
        trainer.step(x, y)
    before = trainer.state.clone()
    trainer.step(x, y)
    after, rho, wanted = trainer.state, 0.01, 0.0
    a0, a1 = [x, *before.a], [x, *after.a]
    for i in range(3):
        E = before.z[i] - a1[i] @ before.W[i].T - before.b[i]
        g = -rho * E.T @ a1[i]
        D = after.W[i] - before.W[i]
        wanted += 0.5 * float(g.norm() / D.norm().clamp_min(1e-300) * D.square().sum()) if D.any() else 0.0
        wanted += (
            0.5 * rho * float((after.b[i] - before.b[i]).square().sum() + (after.z[i] - before.z[i]).square().sum())
        )
        if i < 2:
            g = -rho * (before.z[i + 1] - a0[i + 1] @ before.W[i + 1].T - before.b[i + 1]) @ before.W[i + 1]
            D = after.a[i] - before.a[i]
            wanted += 0.5 * float((g.norm(dim=1) * D.norm(dim=1)).sum())
    assert trainer.diagnosis is not None
    assert trainer.diagnosis.record()["change"] == pytest.approx(wanted, rel=1e-9)


def test_xi_is_the_objective_and_the_inertia_of_the_last_change():
    method, (x, y) = IPDLAM(alpha=0.2, beta=0.3, gamma=0.4, delta=0.6, rho=0.5), digits(50)
    trainer = altmin.Trainer(network(20, 15), method, loss="squared", diagnose=True)
    for _ in range(3):
        trainer.step(x, y)
    before = trainer.state.clone()
    trainer.step(x, y)
    after, wanted = trainer.state, trainer.objective()
    for m, name in ((0.2, "z"), (0.3, "W"), (0.3, "b"), (0.4, "a")):
        for new, old in zip(getattr(after, name), getattr(before, name), strict=True):
            wanted += 0.5 * 0.6 * 0.5 * m * float((new - old).square().sum())
    assert trainer.diagnosis is not None
    assert trainer.diagnosis.record()["xi"] == pytest.approx(wanted, rel=1e-12)


def test_residuals_of_dladmm_are_the_gradients_of_the_dual_and_of_the_intercept():
    """``rho ||Z_L - Z_L_bar||`` bounds ``sum_i U_i``, which is zero at a solution."""
    trainer, (x, y) = altmin.Trainer(network(20, 15), CONVERGING, diagnose=True), digits(50)
    for _ in range(3):
        trainer.step(x, y)
    assert trainer.diagnosis is not None
    assert trainer.state.u is not None
    record = trainer.diagnosis.record()
    assert record["primal_residual"] == pytest.approx(trainer.residuals()["E_3"])
    assert float(trainer.state.u.sum(0).norm()) <= math.sqrt(50) * record["dual_residual"] * (1 + 1e-9)


# Mutations


class TooLong(DLADMM):
    """Its weights go thirty times as far as its paper's."""

    def step(self, sweep: Sweep[Any]) -> None:
        before = [W.clone() for W in sweep.state.W]
        super().step(sweep)
        for layer, old in zip(sweep.layers, before, strict=True):
            layer.W.copy_(old + 30.0 * (layer.W - old))


def test_a_step_that_is_too_long_is_said_once():
    method = TooLong(rho=2.5, nu=1.0, schedule="constant")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = altmin.fit(network(20, 15), method, digits(100), epochs=3, diagnose=True)
    said = [str(w.message) for w in caught if "sufficient descent" in str(w.message)]
    assert len(said) == 1
    assert re.match(r"TooLong, iteration \d+: sufficient descent \(Property 2\) does not hold", said[0])
    assert False in held(history, "Property 2")


def test_a_method_of_another_kind_has_the_theory_of_what_it_derives_from():
    assert theory_of(TooLong()) is THEORIES[DLADMM]
    assert theory_of(DLAM()) is THEORIES[IPDLAM]

    class Own(Method):
        pass

    assert type(theory_of(Own())) is Theory


@pytest.mark.parametrize("numbers", [{"clip": False}, {"eps": (0.05, 0.02)}, {"clip": False, "eps": (0.05, 0.02)}])
def test_mdlam_descends_by_its_printed_algorithm_and_in_bands_of_each_layer(numbers: dict[str, Any]):
    """Steps that end within the band by themselves have sizes of their own, which the bound is made of."""
    method = replace(BAND, **numbers)
    records = trained(method).records
    assert all(record["holds"]["sufficient descent (Lemma 1)"] for record in records)
    assert all(math.isfinite(record["descent_bound"]) and record["descent_bound"] >= 0 for record in records)
    assert any(record["step_sizes"]["A_2"] > 0 for record in records)
