"""One item of a layer list, once it is read: its kind, its arguments with their places, and the keys of all kinds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphc.errors import Place, SpecError, clipped
from graphc.spec.arithmetic import Wrong, truth
from graphc.spec.expressions import substitute
from graphc.spec.source import SpecList, SpecMap

NAME = re.compile(r"[^\s/,]+")
LONGEST_NAME = 200
NAMED = "text of at most 200 letters without spaces, commas, '/' or control characters, but not . or .."
"""What a name is, for errors."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One effective argument of a layer and where it came from."""

    value: Any
    place: Place | None
    """None for a built-in default."""
    source: str
    """`written on the layer`, `arg_scope of group block1`, `default of conv2d`, …"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of a layer list: its kind, its arguments as written, and the common keys."""

    kind: str
    arguments: dict[str, Argument]
    positional: Sequence[Any]
    name: str | None
    inputs: tuple[str, ...] | None
    share: str | None
    place: Place
    places: Mapping[str, Place]
    conditional: bool = False
    """Whether it says `when`."""


def is_name(word: Any) -> bool:
    """Whether this may be the name of a model, block, layer or output."""
    fits = (
        isinstance(word, str) and len(word) <= LONGEST_NAME and NAME.fullmatch(word) is not None and word.isprintable()
    )
    return fits and word not in (".", "..")


def check_name(name: Any, place: Place) -> str:
    if not is_name(name):
        raise SpecError("G117", f"name expects {NAMED}, got {clipped(name)}", place)
    return str(name)


def condition(value: Any, place: Place) -> bool:
    """Whether a `when` holds."""
    try:
        return truth(value, "when")
    except Wrong as wrong:
        raise SpecError("G112", wrong.message, place) from None


def entry_kind(written: Any, names: Mapping[str, Any], place: Place) -> str:
    """The kind of an item of a layer list, whatever else may be wrong with it."""
    if isinstance(written, SpecMap) and written:
        return next(iter(written))
    kind = substitute(written, names, place) if isinstance(written, str) else written
    return kind if isinstance(kind, str) else "layer"


def written_name(written: Any) -> str | None:
    """The name on an item of a layer list, whatever else may be wrong with it."""
    body = next(iter(written.values())) if isinstance(written, SpecMap) and written else None
    name = body.get("name") if isinstance(body, SpecMap) else None
    return name if isinstance(name, str) else None


def with_arguments(entry: Entry, written: Any, place: Place) -> Entry:
    """A stack element: the shared entry with one element's arguments over it."""
    if isinstance(written, SpecMap):
        source = f"written in stack args, at {place}"
        own = {key: Argument(value, written.places[key], source) for key, value in written.items()}
        return replace(entry, arguments={**entry.arguments, **own}, places={**entry.places, **written.key_places})
    positional = tuple(written) if isinstance(written, SpecList) else (written,)
    return replace(entry, positional=positional, place=place)
