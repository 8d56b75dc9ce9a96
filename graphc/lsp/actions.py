"""Changes that mend what a diagnostic says: each line of MENDED is a kind of error, and how it is mended."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from graphc.lsp.completion import include_edit
from graphc.lsp.documents import Document
from graphc.lsp.outline import WrittenEntry
from graphc.lsp.text import Text
from graphc.lsp.types import Action, Diagnostic, Edit, Position, Span
from graphc.spec.source import SpecMap

Mend = Callable[[Document, Diagnostic, re.Match[str]], Iterator[Action]]


def actions(document: Document, diagnostics: Sequence[Diagnostic], span: Span) -> list[Action]:
    """The changes that mend those diagnostics that touch a span."""
    found: list[Action] = []
    for each in diagnostics:
        if each.span.start.line > span.end.line or each.span.end.line < span.start.line or each.related:
            continue
        for pattern, mend in MENDED:
            match = pattern.search(each.message)
            if match is not None:
                found += mend(document, each, match)
    return found


def _replace(document: Document, diagnostic: Diagnostic, match: re.Match[str]) -> Iterator[Action]:
    """Another word for the one that stands there."""
    word, span = match["word"], _misspelt(document.text, diagnostic)
    if span is not None and "/" in document.text.cut(span) and "/" not in word:  # the last part of a path
        before = document.text.cut(span).rpartition("/")[0]
        span = Span(Position(span.start.line, span.start.column + len(before) + 1), span.end)
    if span is not None:
        yield _action(document, diagnostic, f"Write {word}", [(span, word)])


def _misspelt(text: Text, diagnostic: Diagnostic) -> Span | None:
    """The word that a message says is not known: where it stands, behind the place, or in its quotes."""
    quoted = re.search(r"'([^']+)'", diagnostic.message)
    start = diagnostic.span.start
    if quoted is None:
        return diagnostic.span
    line = text.line(start.line)
    at = line.find(quoted[1], start.column)
    if at < 0:
        at = line.find(quoted[1])
    return text.span_at_columns(start.line, at, at + len(quoted[1])) if at >= 0 else None


def _write(document: Document, diagnostic: Diagnostic, match: re.Match[str]) -> Iterator[Action]:
    """Another value behind the key that stands there."""
    span = _value_span(document.text, diagnostic.span)
    if span is not None:
        yield _action(document, diagnostic, f"Write {match['value']}", [(span, match["value"])])


def _value_span(text: Text, span: Span) -> Span | None:
    """The value behind a key, on its line; the span itself where that is a value."""
    line = text.line(span.start.line)
    after = re.match(r"\s*:\s+", line[span.end.column :])
    if after is None:
        return span
    start = span.end.column + after.end()
    if line[start : start + 1] in ("[", "{"):
        return None
    value = re.match(r"\"[^\"]*\"|'[^']*'|[^\s,\]}#]+(?:\s+[^\s,\]}#]+)*(?=\s*(?:[,\]}]|\s#|$))", line[start:])
    return text.span_at_columns(span.start.line, start, start + value.end()) if value else None


def _flatten(document: Document, diagnostic: Diagnostic, _: re.Match[str]) -> Iterator[Action]:
    """A flatten before the layer."""
    entry = document.read().entry_at(diagnostic.span.start)
    if entry is not None:
        yield from _insert(document, diagnostic, entry, "flatten", "Put flatten before it")


def _like(document: Document, diagnostic: Diagnostic, match: re.Match[str]) -> Iterator[Action]:
    """`like` on the layer that has it, which is another line."""
    other, name = match["layer"], match["like"]
    for entry in document.read().entries:
        last = other.rpartition("/")[2]
        if last not in (entry.name, entry.kind) or not isinstance(entry.body, SpecMap) or "like" in entry.body:
            continue
        edit = _in_place_of_size(document, entry, name) or _new_argument(document, entry, f"like: {name}")
        if edit is not None:
            yield _action(document, diagnostic, f"Write like: {name} on {other}", [edit])
            return


def _in_place_of_size(document: Document, entry: WrittenEntry, name: str) -> tuple[Span, str] | None:
    """`like` in the place of another way to say the size."""
    for key in ("scale", "size"):
        if key in entry.body:
            place = entry.body.key_places[key]
            return Span(document.text.span_at(place).start, document.text.end_of(place)), f"like: {name}"
    return None


def _cut(document: Document, diagnostic: Diagnostic, match: re.Match[str]) -> Iterator[Action]:
    """A crop or resize before the merge, whose result it reads instead."""
    entry = document.read().entry_at(diagnostic.span.start)
    if entry is None or not isinstance(entry.body, SpecMap) or "inputs" not in entry.body:
        return
    name = f"{match['other'].rpartition('/')[2]}_like"
    made = f"{match['kind']}: {{name: {name}, inputs: {match['other']}, like: {match['like']}}}"
    inputs, at = entry.body["inputs"], entry.body.places["inputs"]
    places = getattr(inputs, "places", [])
    edits = [
        (document.text.inner_span_at(place), name)
        for written, place in zip(inputs, places, strict=False)
        if written == match["other"]
    ]
    if edits and at.path == document.read().path:
        title = f"Bring {match['other']} to the size of {match['like']}"
        yield from _insert(document, diagnostic, entry, made, title, edits)


def _insert(
    document: Document,
    diagnostic: Diagnostic,
    entry: WrittenEntry,
    text: str,
    title: str,
    more: Sequence[tuple[Span, str]] = (),
) -> Iterator[Action]:
    """A new entry before another."""
    start = document.text.span_at(entry.place).start
    before = document.text.line(start.line)[: start.column]
    if before.strip() == "-":
        top = Position(start.line, 0)
        yield _action(document, diagnostic, title, [(Span(top, top), f"{before}{text}\n"), *more])
    elif before.rstrip().endswith(("[", ",")):
        yield _action(document, diagnostic, title, [(Span(start, start), f"{text}, "), *more])


def _budget(document: Document, diagnostic: Diagnostic, match: re.Match[str]) -> Iterator[Action]:
    """The true number in the place of a budget."""
    number = match["number"].replace(",", "")
    number = number.removesuffix(".0")
    written = document.text.cut(diagnostic.span).strip("'\"")
    bound = re.match(r"(<=|>=|<|>|==)\s*", written)
    text = f'"{"<=" if "<" in bound[0] else ">=" if ">" in bound[0] else "=="} {number}"' if bound else number
    yield _action(document, diagnostic, f"Write {text}, the true number", [(diagnostic.span, text)])


def _shape(document: Document, diagnostic: Diagnostic, match: re.Match[str]) -> Iterator[Action]:
    """The true shape in the place of the one that is expected."""
    start = diagnostic.span.start
    if document.text.line(start.line)[start.column : start.column + 1] != "[":
        return
    end = document.text.line(start.line).find("]", start.column)
    text = f"[{', '.join(match['shape'].split('×'))}]"
    if end >= 0:
        span = document.text.span_at_columns(start.line, start.column, end + 1)
        yield _action(document, diagnostic, f"Write {text}, the true shape", [(span, text)])


def _add_argument(document: Document, diagnostic: Diagnostic, match: re.Match[str]) -> Iterator[Action]:
    """The argument that is missing, for which one then writes a value."""
    entry = document.read().entry_at(diagnostic.span.start)
    if entry is not None and diagnostic.span.start in document.text.span_at(entry.place):
        edit = _new_argument(document, entry, f"{match['name']}: ")
        if edit is not None:
            yield _action(document, diagnostic, f"Add {match['name']}", [edit], preferred=False)


def _new_argument(document: Document, entry: WrittenEntry, written: str) -> tuple[Span, str] | None:
    """The change that adds an argument to an entry."""
    text, span = document.text, document.text.span_at(entry.place)
    line = text.line(span.start.line)
    rest = line[span.end.column :]
    flow_start = re.match(r"\s*:\s*\{", rest)
    if flow_start is not None:
        at = Position(span.start.line, span.end.column + flow_start.end())
        return Span(at, at), f"{written}, " if isinstance(entry.body, SpecMap) and entry.body else written
    if isinstance(entry.body, SpecMap) and entry.body:
        first = next(iter(entry.body.key_places.values()))
        at = Position(first.line - 1, first.column - 1)
        return Span(at, at), f"{written}\n{' ' * at.column}"
    if entry.body is None and not rest.strip(" :"):
        return Span(span.end, Position(span.end.line, len(line))), f": {{{written}}}"
    return None


def _include(document: Document, diagnostic: Diagnostic, match: re.Match[str]) -> Iterator[Action]:
    """The file of a block that comes with graphc, included."""
    edit = include_edit(document, match["file"])
    if edit is not None:
        yield Action(f"Include {match['file']}", (edit,), diagnostic, preferred=True)


def _action(
    document: Document,
    diagnostic: Diagnostic,
    title: str,
    edits: Sequence[tuple[Span, str]],
    *,
    preferred: bool = True,
) -> Action:
    made = tuple(Edit(document.path, span, text) for span, text in edits)
    return Action(title, made, diagnostic, preferred)


MENDED: Sequence[tuple[re.Pattern[str], Mend]] = (
    (re.compile(r"did you mean '(?P<word>[^']+)'"), _replace),
    (re.compile(r"the zoo has '?(?P<word>zoo/[^']+?)'?$"), _replace),
    (re.compile(r"write (?P<value>\{[^}]*\}|\[[^\]]*\]|[\w.+-]+)$"), _write),
    (re.compile(r"put flatten before it"), _flatten),
    (re.compile(r"like: (?P<like>\S+) on (?P<layer>\S+) gives it"), _like),
    (re.compile(r"(?P<kind>crop|resize): \{inputs: (?P<other>[^,}]+), like: (?P<like>[^}]+)\}"), _cut),
    (re.compile(r": expected (?:<=|>=|<|>|==)?\s?[\d,.e+]+, got (?P<number>[\d,.]+)$"), _budget),
    (re.compile(r"^outputs: .*, got (?P<shape>[\w×]+)(?:\n|$)"), _shape),
    (re.compile(r"needs '(?P<name>\w+)'"), _add_argument),
    (re.compile(r"has to include: include: \[(?P<file>[^\]]+)\]"), _include),
)
"""What a message says -> how it is mended."""
