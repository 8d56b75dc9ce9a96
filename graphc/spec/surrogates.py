"""JSON writes a letter beyond U+FFFF as two escapes, `\\ud83d\\ude00`, which YAML does not know."""

from __future__ import annotations

import json
import re
from bisect import bisect_left

PAIR = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
SHORTER = 2
"""Letters that the one escape of YAML has less than the two."""


def is_json(text: str) -> bool:
    """Whether a text is JSON: all of its texts stand in double quotes."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


class Pairs:
    """A JSON text with YAML's escapes in place of pairs, and where they were."""

    def __init__(self, text: str) -> None:
        self.columns: dict[int, list[int]] = {}
        """Where escapes stand in a line now, by its number from 0."""
        lines = text.split("\n")
        for number, line in enumerate(lines):
            if "\\u" in line:
                lines[number] = PAIR.sub(_as_one, line)
                if len(lines[number]) < len(line):
                    found = list(PAIR.finditer(line))
                    self.columns[number] = [each.end(1) - SHORTER * place for place, each in enumerate(found)]
        self.text = "\n".join(lines)

    def column(self, line: int, column: int) -> int:
        """Where a column of the new text, both from 0, is in the old one."""
        return column + SHORTER * bisect_left(self.columns.get(line, []), column)


def _as_one(pair: re.Match[str]) -> str:
    high, low = int(pair[2], 16), int(pair[3], 16)
    return f"{pair[1]}\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"
