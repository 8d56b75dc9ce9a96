"""TensorFlow's checkpoints: parts, shards, compressed indexes, and what their names lead to."""

from __future__ import annotations

import numpy as np
import pytest

from graphc import weights
from graphc.errors import WeightsError
from graphc.weights.tensorflow.crc32c import crc32c
from graphc.weights.tensorflow.messages import Damaged, Slice, key_of
from graphc.weights.tensorflow.snappy import decompressed
from tests.weights import files

RNG = np.random.default_rng(0)
ARRAYS = {
    "net/a/weights": RNG.standard_normal((7, 3)).astype("f4"),
    "net/b/weights": RNG.standard_normal((5, 2)).astype(files.BFLOAT16),
    "net/b/biases": RNG.standard_normal(4).astype("f8"),
}
PARTS = {"net/a/weights": (3, 2, 2), "net/b/weights": (1, 4)}


def opened(path):
    with weights.open_weights(path) as file:
        return {name: file.read(name) for name in file.names}


def check(values):
    assert values.keys() == ARRAYS.keys()
    assert all(np.array_equal(values[name], array.astype("f4")) for name, array in ARRAYS.items())


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_checksums_of_rfc_3720(data, expected):
    assert crc32c(data) == expected == files.crc32c(data)


@pytest.mark.parametrize("size", [4095, 4096, 4097, 10_000, 65_537])
def test_checksums_side_by_side_are_those_one_after_the_other(size):
    data = RNG.bytes(size)
    assert crc32c(data) == files.crc32c(data)


def test_checksums_of_several_chunks(monkeypatch):
    monkeypatch.setattr("graphc.weights.tensorflow.crc32c.CHUNK", 4096)
    data = RNG.bytes(10_001)
    assert crc32c(data) == files.crc32c(data)


def test_parts_are_joined(tmp_path):
    files.write_tensorflow_1(tmp_path / "one.ckpt", ARRAYS, PARTS)
    files.write_tensorflow_2(tmp_path / "two.ckpt.index", ARRAYS, 3, PARTS)
    check(opened(tmp_path / "one.ckpt"))
    check(opened(tmp_path / "two.ckpt.index"))


def test_a_checkpoint_is_found_by_its_prefix(tmp_path):
    files.write_tensorflow_2(tmp_path / "model.ckpt-1000.index", ARRAYS, 2)
    check(opened(tmp_path / "model.ckpt-1000"))


def literal(data):
    """Snappy without any copies."""
    return files.varint(len(data)) + b"".join(
        bytes([60 << 2, len(part) - 1]) + part for part in (data[at : at + 200] for at in range(0, len(data), 200))
    )


def test_an_index_that_snappy_compressed(tmp_path):
    files.write_tensorflow_2(tmp_path / "w.ckpt.index", ARRAYS, compress=literal)
    check(opened(tmp_path / "w.ckpt"))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x05\x10hello", b"hello"),
        (b"\x0a\x04ab\x1e\x02\x00", b"ababababab"),  # a copy of eight from two back, with an offset of two bytes
        (b"\x06\x04ab\x01\x02", b"ababab"),  # of four, with one of eleven bits
        (b"\x06\x04ab\x0f\x02\x00\x00\x00", b"ababab"),
    ],
)
def test_snappy(data, expected):
    assert decompressed(data, 100) == expected


@pytest.mark.parametrize(
    "data", [b"\x05\x10hell", b"\x05\x10hello!", b"\x06\x04ab\x01\x03", b"\x06\x04ab", b"\xff\x01"]
)
def test_snappy_that_is_none(data):
    with pytest.raises(Damaged):
        decompressed(data, 100)


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        *((0, b"\x80"), (63, b"\xbf"), (64, b"\xc0\x40"), (-1, b"\x7f"), (-64, b"\x40"), (-65, b"\x3f\xbf")),
        *((8192, b"\xe0\x20\x00"), (2**48, b"\xff\x01" + bytes(6)), (2**62, b"\xff\xc0\x40" + bytes(7))),
    ],
)
def test_keys_are_in_tensorflows_order(start, expected):
    """Google's OrderedCode of signed numbers, from its comments and by hand."""
    assert key_of("a", Slice((start,), (0,)))[len(b"\0a\0\1\1\1") : -1] == expected


def test_keys_sort_as_their_numbers():
    numbers = sorted({sign * (2**power + less) for sign in (1, -1) for power in range(60) for less in (-1, 0, 1)})
    keys = [key_of("a", Slice((number,), (0,))) for number in numbers]
    assert keys == sorted(keys)
    assert key_of("\0\xff", Slice((), ())) == b"\0\0\xff\xc3\xbf\0\1\0"


def test_data_that_are_missing_cut_off_or_damaged(tmp_path):
    index = tmp_path / "w.ckpt.index"
    files.write_tensorflow_2(index, ARRAYS)
    data = tmp_path / "w.ckpt.data-00000-of-00001"
    whole = data.read_bytes()
    for changed, message in (
        (whole[:-1], r"net/b/biases: expected 32 bytes from 104, found 135 in .*w\.ckpt\.data-00000"),
        (whole[:-1] + b"\0", r"net/b/biases: the checksum is not that of its bytes: .*data-00000-of-00001 is damaged"),
    ):
        data.write_bytes(changed)
        with pytest.raises(WeightsError, match=message):
            opened(index)
    data.unlink()
    with pytest.raises(WeightsError, match=r"there is no file .*data-00000-of-00001"):
        opened(index)


@pytest.mark.parametrize("parts", [(3, 2), (3, 2, 3)])
def test_parts_that_are_not_all(tmp_path, parts):
    files.write_tensorflow_1(tmp_path / "one.ckpt", ARRAYS, {"net/a/weights": parts})
    files.write_tensorflow_2(tmp_path / "two.ckpt.index", ARRAYS, 1, {"net/a/weights": parts})
    for name in ("one.ckpt", "two.ckpt.index"):
        with pytest.raises(WeightsError, match="net/a/weights: expected"):
            opened(tmp_path / name)
