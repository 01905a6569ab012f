"""
A stream of samples
===================

`altmin.fit_stream` reads batches one after another, each once, and holds none of them. That is what online methods
are for: they need nothing of samples outside their batch.
"""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

import altmin

# %%
# The stream here is drawn as it is read: points in the plane whose class is the side of a wave that they lie on. It
# never ends; `steps` says how many batches are read.
generator = torch.Generator().manual_seed(0)


def draw(count: int) -> tuple[Tensor, Tensor]:
    points = 4 * torch.rand(count, 2, generator=generator) - 2
    return points, (points[:, 1] > torch.sin(2 * points[:, 0])).long()


def stream() -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield draw(64)


# %%
# There is a record after every hundred batches. `validation` is held, as it is looked at again and again.
figure, axes = plt.subplots(figsize=(6, 3.5))
for method in ("am-adam", "am-newton", "adam"):
    torch.manual_seed(0)
    generator.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))
    history = altmin.fit_stream(model, method, stream(), steps=800, every=100, validation=draw(1000))
    axes.plot(history["steps"], history["validation_accuracy"], label=method)
    print(f"{method}: {history['validation_accuracy'][-1]:.3f} after {history['samples'][-1]:,} samples")
axes.set(xlabel="batches read", ylabel="validation accuracy")
axes.legend()
plt.show()
