"""What an iteration costs: its matrix products over the samples, by layer widths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from altmin.core.problem import Problem
from altmin.solvers.weight_least_squares import blocks


class Product(NamedTuple):
    """A product of matrices with a side of `N` samples.

    Attributes:
        what: In the notation of the papers; layers count from 1.
        inputs: One of its other two sides, ``n_{l-1}``.
        outputs: And the other one, ``n_l``.
        least: How often an iteration needs it; a symmetric product counts half.
        made: How often the code makes it.
        share: Of its multiplications, those that the code makes.
    """

    what: str
    inputs: int
    outputs: int
    least: float
    made: int
    share: float = 1.0


@dataclass(frozen=True)
class Cost:
    """What one iteration costs; a multiplication and an addition are two FLOPs.

    Attributes:
        samples: ``N``.
        products: All products over the samples.
        itemsize: Bytes of a number.
    """

    samples: int
    products: tuple[Product, ...]
    itemsize: int = 4

    @property
    def least(self) -> float:
        """FLOPs of the products that the formulas need."""
        return sum(2.0 * self.samples * p.inputs * p.outputs * p.least for p in self.products)

    @property
    def flops(self) -> float:
        """FLOPs of the products that the code makes."""
        return sum(2.0 * self.samples * p.inputs * p.outputs * p.made * p.share for p in self.products)

    @property
    def bytes(self) -> int:
        """Bytes that these products read and write, each operand once."""
        sides = ((p, self.samples * (p.inputs + p.outputs) + p.inputs * p.outputs) for p in self.products)
        return self.itemsize * sum(p.made * numbers for p, numbers in sides)

    def __str__(self) -> str:
        rows = [f"{p.what:<14} {p.inputs:>6} x {p.outputs:<6} {p.least:>6g} {p.made:>5}" for p in self.products]
        total = f"{self.flops / 1e9:.4g} GFLOP, {self.least / 1e9:.4g} at least; {self.bytes / 1e9:.4g} GB"
        return "\n".join([f"{'product':<14} {'sides':^15} {'least':>6} {'made':>5}", *rows, total])


def widths(problem: Problem) -> list[int]:
    """``n_0 .. n_L``.

    Raises:
        TypeError: A layer is no plain linear one.
    """
    for i, layer in enumerate(problem.layers):
        if not layer.map.dense or layer.skip is not None or layer.norm is not None:
            name = type(layer.map).__name__
            raise TypeError(f"`problem`: costs are counted for plain linear layers, layer {i + 1} ({name}) is none")
    return [layer.map.shape[-1] for layer in problem.layers] + [problem.outputs]


def image(i: int, n: Sequence[int], made: int = 1, least: int = 1) -> Product:
    """``A_{l-1} W_l^T`` of layer `i`."""
    return Product(f"A_{i} W_{i + 1}^T" if i else "X W_1^T", n[i], n[i + 1], least, made)


def adjoint(i: int, n: Sequence[int], made: int = 1, least: int = 1) -> Product:
    """``E_l W_l``."""
    return Product(f"E_{i + 1} W_{i + 1}", n[i], n[i + 1], least, made)


def cross(i: int, n: Sequence[int], made: int = 1, least: int = 1) -> Product:
    """``Z_l^T A_{l-1}``."""
    return Product(f"Z_{i + 1}^T A_{i}" if i else "Z_1^T X", n[i], n[i + 1], least, made)


def gram(i: int, n: Sequence[int], made: int = 1, least: float = 0.5) -> Product:
    """``A_{l-1}^T A_{l-1}``, of which the code makes the blocks on and below the diagonal."""
    work = sum((part.stop - part.start) * part.stop for part in blocks(n[i]))
    return Product(f"A_{i}^T A_{i}", n[i], n[i], least, made, work / n[i] ** 2)


def least_squares(n: Sequence[int]) -> list[Product]:
    """A sweep of exact least squares: ``Z_l`` from its prediction, ``W_l`` from statistics, ``A_l`` by P5.

    Args:
        n: ``n_0 .. n_L``.
    """
    last = len(n) - 2
    out = [p for i in range(last + 1) for p in (image(i, n), cross(i, n))]
    for i in range(1, last + 1):
        wide = n[i + 1] < n[i]  # the smaller side of W is factored
        solve = Product(
            f"T_{i} W_{i + 1}^T" if wide else f"T_{i} (W_{i + 1}^T W_{i + 1} + d)^-1", n[i], min(n[i : i + 2]), 1, 1
        )
        out += [gram(i, n), adjoint(i, n), solve]
    return out
