"""dlADMM's Table 3: seconds an iteration by the penalty and the number of samples."""

from altmin.exhibits.dladmm import BASE, BOTH, PAPER, RHOS, constant
from altmin.exhibits.exhibit import register
from altmin.exhibits.seconds import SHARES, table_of_seconds
from altmin.exhibits.setting import ExhibitScale

MNIST = (
    (1.0670, 2.0682, 3.3089, 4.6546, 5.7709),
    (2.3981, 3.9086, 6.2175, 7.9188, 10.2741),
    (2.1290, 3.7891, 5.6843, 7.7625, 9.8843),
    (2.1295, 4.1939, 6.5039, 8.8835, 11.3368),
    (2.5154, 4.9638, 7.6606, 10.4580, 13.4021),
)
FASHION = (
    (1.2163, 2.3376, 3.7053, 5.1491, 6.7298),
    (2.5772, 4.3417, 6.6681, 8.3763, 11.0292),
    (2.3216, 4.1163, 6.2355, 8.3819, 10.7120),
    (2.3149, 4.5250, 6.9834, 9.5853, 12.3232),
    (2.7381, 5.3373, 8.1585, 11.1992, 14.2487),
)

register(
    table_of_seconds(
        base=BASE,
        method=constant,
        rhos=RHOS,
        columns=SHARES,
        what="samples",
        axis="training samples",
        where="at all samples",
        printed={"MNIST": MNIST, "Fashion-MNIST": FASHION},
        mean_of=200,
        panels=BOTH,
        desk=ExhibitScale(width=200, epochs=3, seeds=1),
        name="dladmm-table3",
        paper=PAPER,
        place="Table 3",
        title="Seconds an iteration by penalty and samples",
        claim="The time of an iteration grows with the number of samples and with the penalty.",
    )
)
