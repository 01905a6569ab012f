"""mDLAM's Table 2: seconds an iteration by the penalty and the number of samples."""

from altmin.exhibits.exhibit import Exhibit, Grid, register
from altmin.exhibits.mdlam import BASE, PAPER
from altmin.exhibits.outcomes import Measure
from altmin.exhibits.rules import grows, within_factor
from altmin.exhibits.setting import ExhibitScale
from altmin.methods import MDLAM

SECONDS = "s an iteration"
RHOS = ("0.0001", "0.001", "0.01", "0.1", "1")
SHARES = ("1/5", "2/5", "3/5", "4/5", "all")
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


EXACT = RHOS[0], RHOS[-1]
ARMS = {
    (rho if start else f"{rho}, exact", share): {
        "method": MDLAM(rho=float(rho), eps=10.0, accelerated=False, start=start),
        "share": (i + 1) / len(SHARES),
    }
    for start, rhos in ((1.0, RHOS), (None, EXACT))
    for rho in rhos
    for i, share in enumerate(SHARES)
}


def printed(rows: tuple[tuple[float, ...], ...]) -> dict[tuple[str, str], dict[str, float]]:
    """The paper's seconds by penalty and share of the samples."""
    return {
        (rho, share): {SECONDS: value}
        for rho, row in zip(RHOS, rows, strict=True)
        for share, value in zip(SHARES, row, strict=True)
    }


register(
    Exhibit(
        name="mdlam-table2",
        paper=PAPER,
        place="Table 2",
        title="Seconds an iteration by penalty and samples",
        claim="The time of an iteration grows with the number of samples and with the penalty.",
        base=BASE.changed({"record": (), "epochs": 10}),
        panels={
            "MNIST": {"data": "mnist-196"},
            "Fashion-MNIST": {"data": "fashion-mnist-60k"},
        },
        arms=ARMS,
        picture=Grid("rho", "training samples", SECONDS),
        columns={SECONDS: Measure("cpu_seconds", "median", digits=4)},
        printed={"MNIST": printed(MNIST), "Fashion-MNIST": printed(FASHION)},
        checks={
            "at rho 0.0001 the time grows with the samples": grows(SECONDS, [("0.0001", share) for share in SHARES]),
            "at all samples the time grows with rho, trial steps from 1": grows(
                SECONDS, [(rho, "all") for rho in RHOS]
            ),
        },
        also={
            "without trial steps it does not depend on rho": within_factor(
                SECONDS, [(f"{rho}, exact", "all") for rho in EXACT], 1.25
            ),
        },
        choices=("CPU seconds on one thread; the paper's are of a GPU. Rows marked exact have no trial steps.",),
        deviations=("The median of ten iterations (at desk scale of three), where the paper has the mean of 150.",),
        desk=ExhibitScale(epochs=3, seeds=1),
    )
)
