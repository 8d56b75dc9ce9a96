"""A text as lines: which characters a place of a tree means, where a value ends, what the protocol's columns are."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cached_property, lru_cache
from itertools import accumulate

from graphc.errors import Place
from graphc.lsp.types import Position, Span
from graphc.spec.source import BREAK

WORD = re.compile(r"[^\s,\[\]{}\"'#]+?(?=:(?:\s|$)|[\s,\[\]{}\"']|$)")
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|' + r"'(?:[^']|'')*'")
OPEN, CLOSED = "[{", "]}"
COLON = re.compile(r"\s*:\s+")
FLOW_VALUE = re.compile(r"\s*:\s+[^,\]}]*")


class Text:
    """A text that does not change."""

    def __init__(self, content: str) -> None:
        self.content = content
        self.lines = BREAK.split(content)

    def changed(self, span: Span, new: str) -> str:
        """The content with another text in the place of a span."""
        return self.content[: self.offset(span.start)] + new + self.content[self.offset(span.end) :]

    def offset(self, position: Position) -> int:
        """How many characters stand before a position; all, of one behind the last line."""
        if position.line >= len(self.lines):
            return len(self.content)
        return self._starts[position.line] + min(position.column, len(self.lines[position.line]))

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(found.end() for found in BREAK.finditer(self.content))]

    def line(self, number: int) -> str:
        """A line without its end; empty behind the last."""
        return self.lines[number] if 0 <= number < len(self.lines) else ""

    def cut(self, span: Span) -> str:
        """What stands in a span."""
        if span.start.line == span.end.line:
            return self.line(span.start.line)[span.start.column : span.end.column]
        inner = self.lines[span.start.line + 1 : span.end.line]
        first, last = self.line(span.start.line)[span.start.column :], self.line(span.end.line)[: span.end.column]
        return "\n".join([first, *inner, last])

    def span_at_columns(self, line: int, start: int, end: int) -> Span:
        """A part of a line."""
        return Span(Position(line, start), Position(line, end))

    def span_at(self, place: Place) -> Span:
        """The word, or quoted text, that stands at a place; a character where none does."""
        line, column = max(place.line - 1, 0), max(place.column - 1, 0)
        text = self.line(line)
        column = min(column, len(text))
        found = QUOTED.match(text, column) or WORD.match(text, column)
        end = found.end() if found else min(column + 1, len(text))
        return Span(Position(line, column), Position(line, max(end, column)))

    def inner_span_at(self, place: Place) -> Span:
        """The word at a place, without quotes around it."""
        span = self.span_at(place)
        if self.line(span.start.line)[span.start.column : span.start.column + 1] not in ("'", '"'):
            return span
        start, end = span.start, span.end
        return Span(Position(start.line, start.column + 1), Position(end.line, max(end.column - 1, start.column + 1)))

    def end_of(self, place: Place) -> Position:
        """Where the value that begins, or whose key begins, at a place ends: behind its bracket, or its last line."""
        line, column = place.line - 1, place.column - 1
        text = self.line(line)
        word = self.span_at(place)
        if text[column : column + 1] and text[column] in OPEN:
            return self._closing(line, column)
        after = COLON.match(text, word.end.column)
        if after is not None and text[after.end() : after.end() + 1] in ("[", "{"):
            return self._closing(line, after.end())
        if self._is_inside_brackets(line, column):
            value = FLOW_VALUE.match(text, word.end.column)
            return Position(line, value.end() if value else word.end.column)
        return self._last_line(line, column)

    def _closing(self, line: int, column: int) -> Position:
        """Behind the bracket that closes the one at a position; the text's end where none does."""
        return self._closings.get((line, column), Position(len(self.lines) - 1, len(self.lines[-1])))

    @cached_property
    def _closings(self) -> dict[tuple[int, int], Position]:
        """Behind the bracket that closes each that opens, by its line and column."""
        found: dict[tuple[int, int], Position] = {}
        waiting: list[tuple[int, int]] = []
        for number, of_line in enumerate(self.brackets):
            for at, sign in of_line:
                if sign in OPEN:
                    waiting.append((number, at))
                elif waiting:
                    found[waiting.pop()] = Position(number, at + 1)
        return found

    def _last_line(self, line: int, column: int) -> Position:
        """The end of the last line that is indented below a key in block style."""
        last = line
        is_item = self.line(line)[:column].lstrip().startswith("-")
        for number in range(line + 1, len(self.lines)):
            text = self.lines[number]
            stripped = text.lstrip()
            if not stripped or stripped.startswith("#"):
                continue
            indent = len(text) - len(stripped)
            belongs = indent > column or (indent == column and stripped.startswith("- ") and not is_item)
            if not belongs and not self.depths[number]:
                break
            last = number
        return Position(last, len(self.line(last)))

    @cached_property
    def brackets(self) -> list[list[tuple[int, str]]]:
        """The brackets of each line that stand for themselves: neither quoted nor in a comment."""
        found: list[list[tuple[int, str]]] = []
        quote = ""
        for text in self.lines:
            of_line: list[tuple[int, str]] = []
            at = 0
            while at < len(text):
                sign = text[at]
                if quote:
                    if sign == "\\" and quote == '"':
                        at += 1
                    elif sign == quote:
                        quote = ""
                elif sign in "'\"" and (at == 0 or text[at - 1] in " \t,[{:-"):
                    quote = sign
                elif sign == "#" and (at == 0 or text[at - 1] in " \t"):
                    break
                elif sign in OPEN + CLOSED and not (sign == "{" and at and text[at - 1] == "$"):
                    of_line.append((at, sign))
                at += 1
            found.append(of_line)
        return found

    @cached_property
    def depths(self) -> list[int]:
        """How many brackets are open where each line begins."""
        depths, depth = [], 0
        for of_line in self.brackets:
            depths.append(depth)
            depth = max(0, depth + sum(1 if sign in OPEN else -1 for _, sign in of_line))
        return depths

    def open_at(self, line: int, column: int) -> list[str]:
        """The brackets that are open at a position, outermost first."""
        stack: list[str] = []
        for number in range(min(line + 1, len(self.lines))):
            for at, sign in self.brackets[number]:
                if number == line and at >= column:
                    break
                if sign in OPEN:
                    stack.append(sign)
                elif stack:
                    stack.pop()
        return stack

    def _is_inside_brackets(self, line: int, column: int) -> bool:
        if line >= len(self.lines):
            return False
        columns, opened = self._opened[line]
        return self.depths[line] + opened[bisect_left(columns, column)] > 0

    @cached_property
    def _opened(self) -> list[tuple[Sequence[int], Sequence[int]]]:
        """Of each line the columns of its brackets, and how many more are open before each, and behind the last."""
        return [
            ([at for at, _ in of_line], [0, *accumulate(1 if sign in OPEN else -1 for _, sign in of_line)])
            for of_line in self.brackets
        ]


def to_utf16(text: str, column: int) -> int:
    """A column in UTF-16 code units, as the protocol counts."""
    return column if text.isascii() else min(column, len(text)) + bisect_left(_pairs(text), column)


def from_utf16(text: str, units: int) -> int:
    """A column in characters of one in UTF-16 code units; the end of the text where it lies behind it."""
    if text.isascii():
        return min(units, len(text))
    pairs = _pairs(text)
    before = bisect_right(range(len(pairs)), units - 1, key=lambda number: pairs[number] + number)
    return min(units - before, len(text))


@lru_cache(maxsize=64)
def _pairs(text: str) -> Sequence[int]:
    """Where characters stand that UTF-16 writes as two."""
    return [column for column, sign in enumerate(text) if sign > "\uffff"]
