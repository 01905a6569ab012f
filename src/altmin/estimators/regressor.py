"""A regressor in the manner of scikit-learn's `MLPRegressor`."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.utils.validation import column_or_1d, validate_data
from torch import Tensor

from altmin.estimators.base import FLOATS, NetworkEstimator


class AltMinRegressor(RegressorMixin, NetworkEstimator):
    """A fully connected regressor, trained by alternating minimisation on the squared loss.

    It minimises the mean of ``1/2 ||f(x) - y||^2`` plus ``alpha/(2 N) sum_l ||W_l||^2``, as scikit-learn's
    `MLPRegressor`. Inputs and targets are expected near unit scale: put a `StandardScaler` before it, and a
    `TransformedTargetRegressor` around it. Several targets are several outputs.

    Args:
        method: See `AltMinClassifier`, and so all others.
        hidden_layer_sizes: Widths of the hidden layers.
        activation: Of the hidden layers.
        alpha: Weight of the squared weights, >= 0.
        batch_size: Samples a step, or ``"auto"``.
        max_iter: Most passes over the samples.
        tol: What counts as progress of the loss.
        early_stopping: Hold out a part of the samples, and end with the weights that were best on them.
        validation_fraction: That part.
        n_iter_no_change: Iterations without progress that end training.
        warm_start: Whether `fit` goes on from the weights that are there.
        random_state: Of all that is random.
        verbose: Print a line for every iteration.

    Attributes:
        network_: The trained `nn.Sequential`.
        validation_scores_: Minus the losses on the held-out samples, with `early_stopping`.
        loss_curve_: The mean training loss of each iteration; see `AltMinClassifier` for the others.

    Raises:
        ValueError: In `fit`: parameters or data that do not fit.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(200, 3))
        >>> model = AltMinRegressor(random_state=0).fit(x, np.abs(x[:, 0]) + x[:, 1])
        >>> model.score(x, np.abs(x[:, 0]) + x[:, 1]) > 0.9
        True
    """

    loss = "squared"

    def predict(self, X: Any) -> NDArray[Any]:
        """The outputs, ``(N,)``, or ``(N, outputs)`` where the targets had such a shape."""
        outputs = self._forward(X).numpy()
        return outputs[:, 0] if self._flat else outputs

    def _validated(self, X: Any, y: Any, first: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        read: Any = validate_data(self, X, y, dtype=FLOATS, reset=first, multi_output=True, y_numeric=True)
        x, targets = read
        return x, column_or_1d(targets, warn=True) if targets.shape[1:] == (1,) else targets

    def _meet(self, y: NDArray[Any]) -> None:
        self._flat = y.ndim == 1

    def _encoded(self, y: NDArray[Any]) -> NDArray[Any]:
        """One column an output."""
        return y.reshape(len(y), -1).astype(float)

    def _outputs(self, targets: Tensor) -> int:
        return targets.shape[1]
