"""Online AM's Figure 4, left: the first 50 mini-batches on CIFAR-10."""

from altmin.exhibits.exhibit import register
from altmin.exhibits.online import CHOICES, CIFAR, CIFAR_RATES
from altmin.exhibits.online.figure2a import first_batches
from altmin.exhibits.setting import ExhibitScale

register(
    first_batches(
        CIFAR,
        CIFAR_RATES,
        "is ahead of",
        less=0.0,
        name="online-cifar10-batches",
        place="Figure 4, 50 mini-batches",
        title="The first 50 mini-batches on CIFAR-10",
        claim="In the first 50 mini-batches AM-Adam is slightly ahead of SGD and Adam.",
        choices=(
            *CHOICES,
            "The text speaks of one hidden layer and 5,000 samples, the appendix of two layers and 40,000: the latter.",
        ),
        deviations=("As many test images as `test_batch.bin` holds.",),
        desk=ExhibitScale(samples=10_000, width=200, seeds=3),
    )
)
