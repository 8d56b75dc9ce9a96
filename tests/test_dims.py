"""Formulas agree with integer arithmetic, and two ways to one size are equal."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphc.dims import Dim, Formula, bounds, evaluate_shape, format_shape, residues

H, W = Formula.symbol("H"), Formula.symbol("W")

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(-9, 9)),
        st.tuples(st.just("multiply"), st.integers(1, 5)),
        st.tuples(st.just("divide"), st.integers(1, 6)),
        st.tuples(st.just("double up"), st.just(0)),
    ),
    max_size=7,
)


def apply(size: Dim, step: tuple[str, int]) -> Dim:
    what, number = step
    if what == "add":
        return size + number
    if what == "multiply":
        return size * number
    if what == "divide":
        return size // number
    return size + (size + 1) // 2


@given(STEPS, st.integers(1, 500), st.integers(1, 500), st.sampled_from([H, H * 3, H + W]))
def test_a_formula_is_the_number_it_stands_for(
    steps: list[tuple[str, int]], height: int, width: int, start: Formula
) -> None:
    sizes = {"H": height, "W": width}
    formula: Dim = start
    (number,) = evaluate_shape((start,), sizes)
    for step in steps:
        formula, number = apply(formula, step), apply(number, step)
    assert evaluate_shape((formula,), sizes) == (number,)
    text = str(formula)
    assert eval(text, {}, sizes) == number  # the text is Python arithmetic


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        ((H + 1) // 2, "(H + 1)//2"),
        (((H + 1) // 2 + 1) // 2, "(H + 3)//4"),
        ((H - 11) // 4 + 1, "(H - 7)//4"),
        ((H * 16) // 2, "8*H"),
        ((H * 2 + 1) // 4, "H//2"),
        (((H + 1) // 2) * 2, "2*((H + 1)//2)"),
        (H // 2, "H//2"),
        (-H + 3, "-H + 3"),
    ],
)
def test_formulas_read_as_one_would_write_them(formula: Dim, text: str) -> None:
    assert str(formula) == text


@given(
    st.sampled_from([H, (H + 31) // 32, (H - 7) // 4, H * 2 - 1]),
    st.sampled_from([W, W // 8, (W - 7) // 4, W * 3 + H + 2]),
    st.integers(1, 5),
    st.integers(1, 200),
    st.integers(1, 200),
)
def test_a_product_is_the_number_it_stands_for(one: Dim, other: Dim, divisor: int, height: int, width: int) -> None:
    sizes = {"H": height, "W": width}
    a, b = evaluate_shape((one, other), sizes)
    for formula, number in ((one * other, a * b), (one * other * 3 // divisor, a * b * 3 // divisor)):
        assert evaluate_shape((formula,), sizes) == (number,)
        assert eval(str(formula), {}, sizes) == number
        least, most = bounds(formula)
        assert least <= number <= most
    assert one * other == other * one


def test_products_are_multiplied_out() -> None:
    assert (H + 1) * (W - 1) == H * W + W - H - 1
    assert H * W * 144 // 144 == W * H
    assert H * W // 4 != (H // 2) * (W // 2)
    assert str(((H + 7) // 8) * ((W + 7) // 8) * 2) == "2*((H + 7)//8)*((W + 7)//8)"
    assert bounds(((H + 7) // 8) * W) == (1, math.inf)


def test_two_ways_to_one_size_are_equal() -> None:
    assert ((H + 1) // 2 + 1) // 2 == (H + 3) // 4
    assert (H * 4) // 2 - H == H
    assert H - H == 0


def test_residues() -> None:
    assert list(residues(7, 2)) == [1]
    assert list(residues(H, 2)) == [0, 1]
    assert list(residues(H * 4 + 1, 2)) == [1]
    assert list(residues(H * 2, 4)) == [0, 2]


def test_shapes_are_shown_with_brackets_where_they_are_needed() -> None:
    assert format_shape((112, 112, 64)) == "112×112×64"
    assert format_shape(((H + 1) // 2, W, 3)) == "((H + 1)//2)×W×3"
