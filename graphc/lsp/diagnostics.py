"""The errors and warnings of `graphc check` where they stand; what stands in another file, also at its `include`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from graphc.errors import GraphcError, Place, Warn, counted
from graphc.lsp.analysis import Analysis
from graphc.lsp.text import Text
from graphc.lsp.types import Diagnostic, Location, Position, Span
from graphc.spec.file_forms import FILE_FORMS
from graphc.spec.source import SpecList

START = Span(Position(0, 0), Position(0, 1))


def diagnostics(analysis: Analysis) -> list[Diagnostic]:
    """Those of a file by itself, in the order of `graphc check`."""
    found = [_diagnostic(analysis, error, _message(error)) for error in analysis.errors]
    return [*found, *(_diagnostic(analysis, warning, _warning(warning, count)) for warning, count in analysis.warnings)]


def diagnostics_elsewhere(analysis: Analysis) -> Iterator[tuple[Path, Place, Diagnostic]]:
    """Those that an open spec finds in other files, for these files."""
    here = analysis.outline.path
    for error in analysis.errors:
        if error.place is not None and error.place.path != here:
            told = Diagnostic(START, error.code, _message(error), True)
            yield Path(error.place.path).absolute(), error.place, told


def moved(diagnostic: Diagnostic, place: Place, text: Text) -> Diagnostic:
    """The diagnostic at a place of a text."""
    return Diagnostic(text.span_at(place), diagnostic.code, diagnostic.message, diagnostic.is_error)


def _message(error: GraphcError) -> str:
    return "\n".join([error.message, *error.notes])


def _warning(warning: Warn, count: int) -> str:
    more = "" if count == 1 else f"\nlikewise in {counted(count - 1, 'more layer')}"
    return f"{warning.message}{more}"


def _diagnostic(analysis: Analysis, said: GraphcError | Warn, message: str) -> Diagnostic:
    outline, place, is_error = analysis.outline, said.place, isinstance(said, GraphcError)
    if place is None or (place.path == outline.path and place.line == 0):
        return Diagnostic(START, said.code, message, is_error)
    if place.path == outline.path:
        return Diagnostic(outline.text.span_at(place), said.code, message, is_error)
    start = Position(max(place.line - 1, 0), max(place.column - 1, 0))
    there = Location(Path(place.path).absolute(), Span(start, start))
    return Diagnostic(_of_include(analysis, place), said.code, f"{place}: {message}", is_error, ((there, message),))


def _of_include(analysis: Analysis, place: Place) -> Span:
    """Where a file is included or extended, or the key that includes it through others; a recipe's model."""
    outline = analysis.outline
    name = Path(place.path).stem
    if outline.tree is None:
        return START
    for key in ("model", *FILE_FORMS):
        if key not in outline.tree:
            continue
        value, at = outline.tree[key], outline.tree.places[key]
        if isinstance(value, SpecList):
            for item, item_place in zip(value, value.places, strict=True):
                if isinstance(item, str) and Path(item).stem == name:
                    return outline.text.span_at(item_place)
        elif key == "model" or (isinstance(value, str) and Path(value).stem == name):
            return outline.text.span_at(at)
    keys = [key for key in FILE_FORMS if key in outline.tree]
    return outline.text.span_at(outline.tree.key_places[keys[0]]) if keys else START
