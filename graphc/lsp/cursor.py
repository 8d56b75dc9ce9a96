"""Where a position lies in a text that may be broken: the keys around it, whether a key or a value is written there.

A mark is put in the place of the word at the position, and the text is read by the spec's own reader; where the rest
of the text is broken, only what stands before the position is, with its brackets closed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from graphc.errors import SpecError
from graphc.lsp.outline import read_outline
from graphc.lsp.text import Text
from graphc.lsp.types import Position, Span
from graphc.spec.source import SpecList, SpecMap, Tree, load_text

MARK = "graphcCursorMark"
BEFORE, AFTER = re.compile(r"[\w./*$-]*$"), re.compile(r"[\w./*-]*")
LARGEST = 500_000
"""Characters of a text that is read again, up to some times, for a question about a position in it."""
QUOTES = ("'", '"')
PAIRS = {"[": "]", "{": "}"}


@dataclass(frozen=True, slots=True)
class Cursor:
    """What is written at a position."""

    path: tuple[str | int, ...]
    """Keys and numbers from the root to the mapping, of a key, or to the value itself."""
    role: Literal["key", "value"]
    word: str
    """What is written before the position."""
    span: Span
    """The whole word."""
    siblings: tuple[str, ...]
    """Of a key: the other keys of its mapping."""
    root: SpecMap | None
    is_quoted: bool = False
    has_colon: bool = False
    """Of a key: whether a colon is behind it already."""
    starts_line: bool = False
    """Of a key: whether nothing but spaces, or a dash, stands before it."""

    @property
    def key(self) -> str | None:
        """The nearest key around a value: the list's, of an item of a list."""
        return next((part for part in reversed(self.path) if isinstance(part, str)), None)


def cursor_at(text: Text, position: Position) -> Cursor | None:
    """What is written at a position; None in a comment, in a very large text, and where nothing can be told."""
    line = text.line(position.line)
    before, after = line[: position.column], line[position.column :]
    if len(text.content) > LARGEST or _in_comment(text, position):
        return None
    word, rest = BEFORE.search(before), AFTER.match(after)
    assert word is not None
    assert rest is not None
    start, end = word.start(), position.column + rest.end()
    head, tail = line[:start], line[end:]
    span = Span(Position(position.line, start), Position(position.line, end))
    quoted = head[-1:] in QUOTES
    has_colon = re.match(r"\"?'?\s*:(\s|$)", tail) is not None
    for marked in _marked(head, tail, has_colon, quoted):
        root = _read(text, position.line, head + marked + tail, len(head) + len(marked))
        found = _find(root, ()) if root is not None else None
        if found is not None and isinstance(root, SpecMap):
            path, role, siblings = found
            starts = not head.strip(" -")
            return Cursor(path, role, word[0], span, siblings, root, quoted, has_colon, starts)
    return None


def _in_comment(text: Text, position: Position) -> bool:
    line = text.line(position.line)[: position.column]
    return any(line[at] == "#" and (at == 0 or line[at - 1] in " \t") for at in range(len(line))) and not (
        line.count('"') % 2 or line.count("'") % 2
    )


def _marked(head: str, tail: str, has_colon: bool, quoted: bool) -> Iterator[str]:
    """Ways to write the mark: as a key, as an item of a list, as a value."""
    if has_colon or quoted:
        yield MARK
        return
    blank = not head.strip()
    if blank and not tail.strip():
        yield f"{MARK}: "
        yield f"- {MARK}"
    elif blank:
        yield f"{MARK}: "
    elif head.strip() == "-" and tail.strip() == "":
        yield MARK
        yield f"{MARK}: "
    if head[-1:] in (":", "-"):
        yield f" {MARK}"
    yield MARK
    yield f"{MARK}: "


def _read(text: Text, number: int, line: str, end: int) -> Tree:
    """The tree of the text with another line; of what stands before its end where the rest cannot be read."""
    whole = [*text.lines[:number], line, *text.lines[number + 1 :]]
    joined = "\n".join(whole)
    try:
        return load_text(joined, "")
    except SpecError:
        pass
    first = Text("\n".join([*text.lines[:number], line[:end]]))
    closing = "".join(PAIRS[sign] for sign in reversed(first.open_at(number, end)))
    quote = line[:end].rpartition(MARK)[0][-1:]
    closed = first.content + (quote if quote in QUOTES else "") + closing
    try:
        return load_text(closed, "")
    except SpecError:
        return read_outline(Text(closed), "").tree


def _find(tree: Any, path: tuple[str | int, ...]) -> tuple[tuple[str | int, ...], Any, tuple[str, ...]] | None:
    """Where the mark is: its path, its role, and the other keys."""
    if isinstance(tree, SpecMap):
        for key, value in tree.items():
            if MARK in key:
                return path, "key", tuple(other for other in tree if other != key)
            found = _find(value, (*path, key))
            if found is not None:
                return found
    elif isinstance(tree, SpecList):
        for number, value in enumerate(tree):
            found = _find(value, (*path, number))
            if found is not None:
                return found
    elif isinstance(tree, str) and MARK in tree:
        return path, "value", ()
    return None
