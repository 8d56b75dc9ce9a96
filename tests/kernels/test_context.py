"""What a context gives a layer by itself."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.kernels.context import SLICE_BYTES, RunContext


def test_random_numbers_depend_on_the_key():
    assert RunContext(key=(1, 2)).random().random() == RunContext(key=(1, 2)).random().random()
    assert RunContext(key=(1, 2)).random().random() != RunContext(key=(1, 3)).random().random()


def test_alone_it_is_the_whole_batch():
    assert RunContext().all_gather("mine") == ["mine"]


@pytest.mark.parametrize(("count", "bytes_each"), [(1, 10), (7, 300_000), (8, SLICE_BYTES), (5, 3 * SLICE_BYTES)])
def test_slices_fit_the_cache_and_cover_the_examples(count, bytes_each):
    array = np.empty((count, bytes_each), np.uint8)
    parts = RunContext().each_slice(lambda part: part, array)
    assert [i for part in parts for i in range(part.start, part.stop)] == list(range(count))
    assert all(len(array[part]) == 1 or array[part].nbytes <= SLICE_BYTES for part in parts)
