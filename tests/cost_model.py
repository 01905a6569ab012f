"""The matrix products over the samples of an iteration: how often the formulas need each, and how often it is made.

The table is for networks of plain linear layers, no regulariser, all samples on one process, in the long run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from altmin import BCD, DLADMM, IPDLAM, MDLAM, Backprop, Method, OnlineAM, TaylorADMM
from altmin.online.code_objective import by_gram
from altmin.solvers.statistics import blocks
from altmin.sweep.products import worth_keeping


class Product(NamedTuple):
    """A product of matrices with a side of `N` samples.

    Attributes:
        what: In the notation of the papers; layers count from 1.
        inputs: One of its other two sides, ``n_{l-1}``.
        outputs: And the other one, ``n_l``.
        least: How often an iteration needs it; a symmetric product counts half.
        times: How often the code multiplies it out.
        share: Of its multiplications, those that the code makes.
    """

    what: str
    inputs: int
    outputs: int
    least: float
    times: int
    share: float = 1.0


def image(i: int, n: Sequence[int], times: int = 1, least: int = 1) -> Product:
    """``A_{l-1} W_l^T`` of layer `i`."""
    return Product(f"A_{i} W_{i + 1}^T" if i else "X W_1^T", n[i], n[i + 1], least, times)


def adjoint(i: int, n: Sequence[int], times: int = 1, least: int = 1) -> Product:
    """``E_l W_l``."""
    return Product(f"E_{i + 1} W_{i + 1}", n[i], n[i + 1], least, times)


def cross(i: int, n: Sequence[int], times: int = 1, least: int = 1) -> Product:
    """``Z_l^T A_{l-1}``."""
    return Product(f"Z_{i + 1}^T A_{i}" if i else "Z_1^T X", n[i], n[i + 1], least, times)


def movement(i: int, n: Sequence[int], times: int = 1, least: int = 1) -> Product:
    """``g W_l^T``: what the layer makes of a movement of its input."""
    return Product(f"g_{i} W_{i + 1}^T", n[i], n[i + 1], least, times)


def gram(i: int, n: Sequence[int], times: int = 1, least: float = 0.5) -> Product:
    """``A_{l-1}^T A_{l-1}``, of which the code makes the blocks on and below the diagonal."""
    work = sum((part.stop - part.start) * part.stop for part in blocks(n[i]))
    return Product(f"A_{i}^T A_{i}", n[i], n[i], least, times, work / n[i] ** 2)


def least_squares(method: Method, n: Sequence[int], samples: int) -> list[Product]:
    """A sweep of exact least squares: ``Z_l`` from its prediction, ``W_l`` from statistics, ``A_l`` by P5.

    The data's Gram matrix is multiplied out once for all iterations.
    """
    last = len(n) - 2
    out = [p for i in range(last + 1) for p in (image(i, n), cross(i, n))]
    for i in range(1, last + 1):
        wide = n[i + 1] < n[i]  # the smaller side of W is factored
        what = f"T_{i} W_{i + 1}^T" if wide else f"T_{i} (W_{i + 1}^T W_{i + 1} + d)^-1"
        out += [gram(i, n), adjoint(i, n), Product(what, n[i], min(n[i : i + 2]), 1, 1)]
    return out


def kept(method: Method, n: Sequence[int], variables: int) -> frozenset[int]:
    """The layers whose ``A_{l-1} W_l^T`` is kept, from how often the method says that it asks for it again."""
    first, hidden, last = method.reuse
    times = [last if i + 2 == len(n) else hidden if i else first for i in range(len(n) - 1)]
    return worth_keeping(n[1:], [t * p for t, p in zip(times, n[:-1], strict=True)], variables)


def dladmm(method: Any, n: Sequence[int], samples: int) -> list[Product]:
    """Eight for a layer on activations, where ``A g^T`` serves for the step of ``W_l`` and for its new image.

    The code makes ``A^T A`` and the image instead, which takes one array less.
    """
    last = len(n) - 2
    there = kept(method, n, n[0] + 2 * sum(n[1:]))
    out = [] if last == 0 else [image(0, n, 1 + (0 not in there)), cross(0, n)]
    for i in range(1, last):
        moved = [adjoint(i, n, 2, 2), movement(i, n, 2, 2)]
        out += [gram(i, n, least=0), cross(i, n, 2, 2), image(i, n, 2 if i in there else 4, 2), *moved]
    step = Product(f"A_{last} g^T", n[last], n[last + 1], 2, 2)
    out += [image(last, n, 2 if last in there else 9 - 2 * (last == 0), 0), cross(last, n, 2, 2), step]
    out += [adjoint(last, n, 2, 2), movement(last, n, 2, 2)] if last else []
    return out + [image(i, n) for i in range(last + 1) if method.schedule == "adaptive"]


def mdlam(method: Any, n: Sequence[int], samples: int) -> list[Product]:
    """While ``eps`` stays, every first trial passes, and no sample falls back to the plain step."""
    copies = 3 if method.accelerated else 2
    there = kept(method, n, n[0] + n[-1] + copies * sum(n[1:-1]))
    out = [image(0, n), cross(0, n)]
    for i in range(1, len(n) - 1):
        images = 1 + (i not in there) + method.accelerated
        out += [gram(i, n), cross(i, n), image(i, n, images, 1 + method.accelerated), adjoint(i, n)]
        out.append(movement(i, n, 2, 2))
    return out


def backprop(method: Any, n: Sequence[int], samples: int) -> list[Product]:
    """A forward pass and a backward pass, which ends at the first layer's weights."""
    layers = range(len(n) - 1)
    return [p for i in layers for p in (image(i, n), cross(i, n))] + [adjoint(i, n) for i in layers[1:]]


def online(method: Any, n: Sequence[int], samples: int) -> list[Product]:
    """A forward pass, two products of the layer above for each code step, two of each layer for a weight step.

    The first code step, and the first weight step of layers whose input has not moved, have their predictions from
    the forward pass. Where `by_gram` says so, further code steps have one product with ``W^T W`` instead of two.
    """
    layers, codes, steps = range(len(n) - 1), method.codes.steps, method.weight_steps
    out = [image(i, n) for i in layers]
    for i in layers[1:] if codes else ():
        if i + 2 < len(n) and by_gram(n[i], n[i + 1], samples, codes):
            out += [adjoint(i, n), Product(f"A_{i} W_{i + 1}^T W_{i + 1}", n[i], n[i], codes - 1, codes - 1)]
        else:
            out += [image(i, n, codes - 1, codes - 1), adjoint(i, n, codes, codes)]
    for i in layers:
        anew = steps - (i == 0 or not codes or method.regressors != "codes")
        out += [image(i, n, anew, anew), cross(i, n, steps, steps)]
    return out


TABLE: dict[type[Method], Callable[[Any, Sequence[int], int], list[Product]]] = {
    IPDLAM: least_squares,
    BCD: least_squares,
    TaylorADMM: least_squares,
    DLADMM: dladmm,
    MDLAM: mdlam,
    Backprop: backprop,
    OnlineAM: online,
}


def products(method: Method, n: Sequence[int], samples: int) -> list[Product]:
    """The products of an iteration, of an online method: of a batch.

    Args:
        method: One of the table, or of a class derived from one.
        n: ``n_0 .. n_L``.
        samples: ``N``, no fewer than any layer is wide.
    """
    return next(rule for kind, rule in TABLE.items() if isinstance(method, kind))(method, n, samples)


def least(rows: Sequence[Product]) -> float:
    """Multiplications for each sample that the formulas need."""
    return sum(p.inputs * p.outputs * p.least for p in rows)


def multiplications(rows: Sequence[Product]) -> float:
    """Multiplications for each sample that the code makes."""
    return sum(p.inputs * p.outputs * p.times * p.share for p in rows)
