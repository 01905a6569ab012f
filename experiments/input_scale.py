"""What each method makes of inputs far from unit scale: MNIST's pixels on several scales, at every default.

None of the papers has it. The network and its start are the same on every scale, 784-100-100-10 as PyTorch draws it;
ten epochs for methods with mini-batches and twenty for the others, each with its paper's loss.

    python experiments/input_scale.py [--data-dir DIR] [--seed 0] [--methods am-newton am-ridge] [--smoke]
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

import altmin
from altmin.data import Dataset
from altmin.methods.registry import METHODS, Entry
from altmin.study import networks
from trials import judge, load, parser

PART, EPOCHS, BAR = 2_500, 10, 0.85
SCALES: dict[str, Callable[[Tensor], Tensor]] = {
    "0 .. 1": lambda x: x,
    "0 .. 0.001": lambda x: x / 1000,
    "0 .. 255": lambda x: 255 * x,
    "3 .. 4": lambda x: x + 3,
    "100 .. 101": lambda x: x + 100,
    "standardised": lambda x: (x - 0.1307) / 0.3081,
}
SCALE_FREE = "am-newton", "am-ridge"
NAMES = (
    *SCALE_FREE,
    "adam",
    "sgd",
    "am-adam",
    "am-sgd",
    "am-mem",
    "ipdlam",
    "dlam",
    "bcd",
    "mac",
    "mdlam",
    "dladmm",
    "dtp",
)


def reached(entry: Entry, scale: Callable[[Tensor], Tensor], data: Dataset, seed: int, smoke: bool) -> float | None:
    """The accuracy on validation at the end of a run; `None` where it diverged."""
    torch.manual_seed(seed)
    model, batches = networks.mlp((784,), 10, (100, 100)), entry.method.default_batch is not None
    train, held = ((scale(split.x), split.y) for split in (data.train, data.validation))
    epochs = 1 if smoke else EPOCHS if batches else 2 * EPOCHS
    try:
        history = altmin.fit(model, entry.method, train, loss=entry.loss, epochs=epochs, validation=held)
    except altmin.DivergenceError:
        return None
    return history["validation_accuracy"][-1]


def main() -> None:
    """Train, print the table; the exit status says whether the bars were reached."""
    made = parser("Inputs far from unit scale.")
    made.add_argument("--methods", nargs="+", default=list(NAMES), choices=list(METHODS), help="which rows to make")
    given = made.parse_args()
    data, rows = load("mnist", given, train_samples=PART), {}
    warnings.simplefilter("ignore")  # they say what the table shows
    print(
        f"mnist, {len(data.train):,} training samples; accuracy on validation\n{'':12}", *(f"{s:>12}" for s in SCALES)
    )
    for name in SCALE_FREE if given.smoke else given.methods:
        row = rows[name] = [reached(METHODS[name], s, data, given.seed, given.smoke) for s in SCALES.values()]
        print(f"{name:12}", *(f"{'diverged' if a is None else f'{a:.3f}':>12}" for a in row), flush=True)
    places = [list(SCALES).index(scale) for scale in ("0 .. 1", "0 .. 0.001", "3 .. 4")]
    bars = {name: (min(row[i] or 0.0 for i in places), BAR) for name, row in rows.items() if name in SCALE_FREE}
    judge(bars, given)


if __name__ == "__main__":
    main()
