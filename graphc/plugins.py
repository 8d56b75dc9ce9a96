"""Layer kinds and data sources of other installed packages, which declare them as entry points.

    [project.entry-points."graphc.layers"]
    power_mean = "my_package.layers:PowerMean"

The name is the kind. A word that is graphc's own is never looked for here, so that no package changes what a spec
means, and one whose specs need no package pays nothing: what is installed is read when a kind is unknown, once.
`GRAPHC_PLUGINS=none` leaves all of them out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from graphc.errors import GraphcError, MachineError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

LAYERS, SOURCES = "graphc.layers", "graphc.sources"
SWITCH = "GRAPHC_PLUGINS"
WORDS = {LAYERS: "layer kind", SOURCES: "source"}
Base = TypeVar("Base")


@dataclass(frozen=True, slots=True)
class Offer:
    """One kind that installed packages declare."""

    group: str
    kind: str
    points: tuple[EntryPoint, ...]
    """One; several are two packages that mean different things by one word."""

    @property
    def packages(self) -> str:
        names = (f"{each.dist.name} {each.dist.version}" if each.dist else each.value for each in self.points)
        return " and ".join(names)

    def wrong(self, found: str) -> MachineError:
        return MachineError("G530", f"{self.packages}: {WORDS[self.group]} {self.kind}: {found}")

    def load(self, base: type[Base]) -> type[Base]:
        """The class, one of `base`; a MachineError that names the package where it is none."""
        if len(self.points) > 1:
            raise self.wrong("two packages declare it: uninstall one")
        try:
            found = self.points[0].load()
        except GraphcError:
            raise
        except Exception as error:  # whatever a stranger's module does
            raise self.wrong(f"{self.points[0].value} cannot be loaded: {type(error).__name__}: {error}") from error
        if not isinstance(found, type) or not issubclass(found, base):
            raise self.wrong(f"expected a class of {base.__module__}.{base.__name__}, found {found!r}")
        if getattr(found, "kind", None) != self.kind:
            raise self.wrong(f"expected the name of its `kind`, {getattr(found, 'kind', None)!r}")
        return found


@cache
def offers(group: str) -> Mapping[str, Offer]:
    """What installed packages declare, by kind."""
    if os.environ.get(SWITCH) == "none":
        return {}
    from importlib.metadata import entry_points  # noqa: PLC0415  (seldom)

    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=group):
        found.setdefault(point.name, []).append(point)
    return {kind: Offer(group, kind, tuple(dict.fromkeys(points))) for kind, points in sorted(found.items())}


def loaded(group: str, kind: str, base: type[Base]) -> type[Base]:
    """The class of a kind; a KeyError where nobody offers it."""
    return offers(group)[kind].load(base)
