"""
A method of your own
====================

A method of the penalty family is a class with two answers: what the residuals cost, and the order in which blocks are
minimised. `fit`, records, checks for divergence, convolutions and the command line come with it.
"""

from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import torch
from torch import nn

import altmin
from altmin import data
from altmin.checks import number

# %%
# BCD goes from the last layer to the first. This one goes there and back again, as symmetric Gauss-Seidel does.


@altmin.method("symmetric-bcd", title="block coordinate descent, there and back", paper="of mine", loss="squared")
@dataclass(frozen=True)
class SymmetricBCD(altmin.Method):
    """Minimise ``R + sum Omega + gamma/2 (sum_l ||E_l||^2 + sum_{l<L} ||D_l||^2)``, last layer to first to last."""

    cure = "a larger `alpha`"

    gamma: float = number(1.0, "penalty of all residuals", above=0.0)
    alpha: float = number(0.5, "weight of the proximal terms", least=0.0)

    def penalty(self, sweep: altmin.Sweep[Any]) -> altmin.Penalty:
        return altmin.Penalty(linear=self.gamma, activation=self.gamma)

    def step(self, sweep: altmin.Sweep[Any]) -> None:
        for layer in [*reversed(sweep.layers), *sweep.layers]:
            if not layer.last:
                layer.solve_a()
            layer.solve_z(prox=self.alpha)
            layer.solve_weights(prox=self.alpha)


# %%
# It is known by its name at once, and stands beside the library's own. An iteration of it is two sweeps, which the
# drawing takes into account.
digits = data.load("digits")
held = digits.validation.x, digits.validation.y
figure, axes = plt.subplots(figsize=(6, 3.5))
for name, sweeps in (("bcd", 1), ("symmetric-bcd", 2)):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    history = altmin.fit(model, name, digits.train.x, digits.train.y, epochs=40 // sweeps, validation=held, seed=0)
    axes.semilogy([sweeps * i for i in history["iteration"]], history["objective"], label=name)
    print(f"{name}: best validation accuracy {max(history['validation_accuracy']):.3f}")
axes.set(xlabel="sweeps over the layers", ylabel="objective")
axes.legend()
plt.show()

# %%
# Numbers are checked when the method is made, by what `number` says of them:
try:
    SymmetricBCD(gamma=0.0)
except ValueError as error:
    print(error)
