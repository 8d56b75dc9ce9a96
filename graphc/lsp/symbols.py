"""The outline of a file for an editor's list of symbols, and what can be folded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from graphc.lsp.outline import Outline, WrittenEntry, parameters_of
from graphc.lsp.types import Span, Symbol
from graphc.spec.source import SpecList, SpecMap


def symbols(outline: Outline) -> list[Symbol]:
    """The keys of the file, with layers, blocks, scopes, variables and the keys of recipes inside them."""
    tree = outline.tree
    if tree is None:
        return []
    return [_key(outline, tree, key) for key in tree if tree.key_places[key].path == outline.path]


def _key(outline: Outline, tree: SpecMap, key: str) -> Symbol:
    value = tree[key]
    if key == "layers":
        children = [_entry(outline, each) for each in outline.layers]
    elif key == "blocks" and isinstance(value, SpecMap):
        children = [_block(outline, value, name) for name in value]
    else:
        children = _children(outline, value, "variable" if key == "vars" else "property")
    place = tree.key_places[key]
    return _symbol(outline, key, _detail(value), "namespace" if children else "property", place, children)


def _children(outline: Outline, value: Any, kind: str, depth: int = 2) -> list[Symbol]:
    """The keys of a mapping."""
    if not isinstance(value, SpecMap) or depth == 0:
        return []
    return [
        _symbol(outline, name, _detail(inner), kind, value.key_places[name], _children(outline, inner, kind, depth - 1))
        for name, inner in value.items()
    ]


def _block(outline: Outline, blocks: SpecMap, name: str) -> Symbol:
    body = blocks[name]
    shown = [each for each, _ in parameters_of(body)]
    children = [_entry(outline, each) for each in outline.blocks.get(name, ())]
    return _symbol(outline, name, ", ".join(shown), "class", blocks.key_places[name], children)


def _entry(outline: Outline, entry: WrittenEntry) -> Symbol:
    children = [_entry(outline, each) for each in entry.children]
    kind = "class" if entry.is_compound else "function"
    name, detail = (entry.name, entry.kind) if entry.name else (entry.kind, "")
    return _symbol(outline, name, detail, kind, entry.place, children)


def _symbol(outline: Outline, name: str, detail: str, kind: str, place: Any, children: Iterable[Symbol]) -> Symbol:
    selection = outline.text.span_at(place)
    end = max(outline.text.end_of(place), selection.end)
    return Symbol(name or "?", detail, kind, Span(selection.start, end), selection, tuple(children))


def _detail(value: Any) -> str:
    if isinstance(value, Mapping) or value is None:
        return ""
    if isinstance(value, SpecList):
        return f"{len(value)} items"
    text = str(value).replace("\n", " ")
    return text if len(text) <= 40 else f"{text[:37]}..."


def folds(outline: Outline) -> list[tuple[int, int, bool]]:
    """(first line, last line, whether it is a comment) of all that can be folded, from 0."""
    found = set()
    waiting = symbols(outline)
    while waiting:
        each = waiting.pop()
        waiting += each.children
        if each.span.end.line > each.span.start.line:
            found.add((each.span.start.line, each.span.end.line, False))
    first = None
    for number, line in enumerate([*outline.text.lines, ""]):
        is_comment = line.lstrip().startswith("#")
        if is_comment and first is None:
            first = number
        elif not is_comment and first is not None:
            if number - first > 1:
                found.add((first, number - 1, True))
            first = None
    return sorted(found)
