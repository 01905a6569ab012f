"""The activations that the command line knows by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import nn

from altmin.errors import UnknownNameError, nearest
from altmin.registration import modules_of


class _ActivationNames(Mapping[str, type[nn.Module]]):
    """The modules of activations by their class's name in small letters, as far as they are registered by now."""

    def _now(self) -> dict[str, type[nn.Module]]:
        return {kind.__name__.lower(): kind for kind in modules_of("activation")}

    def __getitem__(self, name: str) -> type[nn.Module]:
        return self._now()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())


ACTIVATION_NAMES: Mapping[str, type[nn.Module]] = _ActivationNames()
"""The modules of activations by the names that the command line has for them; those of third parties among them."""


def activation_of(name: str) -> type[nn.Module]:
    """The module of that name in `ACTIVATION_NAMES`.

    Raises:
        ValueError: An unknown name.
    """
    if name not in ACTIVATION_NAMES:
        raise UnknownNameError(f"unknown `activation` {name!r}; {nearest(str(name), list(ACTIVATION_NAMES))}")
    return ACTIVATION_NAMES[name]
