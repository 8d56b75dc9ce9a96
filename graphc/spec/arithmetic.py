"""What operators and functions do to numbers: Python's arithmetic, every result bounded."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from graphc.dims import whole
from graphc.errors import clipped, write_boolean

MAX_INTEGER = 2**63
MAX_EXPONENT = 1_024
ANY = 1_000
"""More arguments than an expression has room for."""


class Wrong(Exception):
    """What is wrong with an expression; whoever knows its place makes the SpecError."""

    def __init__(self, message: str, code: str = "G130") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv,
    "%": operator.mod, "**": operator.pow,
}  # fmt: skip
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne
}  # fmt: skip


def arithmetic(sign: str, left: Any, right: Any) -> int | float:
    left, right = numeric(left, sign), numeric(right, sign)
    if sign == "**" and isinstance(left, int) and abs(left) > 1 and abs(right) > MAX_EXPONENT:
        raise Wrong(f"the exponent {right} is too large", "G131")
    try:
        return checked(ARITHMETIC[sign](left, right))
    except ZeroDivisionError:
        raise Wrong(f"{clipped(left)} {sign} {clipped(right)} divides by zero", "G132") from None
    except OverflowError:
        raise Wrong(f"{clipped(left)} {sign} {clipped(right)} is too large", "G131") from None


def compare(sign: str, left: Any, right: Any) -> bool:
    if sign not in ("==", "!="):
        left, right = numeric(left, sign), numeric(right, sign)
    elif isinstance(left, (dict, list)) or isinstance(right, (dict, list)):
        raise Wrong(f"{sign} compares numbers and texts, found a list or a mapping", "G132")
    elif isinstance(left, bool) != isinstance(right, bool):
        return sign == "!="
    return COMPARISONS[sign](left, right)


def truth(value: Any, asked_by: str) -> bool:
    """Whether a condition holds: true, false, null or a number; a text such as `no` is none of these."""
    if value is None or isinstance(value, (bool, int, float)):
        return bool(value)
    raise Wrong(f"{asked_by} expects true or false, found {clipped(value)}{write_boolean(value)}", "G132")


def numeric(value: Any, asked_by: str) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    raise Wrong(f"{asked_by} expects numbers, found {clipped(value)}", "G132")


def checked(number: Any) -> int | float:
    if isinstance(number, complex):
        raise Wrong("a power of a negative number has to be a whole one", "G132")
    if isinstance(number, float) and not math.isfinite(number):
        raise Wrong("the result is not a finite number", "G131")
    if isinstance(number, int) and abs(number) >= MAX_INTEGER:
        raise Wrong("the result is too large, integers are below 2**63", "G131")
    return number  # type: ignore[no-any-return]


def divisible(size: float, by: int) -> int:
    """The multiple of `by` nearest to `size`, at least `by`, never more than a tenth below `size`."""
    by = whole(by)
    if not isinstance(by, int) or by < 1:
        raise Wrong(f"divisible expects a whole number of at least 1, found {by}", "G132")
    nearest = max(by, int(size + by / 2) // by * by)
    return nearest + by if nearest < 0.9 * size else nearest


def _round(number: float, digits: int | None = None) -> int | float:
    digits = whole(digits)
    if digits is not None and (not isinstance(digits, int) or abs(digits) > 30):
        raise Wrong(f"round expects at most 30 digits, found {digits}", "G132")
    return round(number, digits)


def _sqrt(number: float) -> float:
    if number < 0:
        raise Wrong(f"sqrt expects a number of at least 0, found {number}", "G132")
    return math.sqrt(number)


FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "min": (lambda *numbers: min(numbers), 1, ANY),
    "max": (lambda *numbers: max(numbers), 1, ANY),
    "round": (_round, 1, 2),
    "floor": (math.floor, 1, 1),
    "ceil": (math.ceil, 1, 1),
    "abs": (abs, 1, 1),
    "int": (int, 1, 1),
    "sqrt": (_sqrt, 1, 1),
    "divisible": (divisible, 2, 2),
}
"""Name -> function, fewest and most arguments."""


def call(name: str, arguments: list[Any]) -> int | float:
    function, fewest, most = FUNCTIONS[name]
    if not fewest <= len(arguments) <= most:
        expected = str(fewest) if fewest == most else f"{fewest} or more" if most > 2 else f"{fewest} or {most}"
        raise Wrong(f"{name} takes {expected} arguments, found {len(arguments)}", "G132")
    return checked(function(*(numeric(argument, name) for argument in arguments)))
