"""Argument scopes: defaults for kinds, nested, captured and re-entered as in TF-Slim.

A `Scope` is an immutable map kind -> {argument: Argument}. Entering a mapping merges it over the current scope
argument by argument; entering a captured name replaces the current scope.

What is wrong in a scope is reported once, where it stands, and the rest of the scope holds: a wrong value becomes
WRONG, and a scope in which something is missing now is `faulty`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from graphc.errors import Place, SpecError, clipped, did_you_mean
from graphc.passes.kinds import Kinds
from graphc.spec.entry import Argument
from graphc.spec.forms.frame import Scope
from graphc.spec.source import SpecList, SpecMap, extent


class _Wrong:
    """Stands for a value that was reported as wrong: a layer that would use it is passed over."""

    def __repr__(self) -> str:
        return "wrong"


WRONG: Final = _Wrong()


def written_size(scope: Any) -> int:
    """How many arguments are looked at where a scope is entered: those of each kind."""
    if isinstance(scope, SpecList):
        return 1 + sum(map(written_size, scope))
    if not isinstance(scope, SpecMap):
        return 1
    return 1 + sum((kinds.count(",") + 1) * extent(arguments).nodes for kinds, arguments in scope.items())


class Scopes:
    """Enters scopes as written, and remembers the captured ones."""

    def __init__(self, kinds: Kinds, report: Callable[[SpecError], None]) -> None:
        self._kinds = kinds
        self._report = report
        self._captured: dict[str, Scope] = {}

    def capture(self, name: str, scope: Scope, place: Place) -> None:
        if name == "none":
            raise SpecError("G142", "a scope cannot be called none: `arg_scope: none` is that there is no scope", place)
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
                message = f"no scope named {clipped(written)} has been captured{hint}"
                return self._faulty(current, SpecError("G141", message, place))
            return self._captured[written]
        if isinstance(written, SpecList):
            for item, item_place in zip(written, written.places, strict=True):
                current = self.enter(current, item, item_place, source)
            return current
        if isinstance(written, SpecMap):
            for kinds, arguments in written.items():
                current = self._merge(current, kinds, arguments, written, source)
            return current
        expected = "a mapping of kinds, a captured name or none"
        return self._faulty(current, SpecError("G140", f"arg_scope expects {expected}, got {clipped(written)}", place))

    def _faulty(self, current: Scope, error: SpecError) -> Scope:
        self._report(error)
        return replace(current, faulty=True)

    def _merge(self, current: Scope, kinds: str, arguments: Any, written: SpecMap, source: str) -> Scope:
        if not isinstance(arguments, SpecMap):
            said = self._kinds.as_mapping(kinds, arguments)
            if arguments is None and len(written) > 1:
                said += f': several kinds within braces need quotes, "{kinds}, …": {{…}}'
            message = f"arg_scope: {kinds} expects a mapping of arguments, got {clipped(arguments)}{said}"
            return self._faulty(current, SpecError("G140", message, written.places[kinds]))
        place = written.key_places[kinds]
        for kind in (part.strip() for part in kinds.split(",")):
            try:
                if not kind:
                    raise SpecError("G140", f"arg_scope: {clipped(kinds)} names an empty kind", place)
                self._kinds.check_kind(kind, place)
            except SpecError as error:
                current = self._faulty(current, error)
                continue
            entries = {}
            for name, value in arguments.items():
                key_place, value_place = arguments.key_places[name], arguments.places[name]
                try:
                    kept = self._kinds.check_argument(kind, name, value, key_place, value_place)
                except SpecError as error:
                    current = self._faulty(current, error)
                    kept = WRONG
                entries[name] = Argument(kept, value_place, source)
            current = current.merged({kind: entries})
        return current
