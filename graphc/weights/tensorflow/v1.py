"""TensorFlow's checkpoints of version 1: one file, `model.ckpt`, in which every value is a message in the table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from graphc.errors import WeightsError
from graphc.lazy import np
from graphc.types import Array
from graphc.weights.file import MAX_ENTRIES, Entry, check_array
from graphc.weights.floats import FLOATS
from graphc.weights.tensorflow.checkpoint import Checkpoint
from graphc.weights.tensorflow.messages import (
    Damaged,
    Slice,
    fields,
    key_of,
    message,
    number,
    shape_of,
    text,
    type_name,
)
from graphc.weights.tensorflow.table import Table

VALUES: Mapping[str, int] = {"float32": 5, "float64": 6, "float16": 13, "bfloat16": 13}
"""Type -> the field of TensorProto that holds its numbers."""


@dataclass(frozen=True, slots=True)
class _Saved:
    entry: Entry
    slices: tuple[Slice, ...]


class TensorFlow1File(Checkpoint[_Saved]):
    """The arrays of an open checkpoint of version 1."""

    format = "TensorFlow checkpoint, version 1"

    def __init__(self, file: BinaryIO, path: str) -> None:
        self.path = path
        self.metadata: Mapping[str, str] = {}
        self._size = file.seek(0, 2)
        try:
            self._table = Table(file)
            self._saved = dict(_described(self._table.get(b"")))
        except Damaged as error:
            raise WeightsError("G316", f"{path}: {error}") from None
        for name, saved in self._saved.items():
            check_array(path, name, saved.entry.shape)

    def _array(self, name: str, saved: _Saved) -> Array:
        shape = saved.entry.shape
        Slice.check(saved.slices, shape)
        parts = [part.within(shape) for part in saved.slices]
        if saved.entry.size > self._size:
            raise Damaged(f"expected at most {self._size:,} numbers, which is the file's size, found more")
        if len(parts) == 1 and saved.slices[0].shape(shape) == shape:
            return self._part(name, saved.entry.dtype, saved.slices[0], shape)
        found, seen = np.empty(shape, np.float32), np.zeros(shape, bool)
        for part, place in zip(saved.slices, parts, strict=True):
            if seen[place].any():
                raise Damaged("expected parts of an array, found some that overlap")
            seen[place] = True
            found[place] = self._part(name, saved.entry.dtype, part, part.shape(shape))
        if not seen.all():
            raise Damaged("expected all parts of the array, found some")
        return found

    def _part(self, name: str, dtype: str, part: Slice, shape: tuple[int, ...]) -> Array:
        """A part of an array, of this shape."""
        value = self._table.get(key_of(name, part))
        tensors = [
            message(inner)
            for field, saved in fields(value)
            if field == 2
            for key, inner in fields(message(saved))
            if key == 3
        ]
        packed = [message(inner) for tensor in tensors for key, inner in fields(tensor) if key == VALUES[dtype]]
        kind, count = FLOATS[dtype], math.prod(shape)
        data = packed[0] if len(packed) == 1 else memoryview(b"".join(packed))
        if kind.size == 2:
            data = memoryview(_short(data).tobytes())
        if len(data) != kind.size * count:
            raise Damaged(f"expected {count:,} numbers for its shape, found {len(data) // kind.size:,}")
        return kind.as_float32(np.frombuffer(data, f"<{kind.stored}").reshape(shape))


def _described(value: memoryview) -> list[tuple[str, _Saved]]:
    """What the file says of its arrays: names, shapes, types, and the parts in which they are kept."""
    found: dict[str, _Saved] = {}
    for field, meta in fields(value):
        if field != 1:
            continue
        for key, tensor in fields(message(meta)):
            if key == 1:
                name, saved = _tensor(message(tensor))
                if name in found or len(found) >= MAX_ENTRIES:
                    raise Damaged(f"expected at most {MAX_ENTRIES:,} arrays of different names, found others")
                found[name] = saved
    return list(found.items())


def _tensor(data: memoryview) -> tuple[str, _Saved]:
    name, kind = "", 0
    shape: tuple[int, ...] | None = None
    slices = []
    for field, value in fields(data):
        if field == 1:
            name = text(value)
        elif field == 2:
            if shape is not None:
                raise Damaged("expected one shape of an array, found two")
            shape = shape_of(message(value))
        elif field == 3:
            kind = number(value)
        elif field == 4:
            slices.append(Slice.of(message(value)))
    return name, _Saved(Entry(shape or (), type_name(kind)), tuple(slices))


def _short(data: memoryview) -> Array:
    """The numbers of two bytes in a list of varints, as uint16, [N]."""
    digits = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(digits < 0x80)
    starts = np.concatenate([[0], ends[:-1] + 1])[: len(ends)]
    if len(digits) and (not len(ends) or ends[-1] != len(digits) - 1 or (ends - starts).max() > 2):
        raise Damaged("expected numbers of two bytes, found others")
    values = np.zeros(len(ends), np.uint32)
    for place in range(3):
        there = starts + place <= ends
        values[there] |= (digits[starts[there] + place].astype(np.uint32) & 0x7F) << (7 * place)
    return values.astype("<u2")
