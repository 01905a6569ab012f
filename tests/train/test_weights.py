"""Weights of samples and classes as people hand them in: their forms, what they mean, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.utils.class_weight import compute_sample_weight
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import altmin
from altmin import Trainer, fit
from altmin.core.batch import Batch
from altmin.losses import one_hot
from altmin.train.holdout import hold_out
from altmin.train.weights import weigh

N = 40
X = torch.randn(N, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
Y = (X[:, 0] > 0.5).long() + (X[:, 1] > 0.5).long()
W = torch.tensor([0.5, 2.0, 0.0, 1.0] * 10, dtype=torch.float64)
SAMPLES = Batch(X, one_hot(Y, 3, X.dtype))


def network(outputs: int = 3) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, outputs)).double()


def trained(**options: Any) -> torch.Tensor:
    """The weights after three iterations in batches."""
    model = network()
    chosen: dict[str, Any] = {"epochs": 3, "batch_size": 8, "seed": 0, **options}
    fit(model, "am-adam", X, Y, **chosen)
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("form", [torch.Tensor.numpy, torch.Tensor.tolist, torch.Tensor.float, pd.Series])
def test_weights_come_in_any_form(form: Any):
    assert torch.equal(trained(sample_weight=form(W)), trained(sample_weight=W))


def test_samples_of_weight_zero_are_left_out():
    there, model = W > 0, network()
    fit(model, "am-adam", X[there], Y[there], epochs=3, batch_size=8, seed=0, sample_weight=W[there])
    assert torch.equal(trained(sample_weight=W), torch.cat([p.detach().flatten() for p in model.parameters()]))


@pytest.mark.parametrize("chosen", ["balanced", {0: 2.0, 2: 0.25}, {1: 3.0}])
def test_weights_of_classes_are_scikit_learns(chosen: Any):
    expected = compute_sample_weight(
        chosen if isinstance(chosen, str) else {0: 1.0, 1: 1.0, 2: 1.0} | chosen, Y.numpy()
    )
    found = weigh(SAMPLES, True, None, chosen).sample_weight
    assert found is not None
    np.testing.assert_allclose(found.numpy(), expected)
    assert torch.equal(trained(class_weight=chosen), trained(sample_weight=expected))
    assert torch.equal(trained(class_weight=chosen, sample_weight=W), trained(sample_weight=W.numpy() * expected))
    assert not torch.equal(trained(class_weight=chosen), trained())


def test_balanced_weights_count_each_class_alike():
    found = weigh(SAMPLES, True, class_weight="balanced").sample_weight
    assert found is not None
    sums = torch.stack([found[k == Y].sum() for k in range(3)])
    torch.testing.assert_close(sums, torch.full((3,), N / 3, dtype=torch.float64))


def test_one_output_has_two_classes():
    y = (Y > 0).long()
    found = weigh(Batch(X, y[:, None].double()), True, class_weight={1: 3.0}).sample_weight
    assert found is not None
    assert torch.equal(found, torch.where(y == 1, 3.0, 1.0).double())


def test_training_figures_are_weighed_and_those_of_other_samples_are_not():
    model = network()
    history = fit(model, "am-adam", X, Y, epochs=2, seed=0, sample_weight=W, record=("train", "validation", "test"),
                  validation=(X, Y), test=(X[:7], Y[:7]))  # fmt: skip
    loss = nn.functional.cross_entropy(model(X), Y, reduction="none").detach()
    right = (model(X).argmax(1) == Y).double()
    assert history["train_loss"][-1] == pytest.approx(float((W * loss).sum() / W.sum()))
    assert history["train_accuracy"][-1] == pytest.approx(float((W * right).sum() / W.sum()))
    assert history["validation_loss"][-1] == pytest.approx(float(loss.mean()))
    assert history["test_accuracy"][-1] == pytest.approx(float(right[:7].mean()))


def test_a_share_that_is_held_out_keeps_its_weights():
    model = network()
    history = fit(model, "bcd", X, Y, epochs=1, seed=0, sample_weight=W + 1, validation=0.25)
    trainer = Trainer(network(), "bcd", seed=0)
    seed = int(torch.randint(2**62, (), generator=trainer.generator))
    held = hold_out("validation", 0.25, Batch(X, SAMPLES.y, sample_weight=W + 1), True,
                                         lambda: seed)[1]  # fmt: skip
    w = held.sample_weight
    assert w is not None
    loss = nn.functional.cross_entropy(model(held.x), held.y, reduction="none").detach()
    assert history["validation_loss"][-1] == pytest.approx(float((w * loss).sum() / w.sum()))


def test_a_run_with_weights_goes_on_from_its_checkpoint(tmp_path: Path):
    options: dict[str, Any] = {"epochs": 4, "checkpoint": tmp_path, "seed": 0, "sample_weight": W}
    model, whole = network(), network()
    fit(model, "ipdlam", X, Y, callbacks=[lambda history, state: history.iterations == 2], **options)
    with pytest.raises(altmin.CheckpointError, match="`data`"):
        fit(model, "ipdlam", X, Y, resume=True, **{**options, "sample_weight": 2 * W})
    fit(model, "ipdlam", X, Y, resume=True, **options)
    fit(whole, "ipdlam", X, Y, epochs=4, seed=0, sample_weight=W)
    assert all(map(torch.equal, model.parameters(), whole.parameters()))


def test_epochs_of_a_trainer_take_weights():
    model = network()
    trainer = Trainer(model, "am-adam", seed=0)
    for k in range(3):
        trainer.epoch(X, Y, 8, epoch=k, epochs=3, sample_weight=W)
    assert torch.equal(torch.cat([p.detach().flatten() for p in model.parameters()]), trained(sample_weight=W))
    with pytest.raises(TypeError, match="`sample_weight`: BCD keeps variables"):
        Trainer(network(), "bcd").epoch(X, Y, sample_weight=W)


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"sample_weight": W[:7]}, ValueError, r"`sample_weight` must have shape \(40,\).*got \(7,\)"),
        ({"sample_weight": W[:, None]}, ValueError, r"shape \(40,\)"),
        ({"sample_weight": -W}, ValueError, r">= 0, got -0.5 for sample 0"),
        ({"sample_weight": W.log()}, ValueError, r"finite and >= 0, got -0.693147"),
        ({"sample_weight": W / 0}, ValueError, r"finite"),
        ({"sample_weight": 0 * W}, ValueError, r"`sample_weight` is 0 for every sample"),
        ({"sample_weight": ["a"] * N}, TypeError, r"`sample_weight` must hold numbers"),
        ({"sample_weight": 1j * W}, TypeError, r"real numbers"),
        ({"sample_weight": torch.where(Y == 1, 1.0, 0.0)}, ValueError, r"one class only"),
        ({"class_weight": {0: 0.0, 1: 0.0, 2: 0.0}}, ValueError, r"`class_weight` is 0 for every sample"),
        ({"class_weight": "even"}, TypeError, r"`class_weight` must be 'balanced', a dict"),
        ({"class_weight": [1.0, 2.0, 3.0]}, TypeError, r"`class_weight` must be 'balanced', a dict"),
        ({"class_weight": {3: 1.0}}, ValueError, r"`class_weight` names class 3, and there are 0..2"),
        ({"class_weight": {"a": 1.0}}, ValueError, r"class indices as keys.*got 'a'"),
        ({"class_weight": {0: -1.0}}, ValueError, r"weights >= 0, got -1.0 for class 0"),
        ({"sample_weight": W, "method": "bcd", "tol": 1e-3}, ValueError, r"`tol` takes distances"),
        ({"class_weight": "balanced", "method": "bcd", "diagnose": True}, ValueError, r"`diagnose` takes distances"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], kind: type[Exception], text: str):
    with pytest.raises(kind, match=text):
        fit(network(), options.pop("method", "am-adam"), X, Y, epochs=1, **options)


def test_weights_of_classes_need_classes():
    with pytest.raises(TypeError, match="`class_weight` needs class labels"):
        fit(network(1), "bcd", X, X[:, 0], loss="squared", epochs=1, class_weight="balanced")
    fit(network(1), "bcd", X, X[:, 0], loss="squared", epochs=1, sample_weight=W)


@pytest.mark.parametrize("name", ["sample_weight", "class_weight"])
def test_a_loader_has_none(name: str):
    value: Any = W if name == "sample_weight" else "balanced"
    with pytest.raises(ValueError, match=f"`{name}` needs all samples"):
        fit(network(), "am-adam", DataLoader(TensorDataset(X, Y), 8), epochs=1, **{name: value})  # type: ignore[arg-type]
