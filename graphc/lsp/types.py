"""What features answer with; the protocol's own types are made of these in `convert.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Line and column, from 0, in characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text; the end is not in it."""

    start: Position
    end: Position

    def __contains__(self, position: object) -> bool:
        return isinstance(position, Position) and self.start <= position <= self.end


@dataclass(frozen=True, slots=True)
class Location:
    path: Path
    span: Span


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """An error or a warning of `graphc check` at its place."""

    span: Span
    code: str
    message: str
    is_error: bool
    related: tuple[tuple[Location, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Hint:
    """Text that an editor shows behind a line."""

    position: Position
    text: str
    tooltip: str = ""


@dataclass(frozen=True, slots=True)
class Hover:
    """Markdown, and what it is about."""

    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Edit:
    """Text put in the place of a span."""

    path: Path
    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Completion:
    """A proposal: `text` replaces `span`; with `is_snippet`, `$1` is where one goes on writing."""

    label: str
    text: str
    span: Span
    kind: str
    """One of COMPLETION_KINDS of `convert.py`."""
    detail: str = ""
    documentation: str = ""
    is_snippet: bool = False
    order: int = 1
    """Smaller ones come first."""
    more: tuple[Edit, ...] = ()
    """Further changes, elsewhere in the text."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """A named part of a text, with those inside it."""

    name: str
    detail: str
    kind: str
    """One of SYMBOL_KINDS of `convert.py`."""
    span: Span
    selection: Span
    children: Sequence[Symbol] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """A change that mends something."""

    title: str
    edits: tuple[Edit, ...]
    mends: Diagnostic | None = None
    preferred: bool = False


@dataclass(frozen=True, slots=True)
class HintChoice:
    """What hints show besides the shape."""

    params: bool = False
    macs: bool = False
    receptive_field: bool = False
    sums: bool = True

    @classmethod
    def of(cls, settings: Mapping[str, object]) -> HintChoice:
        """The choice that an editor's settings make: `{"hints": {"params": true}}`."""
        hints = settings.get("hints")
        given = hints if isinstance(hints, Mapping) else {}
        return cls(**{name: bool(given[name]) for name in cls.__dataclass_fields__ if name in given})


@dataclass(frozen=True, slots=True)
class Symbols:
    """Where names of a kind are defined and used, over the files of a spec."""

    definitions: Mapping[str, Sequence[Location]] = field(default_factory=dict)
    uses: Mapping[str, Sequence[Location]] = field(default_factory=dict)
