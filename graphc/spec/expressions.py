"""`${…}`: numbers, quoted strings, names, arithmetic, comparisons and a few functions; nothing else.

A tokenizer and a parser of our own: no `eval`, no `ast`, no attribute, index or string operator. Length, depth,
every whole number and every result are bounded, so that no expression costs more than a moment.

    choice = binary ["if" binary "else" choice]
    binary = prefix {operator prefix}                       operators as in PRECEDENCE, the loosest first
    prefix = ("not" | "-" | "+") binary | atom ["**" prefix]
    atom   = number | "'" text "'" | name | function "(" choice {"," choice} ")" | "(" choice ")"
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias, Union

from graphc.errors import Place, SpecError, did_you_mean
from graphc.spec.source import SpecList, SpecMap, clipped

MAX_LENGTH = 1_000
MAX_DEPTH = 100
"""Levels of an expression; a pair of brackets is two or three."""
MAX_INTEGER = 2**63
MAX_EXPONENT = 1_024
MAX_TEXT = 10_000
"""Characters of a text with expressions in it, before and after."""
MAX_NODES = 100_000
"""Keys, values and items that expressions may put into one value."""

CONSTANTS = {
    "true": True, "false": False, "null": None, "none": None, "True": True, "False": False, "None": None
}  # fmt: skip
PRECEDENCE = (
    ("or",), ("and",), ("<", "<=", ">", ">=", "==", "!="), ("+", "-"), ("*", "/", "//", "%")
)  # fmt: skip
NOT_LEVEL = 2
"""`not` takes everything from here on: `not a < b` is `not (a < b)`."""
WORDS = frozenset({"and", "or", "not", "if", "else"})
TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)(?![A-Za-z0-9_.])"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"""|(?P<text>'[^']*'|"[^"]*")"""
    r"|(?P<sign>\*\*|//|<=|>=|==|!=|[-+*/%<>(),]))",
    re.ASCII,
)
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
INSIDE = re.compile(r"""\$\{((?:[^}'"]|'[^']*'|"[^"]*")*)\}""")


class _Wrong(Exception):
    """What is wrong with an expression; whoever knows its place makes the SpecError."""

    def __init__(self, message: str, code: str = "G130") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


@dataclass(frozen=True, slots=True)
class Literal:
    value: Any


@dataclass(frozen=True, slots=True)
class Variable:
    name: str


@dataclass(frozen=True, slots=True)
class Unary:
    sign: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Chain:
    """`first op a op b …` from left to right: sums, products, comparisons, `and`, `or`, or one power."""

    first: Expression
    rest: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True, slots=True)
class Choice:
    condition: Expression
    then: Expression
    otherwise: Expression


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    arguments: tuple[Expression, ...]


Expression: TypeAlias = Union[Literal, Variable, Unary, Chain, Choice, Call]


# what users call ----------------------------------------------------------------------------------------------


def evaluate(text: str, names: Mapping[str, Any], place: Place | None = None) -> Any:
    """The value of an expression, as between `${` and `}`."""
    try:
        return _value(parse(text), names)
    except _Wrong as wrong:
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
            for match in INSIDE.finditer(item[:MAX_TEXT]):
                found.update(_names_of(match[1]))
    return found


def substitute(value: Any, names: Mapping[str, Any], place: Place | None = None) -> Any:
    """The value with every `${…}` in it replaced; what holds none is returned as it is."""
    return _Substitution(names).of(value, place)


@dataclass(slots=True)
class _Substitution:
    names: Mapping[str, Any]
    inserted: int = 0
    """Keys, values and items that expressions have put in."""

    def of(self, value: Any, place: Place | None) -> Any:
        if isinstance(value, str):
            return self.in_text(value, place) if "${" in value else value
        if isinstance(value, SpecMap):
            return self.in_map(value)
        return self.in_list(value) if isinstance(value, SpecList) else value

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
        return "".join(parts) + text[end:]

    def count(self, value: Any, place: Place | None) -> None:
        """Refuse a list or mapping that is too large, or too deep, once written out."""
        waiting = [(value, 0)]
        while waiting:
            item, depth = waiting.pop()
            self.inserted += 1
            if self.inserted > MAX_NODES or depth > MAX_DEPTH:
                raise SpecError("G131", f"the value would have more than {MAX_NODES:,} parts, or be too deep", place)
            if isinstance(item, (dict, list)):
                inner = item.values() if isinstance(item, dict) else item
                waiting.extend((each, depth + 1) for each in inner)


def _as_text(value: Any, written: str, place: Place | None) -> str:
    if isinstance(value, (dict, list)):
        kind = "a mapping" if isinstance(value, dict) else "a list"
        raise SpecError("G132", f"{clipped(written)} is {kind}, which cannot be put into a text", place)
    return _shown(value)


def _shown(value: Any) -> str:
    words = {True: "true", False: "false", None: "null"}
    return words[value] if value is None or isinstance(value, bool) else str(value)


# parsing ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def parse(text: str) -> Expression:
    if len(text) > MAX_LENGTH:
        raise _Wrong(f"an expression may have {MAX_LENGTH:,} characters, this has {len(text):,}", "G131")
    return _Parser(list(_tokens(text))).run()


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """(what, text) for each token, then ("end", "")."""
    at, end = 0, len(text.rstrip())
    while at < end:
        match = TOKEN.match(text, at, end)
        if match is None:
            found = text[at:].strip()
            raise _Wrong(f"unexpected {found[:1]!r}; there are numbers, names, 'text', + - * / // % ** and functions")
        assert match.lastgroup is not None
        yield match.lastgroup, match[match.lastgroup]
        at = match.end()
    yield "end", ""


@lru_cache(maxsize=4096)
def _names_of(text: str) -> frozenset[str]:
    try:
        names = [word for what, word in _tokens(text[:MAX_LENGTH]) if what == "name"]
    except _Wrong:
        return frozenset()
    return frozenset(names) - WORDS - CONSTANTS.keys() - FUNCTIONS.keys()


class _Parser:
    """One method a precedence, lowest first; the grammar is the module's docstring."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = 0

    def run(self) -> Expression:
        result = self.choice()
        if self.tokens[self.at][0] != "end":
            raise _Wrong(f"unexpected {clipped(self.tokens[self.at][1])}")
        return result

    def accept(self, *words: str) -> str | None:
        what, word = self.tokens[self.at]
        if what in ("sign", "name") and word in words:
            self.at += 1
            return word
        return None

    def expect(self, word: str) -> None:
        if not self.accept(word):
            found = self.tokens[self.at][1]
            raise _Wrong(f"expected {word!r}, found {clipped(found) if found else 'the end'}")

    def choice(self) -> Expression:
        self.enter()
        then = self.binary()
        if self.accept("if"):
            condition = self.binary()
            self.expect("else")
            then = Choice(condition, then, self.choice())
        self.depth -= 1
        return then

    def binary(self, loosest: int = 0) -> Expression:
        """Operands joined by operators of at least this precedence; equal ones make one chain."""
        self.enter()
        left = self.prefix(loosest)
        for level in range(len(PRECEDENCE) - 1, loosest - 1, -1):
            rest = []
            while word := self.accept(*PRECEDENCE[level]):
                rest.append((word, self.binary(level + 1)))
            left = Chain(left, tuple(rest)) if rest else left
        self.depth -= 1
        return left

    def prefix(self, loosest: int) -> Expression:
        if loosest <= NOT_LEVEL and self.accept("not"):
            return Unary("not", self.binary(NOT_LEVEL))
        if sign := self.accept("-", "+"):
            return Unary(sign, self.binary(len(PRECEDENCE)))
        base = self.atom()
        return Chain(base, (("**", self.binary(len(PRECEDENCE))),)) if self.accept("**") else base

    def enter(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _Wrong("nested too deep", "G131")

    def atom(self) -> Expression:
        what, word = self.tokens[self.at]
        if what == "number":
            self.at += 1
            return Literal(_number(word))
        if what == "text":
            self.at += 1
            return Literal(word[1:-1])
        if self.accept("("):
            inner = self.choice()
            self.expect(")")
            return inner
        if what != "name" or word in WORDS:
            raise _Wrong(f"expected a number, a name or '(', found {clipped(word) if word else 'the end'}")
        self.at += 1
        if self.accept("("):
            return self.call(word)
        return Literal(CONSTANTS[word]) if word in CONSTANTS else Variable(word)

    def call(self, word: str) -> Expression:
        if word not in FUNCTIONS:
            hint = did_you_mean(word, FUNCTIONS) or f"; there are {', '.join(FUNCTIONS)}"
            raise _Wrong(f"there is no function {clipped(word)}{hint}", "G133")
        arguments = [self.choice()]
        while self.accept(","):
            arguments.append(self.choice())
        self.expect(")")
        return Call(word, tuple(arguments))


def _number(word: str) -> int | float:
    if word.isdigit():
        if len(word) > 40:
            raise _Wrong(f"the number {word[:20]}… is too large, integers are below 2**63", "G131")
        return _checked(int(word))
    return _checked(float(word))


# evaluating ---------------------------------------------------------------------------------------------------


def _value(expression: Expression, names: Mapping[str, Any]) -> Any:
    match expression:
        case Literal(value):
            return value
        case Variable(name):
            return _look_up(name, names)
        case Choice(condition, then, otherwise):
            return _value(then if _value(condition, names) else otherwise, names)
        case Call(function, arguments):
            return _call(function, [_value(argument, names) for argument in arguments])
        case Unary("not", operand):
            return not _value(operand, names)
        case Unary(sign, operand):
            number = _numeric(_value(operand, names), sign)
            return _checked(-number if sign == "-" else number)
        case Chain(first, rest):
            return _chain(_value(first, names), rest, names)


def _look_up(name: str, names: Mapping[str, Any]) -> Any:
    if name in names:
        return names[name]
    if name in FUNCTIONS:
        raise _Wrong(f"{name} is a function: {name}(…)", "G133")
    listed = f"; there are {', '.join(list(names)[:10])}" if names else "; there are no variables here"
    raise _Wrong(f"there is no variable {clipped(name)}{did_you_mean(name, names) or listed}", "G133")


def _chain(left: Any, rest: tuple[tuple[str, Expression], ...], names: Mapping[str, Any]) -> Any:
    if rest[0][0] in COMPARISONS:  # 1 < x < 3 is 1 < x and x < 3
        for sign, operand in rest:
            right = _value(operand, names)
            if not _compare(sign, left, right):
                return False
            left = right
        return True
    for sign, operand in rest:
        if sign in ("and", "or"):
            if bool(left) == (sign == "or"):
                return left
            left = _value(operand, names)
        else:
            left = _arithmetic(sign, left, _value(operand, names))
    return left


ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv,
    "%": operator.mod, "**": operator.pow,
}  # fmt: skip
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne
}  # fmt: skip


def _arithmetic(sign: str, left: Any, right: Any) -> int | float:
    left, right = _numeric(left, sign), _numeric(right, sign)
    if sign == "**" and isinstance(left, int) and abs(left) > 1 and abs(right) > MAX_EXPONENT:
        raise _Wrong(f"the exponent {right} is too large", "G131")
    try:
        return _checked(ARITHMETIC[sign](left, right))
    except ZeroDivisionError:
        raise _Wrong(f"{_shown(left)} {sign} {_shown(right)} divides by zero", "G132") from None
    except OverflowError:
        raise _Wrong(f"{_shown(left)} {sign} {_shown(right)} is too large", "G131") from None


def _compare(sign: str, left: Any, right: Any) -> bool:
    if sign not in ("==", "!="):
        left, right = _numeric(left, sign), _numeric(right, sign)
    elif isinstance(left, (dict, list)) or isinstance(right, (dict, list)):
        raise _Wrong(f"{sign} compares numbers and texts, found a list or a mapping", "G132")
    elif isinstance(left, bool) != isinstance(right, bool):
        return sign == "!="
    return COMPARISONS[sign](left, right)


def _numeric(value: Any, asked_by: str) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    raise _Wrong(f"{asked_by} expects numbers, found {clipped(value)}", "G132")


def _checked(number: Any) -> int | float:
    if isinstance(number, complex):
        raise _Wrong("a power of a negative number has to be a whole one", "G132")
    if isinstance(number, float) and not math.isfinite(number):
        raise _Wrong("the result is not a finite number", "G131")
    if isinstance(number, int) and abs(number) >= MAX_INTEGER:
        raise _Wrong("the result is too large, integers are below 2**63", "G131")
    return number  # type: ignore[no-any-return]


# functions ----------------------------------------------------------------------------------------------------


def divisible(size: float, by: int) -> int:
    """The multiple of `by` nearest to `size`, at least `by`, never more than a tenth below `size`."""
    if not isinstance(by, int) or by < 1:
        raise _Wrong(f"divisible expects a whole number of at least 1, found {by}", "G132")
    nearest = max(by, int(size + by / 2) // by * by)
    return nearest + by if nearest < 0.9 * size else nearest


def _round(number: float, digits: int | None = None) -> int | float:
    if digits is not None and (not isinstance(digits, int) or abs(digits) > 30):
        raise _Wrong(f"round expects at most 30 digits, found {digits}", "G132")
    return round(number, digits)


def _sqrt(number: float) -> float:
    if number < 0:
        raise _Wrong(f"sqrt expects a number of at least 0, found {number}", "G132")
    return math.sqrt(number)


FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "min": (lambda *numbers: min(numbers), 1, MAX_LENGTH),
    "max": (lambda *numbers: max(numbers), 1, MAX_LENGTH),
    "round": (_round, 1, 2),
    "floor": (math.floor, 1, 1),
    "ceil": (math.ceil, 1, 1),
    "abs": (abs, 1, 1),
    "int": (int, 1, 1),
    "sqrt": (_sqrt, 1, 1),
    "divisible": (divisible, 2, 2),
}
"""Name -> function, fewest and most arguments."""


def _call(name: str, arguments: list[Any]) -> int | float:
    function, fewest, most = FUNCTIONS[name]
    if not fewest <= len(arguments) <= most:
        expected = str(fewest) if fewest == most else f"{fewest} or more" if most > 2 else f"{fewest} or {most}"
        raise _Wrong(f"{name} takes {expected} arguments, found {len(arguments)}", "G132")
    return _checked(function(*(_numeric(argument, name) for argument in arguments)))
