"""CIFAR's binary version."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.data.cifar import read_cifar
from graphc.errors import DataError


def _record(label, seed):
    pixels = np.random.default_rng(seed).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    return bytes(label) + pixels.transpose(2, 0, 1).tobytes(), pixels


def test_planes_become_channels(tmp_path):
    (one, first), (two, second) = _record([3], 0), _record([9], 1)
    (tmp_path / "batch.bin").write_bytes(one + two)
    images, labels = read_cifar([tmp_path / "batch.bin"], 10_000)
    np.testing.assert_array_equal(images, [first, second])
    assert labels.tolist() == [3, 9]


def test_the_fine_label_of_cifar_100(tmp_path):
    (tmp_path / "train.bin").write_bytes(_record([4, 77], 0)[0])
    assert read_cifar([tmp_path / "train.bin"], 10_000, label_bytes=2)[1].tolist() == [77]


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "an empty file"), (3074, "3,074 bytes, 1 more than whole records"), (3073 * 4, "the limit is 10,000")],
)
def test_sizes_that_cannot_be(tmp_path, size, words):
    (tmp_path / "batch.bin").write_bytes(bytes(size))
    with pytest.raises(DataError, match=words):
        read_cifar([tmp_path / "batch.bin"], 10_000)
