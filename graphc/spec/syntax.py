"""What libyaml says about a text, with what may be meant."""

from __future__ import annotations

import re
from functools import cache
from itertools import islice
from typing import Any

import yaml

from graphc.errors import Place, SpecError

BACKSLASH = "in double quotes a backslash begins an escape: write a path with / or in single quotes"
HINTS = {
    "cannot start any token": "indent with spaces; text that starts with @, ` or % needs quotes",
    "mapping values are not allowed": "a colon inside text needs quotes, and each key its own line",
    "could not find expected ':'": "each key needs a colon and a space after it",
    "did not find expected key": "check the indentation of this line and the quotes and commas before it",
    "did not find expected '-' indicator": "the items of a list begin in one column",
    "did not find expected ',' or ']'": "a list in brackets is not closed, or lacks a comma",
    "did not find expected ',' or '}'": "a mapping in braces is not closed, or lacks a comma",
    "did not find expected <document start>": "something follows after the end of the document",
    "unexpected end of stream": "a quote is not closed",
    "unknown escape character": BACKSLASH,
    "expected hexdecimal number": BACKSLASH,
}


DIRECTIVE = re.compile(r"(?:\A|(?<=[\r\n]))%TAG")
"""A line that says what a tag stands for: libyaml compares each with all before it."""
MOST_DIRECTIVES = 100
SAID = f"more than {MOST_DIRECTIVES} lines with %TAG"
TOUCHED_HEADER = re.compile(r"(?:[&!]\S*\s+)*[|>][-+0-9]*#")
"""The first line of a text in lines, with a comment directly behind."""
BEFORE = frozenset(" \t\r\n[{,:")
AFTER = frozenset(["", *" \t\r\n]},:"])
"""What may stand directly beside a value."""
REFUSED_ASCII = re.compile("[^\t\n\r\x20-\x7e]")


def too_many_directives(text: str) -> int | None:
    """Where the first of more lines stands that say what tags stand for than are read; None where they are few."""
    found = list(islice(DIRECTIVE.finditer(text), MOST_DIRECTIVES + 1))
    return found[0].start() if len(found) > MOST_DIRECTIVES else None


def syntax_error(error: yaml.MarkedYAMLError, path: str, depth: int) -> SpecError:
    """What is said of a text that is not YAML; `depth` is how far values may be nested."""
    mark = error.problem_mark or error.context_mark
    place = Place(path, mark.line + 1, mark.column + 1) if mark else Place(path)
    problem = error.problem or "cannot be read"
    if "maximum nesting depth" in problem:  # newer versions of libyaml have a limit too, and they read ahead
        return SpecError("G108", f"nested deeper than {depth} levels", place)
    hint = next((hint for part, hint in HINTS.items() if part in problem), None)
    where = f" {error.context}" if error.context else ""
    if error.context and error.context_mark:
        where += f" that starts at line {error.context_mark.line + 1}"
    return SpecError("G102", f"this is not YAML: {problem}{where}", place, notes=[hint] if hint else [])


def unprintable(text: str) -> re.Match[str] | None:
    """Its first character that no file of ours may hold as it is; None where there is none."""
    return (REFUSED_ASCII if text.isascii() else _refused()).search(text)


@cache
def _refused() -> re.Pattern[str]:
    """What YAML does not call printable, and separators that only some readers take for line breaks. It takes
    4 ms to compile, and most specs are ASCII."""
    return re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def touching(text: str, event: Any) -> tuple[int, str] | None:
    """Where something stands beside a value without a space, and what; None where the value stands apart.
    libyaml is older than YAML 1.2 and reads such texts as other values: [?a] as {a: null}."""
    start, end = event.start_mark.index, event.end_mark.index
    if start == end:
        return None
    if isinstance(event, yaml.ScalarEvent):
        if start > 0 and text[start - 1] not in BEFORE:
            return start - 1, f"expected a space after {text[start - 1]}"
        if event.value == "-" and event.implicit[0]:
            return start, 'expected a value after -, or "-" in quotes'
        at = text.index(f"&{event.anchor}", start) + len(event.anchor) + 1 if event.anchor else end
        if at < end and text[at] in "?:":
            return at, f"expected a space after &{event.anchor}"
        if event.style in ("|", ">"):
            found = TOUCHED_HEADER.match(text, start, end)
            return (found.end() - 1, "expected a space before #") if found else None
    return (end, f"expected a space before {text[end]}") if text[end : end + 1] not in AFTER else None
