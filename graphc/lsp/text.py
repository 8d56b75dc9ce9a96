"""A text as lines: which characters a place of a tree means, where a value ends, what the protocol's columns are."""

from __future__ import annotations

import re
from functools import cached_property

from graphc.errors import Place
from graphc.lsp.types import Position, Span
from graphc.spec.source import BREAK

WORD = re.compile(r"[^\s,\[\]{}\"'#]+?(?=:(?:\s|$)|[\s,\[\]{}\"']|$)")
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|' + r"'(?:[^']|'')*'")
OPEN, CLOSED = "[{", "]}"


class Text:
    """A text that does not change."""

    def __init__(self, content: str) -> None:
        self.content = content
        self.lines = BREAK.split(content)

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
        rest = text[word.end.column :]
        after = re.match(r"\s*:\s+(?=[\[{])", rest)
        if after:
            return self._closing(line, word.end.column + after.end())
        if self._is_inside_brackets(line, column):
            value = re.match(r"\s*:\s+([^,\]}]*)", rest)
            return Position(line, word.end.column + (value.end() if value else 0))
        return self._last_line(line, column)

    def _closing(self, line: int, column: int) -> Position:
        """Behind the bracket that closes the one at a position; the text's end where none does."""
        depth = 0
        for number in range(line, len(self.lines)):
            for at, sign in self.brackets[number]:
                if number == line and at < column:
                    continue
                depth += 1 if sign in OPEN else -1
                if depth == 0:
                    return Position(number, at + 1)
        return Position(len(self.lines) - 1, len(self.lines[-1]))

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
        before = sum((1 if sign in OPEN else -1) for at, sign in self.brackets[line] if at < column)
        return self.depths[line] + before > 0


def to_utf16(text: str, column: int) -> int:
    """A column in UTF-16 code units, as the protocol counts."""
    return column if text.isascii() else len(text[:column].encode("utf-16-le")) // 2


def from_utf16(text: str, units: int) -> int:
    """A column in characters of one in UTF-16 code units; the end of the text where it lies behind it."""
    if text.isascii():
        return min(units, len(text))
    return len(text.encode("utf-16-le")[: 2 * units].decode("utf-16-le", "ignore"))
