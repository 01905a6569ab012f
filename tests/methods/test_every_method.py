"""Properties that hold for every method of the table."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

import altmin
import forked
from altmin import Batch, problem_of, state_of
from altmin.core.forward import forward
from methods.table import NETS, ROWS, Loop, Row, begun, network, pairs, seeded

pytestmark = pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")

descending = [name for name, row in ROWS.items() if row.descends is not None]
learning = [name for name, row in ROWS.items() if row.learns]
alike = [name for name, row in ROWS.items() if row.units_alike]
adding = [name for name, row in ROWS.items() if row.adds]
regularized = [(name, regularizer) for name in descending for regularizer in ROWS[name].regularizers]
penalised = [(name, regularizer) for name, row in ROWS.items() for regularizer in row.regularizers]
by_columns = {(name, "l1:0.01") for name in ("bcd", "bcd-plain", "taylor", "taylor-warm-up")}


def patiently(cases: list[tuple[str, str]]) -> list[Any]:
    """The cases, those whose weights are found column by column left to the slow run."""
    return [pytest.param(*case, marks=pytest.mark.slow) if case in by_columns else case for case in cases]


on_nets = list(pairs())
# From a forward pass hidden gradients are rounding, which says where the search for a regularised step begins: with a
# regulariser all begin off it.
shared_runs = [(name, regularizer, 20, 300) for name in adding for regularizer in (None, *ROWS[name].regularizers)]
shared_runs += [("ipdlam", None, 70, 90), ("bcd", "l2:0.05", 70, 90)]  # of fewer samples in a process than units
# Rules that ask for the loss of all samples: that of one process alone would not double this band.
RULES = {
    "dladmm-adaptive": Row(altmin.DLADMM(rho=3.0, nu=1.0, schedule="adaptive")),
    "mdlam-sum": Row(altmin.MDLAM(rho=0.3, eps=63.0, eps_rule="sum", accelerated=False)),
}
shared_runs += [(name, None, 20, 300) for name in RULES]


def begin(name: str, **options: object) -> Loop:
    """A row's method on a fully connected network."""
    row = ROWS.get(name) or RULES[name]
    return Loop.on_digits(row.method, s=row.s, **options)  # type: ignore[arg-type]


def accuracy(loop: Loop) -> float:
    z = forward(loop.problem, loop.state, loop.batch.x)[0][-1]
    return float((z.argmax(1) == loop.batch.y.argmax(1)).double().mean())


@torch.no_grad()
def network_loss(loop: Loop) -> float:
    return float(loop.problem.loss(forward(loop.problem, loop.state, loop.batch.x)[0][-1], loop.batch.y))


def assert_never_rises(name: str, values: list[float]) -> None:
    """From the iteration on that the table says."""
    rises = [after - before for before, after in itertools.pairwise(values[ROWS[name].descends :])]
    assert max(rises) <= 1e-9 * abs(values[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", learning)
@pytest.mark.parametrize("loss", ["squared", "cross_entropy", "hinge"])
def test_learns_the_training_set(name: str, loss: str):
    loop = begin(name, loss=loss)
    for _ in range(ROWS[name].steps):
        loop.step()
    assert accuracy(loop) > 0.5, "chance is 0.1"


@pytest.mark.slow
@pytest.mark.parametrize("name", descending)
@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
@pytest.mark.parametrize("hidden", [(20, 15), (12,), ()])
def test_objective_never_rises(name: str, loss: str, hidden: tuple[int, ...]):
    values = begin(name, loss=loss, hidden=hidden).run(40)
    assert_never_rises(name, values)
    assert values[-1] < 0.9 * values[0]


@pytest.mark.thinned(1)
@pytest.mark.parametrize(("name", "regularizer"), patiently(regularized))
def test_objective_with_a_regularizer_never_rises(name: str, regularizer: str):
    assert_never_rises(name, begin(name, regularizer=regularizer, n=100).run(12))


def takes_regularizer(name: str, regularizer: str) -> bool:
    """Whether the method's own check lets it pass."""
    try:
        ROWS[name].method.check(problem_of(network(20, 15, s=ROWS[name].s), regularizer=regularizer))
    except TypeError:
        return False
    return True


@pytest.mark.parametrize("name", ROWS)
def test_regularizers_are_those_of_the_table(name: str):
    assert tuple(r for r in Row.regularizers if takes_regularizer(name, r)) == ROWS[name].regularizers


@pytest.mark.thinned(1)
@pytest.mark.parametrize(("name", "regularizer"), patiently([pair for pair in penalised if pair[0] not in descending]))
def test_objective_with_a_regularizer_is_lowered(name: str, regularizer: str):
    """In a few iterations, by methods whose objective may rise in one."""
    values = begin(name, regularizer=regularizer, n=100).run(20)
    assert values[-1] < 0.97 * values[0]


@torch.no_grad()
def weights_after(name: str, regularizer: str, steps: int) -> list[torch.Tensor]:
    loop = begin(name, regularizer=regularizer, n=200)
    for _ in range(steps):
        loop.step()
    return [W.detach() for W in loop.state.W]


@pytest.mark.thinned(1)
@pytest.mark.parametrize(("name", "regularizer"), patiently(penalised))
def test_a_regularizer_shrinks_what_it_weighs(name: str, regularizer: str):
    """The more, the larger its weight: the sum of squares or of absolute values, after the same few iterations."""
    kind = regularizer.split(":")[0]
    norm = {"l1": torch.abs, "l2": torch.square}[kind]
    free, light, heavy = (
        sum(float(norm(W).sum()) for W in weights_after(name, f"{kind}:{weight}", 5)) for weight in (0.0, 1.0, 10.0)
    )
    assert light < (1 - 1e-4) * free
    assert heavy < (1 - 1e-3) * free
    assert heavy < light or heavy == light == 0


@pytest.mark.parametrize("name", [name for name, regularizer in penalised if regularizer.startswith("l1")])
def test_l1_makes_weights_exactly_zero(name: str):
    zeros = sum(int((W == 0).sum()) for W in weights_after(name, "l1:10.0", 10))
    assert (zeros > 0) == ROWS[name].zeros


def assert_order_does_not_matter(loop: Loop, steps: int, generator: torch.Generator, close: float = 1e-6) -> None:
    order = torch.randperm(len(loop.batch.x), generator=generator)
    other = loop.restarted(Batch(loop.batch.x[order], loop.batch.y[order]))
    for _ in range(steps):
        loop.step()
        other.step()
    for one, two in zip(loop.state.W, other.state.W, strict=True):
        torch.testing.assert_close(one, two, rtol=close, atol=0.1 * close)
    for one, two in zip(loop.state.z, other.state.z, strict=True):
        torch.testing.assert_close(one[order], two, rtol=close, atol=0.1 * close)


@pytest.mark.parametrize("name", ROWS)
def test_permuting_samples_changes_nothing_but_their_order(name: str, generator: torch.Generator):
    assert_order_does_not_matter(begin(name), 3, generator)


@pytest.mark.parametrize("name", alike)
def test_permuting_hidden_units_permutes_the_weights(name: str, generator: torch.Generator):
    loop, other = begin(name), begin(name)
    order = torch.randperm(20, generator=generator)
    start = state_of(network(20, 15)).weights()
    start.W[0], start.W[1], start.b[0] = start.W[0][order], start.W[1][:, order], start.b[0][order]
    other.state = begun(other.method, other.problem, other.batch, start)
    for _ in range(2):
        loop.step()
        other.step()
    torch.testing.assert_close(loop.state.W[0][order], other.state.W[0], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(loop.state.W[1][:, order], other.state.W[1], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ROWS)
def test_start_is_copied(name: str):
    """`State.weights` shares nothing with the model that it comes from."""
    loop = begin(name)
    start = state_of(network(20, 15))
    before = [w.clone() for w in (*start.W, *start.b)]
    loop.state = begun(loop.method, loop.problem, loop.batch, start)
    loop.step()
    assert all(torch.equal(a, b) for a, b in zip(before, (*start.W, *start.b), strict=True))


# Convolutions with max pooling, and residual connections


@pytest.mark.slow
@pytest.mark.parametrize(("name", "net"), [pair for pair in on_nets if ROWS[pair[0]].learns])
def test_lowers_the_loss_of_other_networks(name: str, net: str):
    loop = Loop.on_net(name, net)
    before = network_loss(loop)
    for _ in range(min(40, ROWS[name].steps)):
        loop.step()
    assert network_loss(loop) < 0.95 * before


@pytest.mark.thinned(1)
@pytest.mark.parametrize(("name", "net"), [pair for pair in on_nets if pair[0] in descending])
def test_objective_on_other_networks_never_rises(name: str, net: str):
    values = Loop.on_net(name, net).run(8)
    assert_never_rises(name, values)
    assert values[-1] < 0.9 * values[0]


@pytest.mark.thinned(1)
@pytest.mark.parametrize(("name", "net"), on_nets)
def test_permuting_samples_of_other_networks(name: str, net: str, generator: torch.Generator):
    assert_order_does_not_matter(Loop.on_net(name, net, 40), 2, generator, 1e-5)


def test_every_network_has_methods_and_every_method_has_the_networks_it_supports():
    for net, parts in NETS.items():
        problem = problem_of(seeded(lambda parts=parts: parts(torch.nn.ReLU)))
        used = {feature for layer in problem.layers for feature in layer.features}
        assert {name for name, of in on_nets if of == net} == {
            n for n, r in ROWS.items() if not used & r.method.unsupported
        }


# Processes


def numbers(loop: Loop) -> dict[str, float]:
    """What the method remembers beside tensors, which is the same on every process."""
    return {k: v for k, v in loop.state.memory.state_dict().items() if isinstance(v, int | float)}


def _share(rank: int, store: str, out: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    found = {}
    for name, regularizer, width, n in shared_runs:
        whole = begin(name, regularizer=regularizer, hidden=(width, 15), n=n)
        half = slice(0, 40) if rank == 0 else slice(40, n)
        loop = whole.restarted(Batch(whole.batch.x[half], whole.batch.y[half], group=dist.group.WORLD))
        if regularizer:
            whole.scattered()
            for own, all_of_it in ((loop.state.z, whole.state.z), (loop.state.a, whole.state.a)):
                for t, value in zip(own, all_of_it, strict=True):
                    t.copy_(value[half])
        assert loop.state.samples == n
        for _ in range(5):
            loop.step()
        result = [*loop.state.W, *loop.state.b], loop.objective(), loop.residuals(), numbers(loop)
        found[name, regularizer, width, n] = result
    if rank == 1:
        torch.save(found, out)
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_two_processes_equal_one(tmp_path: Path):
    """Every method, with and without a regulariser, in one pair of processes."""
    out = str(tmp_path / "out.pt")
    forked.run(_share, str(tmp_path / "store"), out, processes=2)
    shared = torch.load(out)
    assert list(shared) == shared_runs
    for (name, regularizer, width, n), (weights, objective, residuals, remembered) in shared.items():
        loop, close = begin(name, regularizer=regularizer, hidden=(width, 15), n=n), (ROWS | RULES)[name].rounding
        loop = loop.scattered() if regularizer else loop
        for _ in range(5):
            loop.step()
        for one, two in zip((*loop.state.W, *loop.state.b), weights, strict=True):
            torch.testing.assert_close(
                one, two, rtol=10 * close, atol=close, msg=lambda m, name=name, r=regularizer: f"{name} {r}: {m}"
            )
        assert objective == pytest.approx(loop.objective(), rel=1e-9), name
        assert residuals == pytest.approx(loop.residuals(), rel=1e-6, abs=1e-7), name
        assert remembered == pytest.approx(numbers(loop), rel=1e-9), name


# The table itself


def test_table_names_every_public_method():
    public = {getattr(altmin, n) for n in altmin.__all__ if isinstance(getattr(altmin, n), type)}
    methods = {m for m in public if issubclass(m, altmin.Method) and m is not altmin.Method}
    assert methods == {type(row.method) for row in ROWS.values()}


def test_row_is_readable():
    assert "DLADMM" in repr(Row(ROWS["dladmm"].method))


def test_problem_of_table_is_the_models():
    problem = problem_of(network(20, 15))
    assert (problem.inputs, problem.outputs, len(problem.layers)) == (64, 10, 3)
