"""What the classifier and the regressor have in common: parameters, training, going on, pickling."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
from torch import Tensor, nn

from altmin.core.forward import CHUNK
from altmin.estimators.parameters import check_parameters
from altmin.estimators.stopping import Stopping
from altmin.methods.base import Method
from altmin.methods.registry import make_method
from altmin.regularizers import L2
from altmin.study.networks import mlp
from altmin.train import History, Trainer, fit

FLOATS = np.float64, np.float32


def takes_batches(estimator: NetworkEstimator) -> bool:
    """Whether `partial_fit` is there, for scikit-learn's `available_if`."""
    if not estimator.chosen_method.online:
        raise AttributeError(
            f"`partial_fit` needs a method that takes samples as they come; {estimator.method!r} does not"
        )
    return True


class NetworkEstimator(BaseEstimator):
    """A fully connected network, trained by a method of this library; see `AltMinClassifier` and `AltMinRegressor`."""

    loss: ClassVar[str]
    network_: nn.Sequential
    _trainer: Trainer | None

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
    ):
        self.method = method
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.alpha = alpha
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    @property
    def chosen_method(self) -> Method:
        """The method itself, where it is given by name."""
        return make_method(self.method)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train from fresh weights, or with `warm_start` from those that are there.

        Args:
            X: Samples, ``(N, features)``: an array or a data frame of numbers.
            y: Targets, ``(N,)``; of a regressor also ``(N, outputs)``.
            sample_weight: What each sample counts by, ``(N,)``, >= 0: one of weight 2 is as one that is there twice.

        Returns:
            The estimator.

        Raises:
            TypeError: Weights for a method that does not take them.
            ValueError: A parameter or data that do not fit; the message names them.
            DivergenceError: nan or inf in training.
        """
        check_parameters(self)
        going_on = self.warm_start and hasattr(self, "network_")
        x, targets, weights = self._read(X, y, sample_weight, first=not going_on, meet=not going_on)
        if not going_on:
            self._start(x, targets)
        self._trainer = None
        self._train(x, targets, weights)
        return self

    @available_if(takes_batches)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """One pass over some samples, from where the last one ended; for methods that take samples as they come.

        Args:
            X: Samples, as in `fit`.
            y: Their targets.
            sample_weight: What each of them counts by, as in `fit`.

        Returns:
            The estimator.
        """
        check_parameters(self)
        first = not hasattr(self, "network_")
        x, targets, weights = self._read(X, y, sample_weight, first, meet=first and not hasattr(self, "classes_"))
        if first:
            self._start(x, targets)
        trainer = self._trainer = self._trainer or self._make_trainer()
        trainer.epoch(x, targets, self._batch(_counting(x, weights)), sample_weight=weights)
        self.n_iter_ += 1
        return self

    @property
    def coefs_(self) -> list[NDArray[Any]]:
        """The weights of the layers, each ``(inputs, outputs)``, as scikit-learn's networks have them."""
        return [layer.weight.detach().numpy().T for layer in self._layers()]

    @property
    def intercepts_(self) -> list[NDArray[Any]]:
        """The intercepts of the layers."""
        return [layer.bias.detach().numpy() for layer in self._layers()]

    def __getstate__(self) -> dict[str, Any]:
        """All that a pickle holds: of a trainer its state, which is tensors, numbers and texts."""
        state: dict[str, Any] = dict(super().__getstate__())  # type: ignore[call-overload]
        trainer = state.pop("_trainer", None)
        if "network_" in state:
            state["_trainer"], state["_saved_trainer"] = None, trainer and trainer.state_dict()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The estimator as it was pickled."""
        saved = state.pop("_saved_trainer", None)
        super().__setstate__(state)
        if saved is not None:
            self._trainer = self._make_trainer()
            self._trainer.load_state_dict(saved)

    def _meet(self, y: NDArray[Any]) -> None:
        """Remember what kind of targets there are: the first ones, in `fit` without a warm start."""
        raise NotImplementedError

    def _encoded(self, y: NDArray[Any]) -> NDArray[Any]:
        """Targets as `altmin.fit` takes them."""
        raise NotImplementedError

    def _validated(self, X: Any, y: Any, first: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        """Samples and targets as arrays, by scikit-learn's own checks."""
        raise NotImplementedError

    def _weights(self, x: NDArray[Any], y: NDArray[Any], sample_weight: Any) -> NDArray[Any] | None:
        """What each sample counts by; `None` where all count once."""
        if sample_weight is None:
            return None
        return _check_sample_weight(sample_weight, x, dtype=x.dtype, ensure_non_negative=True)

    def _read(
        self, X: Any, y: Any, sample_weight: Any, first: bool, meet: bool
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Samples, targets and weights as tensors.

        Args:
            X: Samples.
            y: Targets.
            sample_weight: What each sample counts by.
            first: Whether their features are to be remembered, not compared with those that were there.
            meet: Whether their targets are.
        """
        x, given = self._validated(X, y, first)
        if meet:
            self._meet(given)
        targets = self._encoded(given)
        targets = targets.astype(x.dtype) if targets.dtype.kind == "f" else targets
        weights = self._weights(x, given, sample_weight)
        return torch.tensor(x), torch.tensor(targets), None if weights is None else torch.tensor(weights)

    def _start(self, x: Tensor, targets: Tensor) -> None:
        """A fresh network, and what its random numbers come from."""
        self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        outputs = self._outputs(targets)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            self.network_ = mlp((x.shape[1],), outputs, tuple(self.hidden_layer_sizes), self.activation)
        self.network_.to(x.dtype)
        self.n_outputs_, self.n_layers_, self.n_iter_ = outputs, len(self.hidden_layer_sizes) + 2, 0
        self._trainer = None

    def _outputs(self, targets: Tensor) -> int:
        """How wide the last layer is."""
        raise NotImplementedError

    def _train(self, x: Tensor, targets: Tensor, weights: Tensor | None) -> None:
        """Train on these samples, and remember how it went."""
        callbacks = [Stopping(self.tol, self.n_iter_no_change, self._figure)]
        history = fit(
            self.network_,
            self.chosen_method,
            x,
            targets,
            **self._options(),
            epochs=self.max_iter,
            batch_size=self._batch(self._trained(_counting(x, weights))),
            sample_weight=weights,
            validation=self.validation_fraction if self.early_stopping else None,
            keep="best" if self.early_stopping else "last",
            callbacks=callbacks,
            verbose=bool(self.verbose),
        )
        self._remember(history)

    def _options(self) -> dict[str, Any]:
        """What every way of training is told."""
        regularizer = L2(self.alpha) if self.alpha else None
        return {"loss": self.loss, "regularizer": regularizer, "seed": self._seed}

    def _make_trainer(self) -> Trainer:
        return Trainer(self.network_, self.chosen_method, **self._options())

    def _batch(self, samples: int) -> int | None:
        """The samples of a step; `None` for the method's own number."""
        own = self.batch_size == "auto" or not self.chosen_method.batched
        return None if own else min(int(self.batch_size), samples)

    def _trained(self, samples: int) -> int:
        """How many of them are trained on at least: the share that is held out is rounded class by class."""
        share = self.validation_fraction if self.early_stopping else 0.0
        return max(1, int((1.0 - share) * samples - (self.n_outputs_ / 2 if share else 0)))

    def _figure(self, history: History) -> float:
        """What has to rise for training to go on."""
        if not self.early_stopping:
            return -history["train_loss"][-1]
        return self._score(history)[-1]

    def _score(self, history: History) -> list[float]:
        """The scores on validation samples, one a record."""
        return [-loss for loss in history["validation_loss"]]

    def _remember(self, history: History) -> None:
        self.history_, self.n_iter_ = history, history.iterations
        self.loss_curve_ = list(history["train_loss"])
        self.loss_, self.best_loss_ = self.loss_curve_[-1], None if self.early_stopping else min(self.loss_curve_)
        self.validation_scores_ = self._score(history) if self.early_stopping else None
        self.best_validation_score_ = max(self.validation_scores_) if self.validation_scores_ else None

    def _forward(self, X: Any) -> Tensor:
        """The network's outputs, ``(N, n_outputs_)``."""
        check_is_fitted(self, "network_")
        dtype = next(self.network_.parameters()).dtype
        x = torch.tensor(validate_data(self, X, dtype=FLOATS, reset=False), dtype=dtype)
        with torch.no_grad():
            return torch.cat([self.network_(part) for part in x.split(CHUNK)])

    def _layers(self) -> list[nn.Linear]:
        check_is_fitted(self, "network_")
        return [module for module in self.network_ if isinstance(module, nn.Linear)]


def _counting(x: Tensor, weights: Tensor | None) -> int:
    """How many samples count: those of weight 0 are left out."""
    return len(x) if weights is None else int(weights.count_nonzero())
