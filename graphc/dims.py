"""Sizes that may be symbols: integers, or readable formulas such as `(H + 1)//2`.

A symbolic size is a sum of integer multiples of atoms, an atom being a symbol, a floor division by an integer or a
product of these. Nested floor divisions are flattened and products of sums multiplied out, so that two ways to the same
size compare equal.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias, Union

from graphc.errors import RuleError

MAX_TERMS = 64
"""Of a sum; a product of sums has as many as their product."""
MAX_DEPTH = 40
"""Floor divisions within each other, and MAX_NUMBER in them: what the sizes of a network come to has few."""
MAX_NUMBER = 2**63


@dataclass(frozen=True, slots=True)
class Formula:
    """`sum(coefficient * atom) + constant`, at least one atom, atoms sorted by their text."""

    terms: tuple[tuple[Atom, int], ...]
    constant: int = 0

    @staticmethod
    def symbol(name: str) -> Formula:
        return Formula(((Symbol(name), 1),))

    def __add__(self, other: Dim) -> Dim:
        if isinstance(other, int):
            return _formula(dict(self.terms), self.constant + other)
        if not isinstance(other, Formula):
            return NotImplemented
        merged = dict(self.terms)
        for atom, factor in other.terms:
            merged[atom] = merged.get(atom, 0) + factor
        return _formula(merged, self.constant + other.constant)

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim) -> Dim:
        return self + (-other)

    def __rsub__(self, other: Dim) -> Dim:
        return (-self) + other

    def __mul__(self, other: object) -> Dim:
        if isinstance(other, Formula):
            return _product(self, other)
        if not isinstance(other, int):
            return NotImplemented
        return _formula({atom: factor * other for atom, factor in self.terms}, self.constant * other)

    __rmul__ = __mul__

    def __floordiv__(self, divisor: object) -> Dim:
        if not isinstance(divisor, int) or divisor <= 0:
            return NotImplemented
        return _floor_div(self, divisor)

    def __mod__(self, divisor: int) -> Dim:
        return self - (self // divisor) * divisor

    def residues(self, modulus: int) -> range:
        """Every value that this size can have modulo `modulus`, as a range."""
        step = math.gcd(modulus, *(factor for _, factor in self.terms))
        return range(self.constant % step, modulus, step)

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        """The number that this size is when each symbol has the value in `sizes`."""
        return sum(atom.evaluate(sizes) * factor for atom, factor in self.terms) + self.constant

    def symbols(self) -> frozenset[str]:
        return frozenset().union(*(atom.symbols() for atom, _ in self.terms))

    def __str__(self) -> str:
        text = ""
        for atom, factor in self.terms:
            size = str(atom) if abs(factor) == 1 else f"{abs(factor)}*{_as_factor(atom)}"
            sign = ("-" if factor < 0 else "") if not text else (" - " if factor < 0 else " + ")
            text += f"{sign}{size}"
        if self.constant:
            text += f" {'-' if self.constant < 0 else '+'} {abs(self.constant)}"
        return text


@dataclass(frozen=True, slots=True)
class Symbol:
    name: str

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        return sizes[self.name]

    def symbols(self) -> frozenset[str]:
        return frozenset({self.name})

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class FloorDiv:
    numerator: Formula
    divisor: int

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        return self.numerator.evaluate(sizes) // self.divisor

    def symbols(self) -> frozenset[str]:
        return self.numerator.symbols()

    def __str__(self) -> str:
        text = str(self.numerator)
        return f"{text}//{self.divisor}" if text.isidentifier() else f"({text})//{self.divisor}"


@dataclass(frozen=True, slots=True)
class Product:
    """Of two or more, sorted by their text: the positions of an image of open height and width."""

    factors: tuple[Union[Symbol, FloorDiv], ...]

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        return math.prod(factor.evaluate(sizes) for factor in self.factors)

    def symbols(self) -> frozenset[str]:
        return frozenset().union(*(factor.symbols() for factor in self.factors))

    def __str__(self) -> str:
        return "*".join(map(_as_factor, self.factors))


Atom: TypeAlias = Union[Symbol, FloorDiv, Product]
Dim: TypeAlias = Union[int, Formula]
Shape: TypeAlias = tuple[Dim, ...]

SPATIAL_AXES: Mapping[int, tuple[str, ...]] = {
    2: ("length",),
    3: ("height", "width"),
    4: ("depth", "height", "width"),
}
"""Rank of one example -> its axes before the channels, which come last."""


def _as_factor(atom: Atom) -> str:
    return f"({atom})" if isinstance(atom, FloorDiv) else str(atom)


def _formula(terms: Mapping[Atom, int], constant: int) -> Dim:
    """The one form of a sum: constants outside floor divisions, unless the sum is a single one."""
    merged: dict[Atom, int] = {}
    for written, factor in terms.items():
        atom = written
        if isinstance(written, FloorDiv):
            whole, rest = divmod(written.numerator.constant, written.divisor)
            constant += factor * whole
            atom = FloorDiv(Formula(written.numerator.terms, rest), written.divisor)
        merged[atom] = merged.get(atom, 0) + factor
    if len(merged) > MAX_TERMS:
        raise RuleError("G205", f"a size would be a sum of more than {MAX_TERMS} parts")
    kept = tuple(sorted(((a, f) for a, f in merged.items() if f), key=lambda item: str(item[0])))
    if max((abs(number) for number in (constant, *merged.values())), default=0) >= MAX_NUMBER:
        raise RuleError("G205", "a size would have numbers of 2**63 or more in it")
    if max((_depth(atom) for atom in merged), default=0) > MAX_DEPTH:
        raise RuleError("G205", f"a size would be divided and multiplied more than {MAX_DEPTH} times in turn")
    if not kept:
        return constant
    if len(kept) == 1 and kept[0][1] == 1 and isinstance(kept[0][0], FloorDiv):
        inner = kept[0][0]
        numerator = Formula(inner.numerator.terms, inner.numerator.constant + constant * inner.divisor)
        return Formula(((FloorDiv(numerator, inner.divisor), 1),))
    return Formula(kept, constant)


def _depth(atom: Atom) -> int:
    """Floor divisions within each other."""
    if isinstance(atom, Product):
        return max(map(_depth, atom.factors))
    return 1 + max(_depth(each) for each, _ in atom.numerator.terms) if isinstance(atom, FloorDiv) else 0


def _product(one: Formula, other: Formula) -> Dim:
    """Every term of one times every term of the other."""
    found: Dim = 0
    if len(one.terms) * len(other.terms) > MAX_TERMS:
        raise RuleError("G205", f"a size would be a sum of more than {MAX_TERMS} parts")
    for a, by in _apart(one):
        for b, times in _apart(other):
            factors = tuple(sorted((*_factors(a), *_factors(b)), key=str))
            atom = Product(factors) if len(factors) > 1 else factors[0] if factors else None
            found += by * times if atom is None else Formula(((atom, by * times),))
    return found


def _apart(size: Formula) -> list[tuple[Atom | None, int]]:
    """Terms and the constant, which has no atom, of what floor divisions have of it too."""
    terms: list[tuple[Atom | None, int]] = []
    constant = size.constant
    for atom, factor in size.terms:
        rest = atom
        if isinstance(atom, FloorDiv):
            whole, left = divmod(atom.numerator.constant, atom.divisor)
            constant += factor * whole
            rest = FloorDiv(Formula(atom.numerator.terms, left), atom.divisor)
        terms.append((rest, factor))
    return [*terms, (None, constant)] if constant else terms


def _factors(atom: Atom | None) -> tuple[Union[Symbol, FloorDiv], ...]:
    return () if atom is None else atom.factors if isinstance(atom, Product) else (atom,)


def _floor_div(size: Formula, divisor: int) -> Dim:
    if divisor == 1:
        return size
    outside = {atom: factor // divisor for atom, factor in size.terms if factor % divisor == 0}
    inside = {atom: factor for atom, factor in size.terms if factor % divisor}
    if not inside:
        return _formula(outside, size.constant // divisor)
    if len(inside) == 1:
        ((atom, factor),) = inside.items()
        if isinstance(atom, FloorDiv) and factor == 1:  # (x//b + c)//d = (x + b*c)//(b*d)
            flat = (atom.numerator + atom.divisor * size.constant) // (atom.divisor * divisor)
            return flat + _formula(outside, 0)
    shared = math.gcd(divisor, *inside.values())
    if shared > 1:  # (2*H + 1)//4 = H//2
        reduced = _formula({a: f // shared for a, f in inside.items()}, size.constant // shared)
        return reduced // (divisor // shared) + _formula(outside, 0)
    numerator = Formula(tuple(sorted(inside.items(), key=lambda item: str(item[0]))), size.constant)
    return _formula({**outside, FloorDiv(numerator, divisor): 1}, 0)


def whole(number: Any) -> Any:
    """A float whose value is a whole number as an integer, anything else as it is: `64 * 0.25` is 16."""
    return int(number) if isinstance(number, float) and number.is_integer() and abs(number) < 2**63 else number


def parse_size(text: str) -> Dim:
    """The size that a formula such as `W` or `(H + 1)//2` says; a ValueError where it is none."""
    try:
        return _size_of(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"{text!r} is no formula of sizes") from error


_OPERATIONS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv
}  # fmt: skip


def _size_of(node: ast.expr) -> Dim:
    if isinstance(node, ast.Name):
        return Formula.symbol(node.id)
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        try:
            found: Dim = _OPERATIONS[type(node.op)](_size_of(node.left), _size_of(node.right))
            return found
        except (TypeError, ZeroDivisionError) as error:  # a symbol below the line
            raise ValueError(f"{ast.unparse(node)} is no formula of sizes") from error
    raise ValueError(f"{ast.unparse(node)} is no formula of sizes")


def residues(size: Dim, modulus: int) -> range:
    """Every value that `size` can have modulo `modulus`."""
    return range(size % modulus, size % modulus + 1) if isinstance(size, int) else size.residues(modulus)


def bounds(size: Dim) -> tuple[float, float]:
    """What the size is at least and at most, every symbol being 1 or more; infinite where there is no such number.

    Of `2*((H + 1)//2) - H` 0 and 1. Never too narrow; too wide where floor divisions of one symbol depend on each
    other.
    """
    if isinstance(size, int):
        return size, size
    low, high, slopes = _spread(size)
    least = low + sum(slope for slope in slopes.values() if slope > 0)
    most = high + sum(slope for slope in slopes.values() if slope < 0)
    grows, falls = any(slope > 0 for slope in slopes.values()), any(slope < 0 for slope in slopes.values())
    return -math.inf if falls else math.ceil(least), math.inf if grows else math.floor(most)


def _spread(size: Formula) -> tuple[Fraction, Fraction, dict[str, Fraction]]:
    """The size as a sum of symbols times their slopes and a rest, which lies between two numbers."""
    low = high = Fraction(size.constant)
    slopes: dict[str, Fraction] = {}
    for atom, factor in size.terms:
        if isinstance(atom, Symbol):
            below, above, inner = Fraction(0), Fraction(0), {atom.name: Fraction(1)}
        elif isinstance(atom, Product):
            below, above, inner = _spread_of_product(atom)
        else:  # x//d is x/d less at most (d - 1)/d
            below, above, inner = _spread(atom.numerator)
            below, above = (below - atom.divisor + 1) / atom.divisor, above / atom.divisor
            inner = {name: slope / atom.divisor for name, slope in inner.items()}
        low += factor * (below if factor > 0 else above)
        high += factor * (above if factor > 0 else below)
        for name, slope in inner.items():
            slopes[name] = slopes.get(name, Fraction(0)) + factor * slope
    return low, high, slopes


def _spread_of_product(atom: Product) -> tuple[Fraction, Fraction, dict[str, Fraction]]:
    """As if it were a symbol of its own, which is no number at all where a factor may be negative."""
    least = [bounds(Formula(((factor, 1),)))[0] for factor in atom.factors]
    text, one = str(atom), Fraction(1)
    if min(least) < 0:
        return Fraction(0), Fraction(0), {text: one, f"-{text}": -one}
    before = Fraction(int(math.prod(least)) - 1)
    return before, before, {text: one}


def growth(size: Dim) -> dict[str, Fraction]:
    """How much the size grows with each of its symbols, on the average."""
    return {} if isinstance(size, int) else {name: slope for name, slope in _spread(size)[2].items() if slope}


def is_image(shape: Sequence[object]) -> bool:
    """Whether one example's shape is that of an image or a map: height, width, channels."""
    return len(shape) == 3


def axis_names(rank: int) -> tuple[str, ...]:
    """What the axes of an example of that rank are called: `height`, `width`, `channels`."""
    return (*SPATIAL_AXES.get(rank, tuple(f"axis {axis}" for axis in range(rank - 1))), "channels")


def is_sequence(shape: Sequence[object]) -> bool:
    """Whether one example's shape is that of a sequence or a signal: length, channels."""
    return len(shape) == 2


def is_spatial(shape: Sequence[object]) -> bool:
    """Whether one example has positions, with channels at each: a sequence, an image or a volume."""
    return len(shape) in SPATIAL_AXES


def spatial_axes(shape: Sequence[object]) -> tuple[str, ...]:
    """The names of the axes before the channels; none of a vector."""
    return SPATIAL_AXES.get(len(shape), ())


def is_static(shape: Shape) -> bool:
    return all(isinstance(size, int) for size in shape)


def format_shape(shape: Shape) -> str:
    """`112×112×64`; a formula with a space in it is put in brackets."""
    return "×".join(f"({size})" if " " in str(size) else str(size) for size in shape) if shape else "()"


def evaluate_shape(shape: Shape, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """The shape with every symbol replaced by its value."""
    return tuple(size if isinstance(size, int) else size.evaluate(sizes) for size in shape)
