"""Factors of sizes: whole numbers, and fractions that stay exact."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, TypeAlias, Union

from pydantic import AfterValidator, BeforeValidator, Field, StrictInt

from graphc.dims import whole
from graphc.expected import MOST

LARGEST_DENOMINATOR = 1000
"""1/3 written in decimals is a fraction, pi is none."""


def exact_fraction(factor: float) -> Fraction:
    """The fraction that a factor was written for: 1.5 is 3/2, 0.3333333333333333 is 1/3."""
    return Fraction(factor).limit_denominator(LARGEST_DENOMINATOR)


def _is_fraction(factor: float) -> float:
    fraction = exact_fraction(factor)
    if not fraction or abs(fraction - Fraction(factor)) > 1e-9 * factor:
        raise ValueError(f"{factor:g} is no fraction with a denominator of at most {LARGEST_DENOMINATOR:,}")
    return factor


Factor: TypeAlias = Annotated[
    Union[
        Annotated[StrictInt, Field(gt=0, le=MOST)],
        Annotated[float, Field(strict=True, gt=0, le=MOST), AfterValidator(_is_fraction)],
    ],
    BeforeValidator(whole),
]
"""A positive number that is a fraction."""
