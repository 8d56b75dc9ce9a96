"""Images with the pixels first."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.kernels.context import RunContext
from graphc.kernels.pixels import CACHE_LINE, empty_padded_rows, hwnc_to_nhwc, nhwc_to_hwnc


@pytest.mark.parametrize("shape", [(3, 1024), (3, 4, 256), (5, 7), (2, 2, 3, 4), (1, 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_apart_begin_at_different_places_of_a_page(shape, dtype):
    array = empty_padded_rows(RunContext(), shape, dtype)
    assert (array.shape, array.dtype) == (shape, dtype)
    lines, rest = divmod(array.strides[0], CACHE_LINE)
    assert rest == 0
    assert lines % 2 == 1
    array[...] = 0
    array.reshape(len(array), -1)[...] = 1  # a row is one run: this is a view
    assert array.all()


def test_pixels_first_and_back():
    images = np.random.default_rng(0).normal(size=(3, 5, 4, 7))
    pixels = nhwc_to_hwnc(RunContext(), images)
    np.testing.assert_array_equal(pixels, images.transpose(1, 2, 0, 3))
    back = np.empty_like(images)
    hwnc_to_nhwc(pixels, out=back)
    np.testing.assert_array_equal(back, images)
