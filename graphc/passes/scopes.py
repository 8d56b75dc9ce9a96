"""Argument scopes: defaults for kinds, nested, captured and re-entered as in TF-Slim.

A `Scope` is an immutable map kind -> {argument: Argument}. Entering a mapping merges it over the current scope
argument by argument; entering a captured name replaces the current scope.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphc.errors import Place, SpecError, did_you_mean
from graphc.graph import Argument
from graphc.spec.source import SpecList, SpecMap, clipped

Arguments = Mapping[str, Argument]
NO_ARGUMENTS: Arguments = {}


@dataclass(frozen=True, slots=True)
class Scope:
    kinds: Mapping[str, Arguments] = field(default_factory=dict)

    def of(self, kind: str) -> Arguments:
        return self.kinds.get(kind, NO_ARGUMENTS)

    def merged(self, entries: Mapping[str, Arguments]) -> Scope:
        """This scope with `entries` over it: the new argument wins, the others stay."""
        kinds = dict(self.kinds)
        for kind, arguments in entries.items():
            kinds[kind] = {**kinds.get(kind, NO_ARGUMENTS), **arguments}
        return Scope(kinds)


CheckArgument = Callable[[str, str, Any, Place], Any]
"""(kind, argument, value, place) -> the value to keep, or a SpecError."""


class Scopes:
    """Enters scopes as written, and remembers the captured ones."""

    def __init__(self, check: CheckArgument, check_kind: Callable[[str, Place], None]) -> None:
        self._check = check
        self._check_kind = check_kind
        self._captured: dict[str, Scope] = {}

    def capture(self, name: str, scope: Scope, place: Place) -> None:
        if name in self._captured:
            raise SpecError("G142", f"the scope {clipped(name)} is captured twice", place)
        self._captured[name] = scope

    def enter(self, current: Scope, written: Any, place: Place, source: str) -> Scope:
        """The scope inside `arg_scope: written`, where `current` is the one outside."""
        if written is None or written == "none":
            return Scope()
        if isinstance(written, str):
            if written not in self._captured:
                hint = did_you_mean(written, self._captured)
                raise SpecError("G141", f"no scope named {clipped(written)} has been captured{hint}", place)
            return self._captured[written]
        if isinstance(written, SpecList):
            for item, item_place in zip(written, written.places, strict=True):
                current = self.enter(current, item, item_place, source)
            return current
        if isinstance(written, SpecMap):
            return self._merge(current, written, source)
        raise SpecError(
            "G140", f"arg_scope expects a mapping of kinds, a captured name or none, got {clipped(written)}", place
        )

    def _merge(self, current: Scope, written: SpecMap, source: str) -> Scope:
        for kinds, arguments in written.items():
            place = written.key_places[kinds]
            if not isinstance(arguments, SpecMap):
                where = written.places[kinds]
                raise SpecError(
                    "G140", f"arg_scope: {kinds} expects a mapping of arguments, got {clipped(arguments)}", where
                )
            for kind in split_kinds(kinds, place):
                self._check_kind(kind, place)
                entries = {
                    name: Argument(
                        self._check(kind, name, value, arguments.key_places[name]), arguments.places[name], source
                    )
                    for name, value in arguments.items()
                }
                current = current.merged({kind: entries})
        return current


def split_kinds(text: str, place: Place) -> Iterator[str]:
    """`conv2d, fully_connected` -> its kinds."""
    for kind in text.split(","):
        if not kind.strip():
            raise SpecError("G140", f"arg_scope: {clipped(text)} names an empty kind", place)
        yield kind.strip()
