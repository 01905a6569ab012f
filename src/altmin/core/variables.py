"""The tensors of a family of variables, with versions by which products of them are kept or made anew."""

from __future__ import annotations

import copy
import itertools
from typing import Any

from torch import Tensor

_stamps = itertools.count()


class Variables(list[Tensor]):
    """The tensors of one family, layer by layer, which know when they changed."""

    def __init__(self, tensors: Any = ()):
        super().__init__(tensors)
        self._first = next(_stamps)
        self._replaced: dict[int, int] = {}

    def __setitem__(self, i: Any, value: Any) -> None:
        """Put another tensor in the place of layer `i`'s, or of those of a slice."""
        super().__setitem__(i, value)
        for j in range(len(self))[i] if isinstance(i, slice) else [i % len(self)]:
            self._replaced[j] = next(_stamps)

    def __deepcopy__(self, memo: dict[int, Any]) -> Variables:
        """A copy with versions of its own."""
        return Variables(copy.deepcopy(t, memo) for t in self)

    def version(self, i: int) -> tuple[int, int]:
        """Two equal versions of layer `i`'s tensor hold equal numbers: it was neither replaced nor written meanwhile.

        No two families share a version, so that those of a copy or of a new list are never taken for the old ones.
        """
        return self._replaced.get(i, self._first), self[i]._version
