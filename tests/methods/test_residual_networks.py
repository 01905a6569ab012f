"""Every batch method on residual networks and on a small convolutional one: descent, by blocks and over sweeps."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

import altmin
import forked
from altmin import DLADMM, DLAM, IPDLAM, MDLAM, Batch, Residual, State, Sweep, TaylorADMM, problem_of
from altmin.core.forward import forward
from altmin.core.normalisation import per_channel
from altmin.core.problem import Skip
from altmin.sweep import step as steps
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
    "taylor": (TaylorADMM(beta=0.5, gamma=2.0, warmup=1000, start="forward"), 0),
    "dladmm-one-step": (DLADMM(rho=3.0, nu=1.0, schedule="constant", per_sample=False, start=1.0), 1),
}


LOSSES = ("cross_entropy", "squared")
losses = pytest.mark.parametrize("loss", LOSSES)
nets = pytest.mark.parametrize("net", NETS)
quiet = pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")


def loop_of(net: str, method: altmin.Method, loss: str = "cross_entropy", n: int = 120) -> Loop:
    return Loop.of(method, model_of(net), loss, n)


def off_the_forward_pass(loop: Loop) -> Loop:
    """The loop with codes moved by chance, so that every residual pulls."""
    g = torch.Generator().manual_seed(5)
    for t in (*loop.state.z, *loop.state.a):
        t.add_(torch.randn(t.shape, generator=g, dtype=t.dtype), alpha=0.2)
    return loop


def at_work(loop: Loop, state: State[Any] | None = None) -> Sweep[Any]:
    """A sweep as a training loop has it, with the products that its method keeps."""
    return Sweep(loop.method, loop.problem, loop.state if state is None else state, loop.batch)


def put(state: State[Any], name: str, i: int, value: Tensor) -> State[Any]:
    """The state with another value of one variable."""
    other = State(state.W, state.b, state.z, state.a, state.u)
    getattr(other, name)[i] = value
    return other


def residual(loop: Loop, state: State[Any], i: int) -> Tensor:
    """``E_i`` from the modules' definitions alone."""
    layer = loop.problem.layers[i]
    below = loop.batch.x if i == 0 else state.a[i - 1]
    E = state.z[i] - layer.map(state.W[i], state.b[i], below)
    if layer.skip is None:
        return E
    kind, k = layer.skip
    return E - (loop.batch.x if k < 0 else state.z[k] if kind == "z" else state.a[k])


def reached(loop: Loop, kind: str, i: int) -> list[int]:
    """The layers that a residual connection from ``Z_i`` or ``A_i`` ends at."""
    return [j for j, layer in enumerate(loop.problem.layers) if layer.skip == Skip(kind, i)]  # type: ignore[arg-type]


def test_the_nets_hold_every_kind_of_connection():
    skips = {layer.skip for net in NETS for layer in problem_of(model_of(net)).layers if layer.skip}
    assert {Skip("z", 0), Skip("z", 1), Skip("a", 0), Skip("a", -1), Skip("a", 2)} <= skips


@nets
def test_residuals_are_what_the_modules_leave(net: str):
    """At a forward pass every ``E_l`` is zero, and the last ``Z`` is the model's output."""
    loop = loop_of(net, DLAM())
    assert max(loop.residuals().values()) < 1e-10
    torch.testing.assert_close(loop.state.z[-1], model_of(net)(loop.batch.x).detach())


@nets
def test_what_residuals_and_targets_mean(net: str):
    """``E`` is what a connection's source would have to move by, and a map that gives its target leaves none."""
    loop = off_the_forward_pass(loop_of(net, DLAM()))
    sweep = at_work(loop)
    for i, layer in enumerate(sweep.layers):
        torch.testing.assert_close(layer.residual(), residual(loop, loop.state, i))
        own = layer.target() - layer.map(layer.W, layer.b, layer.input)
        torch.testing.assert_close(own, residual(loop, loop.state, i))
        assert [other.i for other in layer.skipped_to("z")] == reached(loop, "z", i)
        assert [other.i for other in layer.skipped_to("a")] == reached(loop, "a", i)
        for other in layer.skipped_to("z"):
            moved = put(loop.state, "z", i, layer.z + other.residual())
            assert at_work(loop, moved).layers[other.i].residual().abs().max() < 1e-10


# Of methods, networks and losses every pair; all triples take twice as long.
PAIRS = [(method, net, LOSSES[(i + j) % 2]) for i, method in enumerate(METHODS) for j, net in enumerate(NETS)]


@pytest.mark.thinned(1)
@pytest.mark.parametrize(("method", "net", "loss"), PAIRS)
def test_sweeps_never_raise_the_objective(method: str, net: str, loss: str):
    rule, first = METHODS[method]
    values = loop_of(net, rule, loss, n=60).run(10)
    rises = [after - before for before, after in itertools.pairwise(values[first:])]
    assert max(rises) <= 1e-9 * abs(values[0])
    assert values[-1] < 0.97 * values[first]


def steps_of_dladmm(sweep: Sweep[Any]) -> Iterator[tuple[str, Callable[[], None]]]:
    """The updates of one iteration, in order."""
    for layers, names in ((sweep.layers[::-1], "azbW"), (sweep.layers, "Wbza")):
        for layer in layers:
            verbs = {"W": layer.step_W, "b": layer.solve_b, "z": layer.solve_z, "a": layer.step_a}
            yield from ((f"{name}_{layer.i}", verbs[name]) for name in names if not (layer.last and name == "a"))


@pytest.mark.thinned(2)
@quiet
@nets
@losses
@pytest.mark.parametrize("rho", [0.05, 3.0])
def test_every_block_of_dladmm_descends_on_the_lagrangian(net: str, loss: str, rho: float):
    """Off the forward pass, with a dual variable that matters, also far below the penalty of the proof."""
    loop = off_the_forward_pass(loop_of(net, DLADMM(rho=rho, rho_max=3.0, nu=0.3, schedule="constant"), loss, n=60))
    loop.state.u = torch.linspace(-1, 2, 600, dtype=torch.float64).view(60, 10)
    fell, names = set(), set()
    for name, update in steps_of_dladmm(at_work(loop)):
        before = loop.objective()
        update()
        after = loop.objective()
        assert after <= before + 1e-10 * abs(before), name
        names.add(name)
        fell |= {name} if after < before - 1e-8 * abs(before) else set()
    assert fell == names
    assert len(names) == 4 * len(loop.problem.layers) - 1


def objective_of(loop: Loop, state: State[Any], rho: float) -> Tensor:
    """``Phi_rho`` of equation (2), from the modules' definitions alone."""
    total = loop.problem.loss(state.z[-1], loop.batch.y)
    for i, layer in enumerate(loop.problem.layers):
        total = total + rho / 2 * residual(loop, state, i).square().sum()
        if i + 1 < len(loop.problem.layers):
            total = total + rho / 2 * (state.a[i] - layer.activation(state.z[i])).square().sum()
    return total


@nets
@losses
def test_every_block_of_dlam_is_minimised(net: str, loss: str):
    """Each update lowers the objective; where it is smooth in a block, its derivative is zero after the update."""
    loop = off_the_forward_pass(loop_of(net, DLAM(rho=0.7), loss, n=60))
    m, layers = loop.method, at_work(loop).layers
    assert isinstance(m, DLAM)

    def slope(name: str, i: int) -> float:
        at = getattr(loop.state, name)[i].clone().requires_grad_()
        gradient = torch.autograd.grad(objective_of(loop, put(loop.state, name, i, at), 0.7), at)[0]
        return float(gradient.abs().max())

    for layer in (*layers, *reversed(layers)):
        for update in (m.update_z, m.update_weights, *([] if layer.last else [m.update_a])):
            before = float(objective_of(loop, loop.state, 0.7))
            update(layer)
            assert float(objective_of(loop, loop.state, 0.7)) < before, (update.__name__, layer.i)
        assert slope("b", layer.i) < 1e-6
        if not layer.last and not layer.above.map.piecewise:
            assert slope("a", layer.i) < 1e-5
    m.update_z(layers[-1])
    assert slope("z", layers[-1].i) < 1e-6


@nets
@losses
def test_codes_of_ipdlam_minimise_their_block_with_its_proximal_term(net: str, loss: str):
    """``Z_l`` has no greater value than any number of a grid, entry by entry; for ``Z_L`` the derivative is zero."""
    delta, rho, alpha = 0.4, 0.7, 0.5
    loop = off_the_forward_pass(loop_of(net, IPDLAM(alpha, 0.0, 0.0, delta, rho), loss, n=30))
    m, previous = loop.method, loop.state.previous
    assert isinstance(m, IPDLAM)
    assert previous is not None
    for i, layer in enumerate(at_work(loop).layers):
        hat = loop.state.z[i] + alpha * (loop.state.z[i] - previous.z[i])
        m.update_z(layer)

        def penalty(z: Tensor, i: int = i, hat: Tensor = hat) -> Tensor:
            at = put(loop.state, "z", i, z)
            terms = [residual(loop, at, j) for j in (i, *reached(loop, "z", i))]
            if i + 1 < len(loop.problem.layers):
                terms.append(at.a[i] - loop.problem.layers[i].activation(z))
            return rho / 2 * (torch.stack([t.square() for t in terms]).sum(0) + delta * (z - hat).square())

        if layer.last:
            z = layer.z.clone().requires_grad_()
            gradient = torch.autograd.grad(penalty(z).sum() + loop.problem.loss(z, loop.batch.y), z)[0]
            assert gradient.abs().max() < 1e-6
            continue
        found = penalty(layer.z)
        for number in torch.linspace(-4, 4, 161, dtype=torch.float64):
            assert (found <= penalty(torch.full_like(found, float(number))) + 1e-9).all()


def share_of_dladmm(loop: Loop, state: State[Any], i: int) -> Tensor:
    """The terms of the Lagrangian in which ``A_i`` stands, for each sample of the convolutional network."""
    m, u = loop.method, state.u
    assert isinstance(m, DLADMM)
    assert m.nu is not None
    assert u is not None
    E, D = residual(loop, state, i + 1), state.a[i] - loop.problem.layers[i].activation(state.z[i])
    last = i + 2 == len(loop.problem.layers)
    c = m.rho if last else m.nu
    total = c / 2 * E.square().flatten(1).sum(1) + m.nu / 2 * D.square().flatten(1).sum(1)
    return total + (u * E).sum(1) if last else total


@quiet
def test_behind_max_pooling_no_sample_of_dladmm_rises(monkeypatch: pytest.MonkeyPatch):
    """And the step that takes the largest numbers of overlapping windows to stay would raise some."""
    loop = loop_of("convolution", DLADMM(rho=1.0, nu=0.01, rho_max=1.0, schedule="constant"))
    for _ in range(3):
        loop = off_the_forward_pass(loop)
    loop.state.u = 5 * torch.randn(120, 10, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    i = 2

    def share_after_the_step() -> Tensor:
        state = loop.state.clone()
        at_work(loop, state).layers[i].step_a()
        return share_of_dladmm(loop, state, i)

    before, after = share_of_dladmm(loop, loop.state, i), share_after_the_step()
    assert (after <= before + 1e-12 * before.abs()).all()
    assert (after < before).double().mean() > 0.9
    monkeypatch.setattr(steps, "without_rise", lambda value, new, old: new)
    assert (share_after_the_step() > before).any()


@pytest.mark.thinned(2)
@nets
@pytest.mark.parametrize("momentum", [0.0, 0.6])
@pytest.mark.parametrize("off", [False, True], ids=["from a forward pass", "off it"])
def test_every_sample_of_mdlams_activations_descends(net: str, momentum: float, off: bool):
    loop, moved = loop_of(net, replace(BAND, eps=2.0, accelerated=momentum > 0)), set()
    loop = off_the_forward_pass(loop) if off else loop

    def share(state: State[Any], i: int) -> Tensor:
        terms = [residual(loop, state, j).square().flatten(1).sum(1) for j in (i + 1, *reached(loop, "a", i))]
        return torch.stack(terms).sum(0)

    for k in range(5):
        if k > 0:
            loop.step()
        for i in range(len(loop.problem.layers) - 1):
            state = loop.state.clone()
            at_work(loop, state).layers[i].step_a(momentum, band=state.memory.eps)
            before, after = share(loop.state, i), share(state, i)
            assert (after <= before * (1 + 1e-12) + 1e-25).all()
            moved |= {i} if (after < before).any() else set()
    assert moved == set(range(len(loop.problem.layers) - 1)) or not off


@nets
def test_mdlams_codes_minimise_over_their_band(net: str):
    """No point of the band has smaller squares than ``Z_l``: it is the mean of what pulls, clipped."""
    loop = off_the_forward_pass(loop_of(net, replace(BAND, eps=0.4)))
    g = torch.Generator().manual_seed(0)
    for i, layer in enumerate(loop.problem.layers[:-1]):
        s = layer.activation(loop.state.z[i])
        state = loop.state.clone()
        state.a[i].clamp_(s - 0.4, s + 0.4)
        low, high = layer.activation.interval(state.a[i], 0.4)
        at_work(loop, state).layers[i].solve_z_in_band(0.4)
        found = state.z[i]

        def value(z: Tensor, i: int = i, state: State[Any] = state) -> Tensor:
            at = put(state, "z", i, z)
            return torch.stack([residual(loop, at, j).square() for j in (i, *reached(loop, "z", i))]).sum(0)

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
            whole = loop_of(net, method)
            half = slice(0, 50) if rank == 0 else slice(50, 120)
            loop = whole.restarted(Batch(whole.batch.x[half], whole.batch.y[half], group=dist.group.WORLD))
            for _ in range(3):
                loop.step()
            found[name, net] = [*loop.state.W, *loop.state.b]
    if rank == 1:
        torch.save(found, out)
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_two_processes_equal_one(tmp_path: Path):
    """Dense layers to rounding; below convolutions conjugate gradients end at the root of it."""
    out = str(tmp_path / "out.pt")
    forked.run(_share, str(tmp_path / "store"), out, processes=2)
    shared = torch.load(out)
    assert len(shared) == 9
    for (name, net), weights in shared.items():
        loop = loop_of(net, SHARED[name])
        for _ in range(3):
            loop.step()
        close = 1e-6 if net == "convolution" else 1e-9
        for one, two in zip((*loop.state.W, *loop.state.b), weights, strict=True):
            torch.testing.assert_close(one, two, rtol=close, atol=close, msg=f"{name}, {net}")


@pytest.mark.parametrize("method", ["dlam", "mdlam-accelerated", "dladmm"])
def test_batches_of_images_keep_their_shape(method: str):
    loop = loop_of("convolution", METHODS[method][0], n=30)
    shapes = [t.shape for t in (*loop.state.z, *loop.state.a)]
    state = loop.step()
    assert [t.shape for t in (*state.z, *state.a)] == shapes
    assert per_channel(state.b[0], state.z[0]).shape == (4, 1, 1)
    assert forward(loop.problem, state, loop.batch.x)[0][-1].shape == (30, 10)
