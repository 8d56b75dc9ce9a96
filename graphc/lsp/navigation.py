"""Go to a definition, find uses, and rename, over all files of a spec."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from graphc.errors import Place, SpecError, clipped
from graphc.lsp.analysis import analyze
from graphc.lsp.documents import Document, Documents
from graphc.lsp.names import Named, names_of
from graphc.lsp.outline import Outline
from graphc.lsp.text import Text
from graphc.lsp.types import Edit, Location, Position, Span
from graphc.spec.entry import Argument, check_name, is_name
from graphc.spec.file_forms import FILE_FORMS
from graphc.spec.file_forms.base import listed
from graphc.spec.schema_terms import COMMON_KEYS
from graphc.spec.variables import check_variable_name
from graphc.spec.zoo import zoo_folder

TOP = Span(Position(0, 0), Position(0, 0))


def definition(documents: Documents, document: Document, position: Position) -> list[Location]:
    """Where what stands at a position is defined: a name, a file, or the line that set an argument."""
    included = _file_at(document, position)
    if included is not None:
        return [Location(included, TOP)]
    named = _name_at(document.read(), position)
    if named is not None:
        found = [
            Location(path, each.span)
            for path, outline in documents.family(document)
            for each in names_of(outline)
            if each.is_definition and _is_same(each, named)
        ]
        if found:
            return found
    return list(_setter(document, position))


def references(documents: Documents, document: Document, position: Position, *, defined: bool) -> list[Location]:
    """Where the name at a position is used, and with `defined` where it is defined."""
    return [
        Location(path, each.span)
        for path, each in _all_of(documents, document, position)
        if defined or not each.is_definition
    ]


def _all_of(documents: Documents, document: Document, position: Position) -> list[tuple[Path, Named]]:
    named = _name_at(document.read(), position)
    if named is None:
        return []
    found = [
        (path, each)
        for path, outline in documents.family(document)
        for each in names_of(outline)
        if _is_same(each, named)
    ]
    return found if any(each.is_definition for _, each in found) else []


def _name_at(outline: Outline, position: Position) -> Named | None:
    """The name at a position; a definition before a use that begins there too."""
    found = [each for each in names_of(outline) if position in each.span]
    return min(found, key=lambda each: (not each.is_definition, each.kind != "layer"), default=None)


def _is_same(one: Named, other: Named) -> bool:
    return (one.kind, one.name, one.root) == (other.kind, other.name, other.root)


def _file_at(document: Document, position: Position) -> Path | None:
    """The file that is named at a position: under `extends`, `include`, or a recipe's `model`."""
    tree = document.read().tree
    for key in (*FILE_FORMS, "model") if tree is not None else ():
        try:
            written = listed(tree, key) if tree is not None else []
        except SpecError:
            continue
        for name, place in written:
            if position in document.text.span_at(place):
                return file_named(document.path.parent, name)
    return None


def file_named(folder: Path, name: str) -> Path | None:
    """The file that a spec in a folder calls by this name: there, or in the zoo; None where there is none."""
    inside = name.removeprefix("zoo/")
    tries = [folder / name, folder / f"{name}.yaml", zoo_folder() / inside, zoo_folder() / f"{inside}.yaml"]
    return next((path for path in tries if os.path.isfile(path)), None)


def _setter(document: Document, position: Position) -> Iterator[Location]:
    """Where the arguments come from that the layer at a position has from elsewhere: lines of scopes."""
    analysis = document.analysis
    entry = document.read().entry_at(position)
    if analysis is None or analysis.plan is None or entry is None:
        return
    if position not in document.text.span_at(entry.place):
        return
    seen: set[Place] = set()
    for planned in analysis.plan.nodes:
        node = planned.node
        if node.place != entry.place:
            continue
        for argument in (*node.arguments.values(), *node.followed_by.values()):
            place = _elsewhere(argument, entry.place)
            if place is not None and place not in seen:
                seen.add(place)
                start = Position(max(place.line - 1, 0), max(place.column - 1, 0))
                yield Location(Path(place.path).absolute(), Span(start, start))


def _elsewhere(argument: Argument, place: Place) -> Place | None:
    """The line that set an argument, where it is not the layer's own."""
    return argument.place if not argument.source.startswith("written on") and argument.place != place else None


# renaming --------------------------------------------------------------------------------------------------


def rename_span(documents: Documents, document: Document, position: Position) -> Span | None:
    """The name that can be renamed at a position."""
    named = _name_at(document.read(), position)
    if named is None or not _all_of(documents, document, position):
        return None
    return named.span


def rename(documents: Documents, document: Document, position: Position, new: str) -> list[Edit]:
    """The changes with which a name is another everywhere; a SpecError where it cannot be, says why."""
    found = _all_of(documents, document, position)
    if not found:
        raise SpecError("G117", "expected a layer, a block, a scope or a variable of this spec's files")
    kind, old = found[0][1].kind, found[0][1].name.rpartition("/")[2]
    _check_new(kind, new)
    for path, _ in found:
        if path.is_relative_to(zoo_folder()) and path != document.path:
            raise SpecError("G117", f"{clipped(old)} is named in {path.name}, which comes with graphc")
    edits = [_edit(documents, path, each, old, new) for path, each in found]
    _check_result(documents, document, edits, new)
    return edits


def _check_new(kind: str, new: str) -> None:
    place = Place("rename")
    if kind in ("variable", "parameter"):
        check_variable_name(new, place)
        if new in COMMON_KEYS and kind == "parameter":
            raise SpecError("G117", f"{clipped(new)} is a key of every layer", place)
    elif is_name(new) and set(new) & set("[]{}:#,&*!|>'\"%@`"):
        raise SpecError("G117", f"{clipped(new)} would need quotes in YAML: choose a plain name", place)
    else:
        check_name(new, place)


def _edit(documents: Documents, path: Path, each: Named, old: str, new: str) -> Edit:
    """The change of one use; of an element, as `conv1_2` of conv1, its number stays."""
    outline = documents.outline(path)
    written = outline.text.cut(each.span) if outline is not None else old
    return Edit(path, each.span, new + written.removeprefix(old) if written.startswith(old) else new)


def _check_result(documents: Documents, document: Document, edits: Sequence[Edit], new: str) -> None:
    """A SpecError where the spec would have errors that it has not now."""
    texts = documents.unsaved()
    for path in {edit.path for edit in edits}:
        outline = documents.outline(path)
        if outline is not None:
            texts[str(path)] = applied(outline.text.content, [edit for edit in edits if edit.path == path])
    before = {error.code for error in documents.analyze(document).errors}
    after = analyze(texts[str(document.path)], document.path, texts).errors
    fresh = [error for error in after if error.code not in before]
    if fresh:
        raise SpecError("G117", f"with the name {clipped(new)} there would be an error: {fresh[0].message}")


def applied(content: str, edits: Sequence[Edit]) -> str:
    """A text with changes made; they do not overlap."""
    text = Text(content)
    parts, end = [], len(content)
    for edit in sorted(edits, key=lambda each: each.span.start, reverse=True):
        start, behind = text.offset(edit.span.start), text.offset(edit.span.end)
        parts += [content[behind:end], edit.text]
        end = start
    return "".join([content[:end], *reversed(parts)])
