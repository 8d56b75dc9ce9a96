"""Products of a large matrix with a few columns, in pieces that BLAS multiplies as they lie.

A product usually packs its operands first, which takes a third of the time where one of them has but a few columns.
For processors with AVX-512 OpenBLAS has kernels for small products that do not pack. Other processors, and other
libraries, get the whole at once. Bits depend on which of these it is.

Measured with 1568×1024 numbers from memory and 64 columns (docs/performance.md): eight rows at a time 0.88 ms in place
of 1.27; transposed, 128 columns by 122 rows at a time, 0.94 in place of 1.34. With 32 columns it is 1.3 to 1.6 times as
fast, with 100 or more it gains nothing. The few columns have to lie as such: as transposed rows they were slower than
the whole at once.
"""

from __future__ import annotations

import importlib
from functools import cache

from graphc.kernels.chunks import slices
from graphc.lazy import np
from graphc.types import Array

MOST_MULTIPLICATIONS = 1_000_000
"""Of a product that OpenBLAS takes for small."""
MOST_COLUMNS = 64
"""With more of them packing costs less than the pieces."""
ARCHITECTURES = {"SkylakeX", "Cooperlake", "SapphireRapids"}
"""OpenBLAS's names of what it has small kernels for; AMD's processors with AVX-512 are among them."""
ROWS = 8
"""Of a matrix multiplied as it lies, at a time; of more the first-level cache cannot hold a column."""
WIDTHS = (512, 256, 128, 64, 32)
"""How many columns may be multiplied at a time."""
LEAST_ROWS = 120
"""Of a matrix multiplied transposed, at a time: every product is a pass over the sums."""


def skinny_matmul(matrix: Array, few: Array, out: Array) -> None:
    """matrix @ few, [M, K] @ [K, F] of contiguous rows with few F, written into `out` [M, F]."""
    (rows, inner), columns = matrix.shape, few.shape[1]
    whole = rows // ROWS * ROWS
    if not whole or not use_small_gemm(columns):
        np.matmul(matrix, few, out=out)
        return
    products = out[:whole].reshape(-1, ROWS, columns)
    step = MOST_MULTIPLICATIONS // (ROWS * columns)
    for some in slices(inner, step):
        pieces = matrix[:whole, some].reshape(len(products), ROWS, -1)
        _add_products(pieces, few[some], products, first=some.start == 0)
    np.matmul(matrix[whole:], few, out=out[whole:])


def skinny_matmul_t(matrix: Array, few: Array, out: Array) -> None:
    """matrix.T @ few, [K, M] and [K, F] of contiguous rows with few F, written into `out` [M, F]."""
    (inner, rows), columns = matrix.shape, few.shape[1]
    width = small_width(LEAST_ROWS * columns, rows)
    if not inner or not width or not use_small_gemm(columns):
        np.matmul(matrix.T, few, out=out)
        return
    products = out.reshape(-1, width, columns)
    step = MOST_MULTIPLICATIONS // (width * columns)
    for some in slices(inner, step):
        pieces = matrix[some].reshape(-1, len(products), width).transpose(1, 2, 0)
        _add_products(pieces, few[some], products, first=some.start == 0)


def _add_products(pieces: Array, few: Array, products: Array, first: bool) -> None:
    if first:
        np.matmul(pieces, few, out=products)
    else:
        products += pieces @ few


def use_small_gemm(columns: int) -> bool:
    """Whether so many columns are few: then they should lie as such, else as transposed rows is as good."""
    return columns <= MOST_COLUMNS and has_small_gemm_kernels()


def small_width(each: int, columns: int) -> int:
    """How wide to cut so many columns, of which each takes so many multiplications; 0: better not at all."""
    fitting = (width for width in WIDTHS if columns % width == 0 and each * width <= MOST_MULTIPLICATIONS)
    return next(fitting, 0) if has_small_gemm_kernels() else 0


@cache
def has_small_gemm_kernels() -> bool:
    """Whether there are kernels for small products."""
    loaded = importlib.import_module("threadpoolctl").threadpool_info()  # not needed to read a spec
    return any(library.get("architecture") in ARCHITECTURES for library in loaded)
