"""What Keras writes: .weights.h5, .h5 and .keras, which are HDF5, the last one inside a zip archive."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from graphc.errors import WeightsError
from graphc.files import shown
from graphc.types import Array
from graphc.weights.file import MAX_ENTRIES, MAX_NAME, Entry, Layout, check_array, check_floats
from graphc.weights.floats import FLOATS, floats_of
from graphc.weights.hdf5 import SIGNATURE, Hdf5, Node
from graphc.weights.hdf5_messages import Hdf5Error, Stored
from graphc.weights.npz import BROKEN, LOCAL_HEADER, check_directory, check_members

START = SIGNATURE
WEIGHTS = "model.weights.h5"
"""The member of a .keras archive that holds the arrays."""
MAX_METADATA = 2**16
MAX_DEPTH = 32
CHUNK = 1 << 22
MAX_PARTS = 10_000
"""Of a list of names."""
MAX_LETTERS = 2**20
"""Of the names of all arrays, of which a group's name is part of each below it: so many, or as many as a larger file
has bytes."""
TOP = "top_level_model_weights"
"""The group of the older form that holds a model's own arrays, of no layer."""
HIDDEN = ("layers", "_layer_checkpoint_dependencies", "vars")
"""Groups of the third format that are no layers."""
EITHER = "gamma_or_beta"
NORMALIZED = {2: ("gamma", "beta"), 1: (EITHER,)}
KERNEL = {1: ("kernel",), 2: ("kernel", "bias")}
LOCAL: Mapping[str, Mapping[int, tuple[str, ...]]] = {
    "conv2d": KERNEL,
    "conv2d_transpose": KERNEL,
    "depthwise_conv2d": KERNEL,
    "dense": KERNEL,
    "separable_conv2d": {
        2: ("depthwise_kernel", "pointwise_kernel"),
        3: ("depthwise_kernel", "pointwise_kernel", "bias"),
    },
    "batch_normalization": {
        4: ("gamma", "beta", "moving_mean", "moving_variance"),
        3: (EITHER, "moving_mean", "moving_variance"),
        2: ("moving_mean", "moving_variance"),
    },
    "layer_normalization": NORMALIZED,
    "group_normalization": NORMALIZED,
    "layer_scale": {1: ("gamma",)},
    "p_re_lu": {1: ("alpha",)},
}
"""A Keras class in the third format, and how many variables a layer has -> what they are, which it does not say."""


class KerasFile:
    """The arrays of an open file that Keras wrote, as `layer/kernel`."""

    format = "Keras, HDF5"
    layout: Layout | None = "HWIO"
    in_order = False
    nested = False

    def __init__(self, file: BinaryIO, path: str) -> None:
        self.path = path
        self.metadata: Mapping[str, str] = {}
        self._arrays: dict[str, Stored] = {}
        self._seen: set[int] = set()
        try:
            said, start, size = _inside(file)
            self._file = Hdf5(file, start, size)
            letters = max(MAX_LETTERS, size)
            for name, array in self._find(self._file.root):
                letters -= len(name)
                if letters < 0:
                    raise Hdf5Error(f"names of more than {max(MAX_LETTERS, size):,} characters together")
                if len(name) > MAX_NAME:
                    raise Hdf5Error(f"a name of more than {MAX_NAME:,} characters: {name[:100]} …")
                if name in self._arrays or len(self._arrays) >= MAX_ENTRIES:
                    raise Hdf5Error(f"more than {MAX_ENTRIES:,} arrays, or two named {name[:100]}")
                self._arrays[name] = array
            version = said or self._version()
        except Hdf5Error as error:
            raise self._wrong(error) from None
        self.writer = f"Keras {shown(version)}".strip()
        for name, array in self._arrays.items():
            check_array(path, name, array.shape)

    @property
    def names(self) -> list[str]:
        return list(self._arrays)

    def entry(self, name: str) -> Entry:
        """Shape and type of an array."""
        array = self._arrays[name]
        return Entry(array.shape, array.dtype)

    def read(self, name: str) -> Array:
        """The array, of any shape, as float32."""
        entry, array = self.entry(name), self._arrays[name]
        check_floats(self.path, name, entry)
        size = FLOATS[entry.dtype].size * entry.size
        try:
            if array.size != size:
                raise Hdf5Error(f"{array.size:,} bytes where the shape takes {size:,}")
            data = self._file.bytes_at(array.start, size) if array.inline is None and size else array.inline or b""
        except Hdf5Error as error:
            raise self._wrong(error, f"{name}: ") from None
        return floats_of(data, entry.dtype, entry.shape, array.order)

    def _wrong(self, error: Hdf5Error, where: str = "") -> WeightsError:
        return WeightsError("G317", f"{self.path}: {shown(where)}expected a file of Keras, found {shown(str(error))}")

    def _version(self) -> str:
        root = self._file.root
        inner = root.members().get("model_weights")
        for node in (root, *([self._file.node(inner)] if inner is not None else [])):
            if found := node.texts("keras_version"):
                return found[0]
        return ""

    def _find(self, top: Node) -> Iterator[tuple[str, Stored]]:
        """Keras keeps an optimizer's arrays beside the layers' of the older form."""
        members = top.members()
        root = self._file.node(members["model_weights"]) if "model_weights" in members else top
        layers = _texts(root, "layer_names")
        if layers is None:
            yield from self._walk(top, "", (), 0)
            return
        for layer in layers:
            yield from self._listed(root, layer, "")
        if TOP in root.members():
            yield from self._listed(root, TOP, f"{TOP}/")
        if "optimizer_weights" in members:
            yield from self._walk(self._file.node(members["optimizer_weights"]), "optimizer", (), 1)

    def _listed(self, root: Node, layer: str, start: str) -> Iterator[tuple[str, Stored]]:
        """The arrays of a layer, of which the older form has a list; their names begin with `start`."""
        group = self._member(root, layer)
        if group.address in self._seen:
            raise Hdf5Error(f"the layer {layer[:100]}, which is listed twice")
        self._seen.add(group.address)
        names = _texts(group, "weight_names")
        if names is None:
            raise Hdf5Error(f"the layer {layer[:100]} without weight_names, the list of its arrays")
        for name in names:
            yield f"{start}{name.partition(':')[0]}", self._member(group, name).array()

    def _member(self, group: Node, name: str) -> Node:
        for part in name.split("/"):
            members = group.members() if group.is_group else {}
            if part not in members:
                raise Hdf5Error(f"no {part[:100]}, which is listed")
            group = self._file.node(members[part])
        return group

    def _walk(self, group: Node, name: str, path: tuple[str, ...], depth: int) -> Iterator[tuple[str, Stored]]:
        """The arrays below a group, which lies at `path`; of the third format by the names of their layers."""
        if len(name) > MAX_NAME:
            raise Hdf5Error(f"a name of more than {MAX_NAME:,} characters: {name[:100]} …")
        if depth > MAX_DEPTH or group.address in self._seen or len(self._seen) > MAX_ENTRIES:
            raise Hdf5Error(f"groups within each other, more than {MAX_DEPTH} deep, or twice")
        self._seen.add(group.address)
        members = group.members()
        for key, address in members.items():
            inner = self._file.node(address)
            if not inner.is_group:
                local = _local(path[-2], len(members), key) if path[-1:] == ("vars",) and len(path) > 1 else key
                yield "/".join(filter(None, (name, local))), inner.array()
                continue
            own = "" if key in HIDDEN else self._own_name(inner, key)
            yield from self._walk(inner, "/".join(filter(None, (name, own))), (*path, key), depth + 1)

    def _own_name(self, group: Node, key: str) -> str:
        """What the user called a layer: newer files say it beside its variables."""
        members = group.members()
        if key == "optimizer" or "vars" not in members:
            return key
        return (self._file.node(members["vars"]).texts("name") or [key])[0]


def _inside(file: BinaryIO) -> tuple[str, int, int]:
    """(the version that a .keras archive says, where the HDF5 file begins, its bytes)."""
    size = file.seek(0, 2)
    file.seek(0)
    start = file.read(2)
    file.seek(0)
    if start != b"PK":
        return "", 0, size
    try:
        check_directory(file)
        archive = zipfile.ZipFile(file)
        check_members(archive)
        members = {info.filename: info for info in archive.infolist()}
        if WEIGHTS not in members:
            raise Hdf5Error(f"an archive without {WEIGHTS}")
        info = members[WEIGHTS]
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise Hdf5Error("an archive that is compressed")
        if info.compress_size != info.file_size:
            raise Hdf5Error(f"{info.compress_size:,} bytes in place of {info.file_size:,}: a damaged archive")
        version = ""
        if "metadata.json" in members and members["metadata.json"].file_size <= MAX_METADATA:
            with archive.open("metadata.json") as text:
                said = json.loads(text.read(MAX_METADATA))  # the list of members may say less than it unpacks to
            version = str(said.get("keras_version", "")) if isinstance(said, dict) else ""
        with archive.open(info) as member:
            while member.read(CHUNK):
                pass  # to its end, where its checksum is compared
        file.seek(info.header_offset)
        _, names, extra = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
        return version, info.header_offset + LOCAL_HEADER.size + names + extra, info.file_size
    except (*BROKEN, RecursionError) as error:
        raise Hdf5Error(f"a damaged archive: {str(error)[:100] or type(error).__name__}") from None


def _texts(group: Node, name: str) -> list[str] | None:
    """A list of names among a group's attributes, which Keras cuts into parts where it is long; None: there is none."""
    found = group.texts(name)
    if found is not None:
        return found
    parts: list[str] = []
    for number in range(MAX_PARTS):
        part = group.texts(f"{name}{number}")
        if part is None:
            return parts if number else None
        parts += part
    raise Hdf5Error("names without an end")


def _local(layer: str, count: int, number: str) -> str:
    """What the variable of this number is, in a layer with so many: by the class that the layer's group is named by."""
    names = LOCAL.get(re.sub(r"_\d+$", "", layer), {}).get(count, ())
    place = int(number) if number.isascii() and number.isdecimal() and len(number) < 6 else count
    return names[place] if place < len(names) else number
