"""The audit: what it refuses, what it lets pass, and that it leaves PyTorch as it found it."""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.autograd import grad as imported_grad
from torch.nn.grad import conv2d_input

import altmin
from altmin.audit import BackpropError, Gradients, MarkedGradient, no_backprop, passed, plain, require_local
from altmin.layerwise.function import LayerValue, layer_functions
from methods.table import ROWS, digits, network

# What an audit replaces while it is active.
DOORS = [
    (torch.autograd, "_engine_run_backward"),
    (torch.autograd.graph, "disable_saved_tensors_hooks"),
    (forward_ad, "enter_dual_level"),
    (forward_ad, "make_dual"),
    (threading.Thread, "start"),
]


def doors() -> list[object]:
    return [getattr(module, name) for module, name in DOORS]


UNTOUCHED = doors()


@pytest.fixture(autouse=True)
def _torch_is_restored() -> Iterator[None]:
    """After every test PyTorch is as it was, and autograd runs."""
    yield
    assert all(now is then for now, then in zip(doors(), UNTOUCHED, strict=True))
    x = torch.tensor(3.0, requires_grad=True)
    (x * x).backward()
    assert x.grad is not None
    assert float(x.grad) == 6.0
    with torch.autograd.graph.disable_saved_tensors_hooks("hooks are left behind"):
        assert float(torch.func.grad(lambda v: v * v)(torch.tensor(3.0))) == 6.0


@pytest.fixture
def x() -> Tensor:
    return torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)


# A layer z = W a as the library writes it: its derivatives, in closed form, with the audit's two calls.


def to_input(W: Tensor, r: Tensor) -> Tensor:
    require_local(r)
    return passed(r @ W)


def to_params(a: Tensor, r: Tensor) -> Tensor:
    require_local(r)
    return r.T @ a


def square(v: Tensor) -> Tensor:
    return (v * v).sum()


# (1) autograd


def scripted_gradient(x: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = "def f(x):\n    y = (x * x).sum()\n    return torch.autograd.grad([y], [x])[0]\n"
        return torch.jit.CompilationUnit(code).f(x)


AUTOGRAD: dict[str, Callable[[Tensor], Any]] = {
    "Tensor.backward": lambda x: square(x).backward(),
    "autograd.backward": lambda x: torch.autograd.backward(square(x)),
    "autograd.grad": lambda x: torch.autograd.grad(square(x), x),
    "autograd.grad, imported before": lambda x: imported_grad(square(x), x),
    "autograd.grad, batched": lambda x: torch.autograd.grad(x * x, x, torch.eye(2).double(), is_grads_batched=True),
    "autograd.functional.vjp": lambda x: torch.autograd.functional.vjp(square, x),
    "autograd.functional.jacobian": lambda x: torch.autograd.functional.jacobian(square, x),
    "gradient of a sum, which saves nothing": lambda x: x.sum().backward(),
    "func.grad": lambda x: torch.func.grad(square)(x.detach()),
    "func.grad_and_value": lambda x: torch.func.grad_and_value(square)(x.detach()),
    "func.vjp": lambda x: torch.func.vjp(square, x.detach()),
    "func.jacrev": lambda x: torch.func.jacrev(square)(x.detach()),
    "func.jvp": lambda x: torch.func.jvp(square, (x.detach(),), (x.detach(),)),
    "func.jacfwd": lambda x: torch.func.jacfwd(square)(x.detach()),
    "func.hessian": lambda x: torch.func.hessian(square)(x.detach()),
    "func.linearize": lambda x: torch.func.linearize(square, x.detach()),
    "dual_level": lambda x: forward_ad.dual_level().__enter__(),
    "a node by hand": lambda x: (x * x).grad_fn(torch.ones(2)),  # type: ignore[misc]
    "a backward by a marked gradient": lambda x: (x * x).backward(passed(torch.ones(2).double())),
}


@pytest.mark.parametrize("way", AUTOGRAD)
def test_every_way_into_autograd_is_refused(way: str, x: Tensor):
    with no_backprop(), pytest.raises(BackpropError, match=r"`no_backprop\(\)` forbid it.*'full backpropagation'"):
        AUTOGRAD[way](x)
    assert x.grad is None


def test_autograd_within_torchscript_is_refused(x: Tensor):
    assert torch.equal(scripted_gradient(x), 2 * x)
    with no_backprop(), pytest.raises(RuntimeError, match="an autograd graph is run"):
        scripted_gradient(x)


def test_a_graph_built_before_is_not_run_inside(x: Tensor):
    y, pull = square(x), torch.func.vjp(square, x.detach())[1]
    with no_backprop():
        with pytest.raises(BackpropError, match=r"torch\.autograd\.backward"):
            y.backward()
        with pytest.raises(BackpropError):
            pull(torch.tensor(1.0).double())


def test_make_dual_on_a_level_entered_before(x: Tensor):
    with forward_ad.dual_level(), no_backprop(), pytest.raises(BackpropError, match="tangent"):
        forward_ad.make_dual(x.detach(), x.detach())


def test_a_graph_may_be_built_inside_and_run_after(x: Tensor):
    with no_backprop():
        y = square(x)
        assert torch.vmap(square)(x[None]).requires_grad
    y.backward()
    assert torch.equal(x.grad, 2 * x)  # type: ignore[arg-type]


def test_other_threads_are_free(x: Tensor):
    entered, done = threading.Event(), threading.Event()

    def audited() -> None:
        with no_backprop():
            entered.set()
            assert done.wait(10)
            with pytest.raises(BackpropError):
                square(x).backward()

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(audited)
        assert entered.wait(10)
        square(x).backward()
        g = passed(x)
        done.set()
        other.result()
    assert torch.equal(x.grad, 2 * x)  # type: ignore[arg-type]
    assert g is x


def on_a_thread(call: Callable[[], Any], kind: Callable[..., threading.Thread] = threading.Thread) -> Any:
    """What a call on a new thread gives or raises."""
    got: list[Any] = []

    def run() -> None:
        try:
            got.append(call())
        except BackpropError as error:
            got.append(error)

    thread = kind(target=run)
    thread.start()
    thread.join(10)
    return got[0]


class Own(threading.Thread):
    """A thread with a `run` of its own."""

    def __init__(self, target: Callable[[], None]):
        super().__init__()
        self.own = target

    def run(self) -> None:
        self.own()


def pooled(call: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).exception(10)


STARTED: dict[str, Callable[[Callable[[], Any]], Any]] = {
    "a thread": on_a_thread,
    "a thread of a class": lambda call: on_a_thread(call, Own),
    "a timer": lambda call: on_a_thread(call, lambda target: threading.Timer(0.0, target)),
    "a pool": pooled,
    "a thread of a thread": lambda call: on_a_thread(lambda: on_a_thread(call)),
}


@pytest.mark.parametrize("way", STARTED)
@pytest.mark.parametrize("call", ["backward", "grad", "func.grad", "chain"])
def test_threads_started_inside_are_audited(way: str, call: str, x: Tensor):
    calls: dict[str, Callable[[], Any]] = {
        "backward": lambda: x.sum().backward(),
        "grad": lambda: torch.autograd.grad(square(x), x),
        "func.grad": lambda: torch.func.grad(square)(x.detach()),
        "chain": lambda: to_params(W, to_input(W, H)),
    }
    with no_backprop():
        error = STARTED[way](calls[call])
    assert isinstance(error, BackpropError)
    assert x.grad is None


def test_threads_started_inside_are_free_once_the_audit_is_left(x: Tensor):
    left, refused = threading.Event(), threading.Event()

    def outlive() -> Tensor:
        with pytest.raises(BackpropError):
            x.sum().backward()
        refused.set()
        assert left.wait(10)
        return torch.func.grad(square)(x.detach()) + torch.autograd.grad(square(x), x)[0]

    with ThreadPoolExecutor(1) as pool:
        with no_backprop():
            running = pool.submit(outlive)
            assert refused.wait(10)
        with no_backprop():  # another one, which the thread was not started in
            left.set()
            assert torch.equal(running.result(10), 4 * x)


def test_an_audit_within_a_thread_started_inside_ends_with_it(x: Tensor):
    def nested() -> None:
        with no_backprop():
            pass
        x.sum().backward()

    with no_backprop():
        assert isinstance(on_a_thread(nested), BackpropError)


# Entering and leaving; a sum saves no tensors, so that only the doors' guards can refuse it


def test_nested_audits_hold_until_the_last_is_left(x: Tensor):
    audit = no_backprop()
    with audit:
        with audit, no_backprop():
            pass
        with pytest.raises(BackpropError):
            x.sum().backward()
        assert isinstance(passed(x.detach()), MarkedGradient)
    x.sum().backward()


def test_an_exception_leaves_the_audit(x: Tensor):
    with pytest.raises(ZeroDivisionError), no_backprop(), no_backprop():
        raise ZeroDivisionError
    assert passed(x) is x


def test_the_refusal_itself_leaves_the_audit(x: Tensor):
    with pytest.raises(BackpropError), no_backprop():
        x.sum().backward()
    assert passed(x) is x


def generator() -> Generator[None]:
    with no_backprop():
        yield


def test_generators_in_any_order(x: Tensor):
    first, second = generator(), generator()
    next(first)
    next(second)
    first.close()
    with pytest.raises(BackpropError):
        x.sum().backward()
    second.close()
    x.sum().backward()


def test_hooks_of_others_are_kept(x: Tensor):
    packed: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: packed.append(t) or t, lambda t: t):
        with no_backprop():
            pass
        square(x).backward()
    assert packed


# (2) what is a gradient

W, H = torch.tensor([[2.0, 1.0], [0.5, 3.0]]).double(), torch.tensor([[1.0, -1.0], [4.0, 2.0]]).double()

OPS: Any = torch  # `_foreach` operations are not declared public

# From the gradient g and the variable c, both (2, 2).
GRADIENTS: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "itself": lambda g, c: g,
    "slope * g": lambda g, c: c * g,
    "g * slope": lambda g, c: g * c,
    "g.mul_": lambda g, c: g.mul_(2.0).mul_(c),
    "slope.mul_(g)": lambda g, c: c.clone().mul_(g),
    "c / g": lambda g, c: c / g,
    "g / 2": lambda g, c: g / 2,
    "1 - g": lambda g, c: 1 - g,
    "add a number first": lambda g, c: torch.add(1.0, g),  # type: ignore[call-overload]
    "-g": lambda g, c: -g,
    "W g": lambda g, c: W @ g,
    "g W": lambda g, c: g @ W,
    "linear": lambda g, c: nn.functional.linear(c, g),
    "einsum": lambda g, c: torch.einsum("ij,jk->ik", c, g),
    "solve": lambda g, c: torch.linalg.solve(W, g),
    "convolved": lambda g, c: conv2d_input((1, 1, 2, 2), c[None, None, :1, :1], g[None, None]),
    "g + c": lambda g, c: g + c,
    "g.add_": lambda g, c: g.add_(c, alpha=0.1),
    "g - c": lambda g, c: g - c,
    "sum of gradients": lambda g, c: sum([g, 2 * g]),
    "addmm to g": lambda g, c: torch.addmm(g, c, c),
    "masked": lambda g, c: g * (c > 0),
    "masked_fill": lambda g, c: g.masked_fill(c > 0, 0.0),
    "where, first": lambda g, c: torch.where(c > 0, g, c),
    "where, second": lambda g, c: torch.where(c > 0, c, g),
    "where, method": lambda g, c: c.where(c > 0, g),
    "centred": lambda g, c: g - g.mean(0) - c * (g * c).mean(0),
    "index": lambda g, c: g[:1],
    "pick": lambda g, c: g[torch.tensor([1, 0])],
    "view": lambda g, c: g.view(4).reshape(2, 2).T.contiguous(),
    "sum": lambda g, c: g.sum(0),
    "stack of rows": lambda g, c: torch.stack(list(g)),
    "cat": lambda g, c: torch.cat([c, g]),
    "max": lambda g, c: torch.max(g, 0).values,
    "detach": lambda g, c: g.detach().clone(),
    "data": lambda g, c: g.data,
    "to": lambda g, c: g.to(torch.float32).to(c),
    "deepcopy": lambda g, c: copy.deepcopy(g),
    "as_tensor": lambda g, c: torch.as_tensor(g),
    "foreach_mul": lambda g, c: OPS._foreach_mul([c], [g])[0],
    "foreach_neg": lambda g, c: OPS._foreach_neg([g])[0],
    "keyword": lambda g, c: torch.lerp(end=c, weight=0.1, input=g),
    "overload": lambda g, c: torch.ops.aten.mul.Tensor(c, g),
    "scatter": lambda g, c: torch.zeros_like(c).scatter_(1, torch.tensor([[0, 1], [1, 0]]), g),
}

VARIABLES: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "c - lr g": lambda g, c: c - 0.1 * g,
    "c.sub": lambda g, c: c.sub(g, alpha=0.1),
    "c.add": lambda g, c: c.add(g, alpha=-0.1),
    "torch.add": lambda g, c: torch.add(c, g),
    "keywords": lambda g, c: torch.lerp(end=g, weight=0.1, input=c),
    "subtract": lambda g, c: torch.subtract(c, g),
    "addcmul": lambda g, c: torch.addcmul(c, g, c, value=-0.1),
    "addcdiv": lambda g, c: torch.addcdiv(c, g, W, value=-0.1),
    "addmm": lambda g, c: torch.addmm(c, c, g, alpha=-0.1),
    "addmv": lambda g, c: torch.addmv(c[0], c, g[0], alpha=-0.1),
    "addr": lambda g, c: torch.addr(c, g[0], c[0], alpha=-0.1),
    "addbmm": lambda g, c: torch.addbmm(c, c[None], g[None], alpha=-0.1),
    "baddbmm": lambda g, c: torch.baddbmm(c[None], c[None], g[None], alpha=-0.1),
    "lerp": lambda g, c: c.lerp(g, 0.1),
    "foreach_add": lambda g, c: OPS._foreach_add([c], [g], alpha=-0.1)[0],
    "overload": lambda g, c: torch.ops.aten.sub.Tensor(c, g),
    "c.sub_": lambda g, c: c.sub_(g),
    "c -= g": lambda g, c: c.__isub__(g),
    "c.copy_": lambda g, c: c.copy_(g),
    "c.addcmul_": lambda g, c: c.addcmul_(g, c),
    "c.lerp_": lambda g, c: c.lerp_(g, 0.1),
    "shaped alike": lambda g, c: c.view(4).view_as(g),
    "reshaped alike": lambda g, c: c.view(4).reshape_as(g),
    "expanded alike": lambda g, c: c[:1].expand_as(g),
    "typed alike": lambda g, c: c.type_as(g).to(g),
    "comparison": lambda g, c: g > c,
    "place": lambda g, c: g.argmax(0),
    "its mask": lambda g, c: torch.where(g > 0, c, 0.0),
    "plain": lambda g, c: plain(g),
    "the residual of a step": lambda g, c: W - (c - 0.1 * g),
}


@pytest.mark.parametrize("way", GRADIENTS)
def test_what_is_linear_in_a_gradient_is_refused(way: str):
    with no_backprop():
        r = GRADIENTS[way](to_input(W, H.clone()), W.clone())
        with pytest.raises(BackpropError, match=r"came out of to_input \(called in .*is handed to to_params"):
            to_params(W, r)


@pytest.mark.parametrize("way", VARIABLES)
def test_what_is_a_variable_passes(way: str):
    with no_backprop():
        r = VARIABLES[way](to_input(W, H.clone()), W.clone())
        require_local(r)
    assert type(r) is Tensor


@pytest.mark.parametrize("way", [*GRADIENTS, *VARIABLES])
def test_marks_do_not_change_numbers(way: str):
    compute = (GRADIENTS | VARIABLES)[way]
    with no_backprop():
        marked = compute(to_input(W, H.clone()), W.clone())
    assert torch.equal(plain(marked), compute(to_input(W, H.clone()), W.clone()))


def test_in_place_writing_leaves_a_tensor_what_it_was():
    with no_backprop():
        g, c = to_input(W, H), torch.ones(2, 2).double()
        c.mul_(g)
        c[0] = g[0]
        torch.mul(W, g, out=c)
        OPS._foreach_add_([c], [g])
        require_local(c)
        g.zero_().add_(c)
        with pytest.raises(BackpropError):
            require_local(g)


def test_numbers_of_a_gradient():
    with no_backprop():
        g = to_input(W, H)
        assert g.tolist() == (H @ W).tolist()
        assert g.sum().item() == float(g.sum()) == float((H @ W).sum())
        assert f"{g.sum():.2f}" == f"{float((H @ W).sum()):.2f}"
        assert torch.equal(g, H @ W)
        assert bool(torch.isfinite(g).all())
        assert "MarkedGradient" in repr(g)
        assert g.shape == (2, 2)


def test_without_an_audit_nothing_is_marked():
    with no_backprop():
        g = to_input(W, H)
    assert type(2 * g) is Tensor
    assert to_params(W, to_input(W, H)).shape == (2, 2)
    to_params(W, g)
    r = torch.ones(2)
    assert passed(r) is plain(r) is r


def test_errors_say_what_and_where():
    with no_backprop(), pytest.raises(BackpropError) as caught:
        to_params(W, W * to_input(W, H))
    line = test_errors_say_what_and_where.__code__.co_firstlineno + 2
    text = str(caught.value)
    assert "shape (2, 2)" in text
    assert text.count(f"{__file__}, line {line}") == 2
    assert "`audit=True`" in text
    assert Gradients.BACKPROP.value in text


def test_labels_are_strings():
    assert [str(label) for label in Gradients] == [
        "no gradients at all",
        "gradients within a layer",
        "straight-through",
        "full backpropagation",
    ]


MISSED: dict[str, Callable[[Tensor], Tensor]] = {
    "as_subclass": lambda g: g.as_subclass(Tensor),
    "a view as integers": lambda g: g.view(torch.int64).view(torch.float64),
    "dlpack": torch.from_dlpack,
    "numpy": lambda g: torch.from_numpy(g.numpy()),
    "set_": lambda g: torch.empty(0).double().set_(g),  # type: ignore[arg-type]
    "vmap": lambda g: torch.vmap(lambda v: 2 * v)(g),
    "zeros + g": lambda g: torch.zeros_like(W) + g,
}


@pytest.mark.parametrize("way", MISSED)
def test_it_is_a_lint_and_its_docstring_says_what_it_misses(way: str):
    with no_backprop():
        r = plain(MISSED[way](to_input(W, H)))
        assert type(MISSED[way](to_input(W, H))) is Tensor
        to_params(W, r)


# Optimisers on gradients that are set by hand


def optimizers() -> dict[str, Callable[[list[Tensor]], torch.optim.Optimizer]]:
    kinds: list[Any] = [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.Adagrad]
    both = [*kinds, torch.optim.Adadelta, torch.optim.RMSprop, torch.optim.Adamax, torch.optim.NAdam]
    both += [torch.optim.RAdam, torch.optim.ASGD, torch.optim.Rprop]
    found: dict[str, Any] = {
        f"{kind.__name__}, foreach={foreach}": lambda p, kind=kind, foreach=foreach: kind(p, lr=0.1, foreach=foreach)
        for kind in both
        for foreach in (False, True)
    }
    found |= {f"{kind.__name__}, fused": lambda p, kind=kind: kind(p, lr=0.1, fused=True) for kind in kinds}
    found["SGD, momentum"] = lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True)
    return found


@pytest.mark.parametrize("name", optimizers())
@pytest.mark.parametrize("parameter", [False, True])
def test_optimizers_step_on_marked_gradients(name: str, parameter: bool):
    def train() -> list[Tensor]:
        weights: list[Tensor] = [nn.Parameter(w.clone()) if parameter else w.clone() for w in (W, H)]
        optimizer = optimizers()[name](weights)
        for _ in range(3):
            for w in weights:
                w.grad = to_input(W, w.detach())
            optimizer.step()
        assert all(type(w) is (nn.Parameter if parameter else Tensor) for w in weights)
        return [w.detach() for w in weights]

    with no_backprop():
        audited = train()
    for w, expected, start in zip(audited, train(), (W, H), strict=True):
        assert torch.equal(w, expected)
        assert not torch.equal(w, start)


def test_lbfgs_with_a_closure_by_hand():
    p = nn.Parameter(torch.tensor([[3.0, -1.0]]).double())
    optimizer = torch.optim.LBFGS([p], max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> float:
        r = p.detach() @ W.T - H[:1]
        p.grad = to_input(W, r)
        return float(0.5 * r.square().sum())

    with no_backprop():
        optimizer.step(closure)
    assert torch.allclose(p @ W.T, H[:1], atol=1e-6)
    assert type(p) is nn.Parameter


# The library


def two_layers() -> tuple[nn.Sequential, altmin.Problem, list[LayerValue], Tensor]:
    model = network(7, s=nn.Tanh)
    problem = altmin.problem_of(model, "cross_entropy")
    x, y = digits(12)
    first, last = layer_functions(problem, altmin.state_of(model))
    below = first(x)
    above = last(problem.layers[0].activation(below.z))
    return model, problem, [below, above], problem.loss.grad(above.z, problem.loss.encode(y, 10, x.dtype))


def chain(problem: altmin.Problem, below: LayerValue, above: LayerValue, r: Tensor) -> list[Tensor]:
    """Backpropagation in closed form."""
    return below.to_params(problem.layers[0].activation.derivative(below.z) * above.to_input(r))


def test_backpropagation_in_closed_form_is_caught():
    model, problem, (below, above), r = two_layers()
    x, y = digits(12)
    nn.functional.cross_entropy(model(x), y, reduction="sum").backward()
    for g, p in zip(chain(problem, below, above, r), model[0].parameters(), strict=True):
        assert torch.allclose(g, p.grad)  # type: ignore[arg-type]
    with no_backprop(), pytest.raises(BackpropError, match=r"came out of .*to_input .*to .*to_params"):
        chain(problem, below, above, r)


def test_an_alternating_step_in_closed_form_passes():
    _, problem, (below, above), r = two_layers()
    with no_backprop():
        above.to_params(r)
        code = below.z - 0.1 * (problem.layers[0].activation.derivative(below.z) * above.to_input(r))
        grads = below.to_params(below.z - code)
    assert all(type(g) is Tensor and bool(g.any()) for g in grads)


def fit(method: altmin.Method) -> list[Tensor]:
    model = network(8, 6)
    altmin.fit(model, method, digits(60), epochs=2, batch_size=30 if method.batched else None)
    return [p.detach() for p in model.parameters()]


METHODS = {name: row.method for name, row in ROWS.items() if not isinstance(row.method, altmin.Backprop)}
METHODS["am-refit"] = altmin.OnlineAM(refit=True)


@pytest.mark.usefixtures("short_refits")
@pytest.mark.parametrize("name", METHODS)
def test_alternating_methods_pass(name: str):
    torch.manual_seed(0)
    expected = fit(METHODS[name])
    torch.manual_seed(0)
    with no_backprop():
        got = fit(METHODS[name])
    assert all(torch.equal(p, q) for p, q in zip(got, expected, strict=True))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_backprop_is_refused(optimizer: str):
    with no_backprop(), pytest.raises(BackpropError, match="an autograd graph is run"):
        fit(altmin.Backprop(optimizer))
    fit(altmin.Backprop(optimizer))
