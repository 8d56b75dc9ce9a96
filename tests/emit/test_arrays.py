"""Arrays on their way to the file: transposed tile by tile, as NumPy itself would at once."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from graphc.emit import arrays

SHAPES = [(300, 70), (70, 300), (5, 1, 3), (129, 33, 3, 2), (3, 3, 40, 130), (1, 1, 1, 1), (2, 0, 3), (7,), ()]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", "<i8"])
def test_copies_from_every_order_of_axes(shape, kind):
    values = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(kind)
    for order in permutations(range(len(shape))):
        source = values.transpose(order)
        target = np.full(source.shape, -1, arrays.file_dtype(source))
        arrays.copy(source, target)
        np.testing.assert_array_equal(target, source)


def test_copies_what_is_reversed_repeated_or_a_part():
    values = np.arange(40 * 50 * 6, dtype=np.float32).reshape(40, 50, 6)
    for source in (values[::-1, ::3].T, values[3:, :, 1], np.broadcast_to(values[0].T, (9, 6, 50)), values.T[::-2]):
        target = np.zeros(source.shape, np.float32)
        arrays.copy(source, target)
        np.testing.assert_array_equal(target, source)


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_the_parts_of_a_file_are_the_bytes_in_c_order(order, monkeypatch):
    monkeypatch.setattr(arrays, "BUFFER", 200)
    monkeypatch.setattr(arrays, "TILE", 30)
    array = np.arange(3 * 4 * 5 * 6, dtype=np.float32).reshape(3, 4, 5, 6).transpose(order)
    assert b"".join(map(bytes, arrays.file_parts(array))) == array.tobytes("C")
