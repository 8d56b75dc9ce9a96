"""Groups, repeats, stacks, branches and residuals: what stands around layers, opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from graphc.dims import whole
from graphc.errors import Place, SpecError, clipped
from graphc.graph import Argument
from graphc.layers import CATALOGUE
from graphc.passes.entries import Entry, check_name, condition, entry_kind, read_entry, with_arguments
from graphc.passes.expansion import Composition, Expansion, ExpansionFrame
from graphc.passes.wiring import Ref, scoped
from graphc.spec.expressions import names_over, substitute
from graphc.spec.source import SpecList, SpecMap
from graphc.spec.variables import check_variable_name


def expand_group(expansion: Expansion, entry: Entry, at: ExpansionFrame, sources: list[Ref]) -> Ref | None:
    layers = layer_list(entry, "layers")
    inner = open_group(expansion, entry, at)
    label = f"arg_scope of group {entry.name}" if entry.name else f"arg_scope of the group at {entry.place}"
    if "arg_scope" in entry.arguments:
        written = entry.arguments["arg_scope"]
        raw = substitute(written.value, at.names, written.place)
        inner = replace(inner, scope=expansion.scopes.enter(at.scope, raw, entry.places["arg_scope"], label))
    if "as" in entry.arguments:
        captured = entry.arguments["as"].value
        if not isinstance(captured, str):
            message = f"group: as expects a name for the scope, got {clipped(captured)}"
            raise SpecError("G116", message, entry.places["as"])
        expansion.scopes.capture(captured, inner.scope, entry.places["as"])
    output = expansion.expand_list(layers, inner, sources[0])
    return expansion.close(inner, output) if entry.name is not None else output


def expand_repeat(expansion: Expansion, entry: Entry, at: ExpansionFrame, sources: list[Ref]) -> Ref | None:
    times = whole(value_of(entry, "times", at))
    place = entry.places.get("times", entry.place)
    if isinstance(times, bool) or not isinstance(times, int) or times < 0:
        raise SpecError("G116", f"repeat: times expects a whole number of at least 0, got {clipped(times)}", place)
    at = replace(at, copies=at.copies * times)
    expansion.count(place, at.copies)
    elements = element_list(entry)
    index = entry.arguments.get("index")
    if index is not None:
        check_variable_name(index.value, index.place or place)
    inner, each = open_elements(expansion, entry, at, elements)
    output: Ref | None = sources[0]
    for number in range(1, times + 1):
        names = at.names if index is None else names_over({index.value: number}, at.names)
        trail = (*at.trail, f"in repeat at {entry.place}, {number} of {times}")
        element = replace(inner, names=names, trail=trail)
        if "layers" in entry.arguments:
            output = expand_elements(expansion, elements, f"{each}_{number}", element, output)
        else:
            output = expand_element(expansion, elements, f"{each}_{number}", element, output)
    return expansion.close(inner, output)


def expand_stack(expansion: Expansion, entry: Entry, at: ExpansionFrame, sources: list[Ref]) -> Ref | None:
    args = value_of(entry, "args", at)
    if not isinstance(args, SpecList):
        place = entry.places.get("args", entry.place)
        raise SpecError("G116", f"stack: args expects a list with one entry an element, got {clipped(args)}", place)
    elements = element_list(entry, only="layer")
    inner, each = open_elements(expansion, entry, at, elements)
    output: Ref | None = sources[0]
    for number, (written, place) in enumerate(zip(args, args.places, strict=True), start=1):
        trail = (*at.trail, f"in stack at {entry.place}, {number} of {len(args)}")
        element = replace(inner, trail=trail)
        output = expand_element(expansion, elements, f"{each}_{number}", element, output, (written, place))
    return expansion.close(inner, output)


def element_list(entry: Entry, only: str | None = None) -> SpecList:
    """What a repeat or stack repeats: one layer, or several in a group of their own."""
    given = [key for key in ("layer", "layers") if key in entry.arguments]
    if len(given) != 1 or (only and given != [only]):
        raise SpecError("G113", f"{entry.kind} needs {only or 'either layer or layers'}", entry.place)
    argument = entry.arguments[given[0]]
    if given == ["layer"]:
        place = argument.place or entry.place
        return SpecList([argument.value], place, [place])
    return layer_list(entry, "layers")


def open_elements(
    expansion: Expansion, entry: Entry, at: ExpansionFrame, elements: SpecList
) -> tuple[ExpansionFrame, str]:
    """The frame of a repeat's elements, and what they are called before their number."""
    inner = at.inside(expansion.claim(entry, entry.kind, at), expansion.shared(entry, at))
    if "each" in entry.arguments:
        return inner, check_name(entry.arguments["each"].value, entry.places["each"])
    default = entry.name or (
        entry_kind(elements[0], at.names, elements.places[0]) if "layer" in entry.arguments else entry.kind
    )
    return inner, default


def expand_elements(
    expansion: Expansion, elements: SpecList, name: str, at: ExpansionFrame, current: Ref | None
) -> Ref | None:
    """One repetition of several layers, in a group of its own."""
    full = scoped(at.group, name)
    expansion.taken[full] += 1
    expansion.named.append(full)
    inner = at.inside(name)
    return expansion.close(inner, expansion.expand_list(elements, inner, current))


def expand_element(
    expansion: Expansion,
    elements: SpecList,
    name: str,
    at: ExpansionFrame,
    current: Ref | None,
    arguments: tuple[Any, Place] | None = None,
) -> Ref | None:
    """One repetition of one layer, with a stack's arguments for it."""

    def change(entry: Entry) -> Entry:
        named = replace(entry, name=name)
        return named if arguments is None else with_arguments(named, *arguments)

    return expansion.expand_entry(elements[0], elements.places[0], at, current, change)


def expand_branches(expansion: Expansion, entry: Entry, at: ExpansionFrame, sources: list[Ref]) -> Ref | None:
    paths = required(entry, "paths").value
    if not isinstance(paths, SpecMap) or not paths:
        place = entry.places.get("paths", entry.place)
        message = f"branches: paths expects a mapping of names to lists of layers, got {clipped(paths)}"
        raise SpecError("G116", message, place)
    inner = open_group(expansion, entry, at)
    outputs: list[Ref] = []
    for name, layers in paths.items():
        if isinstance(layers, SpecMap) and set(layers) == {"when", "layers"}:
            where = layers.places["when"]
            if not condition(substitute(layers["when"], at.names, where), where):
                continue
            layers = layers["layers"]  # noqa: PLW2901
        if not isinstance(layers, SpecList):
            raise SpecError("G116", f"path {name} expects a list of layers, got {clipped(layers)}", paths.places[name])
        path = inner.inside(check_name(name, paths.key_places[name]))
        output = expansion.close(path, expansion.expand_list(layers, path, sources[0]))
        assert output is not None
        outputs.append(output)
        expansion.named.append(path.group)
    merging = entry.arguments.get("merge", Argument("concat", None, "default of branches"))
    output = merge(expansion, entry, merging, inner, outputs)
    return expansion.close(inner, output) if entry.name is not None else output


def expand_residual(expansion: Expansion, entry: Entry, at: ExpansionFrame, sources: list[Ref]) -> Ref | None:
    inner = open_group(expansion, entry, at)
    shortcut: Ref | None = sources[0]
    if "shortcut" in entry.arguments:
        shortcut = expansion.expand_list(layer_list(entry, "shortcut"), inner, sources[0])
    output = expansion.expand_list(layer_list(entry, "layers"), inner, sources[0])
    assert shortcut is not None
    assert output is not None
    merging = entry.arguments.get("merge", Argument("add", None, "default of residual"))
    output = merge(expansion, entry, merging, inner, [shortcut, output])
    return expansion.close(inner, output) if entry.name is not None else output


def merge(expansion: Expansion, entry: Entry, merging: Argument, at: ExpansionFrame, outputs: list[Ref]) -> Ref:
    """The merge layer of branches or a residual, with the entry's activation on it."""
    place = merging.place or entry.place
    read = read_entry(substitute(merging.value, at.names, place), place, at.names, expansion.spec.blocks)
    if read is None or read.kind not in CATALOGUE or CATALOGUE[read.kind].inputs_at_most is not None:
        known = [kind for kind, layer in CATALOGUE.items() if layer.inputs_at_most is None]
        raise SpecError("G115", f"merge expects one of {', '.join(known)}, got {clipped(merging.value)}", place)
    if read.inputs is not None:
        raise SpecError("G115", f"{entry.kind} say what is merged: merge takes no inputs", read.places["inputs"])
    if "activation" in entry.arguments:
        read = replace(read, arguments={**read.arguments, "activation": entry.arguments["activation"]})
    return expansion.expand_layer(read, at, outputs)


def required(entry: Entry, name: str) -> Argument:
    if name not in entry.arguments:
        raise SpecError("G113", f"{entry.kind} needs {clipped(name)}", entry.place)
    return entry.arguments[name]


def value_of(entry: Entry, name: str, at: ExpansionFrame) -> Any:
    argument = required(entry, name)
    return substitute(argument.value, at.names, argument.place or entry.place)


def open_group(expansion: Expansion, entry: Entry, at: ExpansionFrame) -> ExpansionFrame:
    """The frame inside a group, branches or residual: one level down only where the entry has a name."""
    if entry.name is None:
        return at
    return at.inside(expansion.claim(entry, entry.name, at), expansion.shared(entry, at))


def layer_list(entry: Entry, name: str) -> SpecList:
    layers = required(entry, name).value
    if layers is None:
        return SpecList([], entry.place, [])
    if not isinstance(layers, SpecList):
        place = entry.places.get(name, entry.place)
        raise SpecError("G116", f"{entry.kind}: {name} expects a list of layers, got {clipped(layers)}", place)
    return layers


COMPOSITIONS: Mapping[str, Composition] = {
    "group": expand_group,
    "repeat": expand_repeat,
    "stack": expand_stack,
    "branches": expand_branches,
    "residual": expand_residual,
}
