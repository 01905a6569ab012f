"""Online AM's Figure 9: LeNet-5 on MNIST and Fashion-MNIST."""

from altmin.exhibits.exhibit import register
from altmin.exhibits.online.figure7b import lenet, winner

register(
    lenet(
        {"MNIST": {}, "Fashion-MNIST": {"data": "fashion-mnist-50k"}},
        {("MNIST", "AM-Adam"): winner(1e-7), ("Fashion-MNIST", "AM-Adam"): winner(1e-5)},
        name="online-lenet5-both",
        place="Figure 9",
        title="LeNet-5 on MNIST and Fashion-MNIST",
    )
)
