"""Checkpoints of other libraries: whole files, and what lies beneath their checksums."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.harness import Harness
from tests.weights import files, hdf5

from .arrays import SHAPES, ZIP, Weights, arrays

PICKLE = (
    *(b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nFloatStorage\n", b"ccollections\nOrderedDict\n", b"storage"),
    *(
        b"\x80\x02",
        b"}(",
        b"](",
        b"tQ",
        b"R",
        b"u.",
        b"\x89",
        b"J\x00\x00\x00\x00",
        b"K\x01",
        b"q\x00",
        b"h\x00",
        b"tb",
    ),
)


def written(write, path: Path, **options) -> bytes:
    """The bytes of the file that a writer makes at a path, of arrays of two types."""
    given = arrays()
    given["net/b/weights"] = given["net/b/weights"].astype(files.BFLOAT16)
    write(path, given, **options)
    return path.read_bytes()


class Torch(Weights):
    name = "weights.pth"
    suffix = ".pth"

    def seeds(self) -> Sequence[bytes]:
        return [written(files.write_torch, self.path), written(files.write_old_torch, self.path)]

    def words(self) -> Sequence[bytes]:
        return (*ZIP, *PICKLE)


class TorchPickle(Weights):
    """The pickle in a zip archive that is whole."""

    name = "weights.pth, pickle"
    suffix = ".pth"

    def seeds(self) -> Sequence[bytes]:
        given = arrays()
        plain = {name: files.tensor(array, str(place)) for place, (name, array) in enumerate(given.items())}
        nested = {"state_dict": files.dictionary(plain), "epoch": files.number(3)}
        return [files.pickle(files.dictionary(each)) for each in (plain, nested)]

    def words(self) -> Sequence[bytes]:
        return PICKLE

    def packed(self, data: bytes) -> bytes:
        found, ends, start = b"", b"", 0
        members = {"net/data.pkl": data}
        members |= {f"net/data/{place}": array.tobytes() for place, array in enumerate(arrays().values())}
        for name, content in members.items():
            size = struct.pack("<3I2H", zlib.crc32(content), len(content), len(content), len(name), 0)
            head = struct.pack("<5H", 20, 0, 0, 0, 33)
            found += b"PK\3\4" + head + size + name.encode() + content
            ends += b"PK\1\2\x14\0" + head + size + struct.pack("<3H2I", 0, 0, 0, 0, start) + name.encode()
            start = len(found)
        count = len(members)
        return found + ends + b"PK\5\6" + struct.pack("<4H2IH", 0, 0, count, count, len(ends), start, 0)


class TensorFlow1(Weights):
    name = "weights.ckpt"
    suffix = ".ckpt"

    def seeds(self) -> Sequence[bytes]:
        parts = {"net/b/weights": (1, 3)}
        return [written(files.write_tensorflow_1, self.path), written(files.write_tensorflow_1, self.path, parts=parts)]


class TensorFlow2(Weights):
    name = "weights.ckpt.index"
    suffix = ".ckpt.index"

    def prepare(self) -> None:
        written(files.write_tensorflow_2, self.path, parts={"net/b/weights": (1, 3)})

    def seeds(self) -> Sequence[bytes]:
        return [written(files.write_tensorflow_2, self.path, parts={"net/b/weights": (1, 3)})]


class Sharded(Weights):
    """An index of files that are as they should be."""

    name = "weights.index.json"
    suffix = ".safetensors.index.json"
    is_text = True

    def prepare(self) -> None:
        written(files.write_sharded, self.path)

    def seeds(self) -> Sequence[bytes]:
        return [written(files.write_sharded, self.path)]

    def words(self) -> Sequence[bytes]:
        return (b'"weight_map":', b'"metadata":', b".safetensors", b"../", *(name.encode() for name in SHAPES))


class Block(Harness):
    """A table of one block, whose checksum is right."""

    def packed(self, data: bytes) -> bytes:
        block = data + b"\0" + struct.pack("<I", files.masked(data + b"\0"))
        index = files.block([(b"\xff", files.varint(0) + files.varint(len(data)))])
        handles = b"".join(files.varint(each) for each in (0, len(data), len(block), len(index) - 5))
        return block + index + handles.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


class TensorFlow1Block(Block, Weights):
    """Keys and messages of version 1."""

    name = "weights.ckpt, block"
    suffix = ".ckpt"

    def seeds(self) -> Sequence[bytes]:
        return [one_block(files.write_tensorflow_1, self.path, parts={"net/b/weights": (1, 3)})]


class TensorFlow2Block(Block, TensorFlow2):
    """Keys and messages of version 2."""

    name = "weights.ckpt.index, block"

    def seeds(self) -> Sequence[bytes]:
        return [one_block(files.write_tensorflow_2, self.path, parts={"net/b/weights": (1, 3)})]


def one_block(write, path: Path, **options) -> bytes:
    """What a writer puts into its tables, as one block without its checksum."""
    kept: list[tuple[bytes, bytes]] = []
    whole = files.table

    def table(entries, *more):
        kept.extend(sorted(entries.items()))
        return whole(entries, *more)

    files.table = table
    try:
        write(path, arrays(), **options)
    finally:
        files.table = whole
    return files.block(kept)[:-5]


class Onnx(Weights):
    """Initializers that are read as weights."""

    name = "weights.onnx"
    suffix = ".onnx"

    def seeds(self) -> Sequence[bytes]:
        return [written(files.write_onnx, self.path)]


class Keras(Weights):
    """HDF5."""

    name = "weights.h5"
    suffix = ".h5"

    def seeds(self) -> Sequence[bytes]:
        path = self.folder / "seed.h5"
        files.write_h5(path, arrays())
        data = path.read_bytes()
        path.unlink()
        return [data]

    def words(self) -> Sequence[bytes]:
        kept = (b"HEAP", b"SNOD", b"TREE", b"GCOL", b"OHDR", b"OCHK", b"layer_names", b"weight_names", b"\xff" * 8)
        return (*kept, *(bytes([kind, 0]) for kind in range(23)))


class KerasNewer(Keras):
    """The messages of a root of the newer form, whose checksums are right."""

    name = "weights.h5, newer"

    def seeds(self) -> Sequence[bytes]:
        links = [struct.pack("<BBB", 1, 0, 1) + name + struct.pack("<Q", 48) for name in (b"a", b"b")]
        kind = struct.pack("<4BI", 0x13, 1, 0, 0, 3)

        def said(name: bytes, *texts: bytes) -> bytes:
            count = struct.pack("<4BQ", 2, 1, 0, 1, len(texts))
            head = struct.pack("<BBHHHB", 3, 0, len(name), len(kind), len(count), 0)
            return hdf5.message(12, head + name + kind + count + b"".join(texts))

        lists = said(b"layer_names\0", b"a/b") + said(b"weight_names\0")
        return [lists + b"".join(hdf5.message(6, link) for link in links)]

    def packed(self, data: bytes) -> bytes:
        return hdf5.newer_h5(data)


class KerasArchive(Keras):
    """The same in a .keras."""

    name = "weights.keras"
    suffix = ".keras"

    def packed(self, data: bytes) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("metadata.json", '{"keras_version": "3.3.3"}')
            archive.writestr("model.weights.h5", data)
        return file.getvalue()
