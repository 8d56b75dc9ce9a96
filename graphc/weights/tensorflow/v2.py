"""TensorFlow's checkpoints of version 2: an index, `model.ckpt.index`, and raw bytes in files beside it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from graphc.errors import WeightsError
from graphc.files import machine_error, open_regular, shown
from graphc.lazy import np
from graphc.types import Array
from graphc.weights.file import MAX_ENTRIES, Entry, check_array
from graphc.weights.floats import FLOATS, floats_of
from graphc.weights.tensorflow.checkpoint import Checkpoint
from graphc.weights.tensorflow.crc32c import crc32c, masked
from graphc.weights.tensorflow.messages import (
    Damaged,
    Fixed,
    Slice,
    fields,
    key_of,
    message,
    number,
    shape_of,
    type_name,
)
from graphc.weights.tensorflow.table import Table

MAX_SHARDS = 100_000
INDEX = ".index"


@dataclass(frozen=True, slots=True)
class _Saved:
    """BundleEntryProto: an array, and where its bytes are."""

    entry: Entry
    shard: int = 0
    offset: int = 0
    size: int = 0
    checksum: int = 0
    slices: tuple[Slice, ...] = ()

    @staticmethod
    def of(data: memoryview) -> _Saved:
        found: dict[int, int] = {}
        shape: tuple[int, ...] | None = None
        slices = []
        for field, value in fields(data):
            if field == 2:
                if shape is not None:
                    raise Damaged("expected one shape of an array, found two")
                shape = shape_of(message(value))
            elif field == 7:
                slices.append(Slice.of(message(value)))
            elif field == 6:
                if not isinstance(value, Fixed):
                    raise Damaged("expected a checksum, found something else")
                found[field] = int(value)
            elif field in (1, 3, 4, 5):
                found[field] = number(value)
        shard, offset, size, checksum = (found.get(field, 0) for field in (3, 4, 5, 6))
        return _Saved(Entry(shape or (), type_name(found.get(1, 0))), shard, offset, size, checksum, tuple(slices))


class TensorFlow2File(Checkpoint[_Saved]):
    """The arrays of a checkpoint of version 2 whose index is open; its data are opened when they are read."""

    format = "TensorFlow checkpoint, version 2"

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.path = shown(path)
        self.metadata: Mapping[str, str] = {}
        self._prefix = path.with_name(path.name.removesuffix(INDEX))
        self._saved: dict[str, _Saved] = {}
        self._parts: dict[bytes, _Saved] = {}
        self._sizes: dict[Path, int] = {}
        """Of the files of data that were asked for."""
        try:
            header = b""
            for key, value in Table(file).items():
                if not key:
                    header = bytes(value)
                elif key.startswith(b"\0"):
                    self._parts[key] = _Saved.of(value)
                else:
                    self._saved[_name(key)] = _Saved.of(value)
                if len(self._saved) + len(self._parts) > MAX_ENTRIES:
                    raise Damaged(f"expected at most {MAX_ENTRIES:,} arrays, found more")
            self._read_header(memoryview(header))
        except Damaged as error:
            raise WeightsError("G316", f"{self.path}: {error}") from None
        for name, saved in self._saved.items():
            check_array(self.path, name, saved.entry.shape)

    def _read_header(self, data: memoryview) -> None:
        said = {field: number(value) for field, value in fields(data) if field in (1, 2)}
        self._shards = said.get(1, 0)
        self._order = ">" if said.get(2, 0) == 1 else "<"
        if not 0 < self._shards <= MAX_SHARDS:
            raise Damaged(f"expected an index of 1 to {MAX_SHARDS:,} files of data, found {self._shards:,}")

    def _array(self, name: str, saved: _Saved) -> Array:
        return self._joined(name, saved) if saved.slices else self._whole(saved, saved.entry.shape)

    def _joined(self, name: str, saved: _Saved) -> Array:
        shape = saved.entry.shape
        Slice.check(saved.slices, shape)
        parts = []
        for each in saved.slices:
            part = self._parts.get(key_of(name, each))
            if part is None:
                raise Damaged("expected all parts of the array, found some")
            self._place(part, each.shape(shape))
            parts.append((each.within(shape), part))
        kind = FLOATS[saved.entry.dtype]
        if sum(part.size for _, part in parts) != kind.size * saved.entry.size:
            raise Damaged(f"expected parts of {kind.size * saved.entry.size:,} bytes together, found others")
        found, seen = np.empty(shape, np.float32), np.zeros(shape, bool)
        for (place, part), each in zip(parts, saved.slices, strict=True):
            if seen[place].any() or part.entry.dtype != saved.entry.dtype:
                raise Damaged("expected parts of an array, found some that overlap or are of another type")
            seen[place] = True
            found[place] = self._whole(part, each.shape(shape))
        return found

    def _place(self, saved: _Saved, shape: tuple[int, ...]) -> Path:
        """The file in which numbers of a shape lie, all of them; Damaged where they do not."""
        kind = FLOATS.get(saved.entry.dtype)
        if kind is None or saved.entry.shape != shape or saved.slices:
            raise Damaged("expected parts of an array, found some of another type or shape")
        if saved.size != kind.size * math.prod(shape):
            raise Damaged(f"expected {kind.size * math.prod(shape):,} bytes for its shape, found {saved.size:,}")
        if not 0 <= saved.shard < self._shards:
            raise Damaged(f"expected data in one of {self._shards:,} files, found the {saved.shard + 1:,}th")
        path = self._prefix.with_name(f"{self._prefix.name}.data-{saved.shard:05}-of-{self._shards:05}")
        if path not in self._sizes:
            with open_regular(path, WeightsError, "G300") as file:
                self._sizes[path] = os.fstat(file.fileno()).st_size
        size = self._sizes[path]
        if not 0 <= saved.offset <= size - saved.size:
            raise Damaged(f"expected {saved.size:,} bytes from {saved.offset:,}, found {size:,} in {shown(path)}")
        return path

    def _whole(self, saved: _Saved, shape: tuple[int, ...]) -> Array:
        """Numbers of a shape, whose bytes lie in one place."""
        path = self._place(saved, shape)
        with open_regular(path, WeightsError, "G300") as file:
            try:
                file.seek(saved.offset)
                data = file.read(saved.size)
            except OSError as error:
                raise machine_error("read", path, error) from None
        if len(data) != saved.size or masked(crc32c(data)) != saved.checksum:
            raise Damaged(f"the checksum is not that of its bytes: {shown(path)} is damaged")
        return floats_of(data, saved.entry.dtype, shape, self._order)


def _name(key: bytes) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError:
        raise Damaged("expected names in UTF-8, found others") from None
