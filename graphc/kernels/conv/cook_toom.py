"""The matrices of short convolutions with the fewest products: F(m, r), m outputs of r taps by m + r - 1.

Winograd, "Arithmetic Complexity of Computations", 1980; Lavin & Gray, "Fast Algorithms for Convolutional Neural
Networks", 2015 (arXiv 1509.09308), whose y = A' [(G g) * (B' d)] is here y = A [(G g) * (B d)]. Where they come from,
for any m and r (Cook and Toom; Blahut, Fast Algorithms for Signal Processing, chapter 5):

1. *A product of polynomials* g(x) h(x), of r and m coefficients, has m + r - 1 coefficients, and so many of its
   values determine it: evaluate g and h at as many points (rows of powers: V_r g and V_m h), multiply point by point,
   interpolate (Lagrange: a matrix C). So  s = C [(V_r g) * (V_m h)].
2. *One of the points is infinity*, where the value is the leading coefficient: it needs no power of a number at all.
3. *A filter is the transpose of that.* For fixed g, s depends on h by the matrix T with T[k + i, i] = g[k]. Its
   transpose makes of m + r - 1 inputs d the outputs y[i] = sum over k of g[k] d[i + k], which is a convolution as
   nets have it: y = V_m' [(V_r g) * (C' d)].
4. Lagrange's denominators, one a point, may stand with either factor: here with the filters', which are transformed
   once a batch. So A = V_m', B = C' without denominators, G = V_r with them.

For fixed d the same is linear in g, so the gradient of the filters is  dg = G' [(B d) * (A' dy)].

Which points are taken decides how much float32 loses: powers of large numbers cancel. 0, ±1, ±2, ±1/2, ±4 are off by
2.8e-5 of the largest value in F(8, 3), with 3/4 and -4/3 in place of ±4 by 6e-6 (compare Barabasz et al., "Error
Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural Networks", 2020). F(4, 3) in float32 differs
from float64 by 1.3e-6 of the largest value, F(4, 5) by 1.1e-6.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from typing import Any

from graphc.lazy import np
from graphc.types import Array

POINTS = [Fraction(point) for point in ("0", "1", "-1", "2", "-1/2", "-2", "1/2", "3/4", "-4/3")]
"""Where polynomials are evaluated, besides infinity; tile + taps - 2 of them."""


@cache
def matrices(tile: int, taps: int, dtype: Any) -> tuple[Array, Array, Array]:
    """B [points, points], G [points, taps] and A [tile, points] of F(tile, taps), in this dtype.

    Exact fractions until the end: what rounding there is, is that of the last digit.
    """
    points = POINTS[: tile + taps - 2]
    # B, row j: the numerator of Lagrange's polynomial for point j, the product of (x - p) over the others.
    inputs = [[*_product_of_roots(points[:j] + points[j + 1 :]), 0] for j in range(len(points))]
    # G, row j: the powers of point j, over the denominator of its polynomial.
    scales = [math.prod(p - q for q in points if q != p) for p in points]
    filters = [[p**k / scale for k in range(taps)] for p, scale in zip(points, scales, strict=True)]
    # A, column j: the powers of point j. At infinity, the last, only the leading coefficients count.
    outputs = [[p**i for p in points] + [int(i == tile - 1)] for i in range(tile)]
    at_infinity = [_product_of_roots(points)], [[0] * (taps - 1) + [1]]
    matrices = inputs + at_infinity[0], filters + at_infinity[1], outputs
    b, g, a = (np.array([[float(value) for value in row] for row in matrix], dtype) for matrix in matrices)
    return b, g, a


def _product_of_roots(roots: list[Fraction]) -> list[Fraction | int]:
    """Coefficients of the product of (x - root), the constant first."""
    found: list[Fraction | int] = [1]
    for root in roots:
        found = [high - root * low for high, low in zip([0, *found], [*found, 0], strict=True)]
    return found
