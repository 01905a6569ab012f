"""Draw what an auxiliary variable is, for docs/start.md, once for light pages and once for dark ones.

python docs/pictures/draw_variables.py --out docs/pictures
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

CHAIN = ("$X$", "$Z_1$", "$A_1$", "$Z_2$", "$A_2$", "$Z_3$", "$R$")
ARROWS = ("$W_1$", "$s$", "$W_2$", "$s$", "$W_3$", "")
RESIDUALS = ("$E_1$", "$D_1$", "$E_2$", "$D_2$", "$E_3$", "")
GAP, WIDTH = 1.8, 0.9


@dataclass(frozen=True)
class Colours:
    """Those of one theme; `free` is for variables, `strain` for what pulls at them."""

    line: str
    text: str
    free: str
    strain: str


THEMES = {
    "light": Colours(line="#666666", text="#1a1a1a", free="#1f5fbf", strain="#b3420b"),
    "dark": Colours(line="#9a9a9a", text="#f0f0f0", free="#7db3ff", strain="#ffa366"),
}


def box(ax: Axes, i: int, y: float, text: str, colour: str, ink: str) -> None:
    """One quantity of the chain."""
    place = (i * GAP - WIDTH / 2, y - 0.35)
    ax.add_patch(FancyBboxPatch(place, WIDTH, 0.7, boxstyle="round,pad=0.05", fill=False, ec=colour, lw=1.8))
    ax.text(i * GAP, y, text, ha="center", va="center", color=ink, fontsize=15)


def arrow(ax: Axes, x: float, to: float, y: float, colour: str) -> None:
    """A straight arrow."""
    ax.annotate("", (to, y), (x, y), arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.5})


def nested(ax: Axes, colours: Colours, y: float) -> None:
    """Backpropagation: every quantity is a function of the one before it, and one gradient goes all the way back."""
    title = "Backpropagation: one nested function, and a gradient that passes through all of it"
    ax.text(-0.6, y + 1.2, title, color=colours.text, fontsize=13)
    for i, text in enumerate(CHAIN):
        box(ax, i, y, text, colours.line, colours.text)
    for i, text in enumerate(ARROWS):
        arrow(ax, i * GAP + 0.52, (i + 1) * GAP - 0.52, y, colours.line)
        ax.text((i + 0.5) * GAP, y + 0.3, text, ha="center", color=colours.text, fontsize=12)
    arrow(ax, 6 * GAP, 0.0, y - 0.75, colours.strain)
    ax.text(3 * GAP, y - 1.15, "gradient", ha="center", color=colours.strain, fontsize=12)


def split(ax: Axes, colours: Colours, y: float) -> None:
    """Alternating minimisation: free variables, and a residual between each and what its left neighbour predicts."""
    title = "Alternating minimisation: free variables, joined by residuals that have a price"
    ax.text(-0.6, y + 1.2, title, color=colours.text, fontsize=13)
    for i, text in enumerate(CHAIN):
        box(ax, i, y, text, colours.line if i in (0, 6) else colours.free, colours.text)
    for i, (weights, residual) in enumerate(zip(ARROWS[:-1], RESIDUALS, strict=False)):
        spring(ax, i * GAP + 0.52, (i + 1) * GAP - 0.52, y, colours.strain)
        ax.text((i + 0.5) * GAP, y + 0.35, weights, ha="center", color=colours.text, fontsize=12)
        ax.text((i + 0.5) * GAP, y - 0.65, residual, ha="center", color=colours.strain, fontsize=12)
    arrow(ax, 5 * GAP + 0.52, 6 * GAP - 0.52, y, colours.line)


def spring(ax: Axes, x: float, to: float, y: float, colour: str) -> None:
    """A zigzag."""
    places = [x + (to - x) * i / 10 for i in range(11)]
    heights = [y, y, *(y + 0.14 * (-1) ** i for i in range(7)), y, y]
    ax.plot(places, heights, color=colour, lw=1.5)


def draw(theme: str, folder: Path) -> None:
    """Write the picture of one theme; equal code writes equal bytes."""
    with mpl.rc_context({"svg.hashsalt": "altmin", "mathtext.fontset": "cm"}):
        figure = Figure(figsize=(9.6, 4.4))
        ax = figure.add_axes((0, 0, 1, 1))
        ax.set(xlim=(-0.8, 6 * GAP + 0.8), ylim=(-1.0, 4.7), aspect="equal")
        ax.axis("off")
        nested(ax, THEMES[theme], 3.0)
        split(ax, THEMES[theme], 0.0)
        figure.savefig(folder / f"variables-{theme}.svg", transparent=True, metadata={"Date": None})


def main() -> None:
    """Draw both themes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="the folder of the pictures")
    folder = parser.parse_args().out
    for theme in THEMES:
        draw(theme, folder)


if __name__ == "__main__":
    main()
