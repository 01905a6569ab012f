"""Every method on residual networks and on a small convolutional one: descent, block by block and over sweeps."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from altmin.core.objective import followers, linear_residual, pulls, regression_target
from torch import Tensor, nn

import altmin
from altmin import DLADMM, DLAM, IPDLAM, MDLAM, Batch, Problem, Residual, State
from altmin.core.problem import Skip
from altmin.core.state import forward, per_channel, put
from altmin.methods import dladmm
from methods.table import Loop, digits
from residual_networks import NETS, model_of

BAND = MDLAM(rho=0.3, eps=0.3, eps_rule="fixed", accelerated=False)
METHODS = {
    "dlam": (DLAM(delta=1.0), 0),
    "dlam-exact": (DLAM(), 0),
    "dlam-reverse": (DLAM(order="reverse", delta=1.0), 0),
    "dlam-nested": (DLAM(order="nested", delta=1.0), 0),
    "ipdlam-growing": (IPDLAM(0.0, 0.0, 0.0, rho=0.3), 0),
    "mdlam": (BAND, 0),
    "mdlam-accelerated": (replace(BAND, accelerated=True), 0),
    "mdlam-one-step": (replace(BAND, per_sample=False, start=1e-3), 0),
    "dladmm": (DLADMM(rho=3.0, nu=1.0, schedule="constant"), 1),
    "dladmm-one-step": (DLADMM(rho=3.0, nu=1.0, schedule="constant", per_sample=False, start=1.0), 1),
}


methods = pytest.mark.parametrize("method", METHODS)
nets = pytest.mark.parametrize("net", NETS)
losses = pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
quiet = pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")


def loop_of(net: str, method: altmin.Method, loss: str = "cross_entropy", n: int = 120) -> Loop:
    model = model_of(net)
    problem = Problem.from_module(model, loss)
    x, y = digits(n)
    batch = Batch(x, problem.loss.encode(y, 10, x.dtype))
    return Loop(method, problem, batch, method.init(problem, State.from_module(model), batch))


def off_the_forward_pass(loop: Loop) -> Loop:
    """The loop with codes moved by chance, so that every residual pulls."""
    g = torch.Generator().manual_seed(5)

    def moved(t: Tensor) -> Tensor:
        return t + 0.2 * torch.randn(t.shape, generator=g, dtype=t.dtype)

    loop.state = replace(loop.state, z=tuple(map(moved, loop.state.z)), a=tuple(map(moved, loop.state.a)))
    return loop


def test_the_nets_hold_every_kind_of_connection():
    skips = {layer.skip for net in NETS for layer in Problem.from_module(model_of(net)).layers if layer.skip}
    assert {Skip("z", 0), Skip("z", 1), Skip("a", 0), Skip("a", -1), Skip("a", 2)} <= skips


@nets
def test_residuals_are_what_the_modules_leave(net: str):
    """At a forward pass every ``E_l`` is zero, and the last ``Z`` is the model's output."""
    loop = loop_of(net, DLAM())
    assert max(loop.residuals().values()) < 1e-10
    torch.testing.assert_close(loop.state.z[-1], model_of(net)(loop.batch.x).detach())


@nets
def test_what_pulls_and_targets_mean(net: str):
    """``E`` is zero where a follower's source lies at its pull, and where a map gives its regression target."""
    loop = off_the_forward_pass(loop_of(net, DLAM()))
    problem, state, batch = loop.problem, loop.state, loop.batch
    for i, layer in enumerate(problem.layers):
        below = batch.x if i == 0 else state.a[i - 1]
        own = regression_target(problem, state, batch, i) - layer.map(state.W[i], state.b[i], below)
        torch.testing.assert_close(own, linear_residual(problem, state, batch, i))
        for j, pull in zip(followers(problem, "z", i), pulls(problem, state, batch, i), strict=True):
            at = replace(state, z=(*state.z[:i], pull, *state.z[i + 1 :]))
            assert linear_residual(problem, at, batch, j).abs().max() < 1e-10


@methods
@nets
@losses
def test_sweeps_never_raise_the_objective(method: str, net: str, loss: str):
    rule, first = METHODS[method]
    loop = loop_of(net, rule, loss)
    values = [loop.objective()]
    for _ in range(20):
        loop.step()
        values.append(loop.objective())
    rises = [after - before for before, after in itertools.pairwise(values[first:])]
    assert max(rises) <= 1e-9 * abs(values[0])
    assert values[-1] < 0.97 * values[first]


def steps_of_dladmm(m: DLADMM, p: Problem, b: Batch):
    """The updates of one iteration, in order."""
    last = len(p.layers) - 1
    back = [(name, i) for i in reversed(range(last + 1)) for name in ("a", "z", "b", "W") if (name, i) != ("a", last)]
    forth = [(name, i) for i in range(last + 1) for name in ("W", "b", "z", "a") if (name, i) != ("a", last)]
    for name, i in back + forth:
        update = getattr(m, f"update_{name}")
        yield f"{name}_{i}", lambda s, u=update, i=i: u(p, s, b, i)


@quiet
@nets
@losses
@pytest.mark.parametrize("rho", [0.05, 3.0])
def test_every_block_of_dladmm_descends_on_the_lagrangian(net: str, loss: str, rho: float):
    """Off the forward pass, with a dual variable that matters, also far below the penalty of the proof."""
    loop = off_the_forward_pass(loop_of(net, DLADMM(rho=rho, rho_max=3.0, nu=0.3, schedule="constant"), loss, n=60))
    m, state = loop.method, loop.state
    assert isinstance(m, DLADMM)
    state = replace(state, u=torch.linspace(-1, 2, 600, dtype=torch.float64).view(60, 10))
    fell = set()
    for name, update in steps_of_dladmm(m, loop.problem, loop.batch):
        before = float(m.objective(loop.problem, state, loop.batch))
        state = update(state)
        after = float(m.objective(loop.problem, state, loop.batch))
        assert after <= before + 1e-10 * abs(before), name
        fell |= {name} if after < before - 1e-8 * abs(before) else set()
    assert fell == {name for name, _ in steps_of_dladmm(m, loop.problem, loop.batch)}


def objective_of(state: State, problem: Problem, batch: Batch, rho: float) -> Tensor:
    """``Phi_rho`` of equation (2), from the modules' definitions alone."""
    total = problem.loss(state.z[-1], batch.y)
    for i, layer in enumerate(problem.layers):
        below = batch.x if i == 0 else state.a[i - 1]
        over = 0.0
        if layer.skip is not None:
            kind, k = layer.skip
            over = batch.x if k < 0 else state.z[k] if kind == "z" else state.a[k]
        total = total + rho / 2 * (state.z[i] - layer.map(state.W[i], state.b[i], below) - over).square().sum()
        if i + 1 < len(problem.layers):
            total = total + rho / 2 * (state.a[i] - layer.activation(state.z[i])).square().sum()
    return total


@nets
@losses
def test_every_block_of_dlam_is_minimised(net: str, loss: str):
    """Each update lowers the objective; where it is smooth in a block, its derivative is zero after the update."""
    loop = off_the_forward_pass(loop_of(net, DLAM(rho=0.7), loss, n=60))
    m, p, b, s = loop.method, loop.problem, loop.batch, loop.state
    assert isinstance(m, DLAM)

    def slope(name: str, i: int) -> float:
        at = getattr(s, name)[i].clone().requires_grad_()
        gradient = torch.autograd.grad(objective_of(put(s, **{name: (i, at)}), p, b, 0.7), at)[0]
        return float(gradient.abs().max())

    last = len(p.layers) - 1
    for i in (*range(last + 1), *reversed(range(last + 1))):
        for update in (m.update_z, m.update_W, *([m.update_a] if i < last else [])):
            before = float(objective_of(s, p, b, 0.7))
            s = update(p, s, b, i)
            assert float(objective_of(s, p, b, 0.7)) < before, (update.__name__, i)
        assert slope("b", i) < 1e-6
        if i < last and not p.layers[i + 1].map.piecewise:
            assert slope("a", i) < 1e-5
    s = m.update_z(p, s, b, last)
    assert slope("z", last) < 1e-6


@nets
@losses
def test_codes_of_ipdlam_minimise_their_block_with_its_proximal_term(net: str, loss: str):
    """``Z_l`` has no greater value than any number of a grid, entry by entry; for ``Z_L`` the derivative is zero."""
    delta, rho, alpha = 0.4, 0.7, 0.5
    loop = off_the_forward_pass(loop_of(net, IPDLAM(alpha, 0.0, 0.0, delta, rho), loss, n=30))
    m, p, b, s = loop.method, loop.problem, loop.batch, loop.state
    assert isinstance(m, IPDLAM)
    for i, layer in enumerate(p.layers):
        hat = s.z[i] + alpha * (s.z[i] - s.extra.before.z[i])
        s = m.update_z(p, s, b, i)

        def penalty(z: Tensor, i=i, layer=layer, hat=hat, s=s) -> Tensor:
            at = put(s, z=(i, z))
            terms = [linear_residual(p, at, b, j) for j in (i, *followers(p, "z", i))]
            if i + 1 < len(p.layers):
                terms.append(at.a[i] - layer.activation(z))
            return rho / 2 * (torch.stack([t.square() for t in terms]).sum(0) + delta * (z - hat).square())

        if i + 1 == len(p.layers):
            z = s.z[i].clone().requires_grad_()
            gradient = torch.autograd.grad(penalty(z).sum() + p.loss(z, b.y), z)[0]
            assert gradient.abs().max() < 1e-6
            continue
        found = penalty(s.z[i])
        for number in torch.linspace(-4, 4, 161, dtype=torch.float64):
            assert (found <= penalty(torch.full_like(found, float(number))) + 1e-9).all()


def share_of_dladmm(loop: Loop, state: State, i: int) -> Tensor:
    """The terms of the Lagrangian in which ``A_i`` stands, for each sample of the convolutional network."""
    m, p, b = loop.method, loop.problem, loop.batch
    assert isinstance(m, DLADMM)
    assert state.u is not None
    E, D = linear_residual(p, state, b, i + 1), state.a[i] - p.layers[i].activation(state.z[i])
    last = i + 2 == len(p.layers)
    c = m.rho if last else m.hidden_penalty(state)
    total = c / 2 * E.square().flatten(1).sum(1) + m.hidden_penalty(state) / 2 * D.square().flatten(1).sum(1)
    return total + (state.u * E).sum(1) if last else total


def far_off(method: altmin.Method) -> Loop:
    """The convolutional network with codes far from their forward values and a large dual variable."""
    loop = loop_of("convolution", method, n=120)
    for _ in range(3):
        loop = off_the_forward_pass(loop)
    return loop


@quiet
def test_behind_max_pooling_no_sample_of_dladmm_rises(monkeypatch: pytest.MonkeyPatch):
    """And the step that takes the largest numbers of overlapping windows to stay would raise some."""
    loop = far_off(DLADMM(rho=1.0, nu=0.01, rho_max=1.0, schedule="constant"))
    u = 5 * torch.randn(120, 10, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    state, m, i = replace(loop.state, u=u), loop.method, 2
    assert isinstance(m, DLADMM)
    before = share_of_dladmm(loop, state, i)
    after = share_of_dladmm(loop, m.update_a(loop.problem, state, loop.batch, i), i)
    assert (after <= before + 1e-12 * before.abs()).all()
    assert (after < before).double().mean() > 0.9
    monkeypatch.setattr(dladmm, "without_rise", lambda value, new, old: new)
    assert (share_of_dladmm(loop, m.update_a(loop.problem, state, loop.batch, i), i) > before).any()


@nets
@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_every_sample_of_mdlams_activations_descends(net: str, momentum: float):
    loop = loop_of(net, replace(BAND, eps=2.0, accelerated=momentum > 0))
    m, p, b = loop.method, loop.problem, loop.batch
    assert isinstance(m, MDLAM)
    for _ in range(4):
        state = loop.step()
        for i in range(len(p.layers) - 1):
            reached = (i + 1, *followers(p, "a", i))
            new = replace(state, a=(*state.a[:i], m.update_a(p, state, b, i, momentum), *state.a[i + 1 :]))
            before, after = (
                sum(linear_residual(p, s, b, j).square().flatten(1).sum(1) for j in reached) for s in (state, new)
            )
            assert (after <= before * (1 + 1e-12) + 1e-25).all()  # type: ignore[operator,union-attr]


@nets
def test_mdlams_codes_minimise_over_their_band(net: str):
    """No point of the band has smaller squares than ``Z_l``: it is the mean of what pulls, clipped."""
    loop = off_the_forward_pass(loop_of(net, replace(BAND, eps=0.4)))
    m, p, b, g = loop.method, loop.problem, loop.batch, torch.Generator().manual_seed(0)
    assert isinstance(m, MDLAM)
    for i in range(len(p.layers) - 1):
        reached = (i, *followers(p, "z", i))
        s = p.layers[i].activation(loop.state.z[i])
        a = loop.state.a[i].clamp(s - 0.4, s + 0.4)
        state = replace(loop.state, a=(*loop.state.a[:i], a, *loop.state.a[i + 1 :]))
        low, high = p.layers[i].activation.interval(a, 0.4)
        found = m.update_z(p, state, b, i)

        def value(z: Tensor, i=i, reached=reached, state=state) -> Tensor:
            at = replace(state, z=(*state.z[:i], z, *state.z[i + 1 :]))
            return torch.stack([linear_residual(p, at, b, j).square() for j in reached]).sum(0)

        assert ((low - 1e-12 <= found) & (found <= high + 1e-12)).all()
        low, high = low.clamp_min(-9.0), high.clamp_max(9.0)
        for _ in range(20):
            other = low + (high - low) * torch.rand(low.shape, generator=g, dtype=low.dtype)
            assert (value(found) <= value(other) + 1e-12).all()


def test_ends_that_differ_are_refused_before_training():
    """PyTorch would broadcast them."""
    model = nn.Sequential(nn.Linear(64, 10), Residual(nn.ReLU(), nn.Linear(10, 1))).double()
    x, y = digits(20)
    with pytest.raises(ValueError, match=r"`data`.*residual connection to layer 2.*\(10,\) to \(1,\)"):
        altmin.fit(model, DLAM(), (x, y % 2), loss="squared", epochs=1)


SHARED = {
    "dlam": DLAM(delta=1.0),
    "mdlam": replace(BAND, accelerated=True, per_sample=False),
    "dladmm": DLADMM(rho=3.0, nu=1.0, schedule="constant"),
}


def _share(rank: int, store: str, out: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    found = {}
    for name, method in SHARED.items():
        for net in ("activation", "pre-activation", "convolution"):
            loop = loop_of(net, method)
            half = slice(0, 50) if rank == 0 else slice(50, 120)
            batch = Batch(loop.batch.x[half], loop.batch.y[half], group=dist.group.WORLD)
            state = method.init(loop.problem, State.from_module(model_of(net)), batch)
            for _ in range(3):
                state = method.step(loop.problem, state, batch)
            found[name, net] = (state.W, state.b)
    if rank == 1:
        torch.save(found, out)
    dist.destroy_process_group()


@pytest.mark.filterwarnings("default")
def test_two_processes_equal_one(tmp_path: Path):
    """Dense layers to rounding; below convolutions conjugate gradients end at the root of it."""
    out = str(tmp_path / "out.pt")
    mp.spawn(_share, (str(tmp_path / "store"), out), nprocs=2)  # type: ignore[attr-defined]
    for (name, net), (W, b) in torch.load(out).items():
        loop = loop_of(net, SHARED[name])
        for _ in range(3):
            state = loop.step()
        close = 1e-6 if net == "convolution" else 1e-9
        for one, two in zip((*state.W, *state.b), (*W, *b), strict=True):
            torch.testing.assert_close(one, two, rtol=close, atol=close, msg=f"{name}, {net}")


@pytest.mark.parametrize("method", ["dlam", "mdlam-accelerated", "dladmm"])
def test_batches_of_images_keep_their_shape(method: str):
    loop = loop_of("convolution", METHODS[method][0], n=30)
    shapes = [t.shape for t in (*loop.state.z, *loop.state.a)]
    state = loop.step()
    assert [t.shape for t in (*state.z, *state.a)] == shapes
    assert per_channel(state.b[0], state.z[0]).shape == (4, 1, 1)
    assert forward(loop.problem, state, loop.batch.x)[0][-1].shape == (30, 10)
