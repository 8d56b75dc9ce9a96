"""HDF5 as strangers may write it: what its parts may cost, and what its types mean."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from graphc import weights
from graphc.errors import WeightsError
from graphc.weights.lookup3 import lookup3
from tests.costs import SMALL, little
from tests.weights.hdf5 import H5, message, newer_h5, padded, space, summed

VALUES = np.arange(1, 7, dtype="<f4").reshape(2, 3)
MANY = 4_000
LARGE = 1_000_000


FLOAT32 = struct.pack("<4BIHH4BI", 0x11, 0x20, 31, 0, 4, 0, 32, 23, 8, 0, 23, 127)
DESCRIBED = 300
"""Where the numbers begin, behind all that is said of them."""


def described(kind: bytes = FLOAT32) -> bytes:
    """A file of the newer form with one array, `a`, up to its numbers."""
    of_array = message(1, struct.pack("<4B2Q", 2, 2, 0, 1, 2, 3)) + message(3, kind)
    of_array += message(8, struct.pack("<BBQQ", 3, 1, DESCRIBED, VALUES.nbytes))
    header = summed(b"OHDR" + struct.pack("<BBI", 2, 2, len(of_array)) + of_array)
    link = struct.pack("<BBB", 1, 0, 1) + b"a"
    at = len(newer_h5(message(6, link + bytes(8))))
    return newer_h5(message(6, link + struct.pack("<Q", at)), header)


def array(kind: bytes = FLOAT32) -> bytes:
    return described(kind).ljust(DESCRIBED, b"\0") + VALUES.tobytes()


def opened(path, data: bytes):
    path.write_bytes(data)
    with weights.open_weights(path) as file:
        return {name: file.read(name) for name in file.names}


def test_the_checksum_is_jenkins_lookup3():
    assert lookup3(b"") == 0xDEADBEEF  # the two of lookup3.c
    assert lookup3(b"Four score and seven years ago") == 0x17770551


def test_an_array_of_the_newer_form(tmp_path):
    assert np.array_equal(opened(tmp_path / "w.h5", array())["a"], VALUES)


def test_every_bit_of_what_a_newer_file_says_is_under_a_checksum(tmp_path):
    data = array()
    for place in range(len(described())):
        wrong = bytearray(data)
        wrong[place] ^= 1
        with pytest.raises(WeightsError):
            opened(tmp_path / "w.h5", bytes(wrong))


TYPES = {
    "another bias": (12 + 4, struct.pack("<I", 100)),
    "the first bit of the mantissa is written": (1, b"\x00"),
    "the order of bytes of a VAX": (1, b"\x61"),
    "the sign elsewhere": (2, b"\x00"),
    "fewer bits than bytes": (10, struct.pack("<H", 31)),
    "the exponent elsewhere": (12, b"\x00"),
}


@pytest.mark.parametrize("name", TYPES)
def test_floats_that_are_not_those_of_ieee_are_refused(tmp_path, name):
    """HDF5 converts them; taken for IEEE's they would be other numbers."""
    at, part = TYPES[name]
    kind = FLOAT32[:at] + part + FLOAT32[at + len(part) :]
    with pytest.raises(WeightsError, match="found float of 4 bytes, not as IEEE has it"):
        opened(tmp_path / "w.h5", array(kind))


@pytest.mark.parametrize("more", [0, 3, 7, 8, 2**63, 2**64 - 1])
def test_a_header_goes_on_in_a_part_that_has_room_for_its_ends(tmp_path, more):
    data = newer_h5(message(16, struct.pack("<QQ", 90, more)), bytes(300))
    with pytest.raises(WeightsError, match="expected a file of Keras, found"):
        opened(tmp_path / "w.h5", data)


def texts(name: str, places: list[tuple[int, int]]) -> bytes:
    """An attribute of texts in heaps: (where the heap is, letters of its first text)."""
    kind = struct.pack("<4BI", 0x19, 1, 0, 0, 16) + struct.pack("<4BI", 0x13, 0, 0, 0, 1)
    parts = [name.encode() + b"\0", kind, space((len(places),))]
    refs = b"".join(struct.pack("<IQI", count, heap, 1) for heap, count in places)
    return struct.pack("<BxHHH", 1, *map(len, parts)) + b"".join(map(padded, parts)) + refs


def one_text_many_times() -> bytes:
    file = H5()
    head = b"GCOL" + struct.pack("<B3xQ", 1, LARGE + 48) + struct.pack("<HH4xQ", 1, 1, LARGE)
    heap = file.put(head + b"a" * LARGE + bytes(16))
    return file.whole(file.header([(12, texts("layer_names", [(heap, LARGE)] * MANY))]))


def heaps_within_each_other() -> bytes:
    file, size = H5(), 32 * MANY + LARGE
    data = bytearray(size)
    for at in range(0, 32 * MANY, 32):
        data[at : at + 16] = b"GCOL" + struct.pack("<B3xQ", 1, size - at)
        data[at + 16 : at + 32] = struct.pack("<HH4xQ", 1, 1, size - at - 32)
    start = file.put(bytes(data))
    return file.whole(file.header([(12, texts("layer_names", [(start + 32 * at, 1) for at in range(MANY)]))]))


def table(file: H5, names: bytes, members: list[tuple[int, int]]) -> bytes:
    """The message of a group of the older form, whose members are (place of the name, address)."""
    heap = file.put(b"HEAP" + struct.pack("<I3Q", 0, len(names), 1, file.put(names)))
    entries = b"".join(struct.pack("<QQI20x", name, address, 0) for name, address in members)
    leaf = file.put(b"SNOD" + struct.pack("<BxH", 1, len(members)) + entries)
    tree = file.put(b"TREE" + struct.pack("<BBH5Q", 0, 0, 1, 2**64 - 1, 2**64 - 1, 0, leaf, 0))
    return struct.pack("<QQ", tree, heap)


def names_within_one_name() -> bytes:
    file = H5()
    array = file.dataset(VALUES)
    members = [(at, array) for at in range(5 * MANY)]
    return file.whole(file.header([(17, table(file, b"a" * 200_000 + bytes(8), members))]))


def one_array_under_many_names() -> bytes:
    """With a header that takes long to read."""
    file = H5()
    messages = [(1, space((2, 3))), (3, FLOAT32), (8, struct.pack("<BBQQ", 3, 1, 96, VALUES.nbytes))]
    array = file.header([*messages, *[(0, b"")] * 60_000])
    names = b"".join(b"%07d\0" % number for number in range(MANY))
    return file.whole(file.header([(17, table(file, names, [(8 * at, array) for at in range(MANY)]))]))


def names_in_thousands_of_parts() -> bytes:
    file = H5()
    parts = [(12, attribute_of_one(f"layer_names{number}")) for number in range(9_999)]
    return file.whole(file.header([*parts, (17, table(file, bytes(8), []))]))


def attribute_of_one(name: str) -> bytes:
    parts = [name.encode() + b"\0", struct.pack("<4BI", 0x13, 1, 0, 0, 1), space((0,))]
    return struct.pack("<BxHHH", 1, *map(len, parts)) + b"".join(map(padded, parts))


COSTS = {
    "one text, many times": (one_text_many_times, "parts that lie over each other"),
    "heaps within each other": (heaps_within_each_other, "parts that lie over each other"),
    "names within one name": (names_within_one_name, "a name of more than 1,000 bytes"),
    "one array under many names": (one_array_under_many_names, None),
    "names in thousands of parts": (names_in_thousands_of_parts, None),
}


@pytest.mark.posix
@pytest.mark.parametrize("name", COSTS)
def test_parts_that_are_said_again_and_again_cost_little(tmp_path, name):
    make, words = COSTS[name]
    data = make()
    assert len(data) < SMALL
    with little():
        if words is None:
            opened(tmp_path / "w.h5", data)
        else:
            with pytest.raises(WeightsError, match=words):
                opened(tmp_path / "w.h5", data)
