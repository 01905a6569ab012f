"""
Tasks in turn, with a memory
============================

The paper of AM-mem hopes that its memory, which sums up all past batches, retains what was learnt before. Here a
network learns the digits below five, and then the others alone. What is left of the first task?
"""

import torch
from torch import nn

import altmin
from altmin import data

digits = data.load("digits")
x, y = digits.train.x, digits.train.y
low, high = y < 5, y >= 5


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 10))


def accuracy(model: nn.Sequential, chosen: slice | torch.Tensor) -> float:
    with torch.no_grad():
        return (model(digits.test.x[chosen]).argmax(1) == digits.test.y[chosen]).float().mean().item()


def report(name: str, model: nn.Sequential) -> None:
    first, second = accuracy(model, digits.test.y < 5), accuracy(model, digits.test.y >= 5)
    print(f"{name}: digits below five {first:.2f}, the others {second:.2f}")


# %%
# First without a memory: after the second task little is left of the first.
model = network()
for part in (low, high):
    altmin.fit(model, "am-adam", x[part], y[part], epochs=15, batch_size=50, seed=0)
report("am-adam", model)

# %%
# With the co-activation memory: the rule of the second run begins with what the first has remembered,
# `rule.after(trainer.state)`.
model = network()
rule = altmin.CoActivationMemory(forget=1.0)
first = altmin.Trainer(model, altmin.OnlineAM(rule=rule, regressors="codes"))
for epoch in range(15):
    first.epoch(x[low], y[low], batch_size=50, epoch=epoch, epochs=15)
report("am-mem, after the first task", model)
method = altmin.OnlineAM(rule=rule.after(first.state), regressors="codes")
altmin.fit(model, method, x[high], y[high], epochs=15, batch_size=50, seed=0)
report("am-mem, after both", model)

# %%
# The memory of the hidden layers does not help a last layer that is shown new classes alone. What helps is a replay:
# fifty samples of the first task among those of the second.
model = network()
altmin.fit(model, "am-adam", x[low], y[low], epochs=15, batch_size=50, seed=0)
old_x, old_y = x[low][:50], y[low][:50]
altmin.fit(model, "am-adam", torch.cat([x[high], old_x]), torch.cat([y[high], old_y]), epochs=15, batch_size=50, seed=0)
report("am-adam, with replay", model)
