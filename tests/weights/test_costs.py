"""Small files that would say more than they hold: a list, a name or a key that stands once and counts a million
times; and names and shapes that no array has, in every format."""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile

import numpy as np
import pytest

from graphc import weights
from graphc.compiler import plan_spec
from graphc.conversion import described, found_map
from graphc.errors import WeightsError
from graphc.weights.tensorflow.crc32c import crc32c, masked
from tests.costs import SMALL, little
from tests.weights import files
from tests.weights.hdf5 import H5

ONE = np.ones(3, "f4")
MANY = 20_000
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"


def kept(number: int, value: bytes) -> bytes:
    """A value in the memo, and gone from the stack."""
    return value + b"r" + struct.pack("<I", number) + b"0"


def again(number: int) -> bytes:
    return b"j" + struct.pack("<I", number)


def listed(values: bytes) -> bytes:
    return b"](" + values + b"e"


def called(many: int, function: int = 0, arguments: int = 1) -> bytes:
    """The function of the memo with the argument of the memo, so many times, in a list."""
    return b"(" + (again(function) + again(arguments) + b"\x85R") * many + b"l"


def storage(kind: bytes = b"FloatStorage", count: int = 3) -> bytes:
    return (
        b"("
        + files.text("storage")
        + b"ctorch\n"
        + kind
        + b"\n"
        + files.text("0")
        + files.text("cpu")
        + files.number(count)
        + b"tQ"
    )


def sizes() -> bytes:
    return kept(0, b"ctorch\nSize\n") + kept(1, listed(b"N" * 300_000)) + called(MANY)


def dictionaries() -> bytes:
    pairs = b"".join(files.number(key) + b"N\x86" for key in range(MANY))
    return kept(0, b"ccollections\nOrderedDict\n") + kept(1, listed(pairs)) + called(MANY)


def shapes(wrapped: bool = False) -> bytes:
    arguments = b"(" + again(2) + files.number(0) + again(3) + again(3) + b"t"
    start = kept(0, TENSOR) + kept(2, storage()) + kept(3, listed(b"K\0" * 300_000)) + kept(1, arguments)
    if wrapped:
        start += kept(1, b"(" + again(0) + b"N" + again(1) + b"t") + kept(0, b"ctorch._tensor\n_rebuild_from_type_v2\n")
    return start + b"(" + (again(0) + again(1) + b"R0") * MANY + b"l"


def calls_within_calls() -> bytes:
    start = kept(0, b"ctorch._tensor\n_rebuild_from_type_v2\n") + again(0)
    return start + (b"(" + again(0) + b"N") * MANY + b"(NNNt" + b"t" * MANY + b"R"


def names() -> bytes:
    start = kept(1, files.text("k" * 100_000)) + kept(2, files.tensor(ONE, "0"))
    return start + listed((b"}" + again(1) + again(2) + b"s") * MANY)


def places() -> bytes:
    """9 lists of 9 lists of 9 …: 700 bytes."""
    root = kept(0, files.tensor(ONE, "0")) + listed(again(0) * 10)
    for level in range(1, 6):
        root = root + b"r" + struct.pack("<I", level) + b"0" + listed(again(level) * 9)
    return root


def arrays_at(many: int, name: str = "places") -> bytes:
    """A dictionary of a thousand arrays at so many places, and operations without end."""
    arrays = b"}(" + b"".join(files.text(str(number)) + again(0) for number in range(1_000)) + b"u"
    start = kept(0, files.tensor(ONE, "0")) + kept(1, arrays)
    return start + b"}" + files.text(name) + listed(again(1) * many) + b"s" + b"N0" * 100_000


PICKLES = {
    "one dictionary at many places": (lambda: arrays_at(900), "at most 10,000 arrays"),
    "long names of one dictionary": (lambda: arrays_at(9, "module." * 140), "at most [0-9,]+ characters together"),
    "one list as many sizes": (sizes, "at most 2,000,000 values together"),
    "one list as many dictionaries": (dictionaries, "at most 2,000,000 values together"),
    "one list as many shapes": (shapes, "at most 2,000,000 values together"),
    "one list as many shapes of a class": (lambda: shapes(wrapped=True), "at most 2,000,000 values together"),
    "calls within calls": (calls_within_calls, "a call of what is no function"),
    "one name in many dictionaries": (names, "names of at most 1,000 characters"),
    "one tensor at many places": (places, "at most 1,000 values"),
}


@pytest.mark.posix
@pytest.mark.parametrize("name", PICKLES)
@pytest.mark.parametrize("old", [False, True], ids=["zip", "old"])
def test_pickles_that_say_one_thing_a_million_times(tmp_path, name, old):
    make, words = PICKLES[name]
    path = tmp_path / "w.pth"
    if old:
        path.write_bytes(files.torch_old(make().replace(b"tQ", b"NtQ"), ["0"], [struct.pack("<q", 3) + ONE.tobytes()]))
    else:
        files.torch_zip(path, make(), {"0": ONE.tobytes()})
    assert path.stat().st_size < SMALL
    with little(), pytest.raises(WeightsError, match=words):
        weights.load(path, {})


@pytest.mark.posix
def test_a_million_values_that_are_no_arrays(tmp_path):
    root = files.dictionary({"w": files.tensor(ONE, "0"), "losses": listed(b"N" * 990_000)})
    files.torch_zip(tmp_path / "w.pth", root, {"0": ONE.tobytes()})
    with little(memory=60):
        _, report = weights.load(tmp_path / "w.pth", {"w": (3,)})
    assert report.loaded == ("w",)


def test_a_dictionary_that_stands_once_may_be_at_many_places(tmp_path):
    layers = files.dictionary({f"l{number}": files.tensor(ONE, "0") for number in range(100)})
    root = kept(0, layers) + files.dictionary({f"place{number}": again(0) for number in range(20)})
    files.torch_zip(tmp_path / "w.pth", root, {"0": ONE.tobytes()})
    with weights.open_weights(tmp_path / "w.pth") as file:
        assert len(file.names) == 2_000


@pytest.mark.parametrize("kinds", [(b"FloatStorage", b"HalfStorage"), (b"HalfStorage", b"FloatStorage")])
def test_a_storage_of_two_types(tmp_path, kinds):
    """PyTorch's reader gives both arrays the type of the first."""
    numbers = np.arange(6, dtype="f4")
    counts = {b"FloatStorage": 6, b"HalfStorage": 12}
    arrays = {}
    for kind in kinds:
        arguments = storage(kind, counts[kind]) + files.number(0) + files.numbers((6,)) + files.numbers((1,))
        arrays[kind.decode()] = TENSOR + b"(" + arguments + b"\x89}tR"
    files.torch_zip(tmp_path / "w.pth", files.dictionary(arrays), {"0": numbers.tobytes()})
    with pytest.raises(WeightsError, match="expected storages of one type each, found one of two"):
        weights.load(tmp_path / "w.pth", {})


def index_of(entries: bytes) -> bytes:
    """A table of one block, whose checksum is right."""
    data = entries + struct.pack("<II", 0, 1)
    block = data + b"\0" + struct.pack("<I", masked(crc32c(data + b"\0")))
    index = files.block([(b"\xff", files.varint(0) + files.varint(len(data)))])
    handles = b"".join(files.varint(each) for each in (0, len(data), len(block), len(index) - 5))
    return block + index + handles.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def entry(shared: int, fresh: bytes, value: bytes = b"") -> bytes:
    return files.varint(shared) + files.varint(len(fresh)) + files.varint(len(value)) + fresh + value


HEADER = entry(0, b"", files.field(1, 1) + files.field(3, files.VERSIONS))


@pytest.mark.posix
@pytest.mark.parametrize("long", [60_000, 900])
def test_keys_that_share_nearly_all_of_their_letters(tmp_path, long):
    ends = (b"%06d" % number for number in range(90_000))
    entries = HEADER + entry(0, b"a" * long) + b"".join(entry(long, end) for end in ends)
    (tmp_path / "w.ckpt.index").write_bytes(index_of(entries))
    assert len(entries) < SMALL
    with little(), pytest.raises(WeightsError, match="at most 16,777,216 bytes together"):
        weights.load(tmp_path / "w.ckpt.index", {})


@pytest.mark.parametrize("keys", [(b"b", b"a"), (b"a", b"a")])
def test_keys_of_a_block_that_are_not_in_order(tmp_path, keys):
    (tmp_path / "w.ckpt.index").write_bytes(index_of(HEADER + b"".join(entry(0, key) for key in keys)))
    with pytest.raises(WeightsError, match="expected keys in order"):
        weights.load(tmp_path / "w.ckpt.index", {})


def zip_of_many(members: int, said: int) -> bytes:
    """An archive whose list of members is said to have `said` bytes in the form of 32 bits."""
    found = bytearray(b"PK\3\4" + struct.pack("<5H3I2H", 20, 0, 0, 0, 33, 0, 0, 0, 5, 0) + b"0.npy")
    start = len(found)
    for number in range(members):
        found += b"PK\1\2" + struct.pack("<6H3I5H2I", 20, 20, 0, 0, 0, 33, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0)
        found += b"%07d" % number
    size = len(found) - start
    found += b"PK\6\6" + struct.pack("<Q2H2I4Q", 44, 45, 45, 0, 0, members, members, size, start)
    found += b"PK\6\7" + struct.pack("<IQI", 0, start + size, 1)
    return bytes(found) + b"PK\5\6" + struct.pack("<4H2IH", 0, 0, 65_535, 65_535, said, 2**32 - 1, 0)


@pytest.mark.posix
@pytest.mark.parametrize("suffix", [".npz", ".pth", ".keras"])
@pytest.mark.parametrize("said", [100, 2**32 - 1])
def test_the_list_of_members_is_bounded_in_both_forms(tmp_path, suffix, said):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(zip_of_many(400_000, said))
    with little(), pytest.raises(WeightsError, match="a list of members of"):
        weights.load(path, {})


# names and shapes -----------------------------------------------------------------------------------------------------

NAMES = {"long": "a." * 30_000 + "w", "two lines": "w\nnet.yaml:1:1: error[G100]: another", "a color": "w\x1b[31m"}
HALF = b"X\3\0\0\0" + "\ud800".encode("utf-8", "surrogatepass")


@pytest.mark.posix
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", files.WRITERS)
def test_names_that_no_array_has(tmp_path, form, name):
    if form == "sharded":
        pytest.skip("its names are those of its files")
    file, write = files.WRITERS[form]
    write(tmp_path / file, {NAMES[name] if form != "keras" else f"a/{NAMES[name]}": ONE})
    with little(), pytest.raises(WeightsError) as caught:
        weights.load(tmp_path / file, {})
    said = str(caught.value)
    assert "\n" not in said
    assert "\x1b" not in said
    assert len(said) < 1_000


def test_a_name_with_half_a_letter(tmp_path):
    files.torch_zip(tmp_path / "w.pth", b"}" + HALF + files.tensor(ONE, "0") + b"s", {"0": ONE.tobytes()})
    with pytest.raises(WeightsError, match="that can be printed"):
        weights.load(tmp_path / "w.pth", {})


@pytest.mark.posix
def test_modules_of_a_gamma_alone_are_found_in_linear_time(tmp_path, plan):
    arguments = b"(" + storage() + files.number(0) + files.numbers((3,)) + files.numbers((1,)) + b"t"
    call = again(0) + again(1) + b"R"
    names = b"".join(files.text(f"m{number}.gamma") + call for number in range(40_000))
    root = kept(0, TENSOR) + kept(1, arguments) + b"}(" + names + b"u"
    files.torch_zip(tmp_path / "w.pth", root, {"0": ONE.tobytes()})
    with little(), pytest.raises(WeightsError, match="expected 1 module with variables, found 0"):
        found_map(tmp_path / "w.pth", tmp_path / "net.yaml")


MODULES = {
    "conv{x}.": "conv{x}: brackets in a name",
    "conv{.": "conv{: brackets in a name",
    "c" * 600 + ".": "a name of 1 to 500 characters, found 600",
    "": "a name of 1 to 500 characters, found 0",
}


@pytest.mark.parametrize("module", MODULES)
def test_modules_of_which_no_rule_can_be_written(tmp_path, plan, module):
    arrays = {f"{module}weight": np.zeros((4, 3, 3, 3), "f4"), f"{module}bias": np.zeros(4, "f4")}
    files.write_torch(tmp_path / "w.pth", arrays)
    with pytest.raises(WeightsError, match=re.escape(MODULES[module])) as caught:
        found_map(tmp_path / "w.pth", tmp_path / "net.yaml")
    assert "w.pth: expected names of modules that rules can be written of" in str(caught.value)


@pytest.mark.parametrize(
    ("form", "names"),
    [
        ("torch", ("state_dict/w", "state_dict/module/w")),
        ("safetensors", ("w", "w/.ATTRIBUTES/VARIABLE_VALUE")),
    ],
)
def test_two_arrays_that_would_be_called_alike(tmp_path, form, names):
    file, write = files.WRITERS[form]
    write(tmp_path / file, dict.fromkeys(names, ONE))
    with weights.open_weights(tmp_path / file) as opened, pytest.raises(WeightsError, match="w: expected one array"):
        weights.Selection(opened)


def test_names_of_many_parts(tmp_path, plan):
    """As many beginnings as a name has parts, of all of which a network could be a part."""
    name = ".".join("a" * 400)
    header = {f"{number}.{name}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for number in range(2_000)}
    write_header(tmp_path / "w.safetensors", header)
    with little(), pytest.raises(WeightsError, match="expected variables of"):
        weights.load_variables(tmp_path / "w.safetensors", plan)


@pytest.fixture
def plan(tmp_path):
    spec = "graphc: 1\nname: net\ninputs: {image: [N, 8, 8, 3]}\nlayers: [{conv2d: {name: c, filters: 4, kernel: 3}}]\n"
    (tmp_path / "net.yaml").write_text(spec)
    return plan_spec(tmp_path / "net.yaml")


def write_header(path, header, data=b""):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


SHAPES = {
    "more numbers than have names": [2**62] * 30,
    "axes without an end": [2**62] * 300_000,
    "more digits than Python writes": [2**62] * 300,
}


@pytest.mark.posix
@pytest.mark.parametrize("name", SHAPES)
def test_shapes_that_no_array_has(tmp_path, name):
    path = tmp_path / "w.safetensors"
    write_header(path, {"w": {"dtype": "F32", "shape": SHAPES[name], "data_offsets": [0, 0]}})
    with little(), pytest.raises(WeightsError, match=r"w: expected (at most 32 axes|an array's shape)"):
        described(path)


def test_the_shape_of_an_npz_is_looked_at_before_it_is_shown(tmp_path):
    shape = str((2**62,) * 300)
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("w.npy", b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text)
    with pytest.raises(WeightsError, match="w: the header announces the shape"):
        described(tmp_path / "w.npz")


WRONG = {
    "fewer bytes than the shape takes": ({"w": [2, 3]}, {}, "w: expected 24 bytes for its shape, found 4"),
    "metadata that are numbers": ({"w": [1]}, {"__metadata__": {"format": 3}}, "expected metadata of texts"),
    "metadata that are a list": ({"w": [1]}, {"__metadata__": []}, "expected metadata of texts"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_the_library_of_safetensors_refuses(tmp_path, name):
    arrays, more, words = WRONG[name]
    header = {key: {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]} for key, shape in arrays.items()}
    write_header(tmp_path / "w.safetensors", {**header, **more}, ONE[:1].tobytes())
    with pytest.raises(WeightsError, match=words):
        described(tmp_path / "w.safetensors")


BYTES = 2**28


def archived(method: int, metadata: bytes) -> bytes:
    """An archive of Keras."""
    inner = H5()
    data = inner.whole(inner.group({"a": inner.dataset(ONE)}, {}))
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        archive.writestr("metadata.json", metadata, method)
        archive.writestr("model.weights.h5", data)
    return file.getvalue()


def one_array(method: int) -> bytes:
    np.save(array := io.BytesIO(), ONE)
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        archive.writestr("a.npy", array.getvalue(), method)
    return file.getvalue()


@pytest.mark.posix
def test_a_member_that_unpacks_to_more_than_is_said_of_it(tmp_path):
    data = archived(zipfile.ZIP_DEFLATED, b" " * BYTES).replace(struct.pack("<I", BYTES), struct.pack("<I", 100))
    assert len(data) < SMALL
    (tmp_path / "w.keras").write_bytes(data)
    with little(), pytest.raises(WeightsError, match="a damaged archive"):
        weights.load(tmp_path / "w.keras", {})


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_that_are_not_unpacked_in_parts_are_refused(tmp_path, method):
    """Neither Keras nor NumPy write them, and Python's LZMA has an error of its own where they are damaged."""
    for name, data in (("w.keras", archived(method, b"{}")), ("w.npz", one_array(method))):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(WeightsError, match=f"compressed by method {method}, neither stored nor deflated"):
            weights.load(tmp_path / name, {})


def test_an_archive_ends_where_its_bytes_do(tmp_path):
    """What its list says of a member's bytes is no leave to read those behind it."""
    data = archived(zipfile.ZIP_DEFLATED, b"{}")
    at = data.rindex(b"PK\1\2") + 24
    (tmp_path / "w.keras").write_bytes(data[:at] + struct.pack("<I", 2**31) + data[at + 4 :])
    with pytest.raises(WeightsError, match=r"bytes in place of 2,147,483,648: a damaged archive"):
        weights.load(tmp_path / "w.keras", {})
