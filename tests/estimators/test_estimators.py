"""The estimators keep scikit-learn's contract, with every method, and hold up beside its own networks."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import recall_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.estimator_checks import check_estimator
from torch import nn

import altmin
from altmin import AltMinClassifier, AltMinRegressor
from altmin.methods.registry import METHODS

KINDS = AltMinClassifier, AltMinRegressor
TASKS = load_digits, load_breast_cancer, load_wine, load_iris
OURS = [name for name in METHODS if not isinstance(METHODS[name].method, altmin.Backprop)]
# The checks' targets and features have any scale, on which two diverge, and two others need more than 60 iterations.
NOT_FOR_ANY_TARGET = "am-sgd", "am-adam-off", "dladmm", "mdlam"
PATIENT = "adam", "dtp", "proxprop", "straight-through"  # which need those 60 as regressors

# That check shuffles the samples. Taylor's ADMM draws variables of each sample, in their order; with mDLAM's penalty of
# 1e-4 rounding in the outputs' prox is magnified ten thousand times. `test_sample_weights` holds both to their weights.
UNORDERED = "taylor", "mdlam"


def parameters_of(kind: type[Any], name: str) -> dict[str, Any]:
    """Those with which a method passes, in as few iterations as serve most of them."""
    iterations = 60 if kind is AltMinRegressor and name in PATIENT else 15
    own = {"activation": "sign"} if name == "straight-through" else {}  # which is what it is for
    return {"method": name, "max_iter": iterations} | own


FAST = [pytest.param(kind, {"max_iter": 20}) for kind in KINDS]
REST = [
    pytest.param(kind, parameters_of(kind, name), marks=pytest.mark.slow)
    for kind in KINDS
    for name in (*OURS, "adam")
    if kind is AltMinClassifier or name not in NOT_FOR_ANY_TARGET
]


def wine_frame() -> tuple[pd.DataFrame, pd.Series]:
    whole: Any = load_wine(as_frame=True)
    return whole.data, whole.target


def iris() -> tuple[Any, Any]:
    x, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(x), y


@pytest.mark.filterwarnings("ignore")  # what the checks feed is not meant to be learned from
@pytest.mark.parametrize(("kind", "parameters"), [*FAST, *REST])
def test_scikit_learns_own_checks_pass(kind: Any, parameters: dict[str, Any]):
    exact = parameters.get("method") not in UNORDERED
    failing = {} if exact else {"check_sample_weight_equivalence_on_dense_data": "the order of samples matters"}
    results = check_estimator(kind(**parameters), on_fail=None, on_skip=None, expected_failed_checks=failing)
    bad = {r["check_name"]: r["exception"] for r in results if r["status"] not in ("passed", "skipped", "xfail")}
    assert not bad


@pytest.mark.slow
def test_it_holds_up_beside_scikit_learns_network():
    def mean_score(estimator: Any) -> float:
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        model = make_pipeline(StandardScaler(), estimator)
        return float(np.mean([cross_val_score(model, *load(return_X_y=True), cv=folds).mean() for load in TASKS]))

    with pytest.warns(ConvergenceWarning, match="Maximum iterations"):
        theirs = mean_score(MLPClassifier(random_state=0))
    assert mean_score(AltMinClassifier(random_state=0)) > theirs - 0.005


def test_a_search_takes_methods_by_name_and_as_objects():
    x, y = iris()
    model = make_pipeline(StandardScaler(), AltMinClassifier(max_iter=10, hidden_layer_sizes=(16,), random_state=0))
    grid = {"altminclassifier__method": ["am-newton", "bcd", altmin.IPDLAM(alpha=0.5)]}
    search = GridSearchCV(model, grid, cv=3).fit(x, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_score_ > 0.9


def test_labels_may_be_texts_and_samples_frames():
    x, y = wine_frame()
    names = np.array(["barbera", "barolo", "grignolino"])[y]
    scaled = (x - x.mean()) / x.std()
    model = AltMinClassifier(random_state=0).fit(scaled, names)
    assert list(model.classes_) == ["barbera", "barolo", "grignolino"]
    assert list(getattr(model, "feature_names_in_", [])) == list(x.columns)
    assert (model.predict(scaled) == names).mean() > 0.98
    np.testing.assert_allclose(model.predict_proba(scaled).sum(1), 1.0)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(scaled)), model.predict_proba(scaled))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(scaled.rename(columns={"alcohol": "spirit"}))


def test_a_regressor_has_as_many_outputs_as_targets():
    whole: Any = load_diabetes()
    x, y = StandardScaler().fit_transform(whole.data), (whole.target - whole.target.mean()) / whole.target.std()
    both = np.stack([y, -y], 1)
    model = AltMinRegressor(alpha=1.0, random_state=0).fit(x, both)
    assert model.predict(x).shape == both.shape
    assert model.score(x, both) > 0.5
    assert AltMinRegressor(random_state=0).fit(x, y).predict(x).shape == y.shape


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_samples_say_the_precision(dtype: type):
    x, y = iris()
    model = AltMinClassifier(max_iter=3, random_state=0).fit(x.astype(dtype), y)
    assert {w.dtype for w in (*model.coefs_, *model.intercepts_)} == {np.dtype(dtype)}
    assert [w.shape for w in model.coefs_] == [(4, 100), (100, 3)]


def test_the_same_seed_gives_the_same_network():
    x, y = iris()
    one, other = (AltMinClassifier(max_iter=5, random_state=3).fit(x, y) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one.coefs_, other.coefs_, strict=True))
    assert not np.array_equal(one.coefs_[0], AltMinClassifier(max_iter=5, random_state=4).fit(x, y).coefs_[0])


def test_the_regularizer_is_scikit_learns():
    """``alpha/(2 N) ||W||^2`` beside the mean loss: the gradient of that is the smallest where training ends."""
    x, y = iris()
    model = AltMinClassifier("adam", alpha=3.0, max_iter=400, tol=0.0, n_iter_no_change=400, random_state=0).fit(x, y)
    layers = [module for module in model.network_ if isinstance(module, nn.Linear)]
    loss = nn.functional.cross_entropy(model.network_(torch.tensor(x)), torch.tensor(y))

    def slope(alpha: float) -> float:
        penalty = torch.stack([layer.weight.square().sum() for layer in layers]).sum() * alpha / (2 * len(x))
        grads = torch.autograd.grad(loss + penalty, [layer.weight for layer in layers], retain_graph=True)
        return float(torch.cat([g.flatten() for g in grads]).norm())

    assert min((1.5, 3.0, 6.0), key=slope) == 3.0


def test_early_stopping_ends_with_the_best_weights():
    x, y = load_digits(return_X_y=True)
    model = AltMinClassifier(early_stopping=True, n_iter_no_change=3, random_state=0).fit(x / 16.0, y)
    scores = model.validation_scores_
    assert scores is not None
    assert model.n_iter_ == len(model.loss_curve_) == len(scores) < model.max_iter
    assert model.best_validation_score_ == max(scores)
    assert model.best_loss_ is None


def steps_of(**parameters: Any) -> list[int]:
    """The samples of each step of two iterations on 150 samples."""
    sizes: list[int] = []

    class Counting(altmin.OnlineAM):
        def step(self, sweep: Any) -> None:
            sizes.append(len(sweep.batch.x))
            super().step(sweep)

    AltMinClassifier(Counting(), max_iter=2, random_state=0, **parameters).fit(*iris())
    return sizes


def test_batches_and_held_out_samples_are_as_many_as_was_said():
    assert steps_of(batch_size=60) == [60, 60, 30] * 2
    assert steps_of(batch_size=1000) == [150] * 2
    assert steps_of(early_stopping=True, validation_fraction=0.2) == [120] * 2
    assert sum(steps_of(batch_size=1000, early_stopping=True, validation_fraction=0.2)) == 240


def test_training_that_no_longer_helps_ends():
    x, y = iris()
    model = AltMinClassifier(tol=10.0, n_iter_no_change=2, random_state=0).fit(x, y)
    assert model.n_iter_ == 3


def test_a_warm_start_goes_on():
    x, y = iris()
    model = AltMinClassifier(method="ipdlam", max_iter=3, warm_start=True, random_state=0)
    losses = [model.fit(x, y).loss_ for _ in range(5)]
    assert losses[-1] < losses[0]
    with pytest.raises(ValueError, match="not in `classes_`"):
        model.fit(x, y + 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pickle_goes_on_to_the_bit(kind: Any):
    x, y = iris()
    more = {"classes": [0, 1, 2]} if kind is AltMinClassifier else {}
    model = kind(method="am-adam", random_state=0).partial_fit(x[::2], y[::2], **more)
    copy = pickle.loads(pickle.dumps(model))
    for one in (model, copy):
        one.partial_fit(x[1::2], y[1::2])
    assert all(np.array_equal(a, b) for a, b in zip(model.coefs_, copy.coefs_, strict=True))
    assert np.array_equal(copy.predict(x), model.predict(x))
    assert not hasattr(clone(copy), "network_")


def test_partial_fit_learns_and_names_its_classes():
    x, y = iris()
    model = AltMinClassifier(random_state=0)
    with pytest.raises(ValueError, match="`classes` must name"):
        model.partial_fit(x, y)
    for _ in range(20):
        model.partial_fit(x, y, classes=[0, 1, 2])
    assert model.n_iter_ == 20
    assert model.score(x, y) > 0.95
    with pytest.raises(ValueError, match="`classes` must stay"):
        model.partial_fit(x, y, classes=[0, 1])
    assert not hasattr(AltMinClassifier(method="bcd"), "partial_fit")


BAD: dict[str, Any] = {
    "method": 3,
    "hidden_layer_sizes": (10, 0),
    "activation": "relux",
    "alpha": -1.0,
    "batch_size": 0,
    "max_iter": 1.5,
    "tol": -1.0,
    "early_stopping": "yes",
    "validation_fraction": 1.0,
    "n_iter_no_change": 0,
    "warm_start": None,
    "verbose": "loud",
}


@pytest.mark.parametrize("name", BAD)
def test_parameters_are_checked_in_fit_by_name(name: str):
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        AltMinClassifier(**{name: BAD[name]}).fit(*iris())


def test_a_misspelt_method_gets_the_nearest_name():
    with pytest.raises(ValueError, match="am-newton"):
        AltMinClassifier(method="am-newtn").fit(*iris())


def test_what_is_printed(capsys: pytest.CaptureFixture[str]):
    AltMinClassifier(max_iter=2, verbose=True, early_stopping=True, random_state=0).fit(*iris())
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["iteration 1", "iteration 2"]
    assert "validation loss" in lines[0]


def test_it_is_drawn_as_a_part_of_a_pipeline():
    frame = pd.DataFrame(iris()[0], columns=list("abcd"))
    model = make_pipeline(StandardScaler(), AltMinRegressor(max_iter=2, random_state=0)).fit(frame, frame["a"])
    assert "AltMinRegressor" in model._repr_html_()


def weighed(kind: type[Any], x: Any, y: Any, weights: Any = None, **parameters: Any) -> Any:
    return kind(max_iter=10, random_state=0, **parameters).fit(x, y, sample_weight=weights)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_repetitions(kind: type[Any]):
    x, y = iris()
    times = np.random.default_rng(0).integers(0, 3, len(x))
    one, other = weighed(kind, x, y, times), weighed(kind, np.repeat(x, times, 0), np.repeat(y, times))
    for W, V in zip(one.coefs_, other.coefs_, strict=True):
        np.testing.assert_allclose(W, V, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("chosen", ["balanced", {"a": 5.0}])
def test_weights_of_classes_multiply_those_of_samples(chosen: Any):
    x, y = iris()
    x, names, own = x[:120], np.array(["b", "a", "c"])[y[:120]], np.linspace(0.5, 2.0, 120)
    expected = own * compute_sample_weight(chosen if isinstance(chosen, str) else {"a": 5.0, "b": 1.0, "c": 1.0}, names)
    one = weighed(AltMinClassifier, x, names, own, class_weight=chosen)
    np.testing.assert_allclose(one.coefs_[0], weighed(AltMinClassifier, x, names, expected).coefs_[0])
    assert not np.allclose(one.coefs_[0], weighed(AltMinClassifier, x, names, own).coefs_[0])


def test_partial_fit_takes_weights():
    x, y = iris()
    there = y != 1
    one, other = AltMinClassifier(random_state=0), AltMinClassifier(random_state=0)
    heavy = AltMinClassifier(random_state=0, class_weight={1: 0.0})
    for _ in range(2):
        one.partial_fit(x, y, [0, 1, 2], sample_weight=there.astype(float))
        heavy.partial_fit(x, y, [0, 1, 2])
        other.partial_fit(x[there], y[there], [0, 1, 2])
    for model in (one, heavy):
        np.testing.assert_allclose(model.coefs_[0], other.coefs_[0])
    with pytest.raises(ValueError, match="'balanced' needs all samples"):
        AltMinClassifier(class_weight="balanced").partial_fit(x, y, [0, 1, 2])


@pytest.mark.parametrize("chosen", ["even", {0: -1.0}, [1, 2, 3], {7: 1.0}])
def test_weights_of_classes_that_do_not_fit_are_refused(chosen: Any):
    x, y = iris()
    with pytest.raises(ValueError, match="`class_weight`"):
        AltMinClassifier(class_weight=chosen).fit(x, y)


def test_a_rare_class_is_found_with_balanced_weights():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(600, 4)), np.arange(600) % 20 == 0
    x[y] += 0.8
    plain, balanced = (weighed(AltMinClassifier, x, y, class_weight=chosen) for chosen in (None, "balanced"))
    assert recall_score(y, balanced.predict(x)) > recall_score(y, plain.predict(x)) + 0.2
