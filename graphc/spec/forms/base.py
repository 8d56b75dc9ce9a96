"""What a form of the language is, and what it may ask of those that count and expand it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from graphc.errors import Place, SpecError, clipped
from graphc.spec.entry import Argument, Entry
from graphc.spec.forms.frame import ExpansionFrame, Ref, Scope
from graphc.spec.schema_terms import COMMON_KEYS, Schema, documentation, object_of
from graphc.spec.source import SpecList, SpecMap


class SaidError(Exception):
    """An entry cannot be read because of an error that was reported already."""


class Count(Protocol):
    """The least number of layers of what is written, as `passes/bounds.py` counts it."""

    def entry(self, written: Any) -> int: ...
    def layers(self, written: Any) -> int: ...
    def value(self, written: Any) -> Any:
        """The value as far as it is known, else None."""

    def hiding(self, name: Any) -> Count:
        """The same where the value of this name is not known."""

    def of_block(self, name: str, values: Mapping[str, Any]) -> int: ...


class Expander(Protocol):
    """What opens entries: `passes/expansion.py`. A value is None where a list has none before its first layer."""

    @property
    def variables(self) -> Mapping[str, Any]:
        """The spec's."""

    def substituted(self, value: Any, names: Mapping[str, Any], place: Place) -> Any:
        """The value with every `${…}` in it replaced, which is counted: it may be asked for at every repetition."""

    def expand_list(self, layers: SpecList, at: ExpansionFrame, start: Ref | None) -> Ref | None: ...
    def expand_entry(
        self, written: Any, place: Place, at: ExpansionFrame, current: Ref | None, change: Callable[[Entry], Entry]
    ) -> Ref | None: ...
    def expand_layer(self, entry: Entry, at: ExpansionFrame, sources: list[Ref]) -> Ref: ...
    def expand_merge(self, entry: Entry, merging: Argument, at: ExpansionFrame, outputs: list[Ref]) -> Ref: ...
    def enter(self, entry: Entry, default: str, at: ExpansionFrame) -> ExpansionFrame:
        """The frame inside the entry's group, whose name it claims."""

    def enter_element(self, name: str, at: ExpansionFrame, place: Place) -> ExpansionFrame:
        """The frame inside a group that the entry, at `place`, names itself."""

    def close(self, group: ExpansionFrame, output: Ref | None) -> Ref | None: ...
    def enter_scope(self, scope: Scope, written: Any, place: Place, source: str) -> Scope: ...
    def capture_scope(self, name: str, scope: Scope, place: Place) -> None: ...
    def count(self, place: Place, copies: int) -> None:
        """Refuse more layers than there may be."""

    def effective(self, entry: Entry, positional: Sequence[str], at: ExpansionFrame) -> dict[str, Argument]: ...


class Form(ABC):
    """One form: what may stand in a list of layers and is no layer. Its docstring is its documentation."""

    kind: ClassVar[str]
    keys: ClassVar[Mapping[str, Schema]]
    """What it takes besides the keys of every entry; each with its description."""
    required: ClassVar[tuple[str, ...]]
    inside: ClassVar[frozenset[str]]
    """Keys in which `${…}` is evaluated where they are used: names may have other values there."""
    example: ClassVar[str]

    @property
    def description(self) -> str:
        return documentation(type(self))

    def schema(self) -> Schema:
        """What may follow `kind:`."""
        return {**object_of({**COMMON_KEYS, **self.keys}, self.description), "required": list(self.required)}

    @abstractmethod
    def at_least(self, body: SpecMap, count: Count) -> int:
        """The least number of layers inside."""

    @abstractmethod
    def expand(self, expander: Expander, entry: Entry, at: ExpansionFrame, sources: list[Ref]) -> Ref | None:
        """The value after the entry."""


def required(entry: Entry, name: str) -> Argument:
    if name not in entry.arguments:
        raise SpecError("G113", f"{entry.kind} needs {clipped(name)}", entry.place)
    return entry.arguments[name]


def value_of(expander: Expander, entry: Entry, name: str, at: ExpansionFrame) -> Any:
    argument = required(entry, name)
    return expander.substituted(argument.value, at.names, argument.place or entry.place)


def layer_list(entry: Entry, name: str) -> SpecList:
    layers = required(entry, name).value
    if layers is None:
        return SpecList([], entry.place, [])
    if not isinstance(layers, SpecList):
        place = entry.places.get(name, entry.place)
        raise SpecError("G116", f"{entry.kind}: {name} expects a list of layers, got {clipped(layers)}", place)
    return layers


def only(entry: Entry, sources: Sequence[Ref]) -> Ref:
    """What a form reads, which is one value."""
    if len(sources) > 1:
        place = entry.places.get("inputs", entry.place)
        raise SpecError("G126", f"{entry.kind} takes 1 input, got {len(sources):,}", place)
    return sources[0]


def enter_if_named(expander: Expander, entry: Entry, at: ExpansionFrame) -> ExpansionFrame:
    """The frame inside: one level down only where the entry has a name."""
    if entry.name is None and entry.share is not None:
        message = f"share: expected a name on the {entry.kind} too, below which its layers are called as the others are"
        raise SpecError("G125", message, entry.places["share"])
    return at if entry.name is None else expander.enter(entry, entry.name, at)


def close_if_named(expander: Expander, entry: Entry, inner: ExpansionFrame, output: Ref | None) -> Ref | None:
    """A group with a name stands for its last output."""
    return output if entry.name is None else expander.close(inner, output)
