"""The safetensors format: a length, a JSON header, the bytes. Read and written here, with every check it asks for."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from graphc.errors import WeightsError, clipped
from graphc.files import shown
from graphc.lazy import np
from graphc.types import Array
from graphc.valid_json import without_duplicates
from graphc.weights.file import MAX_ENTRIES, Entry, Layout, check_array, check_floats
from graphc.weights.floats import FLOATS

MAX_HEADER = 16 * 2**20
WRITTEN = {"float32": "F32", "float64": "F64", "int64": "I64", "int32": "I32", "uint8": "U8"}
TYPES = {
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    **{f"{kind[0].upper()}{bits}": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
    "BOOL": "bool",
}
"""The format's types -> NumPy's."""
SIZES = {kind: int(kind.lstrip("BFIU")) // 8 if kind != "BOOL" else 1 for kind in TYPES}
"""Bytes of a number."""
TYPE = re.compile("[A-Z][A-Z0-9_]{1,15}", re.ASCII)
"""A type's name, also of those that are not read (F8_E4M3)."""
LAYOUTS: Mapping[str, Layout] = {"pt": "OIHW", "tf": "HWIO", "HWIO": "HWIO"}
"""What libraries and graphc write into the metadata -> how the arrays lie."""
OWN_LAYOUTS = ("HWIO",)
"""What graphc writes."""
LAYOUT, FORMAT = "graphc.layout", "format"
"""Keys of the metadata: graphc's own, and the one that libraries write."""
WRITERS = {"pt": "safetensors, from PyTorch", "tf": "safetensors, from TensorFlow", "np": "safetensors, from NumPy"}


class SafetensorsFile:
    """The arrays of an open file. Its writers sort them by type and name, so that their order says nothing."""

    format = "safetensors"
    nested = False

    def __init__(self, file: BinaryIO, path: str) -> None:
        self.path = path
        self.metadata: dict[str, str] = {}
        self._file = file
        size = file.seek(0, 2)
        file.seek(0)
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise self._wrong("expected a safetensors file, found no header")
        if length > MAX_HEADER:
            raise self._wrong(f"expected a header of at most {MAX_HEADER:,} bytes, found {length:,}", "G304")
        self._start = 8 + length
        self._entries = self._parse(file.read(length))
        self._check_layout(size - self._start)

    @property
    def names(self) -> list[str]:
        return list(self._entries)

    @property
    def layout(self) -> Layout | None:
        said = self.metadata.get(LAYOUT, self.metadata.get(FORMAT, ""))
        return LAYOUTS.get(said)

    @property
    def in_order(self) -> bool:
        return LAYOUT in self.metadata

    @property
    def writer(self) -> str | None:
        return "graphc" if LAYOUT in self.metadata else WRITERS.get(self.metadata.get(FORMAT, ""))

    def entry(self, name: str) -> Entry:
        """Shape and type of an array."""
        kind, shape, _ = self._entries[name]
        return Entry(shape, TYPES.get(kind, kind))

    def read(self, name: str) -> Array:
        """The array, of any shape, as float32."""
        entry = self.entry(name)
        check_floats(self.path, name, entry)
        shape, kind, first = entry.shape, FLOATS[entry.dtype], self._entries[name][2][0]
        self._file.seek(self._start + first)
        array = np.empty(shape, f"<{kind.stored}")
        if array.size and self._file.readinto(array.data.cast("B")) != array.nbytes:  # type: ignore[attr-defined]
            raise self._wrong(f"{name}: the file ends early")
        return kind.as_float32(array)

    def _parse(self, text: bytes) -> dict[str, tuple[str, tuple[int, ...], tuple[int, int]]]:
        try:
            header = json.loads(text.decode("utf-8"), object_pairs_hook=without_duplicates)
            if not isinstance(header, dict):
                raise ValueError("it is no mapping")
        except (ValueError, RecursionError) as error:
            raise self._wrong(f"expected a safetensors file, but its header cannot be read: {error}") from None
        self.metadata = header.pop("__metadata__", {})
        if not isinstance(self.metadata, dict) or not all(isinstance(said, str) for said in self.metadata.values()):
            raise self._wrong("expected metadata of texts, found others")
        if (said := self.metadata.get(LAYOUT)) is not None and said not in OWN_LAYOUTS:
            raise self._wrong(f"expected {LAYOUT} {' or '.join(OWN_LAYOUTS)} in its metadata, found {clipped(said)}")
        if len(header) > MAX_ENTRIES:
            raise self._wrong(f"expected at most {MAX_ENTRIES:,} arrays, found {len(header):,}", "G304")
        return {name: self._entry(name, entry) for name, entry in header.items()}

    def _entry(self, name: str, entry: Any) -> tuple[str, tuple[int, ...], tuple[int, int]]:
        if isinstance(entry, dict) and entry.keys() == {"dtype", "shape", "data_offsets"}:
            kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
            if (
                isinstance(kind, str)
                and TYPE.fullmatch(kind)
                and _naturals(shape)
                and _naturals(offsets)
                and len(offsets) == 2
            ):
                check_array(self.path, name, tuple(shape))
                return kind, tuple(shape), (offsets[0], offsets[1])
        raise self._wrong(f"{shown(name[:100])}: its entry in the header is not as the format says")

    def _check_layout(self, size: int) -> None:
        """Arrays lie one behind the other and fill the file; each has as many bytes as its shape takes."""
        position = 0
        for name, (kind, shape, (first, last)) in sorted(self._entries.items(), key=lambda item: item[1][2]):
            if first != position or last < first:
                raise self._wrong(f"{name}: expected its bytes to start at {position}, found {first} to {last}", "G303")
            if kind in SIZES and last - first != (expected := SIZES[kind] * math.prod(shape)):
                raise self._wrong(f"{name}: expected {expected:,} bytes for its shape, found {last - first:,}", "G303")
            position = last
        if position != size:
            raise self._wrong(f"expected {position:,} bytes of data, found {size:,}", "G303")

    def _wrong(self, message: str, code: str = "G301") -> WeightsError:
        return WeightsError(code, f"{self.path}: {message}")


def _naturals(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def pieces(arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> Iterator[bytes | memoryview]:
    """The bytes of a file, one after the other, with arrays of any shape in the order given: the header padded to 8
    bytes, then each array's own bytes, so that nothing is held twice in memory. A ValueError where an array is of
    another type than `WRITTEN`."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    at = 0
    for name, array in arrays.items():
        if array.dtype.name not in WRITTEN:
            raise ValueError(f"{name}: expected {', '.join(WRITTEN)}, found {array.dtype}")
        offsets = [at, at + array.nbytes]
        header[name] = {"dtype": WRITTEN[array.dtype.name], "shape": list(array.shape), "data_offsets": offsets}
        at += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for array in arrays.values():
        if array.size:
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            yield np.ascontiguousarray(little).data.cast("B")


def write_safetensors(file: BinaryIO, arrays: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> None:
    """A whole file, with arrays of any shape in the order given, and what it says of itself."""
    for piece in pieces(arrays, metadata):
        file.write(piece)
