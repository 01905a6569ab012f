"""Products with the samples and sums over them that one block update leaves to the next."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

OUTDATED = object()  # a version that no variable has
MEMORY_SHARE = 0.27  # of the variables and the data: what kept predictions may take of memory beside them


def worth_keeping(outputs: Sequence[int], saved: Sequence[int], variables: int) -> frozenset[int]:
    """The layers whose ``A_{l-1} W_l^T`` is kept: those that save most for their memory, as long as there is room.

    Args:
        outputs: The numbers that the product of each layer has for a sample.
        saved: The multiplications that keeping it saves, for each of these numbers.
        variables: The numbers that variables and data have for a sample.
    """
    room, chosen = MEMORY_SHARE * variables, set()
    for i in sorted(range(len(outputs)), key=lambda i: -saved[i]):
        if saved[i] and outputs[i] <= room:
            chosen.add(i)
            room -= outputs[i]
    return frozenset(chosen)


class Products:
    """Values with the versions of the variables that they were made of (`Variables.version`).

    A value holds as long as these versions are the present ones: whoever writes into a variable, or replaces it, makes
    what was made of it invalid, and need not say so. What is kept from one iteration to the next can be made again from
    the state with the same bits, so no part of it is saved.

    Attributes:
        layers: The layers whose ``A_{l-1} W_l^T`` is kept for all samples.
    """

    def __init__(self, layers: frozenset[int] = frozenset()):
        self.layers = layers
        self._kept: dict[Hashable, tuple[Hashable, Any]] = {}
        self._moved: set[Hashable] = set()

    def get(self, name: Hashable, versions: Hashable, make: Callable[[Any], Any]) -> Any:
        """The value under a name; made, by `make` of the outdated one or `None`, where a version is not its own."""
        if name not in self._kept or self._kept[name][0] != versions:
            outdated = self._kept[name][1] if name in self._kept else None
            self._kept[name] = versions, make(outdated)
            self._moved.discard(name)
        return self._kept[name][1]

    def stored(self, name: Hashable) -> Any:
        """The value under a name as it was last made, for those who bring it up to date themselves."""
        return self._kept[name][1]

    def mark(self, name: Hashable, versions: Hashable) -> None:
        """Say that the value under a name was brought up to date, and belongs to these versions now."""
        self._kept[name] = versions, self._kept[name][1]
        self._moved.add(name)

    def settle(self) -> None:
        """Have those made again that were brought up to date: a state that is saved and loaded has not their bits."""
        for name in self._moved:
            self._kept[name] = OUTDATED, self._kept[name][1]
        self._moved.clear()
