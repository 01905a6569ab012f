"""
A network of signs
==================

A unit of `altmin.Sign` says 1 or -1, and its derivative is zero wherever it has one. Backpropagation needs a
derivative that is made up, the straight-through estimator. Online alternating minimisation does without: a code
crosses zero or stays.
"""

import torch
from torch import nn

import altmin
from altmin import data

digits = data.load("digits", center=True)  # signs of pixels' sums are balanced where pixels have mean 0
x, y = digits.train.x, digits.train.y
held = digits.validation.x, digits.validation.y


def network() -> nn.Sequential:
    torch.manual_seed(0)
    hidden = nn.Linear(64, 100), altmin.Sign(), nn.Linear(100, 100), altmin.Sign()
    return nn.Sequential(*hidden, nn.Linear(100, 10))


# %%
# Three methods. `bcd` takes signs too, but from a forward pass it hardly ever turns one round: its last layer alone
# learns.
for method in ("am-adam", "straight-through", "bcd"):
    model = network()
    with torch.no_grad():
        signs = model[:2](x)
    history = altmin.fit(model, method, x, y, epochs=30, validation=held, keep="best", seed=0)
    with torch.no_grad():
        turned = (model[:2](x) != signs).float().mean().item()
        accuracy = (model(digits.test.x).argmax(1) == digits.test.y).float().mean().item()
    print(f"{method}: test accuracy {accuracy:.3f}, {100 * turned:.1f} % of the first layer's signs are others")

# %%
# That no derivative passes through more than one layer can be checked while the method runs. The straight-through
# estimator does not pass:
altmin.fit(network(), "am-adam", x, y, epochs=1, audit=True)
try:
    altmin.fit(network(), "straight-through", x, y, epochs=1, audit=True)
except altmin.BackpropError as error:
    print(str(error)[:80], "...")
