"""dlADMM's Table 2: seconds an iteration by the penalty and the width."""

from altmin.exhibits.dladmm import BASE, BOTH, PAPER
from altmin.exhibits.exhibit import Exhibit, Grid, register
from altmin.exhibits.outcomes import Measure
from altmin.exhibits.rules import grows, within_factor
from altmin.exhibits.setting import ExhibitScale
from altmin.methods import DLADMM

SECONDS = "s an iteration"
TIMES = {SECONDS: Measure("cpu_seconds", "median", digits=4)}
RHOS = ("1e-6", "1e-5", "1e-4", "1e-3", "1e-2")
WIDTHS = ("200", "400", "600", "800", "1000")
EXACT = RHOS[0], RHOS[-1]
CHOICES = ("CPU seconds on one thread; the paper's are of a GPU. Rows marked exact have no trial steps.",)
DEVIATIONS = ("The median of ten iterations (at desk scale of three), where the paper has the mean of 200.",)
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


def arms(columns: dict[str, dict[str, object]]) -> dict[tuple[str, str], dict[str, object]]:
    """Every penalty with every column; trial steps from 1 as printed, and without them."""
    return {
        (rho if start else f"{rho}, exact", column): {
            "method": DLADMM(rho=float(rho), nu=1e-6, schedule="constant", start=start),
            **changes,
        }
        for start, rhos in ((1.0, RHOS), (None, EXACT))
        for rho in rhos
        for column, changes in columns.items()
    }


def printed(rows: tuple[tuple[float, ...], ...], columns: tuple[str, ...]) -> dict[tuple[str, str], dict[str, float]]:
    """The paper's seconds by penalty and column."""
    return {
        (rho, column): {SECONDS: value}
        for rho, row in zip(RHOS, rows, strict=True)
        for column, value in zip(columns, row, strict=True)
    }


register(
    Exhibit(
        name="dladmm-table2",
        paper=PAPER,
        place="Table 2",
        title="Seconds an iteration by penalty and width",
        claim="The time of an iteration grows with the width and with the penalty.",
        base=BASE.changed({"record": (), "epochs": 10}),
        panels=BOTH,
        arms=arms({width: {"options": {"hidden": (int(width), int(width))}} for width in WIDTHS}),
        picture=Grid("rho", "units a layer", SECONDS),
        columns=TIMES,
        printed={"MNIST": printed(MNIST, WIDTHS), "Fashion-MNIST": printed(FASHION, WIDTHS)},
        checks={
            "at rho 1e-6 the time grows with the width": grows(SECONDS, [("1e-6", width) for width in WIDTHS]),
            "at 1000 units the time grows with rho, trial steps from 1": grows(
                SECONDS, [(rho, "1000") for rho in RHOS]
            ),
        },
        also={
            "without trial steps it does not depend on rho": within_factor(
                SECONDS, [(f"{rho}, exact", "1000") for rho in EXACT], 1.25
            ),
        },
        choices=CHOICES,
        deviations=DEVIATIONS,
        desk=ExhibitScale(samples=2_000, epochs=3, seeds=1),
    )
)
