"""Rules from other libraries' names of modules to ours: `layer{s}.{i}.bn1` → `stage{s}/unit_{i+1}/conv1/BatchNorm`.

A named part stands for a whole number. The other side may add to it, subtract from it or multiply it, so that a rule
can be read both ways: what was trained here goes home by the same rules. `{*rest}` stands for any text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MAX_LENGTH = 500
"""Characters of a side."""
MAX_DIGITS = 6
"""Of a number in a name."""
PART = re.compile(r"\{([^{}]*)\}")
FORMULA = re.compile(r"(?:(\d{1,3})\*)?([A-Za-z]\w*)([+-]\d{1,3})?", re.ASCII)
TEXT = re.compile(r"\*([A-Za-z]\w*)", re.ASCII)


class RuleError(ValueError):
    """A rule that cannot be right, in a sentence."""


@dataclass(frozen=True, slots=True)
class _Part:
    """`{name}`, `{2*name+1}` or `{*name}`."""

    name: str
    factor: int = 1
    offset: int = 0
    text: bool = False

    def write(self, values: Mapping[str, str]) -> str | None:
        if self.text:
            return values[self.name]
        number = self.factor * int(values[self.name]) + self.offset
        return str(number) if number >= 0 else None

    def read(self, found: str) -> str | None:
        """The value by which the part would be written so; None where there is none."""
        if self.text:
            return found
        number, rest = divmod(int(found) - self.offset, self.factor)
        return str(number) if not rest and number >= 0 else None


@dataclass(frozen=True, slots=True)
class _Side:
    """A name with parts in it."""

    texts: tuple[str, ...]
    parts: tuple[_Part, ...]
    pattern: re.Pattern[str]

    @staticmethod
    def of(text: str) -> _Side:
        if not text or len(text) > MAX_LENGTH:
            raise RuleError(f"expected a name of 1 to {MAX_LENGTH} characters, found {len(text):,}")
        pieces = PART.split(text)
        texts, parts = tuple(pieces[::2]), tuple(_part(each, text) for each in pieces[1::2])
        if any("{" in each or "}" in each for each in texts):
            raise RuleError(f"{text}: a bracket has no other one")
        if sum(part.text for part in parts) > 1:
            raise RuleError(f"{text}: expected at most one part of any text, found more")
        if any(not between or between.isdecimal() for between in texts[1:-1]):
            raise RuleError(f"{text}: expected more than digits between two parts: where one ends would be a guess")
        found = re.escape(texts[0])
        for part, after in zip(parts, texts[1:], strict=True):
            found += ("(.+)" if part.text else rf"(0|[1-9]\d{{0,{MAX_DIGITS - 1}}})") + re.escape(after)
        return _Side(texts, parts, re.compile(found, re.ASCII))

    def read(self, name: str) -> dict[str, str] | None:
        if not name.startswith(self.texts[0]):
            return None
        match = self.pattern.fullmatch(name)
        if match is None:
            return None
        values: dict[str, str] = {}
        for part, found in zip(self.parts, match.groups(), strict=True):
            value = part.read(found)
            if value is None or values.setdefault(part.name, value) != value:
                return None
        return values

    def write(self, values: Mapping[str, str]) -> str | None:
        found = [part.write(values) for part in self.parts]
        if None in found:
            return None
        return self.texts[0] + "".join(f"{each}{text}" for each, text in zip(found, self.texts[1:], strict=True))


def _part(text: str, side: str) -> _Part:
    if match := TEXT.fullmatch(text):
        return _Part(match[1], text=True)
    match = FORMULA.fullmatch(text)
    if match is None:
        raise RuleError(f"{side}: expected {{name}}, {{name+1}}, {{2*name}} or {{*name}}, found {{{text}}}")
    factor = int(match[1] or 1)
    if not factor:
        raise RuleError(f"{side}: {{{text}}} is always the same")
    return _Part(match[2], factor, int(match[3] or 0))


@dataclass(frozen=True, slots=True)
class NameRule:
    """Their name of a module, or of one array → ours, without the network's own name in front."""

    theirs: str
    ours: str
    _theirs: _Side
    _ours: _Side

    @staticmethod
    def of(theirs: str, ours: str) -> NameRule:
        """A rule; a RuleError where one side lacks a part of the other."""
        rule = NameRule(theirs, ours, _Side.of(theirs), _Side.of(ours))
        sides = [{(part.name, part.text) for part in side.parts} for side in (rule._theirs, rule._ours)]
        if sides[0] != sides[1]:
            names = sorted(name for name, _ in sides[0] ^ sides[1])
            raise RuleError(f"{theirs} → {ours}: expected the same parts on both sides; {', '.join(names)} differs")
        return rule

    @property
    def parts_behind_text(self) -> int:
        """How many parts of their name have to be tried wherever `{*rest}` could end; 0 where there is none."""
        texts = [place for place, part in enumerate(self._theirs.parts) if part.text]
        return len(self._theirs.parts) - texts[0] if texts else 0

    def to_ours(self, name: str) -> str | None:
        """Our name for one of theirs; None where the rule is about others."""
        values = self._theirs.read(name)
        return None if values is None else self._ours.write(values)

    def to_theirs(self, name: str) -> str | None:
        """Their name for one of ours; None where the rule is about others."""
        values = self._ours.read(name)
        return None if values is None else self._theirs.write(values)


def name_rules(pairs: Iterable[tuple[str, str]]) -> tuple[NameRule, ...]:
    """Rules of (theirs, ours); the first that fits a name holds."""
    return tuple(NameRule.of(theirs, ours) for theirs, ours in pairs)
