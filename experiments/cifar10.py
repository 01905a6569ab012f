"""CIFAR-10, fully connected, 2 x 100 and 2 x 500, trained on batches 1 to 4: AM-Adam and Adam.

After the CIFAR-10 figure of Choromanska et al. (ICML 2019): 0.53 with 100 units and 0.51 with 500 for AM-Adam.
The last 4,000 images of batch 4 are held out to choose settings and epochs by; batch 5 and the test images are looked
at once, at the end. The networks normalise by batch, as the authors' do.

    python experiments/cifar10.py [--data-dir DIR] [--seed 0] [--smoke]
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import altmin
from altmin.data import Dataset, Split
from altmin.study import networks
from trials import Trial, chosen, judge, load, online_am, options, table

HELD_OUT, EPOCHS, BAR = 4_000, 12, 0.50


def resplit(given: Dataset) -> tuple[Dataset, dict[str, Split]]:
    """Validation from the end of batch 4, so that batch 5 is left for the last word; and the test images."""
    x, y = given.train.x, given.train.y
    count = min(HELD_OUT, len(x) // 4)  # a smoke run has fewer
    train, held = Split(x[:-count], y[:-count]), Split(x[-count:], y[-count:])
    part = replace(given, train=train, validation=held, test=given.validation)
    images = Split(given.test.x - train.x.mean(0), given.test.y)
    return part.centred(), {"images": images}


def trials(width: int) -> list[Trial]:
    """AM-Adam and Adam by learning rate."""
    network = partial(networks.mlp, (3072,), 10, (width, width), batch_norm=True)
    rows = []
    for lr in (0.0002, 0.0005) if width == 100 else (0.0002,):
        rule = altmin.Adam(lr)
        method = online_am(rule=rule, last=rule, codes=altmin.Codes(steps=1, scaling="samples"), halve_every=4)
        rows.append(Trial(f"am-adam 2 x {width}", f"lr {lr:g}, halved every 4, one code step", method, network, EPOCHS))
    rows += [
        Trial(f"adam 2 x {width}", f"lr {lr:g}", altmin.Backprop("adam", lr), network, EPOCHS)
        for lr in ((0.0002, 0.001) if width == 100 else (0.0002,))
    ]
    return rows


def main() -> None:
    """Train, print the table; the exit status says whether the bars were reached."""
    given = options("Fully connected networks on CIFAR-10 by AM-Adam and Adam.")
    part, images = resplit(load("cifar10", given))
    count = len(images["images"])
    print(f"cifar10: {len(part.train):,} images of batches 1 to 4; test: batch 5; images: {count:,} test images")
    rows = [row for width in (100, 500) for row in chosen(trials(width), part, given)]
    tested = table(rows, part, images)
    bars = {f"am-adam 2 x {width}, batch 5": (tested[f"am-adam 2 x {width}"], BAR) for width in (100, 500)}
    judge(bars, given)


if __name__ == "__main__":
    main()
