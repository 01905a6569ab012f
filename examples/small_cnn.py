"""
A small convolutional network
=============================

Convolutions and pooling are layers like others. Here three methods train the same small network on images of 8 x 8
pixels: one without any gradients, one with gradients within a layer, and backpropagation.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

import altmin
from altmin import data

digits = data.load("digits")
x, y = digits.train.x, digits.train.y
held = digits.validation.x, digits.validation.y


def network() -> nn.Sequential:
    torch.manual_seed(0)
    images = nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
    return nn.Sequential(*images, nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10))


# %%
# The batch method has variables for the activations of all images, before pooling. An iteration of it is therefore more
# work than an epoch of the others, and it gets fewer. Adam has ten times its usual rate: of so few samples an epoch has
# six batches, and at the usual one it would need many more of them.
methods = {
    "bcd": (altmin.BCD(), 15),
    "am-adam": (altmin.OnlineAM(), 30),
    "adam": (altmin.Backprop("adam", lr=0.01), 30),
}
histories = {}
for name, (method, epochs) in methods.items():
    histories[name] = altmin.fit(network(), method, x, y, epochs=epochs, validation=held, seed=0)
    best = max(histories[name]["validation_accuracy"])
    print(f"{name}: best validation accuracy {best:.3f} in {sum(histories[name]['cpu_seconds']):.1f} s")

# %%
# One run on few samples does not tell which is best; the page *Which method?* has figures of more.
figure, axes = plt.subplots(figsize=(6, 3.5))
for name, history in histories.items():
    axes.plot(history["iteration"], history["validation_accuracy"], label=name)
axes.set(xlabel="pass over the samples", ylabel="validation accuracy")
axes.legend()
plt.show()
