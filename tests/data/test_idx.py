"""IDX files: right ones read, wrong ones named."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from graphc.data.idx import read_idx, write_idx
from graphc.errors import DataError

LIMIT = 1_000_000
VALUES = np.arange(24).reshape(2, 3, 4)


@pytest.mark.parametrize("name", ["a.idx", "a.idx.gz"])
@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
def test_what_is_written_is_read(tmp_path, name, dtype):
    write_idx(tmp_path / name, VALUES.astype(dtype))
    values = read_idx(tmp_path / name, LIMIT)
    assert values.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(values, VALUES)


def test_bytes_are_mnists(tmp_path):
    write_idx(tmp_path / "labels", np.array([7, 2], np.uint8))
    assert (tmp_path / "labels").read_bytes() == bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 2])


def _header(*shape):
    return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)


BROKEN = {
    "empty": (b"", "starts with nothing"),
    "text": (b"images!!", r"starts with 69 6d 61 67"),
    "float128": (bytes([0, 0, 0x20, 1, 0, 0, 0, 1, 0]), "expected an IDX file"),
    "no axes": (bytes([0, 0, 8, 0, 1]), "expected an IDX file"),
    "half a header": (_header(2, 3)[:-2], "announces 2 axes and ends"),
    "too short": (_header(2, 3) + bytes(5), "announces 6 bytes of values, the file holds 5"),
    "too long": (_header(2, 3) + bytes(7), "announces 6 bytes of values, the file holds more"),
    "huge": (_header(2**31 - 1, 28, 28) + bytes(16), r"1,683,627,179,?[0-9,]* bytes, the limit is 1,000,000"),
    "overflowing": (_header(2**32 - 1, 2**32 - 1, 2**32 - 1), "the limit is 1,000,000"),
}


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize(("data", "words"), BROKEN.values(), ids=BROKEN)
def test_broken_files_are_named(tmp_path, data, words, zipped):
    path = tmp_path / "x.idx"
    path.write_bytes(gzip.compress(data) if zipped else data)
    with pytest.raises(DataError, match=words) as caught:
        read_idx(path, LIMIT)
    assert caught.value.place.path == str(path)


def test_a_gzip_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(_header(10) + bytes(50_000_000)))
    with pytest.raises(DataError, match="announces 10 bytes of values, the file holds more"):
        read_idx(path, LIMIT)


def test_every_truncation_is_an_error(tmp_path):
    path = tmp_path / "x"
    for whole in (_header(2, 3) + bytes(6), gzip.compress(_header(2, 3) + bytes(6))):
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            with pytest.raises(DataError):
                read_idx(path, LIMIT)


def test_a_damaged_gzip_is_named(tmp_path):
    data = bytearray(gzip.compress(_header(100) + bytes(range(100))))
    data[-6] ^= 1
    (tmp_path / "x.gz").write_bytes(data)
    with pytest.raises(DataError, match="gzip stream is damaged"):
        read_idx(tmp_path / "x.gz", LIMIT)


def test_only_regular_files_are_read(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        read_idx(tmp_path / "none", LIMIT)
    with pytest.raises(DataError, match="expected a file, found a folder"):
        read_idx(tmp_path, LIMIT)
