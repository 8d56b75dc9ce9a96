"""Where an entry stands while a spec is expanded, and what a value is before names are looked up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, Union

from graphc.errors import Place
from graphc.spec.entry import Argument

Arguments: TypeAlias = Mapping[str, Argument]
NO_ARGUMENTS: Arguments = {}


@dataclass(frozen=True, slots=True)
class InputRef:
    """A graph input."""

    name: str


@dataclass(frozen=True, slots=True)
class NameRef:
    """A name as written, looked up once every layer is known."""

    name: str
    group: str
    """The group (its full name, "" at the top) in which the name is written."""
    bindings: Mapping[str, Ref]
    """Names that the surrounding block gives to its inputs."""
    place: Place


Ref: TypeAlias = Union[int, InputRef, NameRef]
"""Where a value comes from: a node by its number, a graph input, or a name not yet looked up."""


def scoped(group: str, name: str) -> str:
    return f"{group}/{name}" if group else name


@dataclass(frozen=True, slots=True)
class Scope:
    """Defaults of arguments by kind; immutable."""

    kinds: Mapping[str, Arguments] = field(default_factory=dict)
    faulty: bool = False
    """Whether something in it was reported as wrong: what a layer lacks may be that."""

    def of(self, kind: str) -> Arguments:
        return self.kinds.get(kind, NO_ARGUMENTS)

    def merged(self, entries: Mapping[str, Arguments]) -> Scope:
        """This scope with `entries` over it: the new argument wins, the others stay."""
        kinds = dict(self.kinds)
        for kind, arguments in entries.items():
            kinds[kind] = {**kinds.get(kind, NO_ARGUMENTS), **arguments}
        return replace(self, kinds=kinds)


@dataclass(frozen=True, slots=True)
class ExpansionFrame:
    """Where an entry stands: everything that is inherited downwards."""

    group: str
    """Naming scope, "" at the top."""
    variables: str
    """Naming scope of its variables: `group`, or the shared one's."""
    names: Mapping[str, Any]
    """Values that `${…}` sees."""
    scope: Scope
    bindings: Mapping[str, Ref]
    """Block inputs by name."""
    trail: tuple[str, ...] = ()
    open_blocks: tuple[str, ...] = ()
    """Blocks around it, outermost first."""
    guarded: int = 0
    """How many of them, outermost first, have a `when` on the way to here: those may be used again."""
    copies: int = 1
    """How often the repeats around it repeat it."""
    depth: int = 0
    following: tuple[Place, ...] = ()
    """Where what follows a layer is written, for a layer that follows one: it must not follow itself."""

    def inside(self, name: str | None, share: str | None = None) -> ExpansionFrame:
        """One group further down; the same one where the group has no name."""
        if name is None:
            return self
        return self.renamed(scoped(self.group, name), share or scoped(self.variables, name))

    def renamed(self, group: str, variables: str) -> ExpansionFrame:
        """The same place under other names."""
        return self._moved(group, variables, self.depth)

    def deeper(self) -> ExpansionFrame:
        """One list of layers further down."""
        return self._moved(self.group, self.variables, self.depth + 1)

    def _moved(self, group: str, variables: str, depth: int) -> ExpansionFrame:
        """What `replace` does, in a fraction of its time: it is asked for every layer and every list."""
        inherited = self.names, self.scope, self.bindings, self.trail, self.open_blocks, self.guarded, self.copies
        return ExpansionFrame(group, variables, *inherited, depth, self.following)

    def under_when(self) -> ExpansionFrame:
        """The frame of what is there only where a `when` holds."""
        return replace(self, guarded=len(self.open_blocks))
