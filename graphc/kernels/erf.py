"""The error function, which NumPy lacks.

float64 to a few units in the last place: four intervals of |x|, each a quotient of two polynomials, with the
coefficients of `s_erf.c` in fdlibm (Sun Microsystems, 1993), the C library's usual source. float32 within 6e-7:
one formula for all x, 7.1.26 of Abramowitz and Stegun's Handbook of Mathematical Functions (1964), which is
several times as fast.
"""

from __future__ import annotations

from collections.abc import Callable

from graphc.lazy import np
from graphc.types import Array

_TINY_CUT, _MIDDLE_CUT, _TAIL_CUT = 0.84375, 1.25, 1 / 0.35
_ONE_CUT = 6.0
"""Beyond this |x|, erf is 1 to the last bit of float64."""

_NEAR_ZERO = (
    (
        1.28379167095512558561e-01,
        -3.25042107247001499370e-01,
        -2.84817495755985104766e-02,
        -5.77027029648944159157e-03,
        -2.37630166566501626084e-05,
    ),
    (
        1.0,
        3.97917223959155352819e-01,
        6.50222499887672944485e-02,
        5.08130628187576562776e-03,
        1.32494738004321644526e-04,
        -3.96022827877536812320e-06,
    ),
)
"""erf(x) = x + x*P(x²)/Q(x²) below 0.84375."""

_AT_ONE = 8.45062911510467529297e-01
_NEAR_ONE = (
    (
        -2.36211856075265944077e-03,
        4.14856118683748331666e-01,
        -3.72207876035701323847e-01,
        3.18346619901161753674e-01,
        -1.10894694282396677476e-01,
        3.54783043256182359371e-02,
        -2.16637559486879084300e-03,
    ),
    (
        1.0,
        1.06420880400844228286e-01,
        5.40397917702171048937e-01,
        7.18286544141962662868e-02,
        1.26171219808761642112e-01,
        1.36370839120290507362e-02,
        1.19844998467991074170e-02,
    ),
)
"""erf(x) = 0.845… + P(x - 1)/Q(x - 1) from there to 1.25."""

_TAIL = (
    (
        -9.86494403484714822705e-03,
        -6.93858572707181764372e-01,
        -1.05586262253232909814e01,
        -6.23753324503260060396e01,
        -1.62396669462573470355e02,
        -1.84605092906711035994e02,
        -8.12874355063065934246e01,
        -9.81432934416914548592e00,
    ),
    (
        1.0,
        1.96512716674392571292e01,
        1.37657754143519042600e02,
        4.34565877475229228821e02,
        6.45387271733267880336e02,
        4.29008140027567833386e02,
        1.08635005541779435134e02,
        6.57024977031928170135e00,
        -6.04244152148580987438e-02,
    ),
)
"""erfc(x) = exp(-x² - 0.5625 + P(1/x²)/Q(1/x²))/x from there to 1/0.35."""

_FAR_TAIL = (
    (
        -9.86494292470009928597e-03,
        -7.99283237680523006574e-01,
        -1.77579549177547519889e01,
        -1.60636384855821916062e02,
        -6.37566443368389627722e02,
        -1.02509513161107724954e03,
        -4.83519191608651397019e02,
    ),
    (
        1.0,
        3.03380607434824582924e01,
        3.25792512996573918826e02,
        1.53672958608443695994e03,
        3.19985821950859553908e03,
        2.55305040643216442583e03,
        4.74528541206955367215e02,
        -2.24409524465858183362e01,
    ),
)
"""The same form, from there to 6."""

_SHORT = (0.0, 0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
_SHORT_STEP = 0.3275911
"""erfc(x) = P(t)*exp(-x²), where t = 1/(1 + 0.3275911*x), for x above 0."""

_Quotient = tuple[tuple[float, ...], tuple[float, ...]]


def erf(x: Array) -> Array:
    """2/sqrt(π) times the integral of exp(-t²) from 0 to x, element by element, as a new array of x's shape and
    dtype."""
    size = np.abs(x)
    if x.dtype == np.float32:
        short: Array = 1 - _polynomial(_SHORT, 1 / (1 + _SHORT_STEP * size)) * np.exp(-size * size)
        return np.copysign(short, x, out=short)
    y = np.ones_like(x)  # |x| of 6 or more
    y[np.isnan(x)] = np.nan
    _fill(y, size, 0.0, _TINY_CUT, lambda v: v + v * _divide(_NEAR_ZERO, v * v))
    _fill(y, size, _TINY_CUT, _MIDDLE_CUT, lambda v: _AT_ONE + _divide(_NEAR_ONE, v - 1))
    _fill(y, size, _MIDDLE_CUT, _TAIL_CUT, lambda v: 1 - _complement(_TAIL, v))
    _fill(y, size, _TAIL_CUT, _ONE_CUT, lambda v: 1 - _complement(_FAR_TAIL, v))
    return np.copysign(y, x, out=y)


def _fill(y: Array, size: Array, low: float, high: float, function: Callable[[Array], Array]) -> None:
    """y = function(size) where low <= size < high."""
    inside = (size >= low) & (size < high)
    y[inside] = function(size[inside])


def _divide(quotient: _Quotient, x: Array) -> Array:
    """P(x)/Q(x); coefficients from the constant up."""
    above, below = (_polynomial(coefficients, x) for coefficients in quotient)
    return above / below


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    total = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total *= x
        total += coefficient
    return total


def _complement(quotient: _Quotient, x: Array) -> Array:
    """1 - erf(x) of x above 1.25."""
    return np.exp(-x * x - 0.5625 + _divide(quotient, 1 / (x * x))) / x
