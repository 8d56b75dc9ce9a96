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


def texts_of(name: str, width: int, count: int, form: int = 1) -> bytes:
    """An attribute of texts of one length; `form`: what follows a shorter one."""
    parts = [name.encode() + b"\0", struct.pack("<4BI", 0x13, form, 0, 0, width), space((count,))]
    return struct.pack("<BxHHH", 1, *map(len, parts)) + b"".join(map(padded, parts))


def older(*of_root: tuple[int, bytes], of_layer: tuple[tuple[int, bytes], ...] | None = None) -> bytes:
    """A file of the older form, whose only layer is `a`, with one array."""
    file = H5()
    said = of_layer if of_layer is not None else ((12, texts_of("weight_names", 8, 1) + b"kernel:0"),)
    layer = file.header([(17, table(file, b"kernel:0".ljust(16, b"\0"), [(0, file.dataset(VALUES))])), *said])
    return file.whole(file.header([(17, table(file, b"a".ljust(8, b"\0"), [(0, layer)])), *of_root]))


def one_layer_many_times() -> bytes:
    return older(*[(12, texts_of(f"layer_names{part}", 1, 64_000) + b"a" * 64_000) for part in range(8)], of_layer=())


def one_layer_in_thousands_of_parts() -> bytes:
    parts = tuple((12, attribute_of_one(f"weight_names{number}")) for number in range(9_999))
    return older((12, texts_of("layer_names", 1, 500) + b"a" * 500), of_layer=parts)


def names_that_are_ends_of_each_other() -> bytes:
    file = H5()
    array = file.dataset(VALUES)
    names = b"".join(b"a" * 980 + b"%06d" % block + "😀".encode() + bytes(4) for block in range(27))
    step = len(names) // 27
    members = [(step * block + at, array) for block in range(27) for at in range(980)]
    return file.whole(file.header([(17, table(file, names, members))]))


def one_long_group_of_many() -> bytes:
    file = H5()

    def link(name: str, address: int) -> tuple[int, bytes]:
        data = name.encode()
        return 6, struct.pack("<BBB", 1, 0, len(data)) + data + struct.pack("<Q", address)

    array = file.dataset(VALUES)
    group = file.header([link(f"{number:x}", array) for number in range(50_000)])
    for _ in range(4):
        group = file.header([link("😀" + "p" * 240, group)])
    return file.whole(group)


COSTS = {
    "one text, many times": (one_text_many_times, "parts that lie over each other"),
    "heaps within each other": (heaps_within_each_other, "parts that lie over each other"),
    "names within one name": (names_within_one_name, "a name of more than 1,000 bytes"),
    "one array under many names": (one_array_under_many_names, None),
    "names in thousands of parts": (names_in_thousands_of_parts, None),
    "one layer many times": (one_layer_many_times, "the layer a"),
    "one layer in thousands of parts": (one_layer_in_thousands_of_parts, "the layer a, which is listed twice"),
    "names that are ends of each other": (names_that_are_ends_of_each_other, "parts that lie over each other"),
    "one long group of many": (one_long_group_of_many, "characters together"),
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


LISTED = (12, texts_of("layer_names", 1, 1) + b"a")
IN_A_HEAP = struct.pack("<BBQQ", 0, 0, 800, 900)
"""What a group says of attributes that lie in a heap of their own, as those of groups with more than eight do."""


def stands_elsewhere(flags: int) -> bytes:
    """An attribute whose type is an address: of a type with a name of its own."""
    data = struct.pack("<BBHHH", 2, flags, 12, 10, 12) + b"layer_names\0" + struct.pack("<BBQ", 3, 2, 800)
    return data + struct.pack("<4BQ", 2, 1, 0, 1, 1) + b"a"


def in_a_heap(length: int, number: int, form: int = 1) -> bytes:
    """A file with a layer named by a text of a heap, which has one of three letters."""
    file = H5()
    heap = file.put(
        b"GCOL" + struct.pack("<B3xQ", 1, 4096) + struct.pack("<HH4xQ", 1, 1, 3) + b"abc".ljust(4064, b"\0")
    )
    kind = struct.pack("<4BI", 0x19, form, 0, 0, 16) + struct.pack("<4BI", 0x13, 0, 0, 0, 1)
    parts = [b"layer_names\0", kind, space((1,))]
    said = struct.pack("<BxHHH", 1, *map(len, parts)) + b"".join(map(padded, parts))
    return file.whole(
        file.header([(12, said + struct.pack("<IQI", length, heap, number)), (17, table(file, bytes(8), []))])
    )


UNREAD = {
    "a type that stands elsewhere": (lambda: older((12, stands_elsewhere(1))), "stands elsewhere"),
    "a shape that stands elsewhere": (lambda: older((12, stands_elsewhere(2))), "stands elsewhere"),
    "attributes in a heap": (lambda: older((21, IN_A_HEAP)), "attributes with an index of their own"),
    "a name without its end": (
        lambda: older((12, texts_of("layer_names", 1, 1).replace(b"names\0", b"names\x10") + b"a")),
        "an attribute whose name does not end",
    ),
    "texts of no bytes": (lambda: older((12, texts_of("layer_names", 0, 5))), "an attribute that is no text"),
    "texts with an unknown end": (lambda: older((12, texts_of("layer_names", 1, 1, 7) + b"a")), "that is no text"),
    "numbers in a heap": (lambda: in_a_heap(3, 1, form=0), "an attribute that is no text"),
    "a text that its heap does not have": (lambda: in_a_heap(3, 2), "of 3 bytes of which its heap has 0"),
    "a text longer than in its heap": (lambda: in_a_heap(9, 1), "of 9 bytes of which its heap has 3"),
    "a layer without a list of its arrays": (lambda: older(LISTED, of_layer=()), "the layer a without weight_names"),
}


@pytest.mark.parametrize("name", UNREAD)
def test_lists_that_are_not_read_are_refused(tmp_path, name):
    """Taken for none, or for others, they would leave arrays out that nobody hears of."""
    make, words = UNREAD[name]
    with pytest.raises(WeightsError, match=words):
        opened(tmp_path / "w.h5", make())


def test_blanks_that_fill_a_text_are_no_part_of_it(tmp_path):
    listed = texts_of("weight_names", 12, 1, 2) + b"kernel:0    "
    found = opened(tmp_path / "w.h5", older((12, texts_of("layer_names", 4, 1, 2) + b"a   "), of_layer=((12, listed),)))
    assert np.array_equal(found["kernel"], VALUES)


def test_arrays_of_a_model_itself_are_read(tmp_path):
    """Keras writes them beside the layers, which are all that it lists."""
    file = H5()
    layer = file.group({"kernel:0": file.dataset(VALUES)}, {"weight_names": ["kernel:0"]})
    top = file.group({"scale:0": file.dataset(VALUES[0])}, {"weight_names": ["scale:0"]})
    data = file.whole(file.group({"a": layer, "top_level_model_weights": top}, {"layer_names": ["a"]}))
    assert list(opened(tmp_path / "w.h5", data)) == ["kernel", "top_level_model_weights/scale"]
