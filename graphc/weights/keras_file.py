"""What Keras writes: .weights.h5, .h5 and .keras, which are HDF5, the last one inside a zip archive.

HDF5 can point at other files, and at code that unpacks its data: links, virtual and external data and filters of
others are refused before they are followed.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from graphc.errors import MachineError, WeightsError, missing_extra
from graphc.files import shown
from graphc.types import Array
from graphc.weights.file import MAX_ENTRIES, Entry, Layout, check_floats, check_shape
from graphc.weights.floats import FLOATS
from graphc.weights.npz import BROKEN, check_directory

if TYPE_CHECKING:
    import h5py

START = b"\x89HDF\r\n\x1a\n"
WEIGHTS = "model.weights.h5"
"""The member of a .keras archive that holds the arrays."""
MAX_METADATA = 2**16
MAX_DEPTH = 32
FILTERS = {1, 2, 3}
"""HDF5's numbers of deflate, shuffle and its checksum, which come with it."""
RATIO = 1_032
"""Times that deflate can make anything larger."""
DAMAGED = (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, OverflowError, NotImplementedError)
"""What h5py raises for damaged files."""
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

    layout: Layout | None = "HWIO"
    in_order = False
    nested = False

    def __init__(self, file: BinaryIO, path: str) -> None:
        self.path = path
        self.metadata: Mapping[str, str] = {}
        self._arrays: dict[str, h5py.Dataset] = {}
        try:
            import h5py  # noqa: PLC0415
        except ImportError:
            raise missing_extra("h5py", "h5") from None
        try:
            said, inner = _inside(file)
            self._file = h5py.File(inner, "r")
            self._seen: set[int] = set()
            for name, array in self._find():
                if name in self._arrays or len(self._arrays) >= MAX_ENTRIES:
                    raise ValueError(f"more than {MAX_ENTRIES:,} arrays, or two named {shown(name)[:100]}")
                self._arrays[name] = array
            version = said or _text(self._file.attrs.get("keras_version", self._root().attrs.get("keras_version", "")))
        except DAMAGED as error:
            raise self._wrong(error) from None
        self.writer = f"Keras {shown(version)}".strip() if version else "Keras"
        for name, array in self._arrays.items():
            check_shape(path, name, tuple(array.shape or ()))

    format = "Keras, HDF5"

    @property
    def names(self) -> list[str]:
        return list(self._arrays)

    def entry(self, name: str) -> Entry:
        """Shape and type of an array."""
        array = self._arrays[name]
        return Entry(tuple(array.shape or ()), str(array.dtype.newbyteorder("=")))

    def read(self, name: str) -> Array:
        """The array, of any shape, as float32."""
        entry = self.entry(name)
        check_floats(self.path, name, entry)
        array = self._arrays[name]
        try:
            _check_data(array, entry)
            found = array[()]
        except (*DAMAGED, MemoryError) as error:
            raise self._wrong(error, f"{shown(name)}: ") from None
        return FLOATS[entry.dtype].as_float32(found)

    def _wrong(self, error: BaseException, where: str = "") -> WeightsError | MachineError:
        found = (str(error).strip("'\"").splitlines() or [type(error).__name__])[0]
        return WeightsError("G317", f"{self.path}: {where}expected a file of Keras, found {shown(found[:100])}")

    def _root(self) -> Any:
        """The group that holds the layers: Keras keeps an optimizer's beside it."""
        return _member(self._file, "model_weights") if "model_weights" in self._file else self._file

    def _find(self) -> Iterator[tuple[str, Any]]:
        root = self._root()
        layers = _texts(root, "layer_names")
        if layers is None:
            yield from self._walk(self._file, "", self._file, 0)
            return
        for layer in layers:
            group = _member(root, layer)
            for name in _texts(group, "weight_names") or []:
                yield name.partition(":")[0], _member(group, name)
        if "optimizer_weights" in self._file:
            yield from self._walk(_member(self._file, "optimizer_weights"), "optimizer", self._file, 1)

    def _walk(self, group: Any, name: str, parent: Any, depth: int) -> Iterator[tuple[str, Any]]:
        """The arrays below a group, of the third format by the names of their layers."""
        address = hash(group.id)
        if depth > MAX_DEPTH or address in self._seen or len(self._seen) > MAX_ENTRIES:
            raise ValueError(f"groups within each other, more than {MAX_DEPTH} deep, or twice")
        self._seen.add(address)
        for key in group:
            inner = _member(group, key)
            if not hasattr(inner, "keys"):
                local = key
                if group.name.endswith("/vars"):
                    local = _local(group.name.split("/")[-2], len(group), key)
                yield "/".join(filter(None, (name, local))), inner
                continue
            own = "" if key in HIDDEN else _own_name(inner, key)
            yield from self._walk(inner, "/".join(filter(None, (name, own))), group, depth + 1)


def _inside(file: BinaryIO) -> tuple[str, Any]:
    """(the version that a .keras archive says, the HDF5 file)."""
    start = file.read(2)
    file.seek(0)
    if start != b"PK":
        return "", file
    try:
        check_directory(file)
        archive = zipfile.ZipFile(file)
        members = {info.filename: info for info in archive.infolist()}
        if WEIGHTS not in members:
            raise ValueError(f"an archive without {WEIGHTS}")
        if members[WEIGHTS].compress_type != zipfile.ZIP_STORED:
            raise ValueError("an archive that is compressed")
        version = ""
        if "metadata.json" in members and members["metadata.json"].file_size <= MAX_METADATA:
            said = json.loads(archive.read("metadata.json"))
            version = _text(said.get("keras_version", "")) if isinstance(said, dict) else ""
        return version, archive.open(WEIGHTS)
    except (*BROKEN, RecursionError) as error:
        raise ValueError(str(error) or type(error).__name__) from None


def _member(group: Any, name: str) -> Any:
    """What a group holds under a name, of parts joined by `/`; links to elsewhere are refused."""
    import h5py  # noqa: PLC0415

    for part in name.split("/"):
        if not isinstance(group.get(part, getlink=True), h5py.HardLink):
            raise ValueError("a link in place of an array")
        group = group[part]
    return group


def _texts(group: Any, name: str) -> list[str] | None:
    """A list of names among a group's attributes, which Keras cuts into parts where it is long; None: there is none."""
    if name in group.attrs:
        return [_text(each) for each in group.attrs[name]]
    found: list[str] = []
    for number in range(MAX_ENTRIES):
        part = f"{name}{number}"
        if part not in group.attrs:
            return found if number else None
        found += [_text(each) for each in group.attrs[part]]
    raise ValueError("names without an end")


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _own_name(group: Any, key: str) -> str:
    """What the user called a layer: newer files say it beside its variables."""
    if key == "optimizer" or "vars" not in group:
        return key
    return _text(_member(group, "vars").attrs.get("name", key))


def _local(layer: str, count: int, number: str) -> str:
    """What the variable of this number is, in a layer with so many: by the class that the layer's group is named by."""
    names = LOCAL.get(re.sub(r"_\d+$", "", layer), {}).get(count, ())
    place = int(number) if number.isascii() and number.isdecimal() and len(number) < 6 else count
    return names[place] if place < len(names) else number


def _check_data(array: Any, entry: Entry) -> None:
    """A ValueError where an array's bytes lie elsewhere, or cannot be as many as its shape takes."""
    if array.is_virtual or array.external:
        raise ValueError("data that lie in other files")
    plist = array.id.get_create_plist()
    if any(plist.get_filter(place)[0] not in FILTERS for place in range(plist.get_nfilters())):
        raise ValueError("data packed by a filter that HDF5 does not have itself")
    size, stored = FLOATS[entry.dtype].size * entry.size, array.id.get_storage_size()
    if size > stored * (RATIO if plist.get_nfilters() else 1):
        raise ValueError(f"{stored:,} bytes where the shape takes {size:,}")
