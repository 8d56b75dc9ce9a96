"""Writers of small files in every format, from what the formats say, without the libraries that write them."""

from __future__ import annotations

import json
import math
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import ml_dtypes
import numpy as np
import safetensors.numpy

from tests.weights.hdf5 import H5

Arrays = Mapping[str, np.ndarray]
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def write_npz(path: Path, arrays: Arrays) -> None:
    np.savez(path, **arrays)


def write_safetensors(path: Path, arrays: Arrays) -> None:
    safetensors.numpy.save_file(dict(arrays), path)


# PyTorch -------------------------------------------------------------------------------------------------------------

STORAGES = {
    np.dtype("f4"): "FloatStorage",
    np.dtype("f8"): "DoubleStorage",
    np.dtype("f2"): "HalfStorage",
    BFLOAT16: "BFloat16Storage",
    np.dtype("i8"): "LongStorage",
}


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def numbers(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(array: np.ndarray, key: str, *, view: bytes = b"", offset: int = 0, count: int | None = None) -> bytes:
    """A call of PyTorch's for a tensor whose numbers lie in the storage `key`; `view`: what the older form adds."""
    strides = tuple(step // array.itemsize for step in array.strides)
    kept = array.size if count is None else count
    storage = b"ctorch\n" + STORAGES[array.dtype].encode() + b"\n"
    place = b"(" + text("storage") + storage + text(key) + text("cpu") + number(kept) + view + b"tQ"
    arguments = b"(" + place + number(offset) + numbers(array.shape) + numbers(strides) + b"\x89"
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"ccollections\nOrderedDict\n)RtR"


def dictionary(items: Mapping[str, bytes]) -> bytes:
    return b"}(" + b"".join(text(name) + value for name, value in items.items()) + b"u"


def pickle(value: bytes) -> bytes:
    return b"\x80\x02" + value + b"."


def torch_zip(path: Path, root: bytes, storages: Mapping[str, bytes], **extra: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", pickle(root))
        for name, data in extra.items():
            archive.writestr(f"net/{name}", data)
        for key, data in storages.items():
            archive.writestr(f"net/data/{key}", data)


def write_torch(path: Path, arrays: Arrays) -> None:
    tensors = {name: tensor(array, str(place)) for place, (name, array) in enumerate(arrays.items())}
    storages = {str(place): array.tobytes() for place, array in enumerate(arrays.values())}
    torch_zip(path, dictionary(tensors), storages, byteorder=b"little", version=b"3\n")


def torch_old(root: bytes, keys: list[str], storages: list[bytes]) -> bytes:
    magic = b"\x8a\n" + 0x1950A86A20F9469CFC6C.to_bytes(10, "little")
    system = dictionary({"protocol_version": number(1001), "little_endian": b"\x88", "type_sizes": b"}"})
    listed = b"](" + b"".join(map(text, keys)) + b"e"
    return b"".join([*map(pickle, (magic, number(1001), system, root, listed)), *storages])


def write_old_torch(path: Path, arrays: Arrays) -> None:
    keys = [str(94_000 + place) for place in range(len(arrays))]
    tensors = {name: tensor(array, key, view=b"N") for (name, array), key in zip(arrays.items(), keys, strict=True)}
    storages = [struct.pack("<q", array.size) + array.tobytes() for array in arrays.values()]
    path.write_bytes(torch_old(dictionary(tensors), keys, storages))


# TensorFlow ----------------------------------------------------------------------------------------------------------


def crc32c(data: bytes) -> int:
    """Bit by bit, from the polynomial."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    found = b""
    while value >= 0x80:
        found += bytes([value & 0x7F | 0x80])
        value >>= 7
    return found + bytes([value])


def field(key: int, value: int | bytes | str) -> bytes:
    """A field of a protobuf: a number or a text."""
    if isinstance(value, int):
        return varint(key << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(key << 3 | 2) + varint(len(data)) + data


def shape(sizes: tuple[int, ...]) -> bytes:
    return b"".join(field(2, field(1, size)) for size in sizes)


def part(starts: tuple[int, ...], lengths: tuple[int, ...]) -> bytes:
    """A slice; a length of -1 is left out: all of the axis."""
    extents = []
    for start, length in zip(starts, lengths, strict=True):
        extents.append((field(1, start) if start else b"") + (field(2, length) if length >= 0 else b""))
    return b"".join(field(1, extent) for extent in extents)


def ordered(name: str, starts: tuple[int, ...], lengths: tuple[int, ...]) -> bytes:
    """A key for small numbers: one byte for those from -64 to 63."""
    found = b"\0" + name.encode() + b"\0\1" + bytes([1, len(starts)] if starts else [0])
    for start, length in zip(starts, lengths, strict=True):
        found += bytes([0x80 ^ start & 0xFF, 0x80 ^ length & 0xFF])
    return found


def block(entries: list[tuple[bytes, bytes]], compress: Callable[[bytes], bytes] | None = None) -> bytes:
    data, restarts, before = b"", [], b""
    for place, (key, value) in enumerate(entries):
        shared = 0
        if place % 16 == 0:
            restarts.append(len(data))
        else:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        data += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    data += b"".join(struct.pack("<I", place) for place in restarts or [0]) + struct.pack("<I", len(restarts or [0]))
    data = (compress(data) + b"\1") if compress else data + b"\0"
    return data + struct.pack("<I", masked(data))


def table(entries: Mapping[bytes, bytes], compress: Callable[[bytes], bytes] | None = None) -> bytes:
    """A LevelDB table of blocks of three entries each."""
    items = sorted(entries.items())
    data, index = b"", []
    for place in range(0, len(items), 3):
        made = block(items[place : place + 3], compress)
        index.append((items[place : place + 3][-1][0], varint(len(data)) + varint(len(made) - 5)))
        data += made
    handles = b""
    for made in (block([]), block(index)):
        handles += varint(len(data)) + varint(len(made) - 5)
        data += made
    return data + handles.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


DTYPES = {np.dtype("f4"): 1, np.dtype("f8"): 2, np.dtype("i8"): 9, BFLOAT16: 14, np.dtype("f2"): 19}
VERSIONS = field(1, 1)


def write_tensorflow_1(path: Path, arrays: Arrays, parts: Mapping[str, tuple[int, ...]] | None = None) -> None:
    """`parts`: lengths along the first axis of the parts in which an array is kept."""
    metas, entries = b"", {}
    for name, array in arrays.items():
        full = (0,) * array.ndim, (-1,) * array.ndim
        pieces = [(*full, array)]
        if name in (parts or {}):
            cuts = np.cumsum((0, *parts[name]))
            pieces = [
                ((int(cut), *full[0][1:]), (length, *full[1][1:]), array[cut : cut + length])
                for cut, length in zip(cuts, parts[name], strict=False)
            ]
        slices = b"".join(field(4, part(starts, lengths)) for starts, lengths, _ in pieces)
        metas += field(1, field(1, name) + field(2, shape(array.shape)) + field(3, DTYPES[array.dtype]) + slices)
        for starts, lengths, piece in pieces:
            saved = field(1, name) + field(2, part(starts, lengths)) + field(3, values(piece))
            entries[ordered(name, starts, lengths)] = field(2, saved)
    entries[b""] = field(1, metas + field(2, VERSIONS))
    path.write_bytes(table(entries))


def values(array: np.ndarray) -> bytes:
    """TensorProto, without a type, as TensorFlow's own writer leaves it."""
    if array.dtype.itemsize == 2:
        return field(13, b"".join(varint(int(each)) for each in array.reshape(-1).view(np.uint16)))
    if array.dtype == np.int64:
        return field(10, b"".join(varint(int(each)) for each in array.reshape(-1)))
    return field(5 if array.dtype == np.float32 else 6, array.tobytes())


def write_tensorflow_2(
    path: Path,
    arrays: Arrays,
    shards: int = 1,
    parts: Mapping[str, tuple[int, ...]] | None = None,
    compress: Callable[[bytes], bytes] | None = None,
) -> None:
    """An index, and data in files beside it."""
    prefix = path.name.removesuffix(".index")
    data = [b""] * shards
    entries = {b"": field(1, shards) + field(3, VERSIONS)}

    def kept(array: np.ndarray, sizes: tuple[int, ...], place: int) -> bytes:
        raw = array.tobytes()
        start = len(data[place])
        data[place] += raw
        said = field(1, DTYPES[array.dtype]) + field(2, shape(sizes)) + field(3, place) + field(4, start)
        return said + field(5, len(raw)) + varint(6 << 3 | 5) + struct.pack("<I", masked(raw))

    for place, (name, array) in enumerate(arrays.items()):
        if name not in (parts or {}):
            entries[name.encode()] = kept(array, array.shape, place % shards)
            continue
        said, start = field(1, DTYPES[array.dtype]) + field(2, shape(array.shape)), 0
        for length in parts[name]:
            starts, lengths = (start, *(0,) * (array.ndim - 1)), (length, *(-1,) * (array.ndim - 1))
            said += field(7, part(starts, lengths))
            piece = array[start : start + length]
            entries[ordered(name, starts, lengths)] = kept(piece, piece.shape, place % shards)
            start += length
        entries[name.encode()] = said
    path.write_bytes(table(entries, compress))
    for place, raw in enumerate(data):
        path.with_name(f"{prefix}.data-{place:05}-of-{shards:05}").write_bytes(raw)


# Keras and ONNX ------------------------------------------------------------------------------------------------------


def write_h5(path: Path, arrays: Arrays) -> None:
    """The older form: layers and their arrays' names in attributes."""
    file, layers = H5(), {}
    for name, array in arrays.items():
        layer, _, local = name.partition("/")
        layers.setdefault(layer, {})[f"{local}:0"] = file.dataset(array)
    members = {layer: grouped(file, each, [f"{layer}/{name}" for name in each]) for layer, each in layers.items()}
    texts = {"layer_names": list(layers), "keras_version": ["2.15.0"]}
    path.write_bytes(file.whole(file.group(members, texts)))


def grouped(file: H5, arrays: Mapping[str, int], names: list[str]) -> int:
    """A layer's group, in which its arrays lie by their whole names."""
    tree: dict[str, object] = {}
    for name, address in zip(names, arrays.values(), strict=True):
        here = tree
        *groups, last = name.split("/")
        for part in groups:
            here = here.setdefault(part, {})  # type: ignore[assignment]
        here[last] = address

    def made(members: Mapping[str, object], texts: Mapping[str, list[str]]) -> int:
        return file.group({n: m if isinstance(m, int) else made(m, {}) for n, m in members.items()}, texts)  # type: ignore[arg-type]

    return made(tree, {"weight_names": names})


def write_onnx(path: Path, arrays: Arrays) -> None:
    from onnx import TensorProto, helper

    types = {np.dtype("f4"): 1, np.dtype("f8"): 11, np.dtype("i8"): 7, BFLOAT16: 16, np.dtype("f2"): 10}
    tensors = [
        TensorProto(name=name, dims=array.shape, data_type=types[array.dtype], raw_data=array.tobytes())
        for name, array in arrays.items()
    ]
    graph = helper.make_graph([], "net", [], [], tensors)
    path.write_bytes(helper.make_model(graph, producer_name="hand").SerializeToString())


def write_sharded(path: Path, arrays: Arrays) -> None:
    """Two files, as Hugging Face's libraries name them, and their index."""
    places = {}
    names = list(arrays)
    for number, part in enumerate((names[::2], names[1::2])):
        name = f"{path.name.partition('.')[0]}-0000{number + 1}-of-00002.safetensors"
        write_safetensors(path.with_name(name), {each: arrays[each] for each in part})
        places |= dict.fromkeys(part, name)
    path.write_text(json.dumps({"metadata": {"total_size": size_of(arrays)}, "weight_map": places}))


WRITERS: Mapping[str, tuple[str, Callable[[Path, Arrays], None]]] = {
    "npz": ("w.npz", write_npz),
    "safetensors": ("w.safetensors", write_safetensors),
    "torch": ("w.pth", write_torch),
    "old torch": ("w.pt", write_old_torch),
    "tensorflow 1": ("w.ckpt", write_tensorflow_1),
    "tensorflow 2": ("w.ckpt.index", write_tensorflow_2),
    "keras": ("w.h5", write_h5),
    "sharded": ("w.safetensors.index.json", write_sharded),
    "onnx": ("w.onnx", write_onnx),
}
"""Format -> (a file's name, its writer)."""
NO_BFLOAT16 = ("keras",)


def size_of(arrays: Arrays) -> int:
    return sum(math.prod(array.shape) * array.itemsize for array in arrays.values())
