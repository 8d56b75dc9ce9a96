"""`${…}`: numbers, quoted strings, names, arithmetic, comparisons and a few functions; nothing else.

Length, depth, every whole number and every result are bounded, so that no expression costs more than a moment:
see `grammar` and `arithmetic`.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, cast

from graphc.errors import Place, SpecError, clipped, did_you_mean
from graphc.spec.arithmetic import COMPARISONS, FUNCTIONS, Wrong, arithmetic, call, checked, compare, numeric, truth
from graphc.spec.grammar import (
    MAX_DEPTH,
    MAX_LENGTH,
    Call,
    Chain,
    Choice,
    Expression,
    Literal,
    Unary,
    Variable,
    names_of,
    parse,
)
from graphc.spec.source import SpecList, SpecMap, extent

MAX_TEXT = 10_000
"""Characters of a text with expressions in it, before and after."""
MAX_EVALUATED = 2_000_000
"""Characters of texts with `${…}` in a spec and all its files, or in its variables, aliases written out."""
MAX_LETTERS = 4_000_000
"""Characters of all texts that expressions make in one value."""
MAX_NODES = 100_000
"""Keys, values and items that expressions may put into one value."""

INSIDE = re.compile(r"""\$\{((?:[^}'"]|'[^']*'|"[^"]*")*)\}""")


def evaluate(text: str, names: Mapping[str, Any], place: Place | None = None) -> Any:
    """The value of an expression, as between `${` and `}`."""
    try:
        return _value(parse(text), names)
    except Wrong as wrong:
        raise SpecError(wrong.code, f"in {clipped('${' + text + '}')}: {wrong.message}", place) from None


def references(value: Any) -> set[str]:
    """Every name that the expressions in a value use; faulty expressions use none."""
    found: set[str] = set()
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, str) and "${" in item:
            end = 0
            while (start := item.find("${", end, MAX_TEXT)) >= 0:
                match = INSIDE.match(item, start, MAX_TEXT)
                if match is None:
                    break
                found |= names_of(match[1][:MAX_LENGTH])
                end = match.end()
    return found


def substitute(value: Any, names: Mapping[str, Any], place: Place | None = None) -> Any:
    """The value with every `${…}` in it replaced; what holds none is returned as it is."""
    return _Substitution(names).of(value, place)


def letters_in(value: Any) -> int:
    """Characters of the texts in a value, what is in several places counted each time."""
    waiting, letters = [value], 0
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            letters += len(item)
        elif isinstance(item, (dict, list)):
            waiting.extend(item.values() if isinstance(item, dict) else item)
    return letters


def names_over(inner: MutableMapping[str, Any], outer: Mapping[str, Any]) -> Mapping[str, Any]:
    """What `${…}` sees where some names stand over others, which are not copied."""
    return ChainMap(inner, cast("MutableMapping[str, Any]", outer))


@dataclass(slots=True)
class _Substitution:
    names: Mapping[str, Any]
    inserted: int = 0
    """Keys, values and items that expressions have put in."""
    made: int = 0
    """Characters of texts that expressions have changed."""

    def of(self, value: Any, place: Place | None) -> Any:
        if isinstance(value, str):
            return self.in_text(value, place) if "${" in value else value
        if not isinstance(value, SpecMap | SpecList) or not extent(value).letters:
            return value
        return self.in_map(value) if isinstance(value, SpecMap) else self.in_list(value)

    def in_map(self, value: SpecMap) -> SpecMap:
        new = {key: self.of(item, value.places[key]) for key, item in value.items()}
        if all(new[key] is item for key, item in value.items()):
            return value
        return SpecMap(new, value.place, value.key_places, value.places)

    def in_list(self, value: SpecList) -> SpecList:
        items = [self.of(item, where) for item, where in zip(value, value.places, strict=True)]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return SpecList(items, value.place, value.places)

    def in_text(self, text: str, place: Place | None) -> Any:
        if len(text) > MAX_TEXT:
            raise SpecError("G131", f"a text with ${{…}} may have {MAX_TEXT:,} characters, this has more", place)
        if whole := INSIDE.fullmatch(text):
            value = evaluate(whole[1], self.names, place)
            self.count(value, place)
            return value
        parts: list[str] = []
        end = length = 0
        while (start := text.find("${", end)) >= 0:
            match = INSIDE.match(text, start)
            if match is None:
                raise SpecError("G130", f"${{ without }} in {clipped(text)}", place)
            parts += text[end:start], _as_text(evaluate(match[1], self.names, place), match[0], place)
            end = match.end()
            length += len(parts[-2]) + len(parts[-1])
            if length > MAX_TEXT:
                raise SpecError("G131", f"{clipped(text)} would grow beyond {MAX_TEXT:,} characters", place)
        self.made += length + len(text) - end
        if self.made > MAX_LETTERS:
            raise SpecError("G131", f"texts with ${{…}} would have more than {MAX_LETTERS:,} characters in all", place)
        return "".join(parts) + text[end:]

    def count(self, value: Any, place: Place | None) -> None:
        """Refuse a list or mapping that is too large, or too deep, once written out."""
        waiting = [(value, 0)]
        while waiting:
            item, depth = waiting.pop()
            of_spec = isinstance(item, SpecMap | SpecList)
            nodes, height, _ = extent(item) if of_spec else (1, 0, 0)
            self.inserted += nodes
            if self.inserted > MAX_NODES or depth + height > MAX_DEPTH:
                raise SpecError("G131", f"the value would have more than {MAX_NODES:,} parts, or be too deep", place)
            if isinstance(item, (dict, list)) and not of_spec:
                inner = item.values() if isinstance(item, dict) else item
                waiting.extend((each, depth + 1) for each in inner)


def _as_text(value: Any, written: str, place: Place | None) -> str:
    if isinstance(value, (dict, list)):
        kind = "a mapping" if isinstance(value, dict) else "a list"
        raise SpecError("G132", f"{clipped(written)} is {kind}, which cannot be put into a text", place)
    return value if isinstance(value, str) else clipped(value)


def _value(expression: Expression, names: Mapping[str, Any]) -> Any:
    match expression:
        case Literal(value):
            return value
        case Variable(name):
            return _look_up(name, names)
        case Choice(condition, then, otherwise):
            return _value(then if truth(_value(condition, names), "if") else otherwise, names)
        case Call(function, arguments):
            return call(function, [_value(argument, names) for argument in arguments])
        case Unary("not", operand):
            return not truth(_value(operand, names), "not")
        case Unary(sign, operand):
            number = numeric(_value(operand, names), sign)
            return checked(-number if sign == "-" else number)
        case Chain(first, rest):
            return _chain(_value(first, names), rest, names)


def _look_up(name: str, names: Mapping[str, Any]) -> Any:
    if name in names:
        return names[name]
    if name in FUNCTIONS:
        raise Wrong(f"{name} is a function: {name}(…)", "G133")
    listed = f"; there are {', '.join(list(names)[:10])}" if names else "; there are no variables here"
    raise Wrong(f"there is no variable {clipped(name)}{did_you_mean(name, names) or listed}", "G133")


def _chain(left: Any, rest: tuple[tuple[str, Expression], ...], names: Mapping[str, Any]) -> Any:
    if rest[0][0] in COMPARISONS:  # 1 < x < 3 is 1 < x and x < 3
        for sign, operand in rest:
            right = _value(operand, names)
            if not compare(sign, left, right):
                return False
            left = right
        return True
    for sign, operand in rest:
        if sign in ("and", "or"):
            if truth(left, sign) == (sign == "or"):
                return left
            left = _value(operand, names)
        else:
            left = arithmetic(sign, left, _value(operand, names))
    return left
