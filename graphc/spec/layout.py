"""`graphc format`: how a spec or a recipe is laid out, and nothing else: two spaces a level, one space around what
stands in brackets, none at the end of a line.

Comments, quotes, blank lines, the order of keys and how values are spread over lines stay as they are written. A round
trip through a YAML library would lay out anew what people have laid out: ruamel.yaml's (0.19, quotes kept) changes 76
of the 228 files of the zoo and the examples however wide a line may be, 135 with its own width. So only white space is
changed here; and the result is read and compared with what was written before it is given out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml
from yaml.events import CollectionEndEvent, CollectionStartEvent, NodeEvent, ScalarEvent, SequenceStartEvent

from graphc.errors import Place, SpecError
from graphc.spec.source import LIMITS, LOADER, SpecList, SpecMap, decode, load_text

LocatedEvent: TypeAlias = Any
"""PyYAML's events, each with its marks."""
STEP = 2
"""Spaces a level."""


def laid_out(text: str | bytes, path: str) -> str:
    """The text with its white space in order; a SpecError where it cannot be read."""
    content = decode(text, path).replace("\r\n", "\n").replace("\r", "\n")
    before = load_text(content, path, LIMITS, number_keys=True)
    lines = [line.rstrip() for line in content.split("\n")]
    events: list[LocatedEvent] = list(yaml.parse(content, Loader=LOADER))
    kept = set(_lines_of_texts(events))
    moves = _moves(events)
    found = "\n".join(_moved(lines, moves, kept, content.split("\n"), _spaced(events, lines, kept)))
    result = found.rstrip("\n") + "\n"
    after = load_text(result, path, LIMITS, number_keys=True)
    if plain(before) != plain(after) or _comments(content) != _comments(result):
        raise SpecError("G193", "this layout cannot be put in order without changing what it says", Place(path, 1, 1))
    return result


def plain(tree: Any) -> Any:
    """A tree's values and the order of its keys, without places."""
    if isinstance(tree, SpecMap):
        return [(key, plain(value)) for key, value in tree.items()]
    if isinstance(tree, SpecList):
        return [plain(value) for value in tree]
    return type(tree).__name__, tree


def _comments(text: str) -> list[str]:
    """What begins with # and is not quoted, roughly: the same for the same text laid out otherwise."""
    return [
        line[match.start() :].strip() for line in text.split("\n") for match in [re.search(r"(^|\s)#", line)] if match
    ]


def _lines_of_texts(events: list[LocatedEvent]) -> Iterator[int]:
    """Lines of texts over several lines but their first: in a block text the spaces are part of it."""
    for event in _scalars(events):
        if event.end_mark.line > event.start_mark.line:
            last = event.end_mark.line - (1 if event.end_mark.column == 0 else 0)
            yield from range(event.start_mark.line + 1, last + 1)


@dataclass(slots=True)
class _Open:
    """A collection that is being read."""

    is_list: bool
    column: int | None
    """The new column of its keys or dashes; None in brackets."""
    at_key: bool = True
    """Whether a key comes next, in a mapping."""


def _moves(events: list[LocatedEvent]) -> dict[int, int]:
    """Line -> its new indentation, of the lines with which keys, items and values begin that are not in brackets."""
    moves: dict[int, int] = {}
    stack: list[_Open] = []
    for event in events:
        if isinstance(event, CollectionEndEvent):
            stack.pop()
        elif isinstance(event, NodeEvent):
            above = stack[-1] if stack else None
            column = _column(above)
            if column is not None:
                moves.setdefault(_line_of(event), column)
            if above is not None:
                above.at_key = not above.at_key
            if isinstance(event, CollectionStartEvent):
                in_brackets = event.flow_style or (above is not None and above.column is None)
                below = 0 if above is None or above.column is None else above.column + STEP
                stack.append(_Open(isinstance(event, SequenceStartEvent), None if in_brackets else below))
    return moves


def _line_of(event: LocatedEvent) -> int:
    """The line on which a node begins, from 0."""
    line: int = event.start_mark.line
    return line


def _column(above: _Open | None) -> int | None:
    """The new indentation of a line that begins with this node, or with the dash before it."""
    if above is None:
        return 0
    if above.column is None:
        return None
    is_value = not above.is_list and not above.at_key
    return above.column + STEP if is_value else above.column


def _moved(
    lines: list[str], moves: dict[int, int], kept: set[int], raw: list[str], spaced: dict[int, str]
) -> Iterator[str]:
    """The lines with their new indentation; what follows a line without one of its own moves with it."""
    shift = 0
    ahead = _shifts_ahead(lines, moves, kept)
    for number, line in enumerate(lines):
        text = spaced.get(number, line)
        stripped = text.lstrip()
        indent = len(line) - len(line.lstrip())
        if number in moves:
            shift = moves[number] - indent
            yield " " * moves[number] + stripped
        elif number in kept:
            yield _shifted(raw[number], shift)
        elif stripped.startswith("#"):
            yield " " * max(0, indent + ahead.get(number, shift)) + stripped
        else:
            yield (" " * max(0, indent + shift) + stripped) if stripped else ""


def _shifted(line: str, shift: int) -> str:
    """A line of a text over several lines, moved; as far as it has spaces to lose."""
    if not line.strip():
        return line if shift == 0 else ""
    indent = len(line) - len(line.lstrip(" "))
    return " " * max(0, indent + shift) + line.lstrip(" ")


def _shifts_ahead(lines: list[str], moves: dict[int, int], kept: set[int]) -> dict[int, int]:
    """How far the line below a comment moves, which the comment is about."""
    found: dict[int, int] = {}
    shift = 0
    for number in range(len(lines) - 1, -1, -1):
        if number in moves and number not in kept:
            shift = moves[number] - (len(lines[number]) - len(lines[number].lstrip()))
        elif lines[number].lstrip().startswith("#"):
            found[number] = shift
    return found


def _spaced(events: list[LocatedEvent], lines: list[str], kept: set[int]) -> dict[int, str]:
    """Lines with one space behind dashes, commas and colons, and none inside brackets."""
    texts = _quoted_columns(events)
    found: dict[int, str] = {}
    for number, line in enumerate(lines):
        if number in kept or line.lstrip().startswith("#"):
            continue
        found[number] = _space(line, texts.get(number, []))
    return found


def _scalars(events: Iterable[LocatedEvent]) -> list[LocatedEvent]:
    return [event for event in events if isinstance(event, ScalarEvent)]


def _quoted_columns(events: list[LocatedEvent]) -> dict[int, list[tuple[int, int]]]:
    """Line -> the columns of its scalars, which stay as they are."""
    found: dict[int, list[tuple[int, int]]] = {}
    for event in _scalars(events):
        if event.value:
            end = event.end_mark.column if event.end_mark.line == event.start_mark.line else 10**9
            found.setdefault(event.start_mark.line, []).append((event.start_mark.column, end))
            if event.end_mark.line > event.start_mark.line and event.style in ("'", '"'):
                found.setdefault(event.end_mark.line, []).append((0, event.end_mark.column))
    return found


GAP = re.compile(
    r"(?P<comment>\s+#.*$)"
    r"|(?P<dash>^\s*-\s{2,}|(?<=- )-\s{2,})"
    r"|(?P<open>[\[{]\s+)"
    r"|(?P<close>\s+[\]}])"
    r"|(?P<comma>\s*,\s*(?=[^\s#]|$))"
    r"|(?P<colon>\s*:\s+(?=[^\s#]))"
    r"|\s+|\S"
)
"""A comment, and white space that has an order; else other white space, or one character."""


def _space(line: str, scalars: list[tuple[int, int]]) -> str:
    """One line; scalars and comments are passed over."""
    made, at = [], 0
    starts = dict(scalars)
    while at < len(line):
        if at in starts and starts[at] > at:
            made.append(line[at : starts[at]])
            at = max(at + 1, min(starts[at], len(line)))
            continue
        match = GAP.match(line, at)
        assert match is not None
        made.append(_gap(match))
        at = match.end()
        if match["comment"]:
            break
    return "".join(made).rstrip()


def _gap(match: re.Match[str]) -> str:
    text = match[0]
    if match["dash"]:
        return text.rstrip() + " "
    if match["open"]:
        return text.strip()
    if match["close"]:
        return text.strip()
    if match["comma"]:
        return ", "
    if match["colon"]:
        return ": "
    return text
