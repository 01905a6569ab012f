"""mDLAM's Table 2: seconds an iteration by the penalty and the number of samples."""

from altmin.exhibits.exhibit import register
from altmin.exhibits.mdlam import BASE, PAPER
from altmin.exhibits.seconds import SHARES, table_of_seconds
from altmin.exhibits.setting import ExhibitScale
from altmin.methods import MDLAM

MNIST = (
    (0.1692, 0.3216, 0.5010, 0.7164, 0.9413),
    (0.2061, 0.4328, 0.6951, 0.9792, 1.2442),
    (0.3334, 0.6516, 1.0277, 1.3956, 1.7783),
    (0.4795, 0.9428, 1.4524, 1.9590, 2.4410),
    (0.7684, 1.4810, 2.2626, 3.0299, 3.7504),
)
FASHION = (
    (0.2500, 0.5081, 0.8492, 1.1911, 1.5092),
    (0.2980, 0.5980, 0.9595, 1.3265, 1.6744),
    (0.4199, 0.8028, 1.2787, 1.7535, 2.2025),
    (0.5758, 1.0928, 1.7230, 2.3261, 2.9234),
    (0.8795, 1.6464, 2.5580, 3.4492, 4.2902),
)

register(
    table_of_seconds(
        base=BASE,
        method=lambda rho, start: MDLAM(rho=rho, eps=10.0, accelerated=False, start=start),
        rhos=("0.0001", "0.001", "0.01", "0.1", "1"),
        columns=SHARES,
        what="samples",
        axis="training samples",
        where="at all samples",
        printed={"MNIST": MNIST, "Fashion-MNIST": FASHION},
        mean_of=150,
        panels={"MNIST": {"data": "mnist-196"}, "Fashion-MNIST": {"data": "fashion-mnist-60k"}},
        desk=ExhibitScale(epochs=3, seeds=1),
        name="mdlam-table2",
        paper=PAPER,
        place="Table 2",
        title="Seconds an iteration by penalty and samples",
        claim="The time of an iteration grows with the number of samples and with the penalty.",
    )
)
