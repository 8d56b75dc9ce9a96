"""Arrays in files: .npz, .npy, .safetensors, IDX, CIFAR."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import zipfile
from collections.abc import Sequence

import numpy as np

from graphc.data.cifar import read_cifar
from graphc.data.idx import read_idx, write_idx
from graphc.data.npz import read_npy, read_npz
from graphc.weights import load, open_weights
from graphc.weights.npz import write_npz
from graphc.weights.safetensors_file import write_safetensors
from tests.fuzz.harness import Harness

LIMIT = 1_000_000
"""Bytes of arrays that are read."""
SHAPES = {"net/a/weights": (3, 3, 1, 2), "net/a/biases": (2,), "net/b/weights": (4, 5)}
NUMPY = (
    b"\x93NUMPY",
    b"'descr': ",
    b"'<f4'",
    b"'|O'",
    b"'V2'",
    b"[('a', '<f4')]",
    b"'fortran_order': ",
    b"'shape': (",
    b"True",
)
ZIP = (b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"x.npy", b"y.npy", b"../")


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}


def npz(save=np.savez, **of) -> bytes:
    file = io.BytesIO()
    save(file, **of)
    return file.getvalue()


def npy(array, version: tuple[int, int] = (1, 0)) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version, allow_pickle=False)
    return file.getvalue()


class Npz(Harness):
    """Data: only the arrays that are asked for."""

    name = "npz"
    suffix = ".npz"

    def seeds(self) -> Sequence[bytes]:
        images, labels = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3), np.array([0, 1])
        return [
            npz(x=images, y=labels),
            npz(np.savez_compressed, x=images.astype(">f4"), y=np.array(["cat", "dog"])),
            npz(x=np.asfortranarray(images), y=labels.astype("S1"), other=labels),
        ]

    def words(self) -> Sequence[bytes]:
        return (*ZIP, *NUMPY)

    def read(self) -> None:
        read_npz(self.path, ["x", "y"], LIMIT, texts=["y"])


class NpzMapped(Npz):
    """Data that stay in the file."""

    name = "npz, mapped"

    def seeds(self) -> Sequence[bytes]:
        images = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
        return [npz(x=images, y=np.array([0, 1])), npz(x=np.asfortranarray(images).astype(">f4"), y=np.zeros((2, 3)))]

    def read(self) -> None:
        for array in read_npz(self.path, ["x", "y"], LIMIT, mapped=True).values():
            array[..., :1].sum() if array.dtype.kind in "biuf" else None


class Npy(Harness):
    name = "npy"
    suffix = ".npy"

    def seeds(self) -> Sequence[bytes]:
        array = np.arange(12, dtype=np.float32).reshape(3, 4)
        return [npy(array), npy(array.T.astype(">i2"), (2, 0)), npy(array > 3, (3, 0))]

    def words(self) -> Sequence[bytes]:
        return NUMPY

    def read(self) -> None:
        read_npy(self.path)


class NpzHeader(Npy):
    """The same in a zip that is whole."""

    name = "npz, members"
    suffix = ".npz"

    def packed(self, data: bytes) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("x.npy", data)
        return file.getvalue()

    def read(self) -> None:
        read_npz(self.path, ["x"], LIMIT)


class Weights(Harness):
    """A format of weights: every array of a file is read, then those of a network by name."""

    def read(self) -> None:
        with open_weights(self.path) as file:
            for name in file.names:
                file.entry(name)
                file.read(name)
        load(self.path, SHAPES)[1].describe()


class WeightsNpz(Weights):
    name = "weights.npz"
    suffix = ".npz"

    def seeds(self) -> Sequence[bytes]:
        file = io.BytesIO()
        write_npz(file, arrays())
        half = {name: array.astype(np.float16) for name, array in arrays(1).items()}
        return [file.getvalue(), npz(np.savez_compressed, **half)]

    def words(self) -> Sequence[bytes]:
        return (*ZIP, *NUMPY, *(name.encode() for name in SHAPES))


class Safetensors(WeightsNpz):
    name = "weights.safetensors"
    suffix = ".safetensors"

    def seeds(self) -> Sequence[bytes]:
        file = io.BytesIO()
        write_safetensors(file, arrays())
        return [file.getvalue()]

    def words(self) -> Sequence[bytes]:
        kinds = (b'"F16"', b'"BF16"', b'"F64"', b'"I64"', b'"dtype":', b'"shape":', b'"data_offsets":', b"__metadata__")
        return (*kinds, *(name.encode() for name in SHAPES))


class SafetensorsHeader(Safetensors):
    """A header of JSON, with the length and the bytes that it asks for."""

    name = "safetensors, header"
    is_text = True

    def seeds(self) -> Sequence[bytes]:
        whole = super().seeds()[0]
        return [whole[8 : 8 + int.from_bytes(whole[:8], "little")]]

    def packed(self, data: bytes) -> bytes:
        size = sum(array.nbytes for array in arrays().values())
        with contextlib.suppress(ValueError, AttributeError, KeyError, TypeError, IndexError, RecursionError):
            size = min(max(each["data_offsets"][1] for each in json.loads(data).values()), LIMIT)
        return len(data).to_bytes(8, "little") + data + bytes(int(size) if size > 0 else 0)


class Idx(Harness):
    name = "idx"

    def seeds(self) -> Sequence[bytes]:
        found = []
        for array in (
            np.arange(60, dtype=np.uint8).reshape(5, 4, 3),
            np.arange(5, dtype=">f8"),
            np.zeros((2, 2), ">i2"),
        ):
            write_idx(self.path, array)
            found.append(self.path.read_bytes())
        return found

    def read(self) -> None:
        read_idx(self.path, LIMIT)


class IdxGz(Idx):
    """The compressed bytes are changed, too."""

    name = "idx.gz"
    suffix = ".gz"

    def packed(self, data: bytes) -> bytes:
        """What begins as IDX does is compressed."""
        return gzip.compress(data, mtime=0) if data[:1] == b"\0" else data

    def seeds(self) -> Sequence[bytes]:
        plain = [gzip.decompress(seed) for seed in super().seeds()]
        return [*plain, *(gzip.compress(each, mtime=0) for each in plain)]


class Cifar(Harness):
    name = "cifar10"
    suffix = ".bin"
    label_bytes = 1
    classes = 10

    def seeds(self) -> Sequence[bytes]:
        pixels = bytes(n % 251 for n in range(3072))
        return [b"".join(bytes([label] * self.label_bytes) + pixels for label in range(count)) for count in (1, 3)]

    def read(self) -> None:
        read_cifar([self.path], LIMIT, self.label_bytes, self.classes)


class Cifar100(Cifar):
    name = "cifar100"
    label_bytes = 2
    classes = 100
