"""Slices and threads."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.kernels.context import SLICES, RunContext, Workers
from graphc.kernels.conv import conv2d, conv2d_grad_input, conv2d_grad_weights


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_slices_cover_the_batch_in_order_whatever_the_threads(threads):
    for count in (1, 7, 8, 9, 64, 100):
        parts = Workers(threads).each_slice(lambda part: part, count)
        assert [i for part in parts for i in range(part.start, part.stop)] == list(range(count))
        assert len(parts) <= SLICES


def test_an_error_in_any_slice_comes_out():
    def work(part: slice) -> None:
        if part.stop == 16:
            raise ValueError("the last one")

    for threads in (1, 2, 3):
        with pytest.raises(ValueError, match="the last one"):
            Workers(threads).each_slice(work, 16)


@pytest.mark.parametrize("kernel", [3, 5])
def test_bits_do_not_depend_on_the_number_of_threads(kernel):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(19, 12, 12, 8)).astype(np.float32)
    w = rng.normal(size=(kernel, kernel, 8, 16)).astype(np.float32)
    geometry = ((1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    results = []
    for threads in (1, 2, 4):
        context = RunContext(workers=Workers(threads))
        y = conv2d(context, x, w, *geometry)
        dx = conv2d_grad_input(context, y, w, x.shape, *geometry)
        results.append((y, dx, conv2d_grad_weights(context, x, y, w.shape, *geometry)))
    for found in results[1:]:
        for array, first in zip(found, results[0], strict=True):
            np.testing.assert_array_equal(array, first)


def test_random_numbers_depend_on_the_key():
    assert RunContext(key=(1, 2)).random().random() == RunContext(key=(1, 2)).random().random()
    assert RunContext(key=(1, 2)).random().random() != RunContext(key=(1, 3)).random().random()
