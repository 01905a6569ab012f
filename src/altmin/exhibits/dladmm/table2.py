"""dlADMM's Table 2: seconds an iteration by the penalty and the width."""

from altmin.exhibits.dladmm import BASE, BOTH, PAPER, RHOS, constant
from altmin.exhibits.exhibit import register
from altmin.exhibits.seconds import table_of_seconds
from altmin.exhibits.setting import ExhibitScale

MNIST = (
    (1.9025, 2.7750, 3.6615, 4.5709, 5.7988),
    (2.8778, 4.6197, 6.3620, 8.2563, 10.0323),
    (2.2761, 3.9745, 5.8645, 7.6656, 9.9221),
    (2.4361, 4.3284, 6.5651, 8.7357, 11.3736),
    (2.7912, 5.1383, 7.8249, 10.0300, 13.4485),
)
FASHION = (
    (2.0069, 2.8694, 4.0506, 5.1438, 6.7406),
    (3.3445, 5.4190, 7.3785, 9.0813, 11.0531),
    (2.4974, 4.3729, 6.4257, 8.3520, 10.0728),
    (2.7108, 4.7236, 7.1507, 9.4534, 12.3326),
    (2.9577, 5.4173, 8.2518, 10.0945, 14.3465),
)

register(
    table_of_seconds(
        base=BASE,
        method=constant,
        rhos=RHOS,
        columns={str(width): {"options": {"hidden": (width, width)}} for width in (200, 400, 600, 800, 1000)},
        what="width",
        axis="units a layer",
        where="at 1000 units",
        printed={"MNIST": MNIST, "Fashion-MNIST": FASHION},
        mean_of=200,
        panels=BOTH,
        desk=ExhibitScale(samples=2_000, epochs=3, seeds=1),
        name="dladmm-table2",
        paper=PAPER,
        place="Table 2",
        title="Seconds an iteration by penalty and width",
        claim="The time of an iteration grows with the width and with the penalty.",
    )
)
