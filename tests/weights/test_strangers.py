"""Files that no library writes: what would be read as something else than is there, costs more than it holds, or says
what no terminal should show."""

from __future__ import annotations

import io
import struct
import zipfile

import numpy as np
import pytest

from graphc import weights
from graphc.compiler import plan_spec
from graphc.conversion import COLUMNS, described
from graphc.errors import WeightsError
from graphc.report.tables import render
from graphc.weights.file import MAX_ENTRIES
from graphc.weights.tensorflow.crc32c import crc32c, masked
from graphc.weights.tensorflow.messages import Slice, key_of
from graphc.weights.tensorflow.table import Table
from tests.costs import SMALL, little
from tests.weights import files
from tests.weights.test_costs import write_header

ARRAYS = {"net/c/weights": np.ones((3, 3, 3, 4), "f4"), "net/c/biases": np.zeros(4, "f4")}


@pytest.fixture
def plan(tmp_path):
    spec = "graphc: 1\nname: net\ninputs: {image: [N, 8, 8, 3]}\nlayers: [{conv2d: {name: c, filters: 4, kernel: 3}}]\n"
    (tmp_path / "net.yaml").write_text(spec)
    return plan_spec(tmp_path / "net.yaml")


def npy(header: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + data


# safetensors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry", [{}, {"dtype": "F" * 10_000, "shape": [1], "data_offsets": [0, 0]}, {"dtype": "\x1b[31m"}]
)
@pytest.mark.parametrize("name", ["w", "w" * 10_000, "\x1b[31m\n"])
def test_entries_of_safetensors_that_are_none(tmp_path, name, entry):
    write_header(tmp_path / "w.safetensors", {name: {"shape": [1], "data_offsets": [0, 0]} | entry})
    with pytest.raises(WeightsError, match=r"its entry in the header|that can be printed") as caught:
        described(tmp_path / "w.safetensors")
    assert len(caught.value.message) < 500
    assert "\x1b" not in caught.value.message


def test_types_that_are_not_read_are_shown(tmp_path):
    write_header(tmp_path / "w.safetensors", {"w": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}, b"12")
    assert described(tmp_path / "w.safetensors")[1][0][2] == "F8_E4M3"


def test_metadata_without_an_end(tmp_path):
    write_header(tmp_path / "w.safetensors", {"__metadata__": {"k" * 9_000: "v"} | dict.fromkeys(map(str, range(99)))})
    with pytest.raises(WeightsError, match="metadata of texts"):
        described(tmp_path / "w.safetensors")
    said = {"k" * 9_000: "v"} | {str(number): "v" for number in range(99)}
    write_header(tmp_path / "w.safetensors", {"__metadata__": said})
    words = described(tmp_path / "w.safetensors")[0]
    assert len(words) < 2_000
    assert words.endswith("and 50 more of its metadata")


# .npz -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["('|u1', (2,))", "('<f2', (1,))", "[('a', '|u1'), ('b', '|u1')]"])
def test_axes_and_fields_in_a_type_are_no_numbers(tmp_path, plan, kind):
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        for name, array in ARRAYS.items():
            header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {array.shape}}}"
            archive.writestr(f"{name}.npy", npy(header, bytes(2 * array.size)))
    with pytest.raises(WeightsError, match="expected float16, bfloat16, float32 or float64, found void16"):
        weights.load_variables(tmp_path / "w.npz", plan)


def test_a_version_of_npy_that_numpy_does_not_know(tmp_path):
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': ()}"
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("w.npy", npy(header, bytes(4)).replace(b"NUMPY\1\0", b"NUMPY\1\1"))
    with pytest.raises(WeightsError, match="expected a NumPy array, found something else"):
        described(tmp_path / "w.npz")


@pytest.mark.posix
def test_headers_that_compress_to_nothing(tmp_path):
    fields = ",".join(f"('{number:x}','f4')" for number in range(620))
    with zipfile.ZipFile(tmp_path / "w.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(200):
            archive.writestr(f"{number}.npy", npy(f"{{'descr':[{fields}],'fortran_order':False,'shape':()}}"))
    with little(), pytest.raises(WeightsError, match="headers of arrays that take no more than the file"):
        described(tmp_path / "w.npz")


@pytest.mark.posix
def test_what_lies_beside_a_network_is_not_unpacked_to_see_whether_it_is_neutral(tmp_path, plan):
    with zipfile.ZipFile(tmp_path / "w.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in ARRAYS.items():
            file = io.BytesIO()
            np.save(file, array)
            archive.writestr(f"{name}.npy", file.getvalue())
        with archive.open("net/c/beta.npy", "w") as member:
            member.write(npy("{'descr':'<f2','fortran_order':False,'shape':(50000000,)}"))
            for _ in range(100):
                member.write(bytes(1_000_000))
    assert (tmp_path / "w.npz").stat().st_size < SMALL
    with little(memory=60):
        _, report = weights.load_variables(tmp_path / "w.npz", plan)
    assert list(report.beside) == ["net/c/beta"]


# TensorFlow -----------------------------------------------------------------------------------------------------------


def checked(block: bytes) -> bytes:
    return block + b"\0" + struct.pack("<I", masked(crc32c(block + b"\0")))


def block(entries: list[tuple[bytes, bytes]]) -> bytes:
    """Keys without what they share with the ones before."""
    found, last = b"", b""
    for key, value in entries:
        shared = next((at for at, (one, other) in enumerate(zip(key, last, strict=False)) if one != other), len(last))
        sizes = map(files.varint, (shared, len(key) - shared, len(value)))
        found += b"".join(sizes) + key[shared:] + value
        last = key
    return found + struct.pack("<2I", 0, 1)


def table(blocks: list[list[tuple[bytes, bytes]]], again: int = 0, last: bytes = b"") -> bytes:
    """Blocks of these; `again`: how often the index says the last one anew."""
    data, handles = b"", []
    for entries in blocks:
        made = block(entries)
        handles.append((last or entries[-1][0], files.varint(len(data)) + files.varint(len(made))))
        data += checked(made)
    handles += [(b"z%03d" % number, handles[-1][1]) for number in range(again)]
    ends = b""
    for made in (block([]), block(handles)):
        ends += files.varint(len(data)) + files.varint(len(made))
        data += checked(made)
    return data + ends.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


HEAD = (b"", files.field(1, 1) + files.field(3, files.VERSIONS))
SCALAR = files.field(1, 1) + files.field(2, files.shape(())) + files.field(5, 4) + b"\x35\0\0\0\0"


@pytest.mark.posix
def test_a_block_that_the_index_says_again_and_again(tmp_path):
    keys = [(b"a%05d" % number, b"") for number in range(40_000)]
    (tmp_path / "w.ckpt.index").write_bytes(table([[HEAD, *keys]], again=300))
    with little(), pytest.raises(WeightsError, match=r"expected a block from .* on, behind the one before, found 0"):
        described(tmp_path / "w.ckpt.index")


@pytest.mark.posix
def test_a_block_for_every_key(tmp_path):
    keys = [b"a%05d" % number for number in range(8_000)]
    path = tmp_path / "w"
    path.write_bytes(table([[(key, key)] for key in keys]))
    with little(), path.open("rb") as file:
        read = Table(file)
        assert [bytes(read.get(key)) for key in keys] == keys


@pytest.mark.parametrize(
    ("blocks", "last"), [([[HEAD, (b"b", SCALAR)], [(b"a", SCALAR)]], b""), ([[HEAD, (b"b", SCALAR)]], b"a")]
)
def test_keys_that_the_index_has_elsewhere(tmp_path, blocks, last):
    (tmp_path / "w.ckpt.index").write_bytes(table(blocks, last=last))
    with pytest.raises(WeightsError, match="expected keys in order"):
        described(tmp_path / "w.ckpt.index")


@pytest.mark.posix
@pytest.mark.parametrize(("name", "count"), [(b"", MAX_ENTRIES + 1), (b"a/" * 400, 6_000)])
def test_more_and_longer_names_than_anybody_has(tmp_path, name, count):
    keys = [(name + b"a%05d" % number, SCALAR) for number in range(count)]
    (tmp_path / "w.ckpt.index").write_bytes(table([[HEAD, *keys]]))
    with little(), pytest.raises(WeightsError, match="expected"):
        described(tmp_path / "w.ckpt.index")


@pytest.mark.posix
def test_very_many_rows_with_one_long_name(tmp_path):
    rows = [("w" * 1_000 if not number else str(number), "", "float32", 1, "") for number in range(MAX_ENTRIES)]
    with little():
        text = render(COLUMNS, rows, "table")
    assert len(text) < 10_000_000
    assert text.splitlines()[2].split()[0].endswith("w…")


NAME = "net/c/weights"
WHOLE = files.part((0, 0, 0, 0), (-1, -1, -1, -1))


def first_version(slices: list[bytes], *tensor: bytes, entries: list[tuple[bytes, bytes]]) -> bytes:
    said = files.field(1, NAME) + b"".join(tensor) + files.field(3, 1) + b"".join(files.field(4, s) for s in slices)
    return table([[(b"", files.field(1, files.field(1, said)))], entries])


@pytest.mark.posix
def test_very_many_parts_without_numbers(tmp_path, plan):
    part = files.part((0, 0, 0, 0), (0, 3, 3, 4))
    entries = [(files.ordered(NAME, (0, 0, 0, 0), (0, 3, 3, 4)), files.field(2, b"\x08\0" * 150_000))]
    shape = files.field(2, files.shape((3, 3, 3, 4)))
    for count, words in ((20_000, "at most 10,000 parts"), (5_000, "found some without numbers")):
        (tmp_path / "w.ckpt").write_bytes(first_version([part] * count, shape, entries=entries))
        with little(), pytest.raises(WeightsError, match=words):
            weights.load_variables(tmp_path / "w.ckpt", plan)


def test_a_shape_that_is_said_twice(tmp_path):
    shape = files.field(2, files.shape((3, 3, 3, 4)))
    (tmp_path / "w.ckpt").write_bytes(first_version([WHOLE], shape, shape, entries=[(b"x", b"")]))
    with pytest.raises(WeightsError, match="expected one shape of an array, found two"):
        described(tmp_path / "w.ckpt")
    twice = files.field(2, files.shape(())) + SCALAR
    (tmp_path / "w.ckpt.index").write_bytes(table([[HEAD, (b"w", twice)]]))
    with pytest.raises(WeightsError, match="expected one shape of an array, found two"):
        described(tmp_path / "w.ckpt.index")


def test_an_axis_whose_size_is_said_twice_has_the_last(tmp_path):
    shape = files.field(2, files.field(2, files.field(1, 5) + files.field(1, 7)))
    (tmp_path / "w.ckpt").write_bytes(first_version([], shape, entries=[(b"x", b"")]))
    assert described(tmp_path / "w.ckpt")[1][0][1] == "7"


@pytest.mark.parametrize("said", [b"\x21" + bytes(8), b"\x25" + bytes(4), b"\x30\0"])
def test_numbers_of_another_kind_on_the_wire(tmp_path, said):
    """Which protobuf does not know as the field: an offset of eight or four bytes, a checksum as a varint."""
    (tmp_path / "w.ckpt.index").write_bytes(table([[HEAD, (b"w", SCALAR + said)]]))
    with pytest.raises(WeightsError, match=r"expected a (number|checksum), found"):
        described(tmp_path / "w.ckpt.index")


def test_numbers_of_no_type(tmp_path):
    for kind in (201, 2**64 - 99):
        (tmp_path / "w.ckpt.index").write_bytes(table([[HEAD, (b"w", files.field(1, kind) + SCALAR[2:])]]))
        assert described(tmp_path / "w.ckpt.index")[1][0][2].startswith("type ")


def test_parts_beyond_the_files_are_no_memory(tmp_path):
    """4 TB in one part, and an array beside the network that they would be."""
    big = 2**40
    said = files.field(1, 1) + files.field(2, files.shape((big,)))
    part = said + files.field(5, 4 * big) + b"\x35\0\0\0\0"
    whole = said + files.field(7, files.part((0,), (big,)))
    entries = [HEAD, (key_of("w", Slice((0,), (big,))), part), (b"w", whole)]
    (tmp_path / "w.ckpt.index").write_bytes(table([entries]))
    (tmp_path / "w.ckpt.data-00000-of-00001").write_bytes(bytes(8))
    with weights.open_weights(tmp_path / "w.ckpt.index") as file, pytest.raises(WeightsError, match=r"bytes from 0"):
        file.read("w")


# names ----------------------------------------------------------------------------------------------------------------


@pytest.mark.posix
def test_very_many_names_of_many_parts(tmp_path, plan):
    arrays = {f"a{n % 9}.b{n % 7}.c{n % 5}.d.e.f.g.m{n}.weight": None for n in range(15_000)}
    header = {name: {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for name in arrays}
    write_header(tmp_path / "w.safetensors", header)
    with little(), pytest.raises(WeightsError, match="expected variables of"):
        weights.load_variables(tmp_path / "w.safetensors", plan)
