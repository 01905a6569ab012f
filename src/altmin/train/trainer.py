"""The one driver of every method: a step at a time, on a module whose weights are always the present ones."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from altmin.core.batch import Batch
from altmin.core.score import Tally
from altmin.diagnostics import require_penalty, stationarity
from altmin.errors import DivergenceError
from altmin.methods.base import Method
from altmin.train.inputs import check_batch_size
from altmin.train.options import TrainerOptions
from altmin.train.samples import TrainingSamples, rows_of
from altmin.train.saved_driver import SavedDriver
from altmin.train.signature import explained, takes
from altmin.train.weights import check_weighs, weigh


@explained(TrainerOptions)
class Trainer(SavedDriver):
    """Trains a model by a method, one step at a time; `fit` and `fit_stream` are loops over it.

    The method works on the memory of the model's own parameters: after each step the model has the new weights, and
    nothing needs to be written back. A method that keeps variables of every sample takes the whole training set in each
    step, the same one every time, or a part of it by `rows`; an online method takes any batch.

    Args:
        model: A network of modules that `altmin.convert.reading` knows; it is trained in place.
        method: How it is trained, such as ``DLADMM(rho=1e-3)``, or its name, such as ``"dladmm"``.
        **options: See `TrainerOptions`.

    Attributes:
        problem: What is minimised.
        samples: What objective, residuals and records are about: all training samples, or an online method's latest
            batch; `None` before the first step.

    Raises:
        TypeError: A module, dtype or feature that is not supported.
        ValueError: Options that do not fit; the message names them.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from altmin import DLAM, Trainer
        >>> _ = torch.manual_seed(0)
        >>> model, x = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)), torch.randn(20, 2)
        >>> trainer = Trainer(model, DLAM())
        >>> objectives = []
        >>> for _ in range(5):
        ...     trainer.step(x, (x[:, 0] > 0).long())
        ...     objectives.append(trainer.objective())
        >>> objectives == sorted(objectives, reverse=True)
        True
    """

    @takes(TrainerOptions)
    def __init__(self, model: nn.Sequential, method: str | Method, **options: Any):
        super().__init__(model, method, TrainerOptions.given("Trainer", options))
        self._given = TrainingSamples()

    def step(self, x: Any, y: Any, *, rows: Tensor | slice | None = None, done: float = 0.0) -> None:
        """One iteration of the method; the model has the new weights at once.

        Args:
            x: Samples, ``(N, n_0)``, or images or sequences where the network takes them; a tensor or an array.
            y: Class indices ``(N,)``, or with squared loss real targets ``(N,)`` or ``(N, n_L)``.
            rows: Which of these samples the step works on, as indices, a mask or a slice; `None` for all.
            done: The share of the training that lies behind, for learning rates that fall.

        Raises:
            TypeError: Samples of the wrong kind, dtype or device.
            ValueError: Samples that do not fit; for a method that keeps variables of every sample, others than in the
                first step; `rows` that are not there, or for a method that works on the full batch.
            RuntimeError: The model's parameters were moved or replaced since the first step.
            DivergenceError: nan or inf, or a subproblem that cannot be solved any more.
        """
        with self.active():
            whole = batch = self._read(x, y)
            if rows is not None:
                if not self.method.batched:
                    raise ValueError(f"{type(self.method).__name__} works on the full batch; leave `rows` out")
                batch = batch.select(rows_of(rows, batch.x), ends_epoch=False)
            self.reader.variance.check("data", batch)
            self._take(whole)
            before, self._taken = self._taken, self._taken + len(batch.x)
            size = self.state.samples
            self.advance(replace(batch, done=done, ends_epoch=self._taken // size > before // size))

    def epoch(
        self,
        x: Any,
        y: Any,
        batch_size: int | None = None,
        *,
        epoch: int = 0,
        epochs: int = 1,
        sample_weight: Any = None,
    ) -> None:
        """A pass over the samples: one step on all of them, or a step on each batch, in a fresh random order.

        Args:
            x: All samples, as in `step`.
            y: Their targets.
            batch_size: Samples a step; `None` for the method's own number.
            epoch: The passes that lie behind, for learning rates that fall.
            epochs: The passes that there will be.
            sample_weight: What each sample counts by, ``(N,)``, for online methods: see `FitOptions`.

        Raises:
            TypeError: Weights for a method that does not take them.
            ValueError: Weights that do not fit the samples.
        """
        with self.active():
            samples = self._read(x, y)
            if sample_weight is not None:
                self._check_weights()
                samples = weigh(samples, bool(self.reader.classes), sample_weight)
            size = check_batch_size(batch_size, self.method, len(samples.x))
            self.reader.variance.check_split(size, samples)
            self._take(samples)
            self.samples = samples
            for batch in self.batches(size, epoch, epochs):
                self.advance(batch)

    def _check_weights(self) -> None:
        check_weighs(self.method, self.problem)
        if not self.method.online:
            name = type(self.method).__name__
            raise TypeError(f"`sample_weight`: {name} keeps variables of every sample; weigh them in `altmin.fit`")

    def _read(self, x: Any, y: Any) -> Batch:
        """The samples as a batch, once they are known to be such as a step may work on."""
        batch = self._given.again(x, y)
        if batch is None:
            batch = self.reader.read("data", (x, y))
            if self._state is not None and not self.method.online:
                self._given.require(x, y, batch, self.method)
            self._given.remember(x, y, batch)
        return batch

    def _take(self, batch: Batch) -> None:
        """Begin on these samples where nothing has begun, and look at them from now on."""
        if self._state is None or self.samples is None:
            self.begin(batch, self.options.samples)
        self.check_storage()
        if self.method.online:
            self.samples = batch

    # Figures

    def evaluate(self, tally: Tally | None = None, stride: int = 1) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The objective's terms and the residuals by name, at the present variables and `samples`.

        Args:
            tally: Is told of the outputs that are made on the way; those that it was told of are not made again.
            stride: Every so many of the samples are looked at, from which sums over all are estimated.
        """
        with self.active(rounded=False):
            return self.method.evaluate(self.sweep(tally, stride))

    def objective(self) -> float:
        """What the method minimises, over `samples`: the sum of losses, regularisers and penalties.

        Raises:
            DivergenceError: It is nan or inf, as at weights that are finite and far too large.
        """
        value = float(torch.stack(list(self.evaluate()[0].values())).sum())
        if not math.isfinite(value):
            raise DivergenceError("objective", value, self.method.cure, self.state.k)
        return value

    def stationarity(self) -> dict[str, float]:
        """The distance of 0 from the objective's subdifferential in each block of variables, by name.

        Raises:
            TypeError: The method does not minimise a penalty objective.
        """
        require_penalty(self.method, "stationarity")
        with self.active(rounded=False):
            return stationarity(self.sweep())

    def residuals(self) -> dict[str, float]:
        """How far the constraints are from holding, by name."""
        return {name: float(t) for name, t in self.evaluate()[1].items()}
