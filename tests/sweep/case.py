"""Small problems with every kind of layer, the penalty objective written out, and an independent minimiser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from altmin import Batch, Residual, State, Sweep, problem_of, state_of
from altmin.core.forward import start_forward
from altmin.core.state import Iterate
from altmin.solvers.backtracking import Backtracking
from altmin.sweep import Penalty
from methods.table import digits, seeded

Energy = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Weighted:
    """What a sweep asks of a method: weights, a search, and how often products are asked for again."""

    linear: float = 0.7
    activation: float = 1.3
    last: float | None = 1.9
    dual: Literal["residual", "outputs"] = "residual"
    backtracking: Backtracking = Backtracking()  # noqa: RUF009, it is frozen
    reuse: ClassVar[tuple[int, int, int]] = (0, 0, 0)

    def step(self, sweep: Sweep[Any]) -> None:
        """Nothing."""

    def penalty(self, sweep: Sweep[Any]) -> Penalty:
        return Penalty(self.linear, self.activation, self.last, self.dual)

    def search(self, sweep: Sweep[Any]) -> Backtracking:
        return self.backtracking


BAND = Weighted(linear=0.7, activation=0.0, last=None)


def chain(s: type[nn.Module]) -> list[nn.Module]:
    return [nn.Linear(64, 7), s(), nn.Linear(7, 12), s(), nn.Linear(12, 10)]


def inner(s: type[nn.Module]) -> list[nn.Module]:
    """``Z_1`` joins the second layer, ``A_2`` the fourth one."""
    return [
        nn.Linear(64, 8),
        Residual(s(), nn.Linear(8, 8)),
        s(),
        Residual(nn.Linear(8, 6), s(), nn.Linear(6, 8)),
        s(),
        nn.Linear(8, 10),
    ]


def outer_z(s: type[nn.Module]) -> list[nn.Module]:
    """``Z_1`` joins the last layer."""
    return [nn.Linear(64, 10), Residual(s(), nn.Linear(10, 6), s(), nn.Linear(6, 10))]


def outer_a(s: type[nn.Module]) -> list[nn.Module]:
    """``A_1`` joins the last layer."""
    return [nn.Linear(64, 10), s(), Residual(nn.Linear(10, 6), s(), nn.Linear(6, 10))]


def from_data(s: type[nn.Module]) -> list[nn.Module]:
    """The data join the second layer, which has no intercept; nor has the last one."""
    body = Residual(nn.Linear(64, 9), s(), nn.Linear(9, 64, bias=False))
    return [body, s(), nn.Linear(64, 10, bias=False)]


def images(s: type[nn.Module]) -> list[nn.Module]:
    """Convolutions, the second one of two groups behind max pooling, the third layer without pooling."""
    head = [nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 4, 3, padding=1), s(), nn.MaxPool2d(2)]
    return [*head, nn.Conv2d(4, 6, 3, groups=2), s(), nn.Flatten(), nn.Linear(24, 10)]


NETS = {
    "chain": chain,
    "inner": inner,
    "outer z": outer_z,
    "outer a": outer_a,
    "from data": from_data,
    "images": images,
}


def sweep_of(
    net: str = "chain",
    method: Weighted = Weighted(),
    *,
    s: type[nn.Module] = nn.Tanh,
    loss: str = "cross_entropy",
    regularizer: str | None = None,
    dual: bool = False,
    output: bool = False,
    previous: bool = False,
    n: int = 30,
    rows: Tensor | slice | None = None,
    scale: float = 0.4,
) -> Sweep[Any]:
    """A sweep over variables that no forward pass would give."""
    model = seeded(lambda: NETS[net](s))
    problem, state = problem_of(model, loss, regularizer), state_of(model).weights()
    x, y = digits(n)
    batch = Batch(x, problem.loss.encode(y, 10, x.dtype))
    g = torch.Generator().manual_seed(3)

    def noise(like: Tensor, by: float = scale) -> Tensor:
        return by * torch.randn(like.shape, generator=g, dtype=like.dtype)

    start_forward(problem, state, x)
    if output:
        state.a.append(state.z[-1].clone())
    for W, b, layer in zip(state.W, state.b, problem.layers, strict=True):
        W.add_(noise(W, 0.1))
        b.add_(noise(b) * layer.map.bias)
    for t in (*state.z, *state.a):
        t.add_(noise(t))
    if dual:
        state.u = noise(state.z[-1])
    if previous:
        state.previous = Iterate(state.W, state.b, state.z, state.a).clone()
        for group in (state.previous.W, state.previous.b, state.previous.z, state.previous.a):
            for t in group:
                t.add_(noise(t, 0.2))
    state.samples = n
    return Sweep(method, problem, state, batch if rows is None else batch.select(rows, ends_epoch=True))


def banded(net: str, eps: float, s: type[nn.Module] = nn.Tanh, **options: Any) -> Sweep[Any]:
    """Activations anywhere in their band."""
    sweep = sweep_of(net, BAND, s=s, **options)
    g = torch.Generator().manual_seed(5)
    for layer in sweep.layers[:-1]:
        move = 2 * torch.rand(layer.a.shape, generator=g, dtype=layer.a.dtype) - 1
        layer.a.copy_(layer.activation(layer.z) + eps * move)
    return sweep


def weights_of(sweep: Sweep[Any]) -> Weighted:
    assert isinstance(sweep.method, Weighted)
    return sweep.method


def per_sample(sweep: Sweep[Any], state: State[Any] | None = None) -> Tensor:
    """The penalty objective of each sample without the regulariser, straight from `Penalty`'s docstring."""
    state, problem, x = state or sweep.state, sweep.problem, sweep.batch.x
    method, last = weights_of(sweep), len(problem.layers) - 1
    inputs, E = [x, *state.a], x.new_empty(0)
    out = state.a[last] if len(state.a) > last else state.z[last]
    total = torch.vmap(lambda z, y: problem.loss(z[None], y[None]))(out, sweep.batch.y)
    for i, layer in enumerate(problem.layers):
        predicted = layer.map(state.W[i], state.b[i], inputs[i])
        if layer.skip is not None:
            kind, j = layer.skip
            predicted = predicted + (state.z[j] if kind == "z" else inputs[j + 1])
        E = (state.z[i] - predicted).flatten(1)
        c = method.linear if i < last or method.last is None else method.last
        total = total + 0.5 * c * (E * E).sum(1)
        if i < len(state.a):
            D = (state.a[i] - layer.activation(state.z[i])).flatten(1)
            total = total + 0.5 * method.activation * (D * D).sum(1)
    if state.u is not None:
        total = total + (state.u * (E if method.dual == "residual" else state.z[last])).sum(1)
    return total


def objective(sweep: Sweep[Any], state: State[Any] | None = None) -> Tensor:
    """All of it."""
    state = state or sweep.state
    omega = sum(sweep.problem.regularizer(W) for W in state.W)
    return per_sample(sweep, state).sum() + omega


def energy(
    sweep: Sweep[Any], name: str, i: int, prox: float = 0.0, centre: Tensor | None = None, each: bool = False
) -> Energy:
    """The objective as a function of one variable at the present values of all others, with its proximal term."""
    base = sweep.state.clone()

    def value(t: Tensor) -> Tensor:
        group = list(getattr(base, name))
        group[i] = t
        at = State(base.W, base.b, base.z, base.a, base.u)
        object.__setattr__(at, name, group)
        total = per_sample(sweep, at) if each else objective(sweep, at)
        if centre is None:
            return total
        square = (t - centre).square()
        return total + 0.5 * prox * (square.flatten(1).sum(1) if each else square.sum())

    return value


def gradient(value: Energy, at: Tensor) -> Tensor:
    point = at.detach().clone().requires_grad_()
    return torch.autograd.grad(value(point).sum(), point)[0]


def minimised(value: Energy, start: Tensor) -> Tensor:
    """By L-BFGS with autograd: it knows of no formula."""
    x = start.detach().clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [x], max_iter=400, max_eval=800, tolerance_grad=1e-12, tolerance_change=0.0, history_size=50,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> Tensor:
        optimizer.zero_grad()
        f = value(x)
        f.backward()
        return f

    optimizer.step(closure)
    return x.detach()


def assert_minimum(value: Energy, new: Tensor, old: Tensor, tolerance: float = 1e-7, unique: bool = False) -> None:
    """The derivative is zero at `new` and was not at `old`; where the minimum is `unique`, L-BFGS ends there."""
    scale = float(gradient(value, old).abs().max())
    assert scale > 1e-3
    assert float(gradient(value, new).abs().max()) <= tolerance * scale
    assert float(value(new)) < float(value(old))
    if unique:
        found = minimised(value, old)
        assert float(value(new)) <= float(value(found)) + 1e-9 * abs(float(value(found)))
        torch.testing.assert_close(new, found, rtol=1e-5, atol=1e-5)


def centred(sweep: Sweep[Any], name: str, i: int, inertia: float | None) -> Tensor:
    """``v + inertia (v - v_{k-1})`` of the present values."""
    now = getattr(sweep.state, name)[i].clone()
    if inertia is None:
        return now
    assert sweep.state.previous is not None
    return now + inertia * (now - getattr(sweep.state.previous, name)[i])


def others_untouched(sweep: Sweep[Any], before: State[Any], *written: tuple[str, int]) -> bool:
    """Whether every variable but those named is what it was; of the previous iterate the same."""

    def alike(one: Any, two: Any, name: str) -> bool:
        pairs = enumerate(zip(getattr(one, name), getattr(two, name), strict=True))
        return all((name, i) in written or torch.equal(p, q) for i, (p, q) in pairs)

    now = sweep.state
    fine = all(alike(now, before, name) for name in ("W", "b", "z", "a"))
    if now.previous is not None:
        fine = fine and all(alike(now.previous, before.previous, name) for name in ("W", "b", "z", "a"))
    if now.u is not None and before.u is not None:
        fine = fine and (("u", 0) in written or torch.equal(now.u, before.u))
    return fine


def stepped_by_optimizer(t: Tensor) -> None:
    """A step of Adam along ones."""
    t.grad = torch.ones_like(t)
    torch.optim.Adam([t], lr=0.1).step()
    t.grad = None
