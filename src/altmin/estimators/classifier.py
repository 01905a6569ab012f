"""A classifier in the manner of scikit-learn's `MLPClassifier`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data
from torch import Tensor

from altmin.estimators.base import FLOATS, NetworkEstimator, takes_batches
from altmin.methods.base import Method
from altmin.train import History


class AltMinClassifier(ClassifierMixin, NetworkEstimator):
    """A fully connected classifier, trained by alternating minimisation: cross-entropy behind a softmax.

    It minimises the mean cross-entropy plus ``alpha/(2 N) sum_l ||W_l||^2``, as scikit-learn's `MLPClassifier`, by
    whichever method is named. Inputs are expected near unit scale: put a `StandardScaler` before it. Float64 samples
    are computed with in float64, others in float32.

    Args:
        method: A method's name, as `altmin methods` lists them, or a method such as ``altmin.IPDLAM(alpha=0.5)``.
        hidden_layer_sizes: Widths of the hidden layers.
        activation: Of the hidden layers, such as ``"relu"``, ``"tanh"`` or ``"sign"``.
        alpha: Weight of the squared weights, >= 0; 0 for methods that take no such regulariser.
        batch_size: Samples a step; ``"auto"`` and methods that take all samples at once: the method's own number.
        max_iter: Most passes over the samples; of full-batch methods iterations. Rates that fall reach zero there.
        tol: What counts as progress of the training loss, or with `early_stopping` of the validation accuracy.
        early_stopping: Hold out a part of the samples, and end with the weights that were best on them.
        validation_fraction: That part.
        n_iter_no_change: Iterations without progress that end training.
        warm_start: Whether `fit` goes on from the weights that are there.
        random_state: Of the weights' start, the order of the samples and the held-out part.
        verbose: Print a line for every iteration.
        class_weight: What the samples of each class count by, a dict of label to weight (1 where it names none), or
            ``"balanced"``: inversely to how many there are. The ``sample_weight`` of `fit` is multiplied by it.

    Attributes:
        classes_: The labels, sorted.
        network_: The trained `nn.Sequential`.
        coefs_: The weights of the layers, each ``(inputs, outputs)``.
        intercepts_: Their intercepts.
        n_iter_: Iterations made.
        loss_curve_: The mean training loss of each, without the regulariser.
        loss_, best_loss_: The last one and the least.
        validation_scores_, best_validation_score_: Accuracies on the held-out samples, with `early_stopping`.
        history_: What `altmin.fit` recorded.
        n_features_in_, feature_names_in_, n_layers_, n_outputs_: As everywhere in scikit-learn.

    Raises:
        ValueError: In `fit`: parameters or data that do not fit.

    Example:
        >>> from sklearn.datasets import load_wine
        >>> from sklearn.pipeline import make_pipeline
        >>> from sklearn.preprocessing import StandardScaler
        >>> x, y = load_wine(return_X_y=True)
        >>> model = make_pipeline(StandardScaler(), AltMinClassifier(random_state=0)).fit(x, y)
        >>> model.score(x, y) > 0.99
        True
    """

    loss = "cross_entropy"
    classes_: NDArray[Any]

    def __init__(
        self,
        method: str | Method = "am-newton",
        *,
        hidden_layer_sizes: tuple[int, ...] = (100,),
        activation: str = "relu",
        alpha: float = 1e-4,
        batch_size: int | str = "auto",
        max_iter: int = 60,
        tol: float = 1e-4,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: bool = False,
        class_weight: Mapping[Any, float] | str | None = None,
    ):
        super().__init__(
            method,
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            alpha=alpha,
            batch_size=batch_size,
            max_iter=max_iter,
            tol=tol,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            warm_start=warm_start,
            random_state=random_state,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable label of each sample, ``(N,)``."""
        numbers = self._forward(X).argmax(1).numpy()
        return self.classes_[numbers]

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """The probability of each class, ``(N, classes)``."""
        return torch.softmax(self._forward(X).double(), 1).numpy()

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """The logarithm of `predict_proba`, with all its digits."""
        return torch.log_softmax(self._forward(X).double(), 1).numpy()

    @available_if(takes_batches)
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> AltMinClassifier:
        """One pass over some samples, from where the last one ended; for methods that take samples as they come.

        Args:
            X: Samples, ``(N, features)``.
            y: Their labels.
            classes: All labels that will come; needed in the first call.
            sample_weight: What each of them counts by, as in `fit`.

        Returns:
            The estimator.

        Raises:
            ValueError: The first call without `classes`, or others than it named; a `class_weight` that is balanced,
                for which all samples would have to be there.
        """
        if isinstance(self.class_weight, str):
            raise ValueError("`class_weight` 'balanced' needs all samples; give partial_fit a dict of label to weight")
        self._name_classes(classes)
        return super().partial_fit(X, y, sample_weight)

    def _name_classes(self, classes: Any) -> None:
        named = None if classes is None else np.unique(np.asarray(classes))
        if not hasattr(self, "classes_"):
            if named is None:
                raise ValueError("`classes` must name all labels in the first call of partial_fit")
            self.classes_ = named
        elif named is not None and not np.array_equal(named, self.classes_):
            raise ValueError(f"`classes` must stay what the first call named, {self.classes_}; got {classes!r}")

    def _validated(self, X: Any, y: Any, first: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        read: Any = validate_data(self, X, y, dtype=FLOATS, reset=first)
        x, labels = read
        check_classification_targets(labels)
        return x, column_or_1d(labels, warn=True)

    def _weights(self, x: NDArray[Any], y: NDArray[Any], sample_weight: Any) -> NDArray[Any] | None:
        own = super()._weights(x, y, sample_weight)
        if self.class_weight is None:
            return own
        if isinstance(self.class_weight, str):
            of_classes = compute_sample_weight("balanced", y)
        else:
            strangers = [label for label in self.class_weight if label not in self.classes_]
            if strangers:
                raise ValueError(f"`class_weight` names {strangers[0]!r}, which is not in `classes_`: {self.classes_}")
            of_classes = np.array([self.class_weight.get(label, 1.0) for label in y.tolist()], dtype=float)
        of_classes = of_classes.astype(x.dtype)
        return of_classes if own is None else own * of_classes

    def _meet(self, y: NDArray[Any]) -> None:
        self.classes_ = np.unique(y)

    def _encoded(self, y: NDArray[Any]) -> NDArray[Any]:
        """The number of each label among `classes_`."""
        strangers = np.setdiff1d(y, self.classes_)
        if len(strangers):
            raise ValueError(f"`y` has labels that are not in `classes_`: {strangers}")
        if len(self.classes_) < 2:
            raise ValueError(f"`y` holds one class only, {self.classes_[0]!r}; a classifier needs two or more")
        return np.searchsorted(self.classes_, y)

    def _outputs(self, targets: Tensor) -> int:
        return len(self.classes_)

    def _score(self, history: History) -> list[float]:
        return list(history["validation_accuracy"])
