"""The support matrix: what it says is what training does, for every method."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import altmin
from altmin.audit import Gradients
from altmin.cli import main
from altmin.convert.reading import supported_modules
from altmin.core.forward import forward
from altmin.methods.registry import METHODS
from altmin.registration import modules_of
from altmin.study import support
from altmin.study.support_cases import INPUTS, LAYERS, OUTPUTS, PARTS, REGULARIZERS, Case

ROWS = support.rows()
PAGE = Path(__file__).resolve().parents[2] / "docs" / "support.md"
WALKED = {name: method for name, method in ROWS.items() if name != "torch.optim"} | {
    name: METHODS[name].method for name in ("sgd", "adam")
}


def values(method: altmin.Method, part: str) -> list[str]:
    """What the method takes by itself: `needs` is not met by another layer here."""
    wanted = support.needs(method) if part == "activation" else []
    return wanted or [value for value in PARTS[part] if support.takes(method, part, value)]


def cells(method: altmin.Method, kind: str) -> Iterator[Case]:
    """A cell of a kind of layers for each activation, or more where there are many regularisers or few activations.

    Over all kinds they hold every pair. The whole product has hundreds, and training them takes minutes.
    """
    bends, losses, regularizers = (values(method, part) for part in ("activation", "loss", "regularizer"))
    k = values(method, "layers").index(kind)
    turns = max(1 + (len(regularizers) > 3), 9 // len(bends))
    for turn, (i, bend) in product(range(turns), enumerate(bends)):
        loss, regularizer = i + i // 2 + turn + k, i + i // 3 + 3 * turn + k + k // 3
        yield Case(kind, bend, losses[loss % len(losses)], regularizers[regularizer % len(regularizers)])


def samples() -> tuple[Tensor, Tensor]:
    x = torch.randn(12, INPUTS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return x, torch.arange(12) % OUTPUTS


def network(case: Case) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        return case.network().double()


def fit(model: nn.Sequential, method: altmin.Method, case: Case) -> list[float]:
    """The objective after each epoch, whether it led anywhere or not: `altmin.fit` would judge that.

    Two steps in all: of a batched method that is one epoch, whose second batch is shorter.
    """
    generator, regularizer = torch.Generator().manual_seed(0), REGULARIZERS[case.regularizer]
    trainer = altmin.Trainer(model, method, loss=case.loss, regularizer=regularizer, generator=generator)
    objectives, epochs = [], 1 if method.batched else 2
    for epoch in range(epochs):
        trainer.epoch(*samples(), 7 if method.batched else None, epoch=epoch, epochs=epochs)
        objectives.append(trainer.objective())
    return objectives


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")
@pytest.mark.parametrize(
    ("name", "kind"), [(n, k) for n, m in WALKED.items() for k in LAYERS if support.takes(m, "layers", k)]
)
def test_what_is_supported_trains(name: str, kind: str):
    for case in cells(WALKED[name], kind):
        model = network(case)
        before = [p.detach().clone() for p in model.parameters()]
        objectives = fit(model, WALKED[name], case)
        assert all(abs(value) < float("inf") for value in objectives), case
        assert all(bool(p.isfinite().all()) for p in model.parameters()), case
        assert any(not torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True)), case
        x, _ = samples()
        own = forward(case.problem(), altmin.state_of(model), x)[0][-1]
        # PyTorch's Softplus is linear beyond 20, where it is wrong by up to 2e-9.
        torch.testing.assert_close(own, model.eval()(x).detach(), rtol=1e-8, atol=1e-8, msg=str(case))


@pytest.mark.parametrize("name", WALKED)
def test_what_is_not_supported_is_refused_before_training(name: str):
    method = WALKED[name]
    wanted = [(part, value) for part in PARTS for value in PARTS[part] if value not in values(method, part)]
    for part, value in wanted:
        case = Case(**{"activation": support.plainest(method).activation, part: value})
        model = network(case)
        with pytest.raises(TypeError) as error:
            fit(model, method, case)
        assert str(error.value) == support.refusal(method, case.problem())
        for p, q in zip(model.parameters(), network(case).parameters(), strict=True):
            assert torch.equal(p, q)


@pytest.mark.parametrize("name", WALKED)
def test_a_combination_is_supported_where_its_parts_are(name: str):
    method = WALKED[name]
    taken = {part: values(method, part) for part in PARTS}
    for chosen in product(*PARTS.values()):
        case = Case(*chosen)
        parts = all(value in taken[part] for part, value in vars(case).items())
        assert support.supported(method, case) == parts, case


@pytest.mark.parametrize("name", WALKED)
def test_the_cells_that_are_trained_hold_every_pair(name: str):
    method = WALKED[name]
    seen = [vars(case) for kind in values(method, "layers") for case in cells(method, kind)]
    for one, other in combinations(PARTS, 2):
        pairs = {(case[one], case[other]) for case in seen}
        assert pairs == set(product(values(method, one), values(method, other))), (one, other)


def test_the_torch_optimisers_are_alike():
    answers = {
        (m.gradients, m.batched, m.online, *(support.takes(m, part, v) for part in PARTS for v in PARTS[part]))
        for m in (e.method for e in METHODS.values() if e.paper == "torch.optim")
    }
    assert len(answers) == 1


def test_the_matrix_asks_for_everything_that_can_be_read():
    """The kinds' networks hold every module that the reader knows, activations aside."""
    found = {type(m) for kind in LAYERS for m in Case(kind).network().modules()}
    assert set(supported_modules()) - {nn.Identity} <= found | set(modules_of("activation"))
    assert len(PARTS["activation"]) == len(modules_of("activation"))


def test_what_papers_leave_out():
    """Facts that are known without the code."""
    sets = ["nonnegative", "box", "binary"]
    assert support.unsupported(ROWS["am-adam"]) == ["binary"]
    assert support.unsupported(ROWS["torch.optim"]) == sets
    assert support.unsupported(ROWS["am-mem"]) == ["batch norm", "layer norm", "group norm", "group", *sets]
    assert {"sign", "step", "l1"} <= set(support.unsupported(ROWS["mac"]))
    assert {"batch norm (2d)", "conv", "elman"} <= set(support.unsupported(ROWS["dtp"]))
    assert "batch norm" not in support.unsupported(ROWS["dtp"])
    assert {name: support.needs(m) for name, m in ROWS.items() if support.needs(m)} == {
        "straight-through": ["sign", "step"]
    }
    assert {m.gradients for m in ROWS.values()} == set(Gradients)


def test_the_page_is_the_codes():
    assert PAGE.read_text() == support.markdown(), "run: python -m altmin.study.support > docs/support.md"


def test_the_list_of_methods_says_what_a_method_needs(capsys: pytest.CaptureFixture[str]):
    assert main(["methods"]) == 0
    rows = {line.split()[0]: line.rstrip() for line in capsys.readouterr().out.splitlines()}
    assert rows["straight-through"].endswith("everything but nonnegative, box, binary; needs sign or step")
    assert rows["am-mem"].endswith("everything but batch norm, layer norm, group norm, group, nonnegative, box, binary")
