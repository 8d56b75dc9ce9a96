""".npz files: right ones read, hostile ones refused before they cost anything."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from graphc.data.npz import read_npz
from graphc.errors import DataError

LIMIT = 10_000_000


def _member(path, data, name="x.npy", compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(name, data)
    return path


def _npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def test_what_is_saved_is_read(tmp_path):
    x, y = np.arange(12, dtype=np.float32).reshape(3, 4), np.array([1, 2, 3], ">i4")
    np.savez_compressed(tmp_path / "a.npz", x=x, y=y, fortran=np.asfortranarray(x))
    found = read_npz(tmp_path / "a.npz", ["x", "y", "fortran"], LIMIT)
    np.testing.assert_array_equal(found["x"], x)
    np.testing.assert_array_equal(found["y"], y)
    np.testing.assert_array_equal(found["fortran"], x)
    assert found["y"].dtype.isnative
    assert found["fortran"].flags.c_contiguous


def test_a_missing_array_lists_what_is_there(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=np.zeros(1), y_train=np.zeros(1))
    with pytest.raises(DataError, match=r"'x_trian' \(did you mean 'x_train'\?\), found x_train, y_train"):
        read_npz(tmp_path / "a.npz", ["x_trian"], LIMIT)


def _header(text, length=None):
    data = text.encode()
    return b"\x93NUMPY\x01\x00" + (length or len(data)).to_bytes(2, "little") + data


HOSTILE = {
    "pickle": (_npy(np.array([{}], object)), "object arrays are refused"),
    "text array": (_npy(np.array(["a"])), "expected numbers, found <U1"),
    "not an array": (b"hello there", "expected a NumPy array, found something else"),
    "header bomb": (
        b"\x93NUMPY\x02\x00" + (10**9).to_bytes(4, "little") + bytes(2_000_000),
        "expected a header of at most 10,000 bytes, found 1,000,000,000",
    ),
    "shape bomb": (
        _header("{'descr': '<f4', 'fortran_order': False, 'shape': (4194305, 4194305, 211106198978564)}\n"),
        "the limit is",
    ),
    "negative": (_header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4)}\n"), r"shape \(-1, 4\)"),
    "code": (_header("__import__('os').system('true')\n"), "header cannot be read"),
    "too short": (_npy(np.zeros(9))[:-3], "expected 200 bytes for its shape, found 197"),
    "too long": (_npy(np.zeros(9)) + b"x", "expected 200 bytes for its shape, found 201"),
}


@pytest.mark.parametrize(("data", "words"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_members_are_refused(tmp_path, data, words):
    with pytest.raises(DataError, match=words) as caught:
        read_npz(_member(tmp_path / "a.npz", data), ["x"], LIMIT)
    assert caught.value.place.path.endswith("a.npz[x.npy]")


def test_a_zip_bomb_is_refused_by_its_announced_size(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(20_000_000, np.uint8))
    with pytest.raises(DataError, match="20,000,000 bytes, the limit is 10,000,000"):
        read_npz(tmp_path / "a.npz", ["x"], LIMIT)


def test_the_limit_is_for_all_arrays_together(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros(6_000_000, np.uint8), y=np.zeros(6_000_000, np.uint8))
    with pytest.raises(DataError, match="the limit is 4,000,000"):
        read_npz(tmp_path / "a.npz", ["x", "y"], LIMIT)


def test_every_truncation_is_an_error(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(5))
    whole = (tmp_path / "a.npz").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "b.npz").write_bytes(whole[:length])
        with pytest.raises(DataError):
            read_npz(tmp_path / "b.npz", ["x"], LIMIT)


def test_a_flipped_bit_is_an_error_or_the_header_of_something_else(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(50))
    whole = bytearray((tmp_path / "a.npz").read_bytes())
    at = whole.index(np.arange(50).tobytes()) + 17
    whole[at] ^= 4
    (tmp_path / "a.npz").write_bytes(whole)
    with pytest.raises(DataError, match="damaged"):
        read_npz(tmp_path / "a.npz", ["x"], LIMIT)


def test_two_arrays_of_one_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", _npy(np.zeros(1)))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("x.npy", _npy(np.ones(1)))
    with pytest.raises(DataError, match="the array 'x' is there twice"):
        read_npz(tmp_path / "a.npz", ["x"], LIMIT)


def test_a_list_of_members_has_a_bound(tmp_path):
    """It is read whole before the first member is: here its length is announced, and refused."""
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    data = bytearray((tmp_path / "a.npz").read_bytes())
    end = data.rindex(b"PK\x05\x06")
    data[end + 12 : end + 16] = (2**31).to_bytes(4, "little")
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(DataError, match="a list of members of 2,147,483,648 bytes"):
        read_npz(tmp_path / "a.npz", ["x"], LIMIT)


@pytest.mark.parametrize("dtype", [">f4", "<f8", ">i2", "u1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_in_the_machines_order(tmp_path, dtype, order):
    array = np.asarray(np.arange(24).reshape(2, 3, 4), dtype, order=order)
    np.savez(tmp_path / "a.npz", x=array, scalar=np.array(7, dtype))
    found = read_npz(tmp_path / "a.npz", ["x", "scalar"], LIMIT)
    np.testing.assert_array_equal(found["x"], array)
    assert found["x"].flags["C_CONTIGUOUS"]
    assert found["x"].dtype == np.dtype(dtype).newbyteorder("=")
    assert found["scalar"].shape == ()
    np.testing.assert_array_equal(read_npz(tmp_path / "a.npz", ["x"], LIMIT, mapped=True)["x"], array)
