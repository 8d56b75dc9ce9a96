"""Headers of NumPy's arrays that are read by Python's parser."""

from __future__ import annotations

import struct
import warnings
import zipfile

import numpy as np
import pytest

from graphc import weights
from graphc.data.npz import read_npz
from graphc.errors import DataError, WeightsError

LITERALS = "the array's header cannot be read: expected a dictionary of literals"
SHAPE = "the header announces the shape"
HEADERS = {
    "signs within signs": ("(" + "-" * 9_000 + "1,)", LITERALS),
    "negations": ("(" + "not " * 2_000 + "1,)", LITERALS),
    "powers of powers": ("(" + "1**" * 2_500 + "1,)", LITERALS),
    "functions of functions": ("(" + "lambda:" * 1_000 + "1,)", LITERALS),
    "digits, and a letter": ("(" + "1" * 9_000 + "x,)", LITERALS),
    "truth values": ("(True, 2)", SHAPE),
    "a negative axis": ("(-1,)", SHAPE),
    "a number of 4,200 digits": (f"({'9' * 4_200},)", SHAPE),
    "two of them, whose product has more than Python writes": (f"({'9' * 4_200}, {'9' * 4_200})", SHAPE),
    "65 axes": (str((1,) * 65), SHAPE),
}


def write(path, shape, data=b""):
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text + data)


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_are_none(tmp_path, name):
    shape, words = HEADERS[name]
    write(tmp_path / "x.npz", shape, bytes(8))
    with pytest.raises(DataError, match=words) as caught:
        read_npz(tmp_path / "x.npz", ["x"], 2**30)
    assert len(str(caught.value)) < 500
    with pytest.raises(WeightsError, match=words):
        weights.load(tmp_path / "x.npz", {"x": (2,)})


def test_headers_of_python_2_are_read_without_a_warning(tmp_path):
    write(tmp_path / "x.npz", "(2L,)", np.array([1, 2], "<f4").tobytes())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_npz(tmp_path / "x.npz", ["x"], 2**30)["x"].tolist() == [1, 2]


@pytest.mark.parametrize("name", ["a", "it's", 'say "a"', "a\\b", "\u00e4"])
def test_what_numpy_writes_is_read(tmp_path, name):
    array = np.zeros(2, [(name, "<f4"), ("b", "<i8", (2, 3))])
    np.savez(tmp_path / "x.npz", x=array, y=np.ones((2, 3), "f4", order="F"))
    assert read_npz(tmp_path / "x.npz", ["y"], 2**30)["y"].tolist() == [[1] * 3] * 2
    with pytest.raises(DataError, match="expected numbers, found"):  # of several fields
        read_npz(tmp_path / "x.npz", ["x"], 2**30)
