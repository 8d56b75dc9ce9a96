"""The normal distribution as a table, by exact operations: the same bits on every machine.

Additions, multiplications, divisions and square roots are rounded alike everywhere; logarithms and exponentials
are not, so the logarithm here is a series of the former.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

from graphc.lazy import np

if TYPE_CHECKING:
    from graphc.types import Array

Quantiles: TypeAlias = "tuple[Array, Array]"
"""65,536 intervals of equal probability: where each starts, and 2**-16 of its length."""


@cache
def normal_quantiles() -> Quantiles:
    """The normal distribution's; the two outermost intervals end at ±TAIL instead of infinity."""
    lower = -_upper_quantile(np.arange(1, 32768) / 65536)
    return _table(np.concatenate([[-TAIL], lower, [0.0], -lower[::-1], [TAIL]]))


TAIL = 4.58
"""Gives the whole distribution the variance 1: the outermost intervals (from 4.17) are taken as even."""


@cache
def truncated_quantiles() -> Quantiles:
    """The normal distribution's between -2 and 2."""
    below = 0.022750131948179212  # probability of less than -2
    lower = -_upper_quantile(below + np.arange(1, 32768) / 65536 * (1.0 - 2.0 * below))
    return _table(np.concatenate([[-2.0], lower, [0.0], -lower[::-1], [2.0]]))


def _table(edges: Array) -> Quantiles:
    start = edges[:-1].astype(np.float32)
    return start, (np.diff(edges) * 2.0**-16).astype(np.float32)


def _upper_quantile(tail: Array) -> Array:
    """x with probability `tail` (in (0, 0.5)) of more than x; M. J. Wichura's AS 241, to 16 digits."""
    centre = 0.5 - tail
    near = 0.180625 - centre * centre
    far = np.sqrt(-_log(tail)) - 1.6
    middle = centre * _ratio(np.maximum(near, 0.0), MIDDLE)
    return np.where(centre <= 0.425, middle, _ratio(far, OUTER))


def _ratio(x: Array, coefficients: tuple[tuple[float, ...], tuple[float, ...]]) -> Array:
    above, below = (_polynomial(x, side) for side in coefficients)
    return above / below


def _polynomial(x: Array, coefficients: Sequence[float]) -> Array:
    total = np.zeros_like(x)
    for coefficient in reversed(coefficients):
        total = total * x + coefficient
    return total


def _log(x: Array) -> Array:
    """The natural logarithm by exact operations: x = m * 2**e, log m = 2 artanh((m - 1)/(m + 1))."""
    mantissa, exponent = np.frexp(x)
    small = mantissa < 0.7071067811865476
    mantissa = np.where(small, mantissa * 2.0, mantissa)
    ratio = (mantissa - 1.0) / (mantissa + 1.0)
    series = _polynomial(ratio * ratio, [1.0 / (2 * k + 1) for k in range(14)])
    return 2.0 * ratio * series + (exponent - small) * 0.6931471805599453


MIDDLE = (
    (
        3.3871328727963666080e0,
        1.3314166789178437745e2,
        1.9715909503065514427e3,
        1.3731693765509461125e4,
        4.5921953931549871457e4,
        6.7265770927008700853e4,
        3.3430575583588128105e4,
        2.5090809287301226727e3,
    ),
    (
        1.0,
        4.2313330701600911252e1,
        6.8718700749205790830e2,
        5.3941960214247511077e3,
        2.1213794301586595867e4,
        3.9307895800092710610e4,
        2.8729085735721942674e4,
        5.2264952788528545610e3,
    ),
)
OUTER = (
    (
        1.42343711074968357734e0,
        4.63033784615654529590e0,
        5.76949722146069140550e0,
        3.64784832476320460504e0,
        1.27045825245236838258e0,
        2.41780725177450611770e-1,
        2.27238449892691845833e-2,
        7.74545014278341407640e-4,
    ),
    (
        1.0,
        2.05319162663775882187e0,
        1.67638483018380384940e0,
        6.89767334985100004550e-1,
        1.48103976427480074590e-1,
        1.51986665636164571966e-2,
        5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    ),
)
