"""
A loop of your own
==================

`altmin.fit` trains and records. Where you want to decide yourself what happens between two steps, a `Trainer` makes
one step at a time, and the model is current after each.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

import altmin
from altmin import data

digits = data.load("digits")
x, y = digits.train.x, digits.train.y
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

# %%
# A method that takes all samples at once gets them in every step. Between the steps anything may be looked at: here the
# network's accuracy on validation samples, and the length of every residual.
trainer = altmin.Trainer(model, altmin.BCD(), loss="squared")
objectives, accuracies, residuals = [], [], []
for _ in range(40):
    trainer.step(x, y)
    objectives.append(float(trainer.objective()))
    residuals.append(trainer.residuals())
    with torch.no_grad():
        right = model(digits.validation.x).argmax(1) == digits.validation.y
    accuracies.append(right.float().mean().item())
print(f"objective {objectives[0]:.1f} to {objectives[-1]:.2f}, validation accuracy {accuracies[-1]:.3f}")

# %%
# The objective never rises under this method. The residuals do: a loss that becomes small is paid for by them.
figure, (left, right_axes) = plt.subplots(1, 2, figsize=(9, 3.5))
left.semilogy(objectives)
left.set(xlabel="iteration", title="objective")
for name in residuals[0]:
    right_axes.plot([each[name] for each in residuals], label=name)
right_axes.set(xlabel="iteration", title="residuals")
right_axes.legend()
plt.show()

# %%
# An online method takes one batch a step, in the order that you choose. `samples=` says how many there are in an epoch,
# by which learning rates and the regulariser go.
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
trainer = altmin.Trainer(model, altmin.OnlineAM(), samples=len(x))
for _ in range(5):
    for rows in torch.randperm(len(x)).split(50):
        trainer.step(x[rows], y[rows])
    with torch.no_grad():
        print(f"{(model(digits.validation.x).argmax(1) == digits.validation.y).float().mean().item():.3f}")
