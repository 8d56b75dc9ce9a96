"""What repeat and stack share: elements with a number behind their name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from graphc.errors import SpecError
from graphc.spec.entry import Entry, check_name, entry_kind
from graphc.spec.forms.base import Expander, layer_list
from graphc.spec.forms.frame import ExpansionFrame, Ref
from graphc.spec.schema_terms import TEXT, Schema
from graphc.spec.source import SpecList

EACH: Schema = {**TEXT, "description": "Element i is named each_i; left out: the name."}


def element_list(entry: Entry, only: str | None = None) -> SpecList:
    """What is repeated: one layer, or several in a group of their own."""
    given = [key for key in ("layer", "layers") if key in entry.arguments]
    if len(given) != 1 or (only and given != [only]):
        raise SpecError("G113", f"{entry.kind} needs {only or 'either layer or layers'}", entry.place)
    argument = entry.arguments[given[0]]
    if given == ["layer"]:
        place = argument.place or entry.place
        return SpecList([argument.value], place, [place])
    return layer_list(entry, "layers")


def open_elements(
    expander: Expander, entry: Entry, at: ExpansionFrame, elements: SpecList
) -> tuple[ExpansionFrame, str]:
    """The frame of the elements, and what they are called before their number."""
    inner = expander.enter(entry, entry.kind, at)
    if "each" in entry.arguments:
        return inner, check_name(entry.arguments["each"].value, entry.places["each"])
    default = entry.name or (
        entry_kind(elements[0], at.names, elements.places[0]) if "layer" in entry.arguments else entry.kind
    )
    return inner, default


def expand_element(
    expander: Expander,
    elements: SpecList,
    name: str,
    at: ExpansionFrame,
    current: Ref | None,
    change: Callable[[Entry], Entry] = lambda entry: entry,
) -> Ref | None:
    """One repetition of one layer, changed by `change`."""
    return expander.expand_entry(
        elements[0], elements.places[0], at, current, lambda entry: change(replace(entry, name=name))
    )
