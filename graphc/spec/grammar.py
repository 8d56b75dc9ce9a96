"""The grammar of expressions: a tokenizer and a parser of our own, no `eval`, no `ast`.

choice = binary ["if" binary "else" choice]
binary = prefix {operator prefix}                       operators as in PRECEDENCE, the loosest first
prefix = ("not" | "-" | "+") binary | atom ["**" prefix]
atom   = number | "'" text "'" | name | function "(" choice {"," choice} ")" | "(" choice ")"
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias, Union

from graphc.errors import clipped, did_you_mean
from graphc.spec.arithmetic import FUNCTIONS, Wrong, checked

MAX_LENGTH = 1_000
MAX_DEPTH = 100
"""Levels of an expression; a pair of brackets is two or three."""

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


@lru_cache(maxsize=4096)
def parse(text: str) -> Expression:
    if len(text) > MAX_LENGTH:
        raise Wrong(f"an expression may have {MAX_LENGTH:,} characters, this has {len(text):,}", "G131")
    return _Parser(list(_tokens(text))).run()


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """(what, text) for each token, then ("end", "")."""
    at, end = 0, len(text.rstrip())
    while at < end:
        match = TOKEN.match(text, at, end)
        if match is None:
            found = text[at:].strip()
            raise Wrong(f"unexpected {found[:1]!r}; there are numbers, names, 'text', + - * / // % ** and functions")
        assert match.lastgroup is not None
        yield match.lastgroup, match[match.lastgroup]
        at = match.end()
    yield "end", ""


@lru_cache(maxsize=4096)
def names_of(text: str) -> frozenset[str]:
    try:
        names = [word for what, word in _tokens(text) if what == "name"]
    except Wrong:
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
            raise Wrong(f"unexpected {clipped(self.tokens[self.at][1])}")
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
            raise Wrong(f"expected {word!r}, found {clipped(found) if found else 'the end'}")

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
            raise Wrong("nested too deep", "G131")

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
            raise Wrong(f"expected a number, a name or '(', found {clipped(word) if word else 'the end'}")
        self.at += 1
        if self.accept("("):
            return self.call(word)
        return Literal(CONSTANTS[word]) if word in CONSTANTS else Variable(word)

    def call(self, word: str) -> Expression:
        if word not in FUNCTIONS:
            hint = did_you_mean(word, FUNCTIONS) or f"; there are {', '.join(FUNCTIONS)}"
            raise Wrong(f"there is no function {clipped(word)}{hint}", "G133")
        arguments = [self.choice()]
        while self.accept(","):
            arguments.append(self.choice())
        self.expect(")")
        return Call(word, tuple(arguments))


def _number(word: str) -> int | float:
    if word.isdigit():
        if len(word) > 40:
            raise Wrong(f"the number {word[:20]}… is too large, integers are below 2**63", "G131")
        return checked(int(word))
    return checked(float(word))
