"""The WebDataset layout: tar archives (shards) whose members are examples one after the other, the files of an example
under one key: `0001.jpg`, `0001.cls`, `0001.json`.

Each shard is gone through once, from header to header; what is kept of an example is where its image lies and its
targets. A file may keep that (`index`), so that later runs do not go through the shards again. It holds for shards of
the same sizes and times, and is made anew otherwise. A member took 43 µs (10,000 files of 3 kB and 1 byte, in the
system's cache; all but a few of them tarfile's): ImageNet's 2.6 million are two minutes, once.

Why an index, and no stream that is shuffled in a buffer as WebDataset's own reader has it: any example can be read at
any time, so one order, drawn by the seed, holds for any number of ranks and workers, and a run goes on in the middle of
a shard without reading up to there. That order still goes through the shards one after the other (`Members.order`).
"""

from __future__ import annotations

import json
import math
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from tarfile import TarInfo
from typing import Any, BinaryIO

import numpy as np

from graphc.data.endings import image_endings
from graphc.data.left_out import LeftOut, Why
from graphc.data.reading import LARGEST_FILE, open_regular
from graphc.data.tables import mapping_of
from graphc.data.tars import tar_members
from graphc.errors import DataError, Place
from graphc.files import shown
from graphc.types import Array

KEY = re.compile(r"((?:.*/)?[^./]+)\.([^/]+)", re.DOTALL)
"""A member's name: the key is all up to the first dot of the file's name, the ending what follows."""
LARGEST_TARGET = 1 << 20
"""Bytes of a member that holds targets."""
MOST_SHARDS = 100_000
MOST_ENDINGS = 100
"""Files of one example."""
LONGEST_PATTERN = 500
"""Characters that name the shards."""
BRACES = re.compile(r"\{([^{}]*)\}")
RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})", re.ASCII)
EXAMPLE_BYTES = 100
"""Of memory that an example takes, besides the bytes of its targets."""
EXPECTED = "expected a tar that is not compressed"


@dataclass(frozen=True, slots=True)
class Layout:
    """Which members an example has."""

    image: str | None
    """The ending of its image; None: any that images have."""
    mask: str | None
    """The ending of its mask, where it has one."""
    targets: Mapping[str, str]
    """Target -> the ending of the member that holds it; of a mapping in JSON, `ending.key`. Endings count without
    case, and those of members are in small letters."""

    def is_image(self, ending: str) -> bool:
        return ending == self.image if self.image is not None else f".{ending}" in image_endings()

    def parts(self, target: str, endings: Sequence[str]) -> tuple[str, list[str]] | None:
        """(the member's ending, the keys below it) of a target, by the endings that an example has."""
        said = self.targets[target]
        if said.lower() in endings:
            return said.lower(), []
        found = [each for each in endings if said.lower().startswith(f"{each}.") and each.endswith("json")]
        ending = max(found, key=len, default=None)
        return None if ending is None else (ending, said[len(ending) + 1 :].split("."))


@dataclass(slots=True)
class Index:
    """Where the members of the examples lie, and their targets."""

    files: array[int] = field(default_factory=lambda: array("i"))
    places: array[int] = field(default_factory=lambda: array("q"))
    """Offset and size of an example's image; and of its mask, where it has one."""
    cells: dict[str, list[Any]] = field(default_factory=dict)
    """Of each target what the examples' files say, as texts or JSON's values."""

    def __len__(self) -> int:
        return len(self.files)

    def columns(self) -> tuple[Array, Array]:
        """(int32 [N]: the shard; int64 [N, 2 or 4]: offset and size of each member)."""
        return np.array(self.files, np.int32), np.array(self.places, np.int64).reshape(len(self), -1)


@dataclass(slots=True)
class Sample:
    """An example on its way: its members by their endings."""

    key: str
    members: dict[str, TarInfo] = field(default_factory=dict)


def shard_paths(pattern: str) -> list[str]:
    """The names that `{000..099}` and `{a,b}` of a pattern stand for, in order."""
    if len(pattern) > LONGEST_PATTERN:
        raise DataError("G407", f"path: expected at most {LONGEST_PATTERN:,} characters, found {len(pattern):,}")
    parts = BRACES.split(pattern)
    if any("{" in literal for literal in parts[::2]):
        raise DataError("G401", f"path: expected a }} for every {{, found {shown(pattern)}")
    choices = [_named(part) if place % 2 else [part] for place, part in enumerate(parts)]
    if math.prod(map(len, choices)) > MOST_SHARDS:
        raise DataError("G407", f"path: expected at most {MOST_SHARDS:,} shards, found {shown(pattern)}")
    return ["".join(each) for each in product(*choices)]


def _named(inner: str) -> list[str]:
    """What stands for a pair of braces, by what is in it."""
    ends = RANGE.fullmatch(inner)
    if ends is None:
        return inner.split(",")
    first, last = int(ends[1]), int(ends[2])
    if last < first:
        raise DataError("G401", f"path: expected the lower number first, found {shown(inner)}")
    return [f"{number:0{len(ends[1])}}" for number in range(first, min(last, first + MOST_SHARDS) + 1)]


class Scan:
    """Goes through shards and collects an index."""

    def __init__(self, layout: Layout, limit: int, *, skip: bool) -> None:
        """`limit`: bytes of memory that the index may take; `skip`: leave out examples without an image."""
        self.index = Index(cells={name: [] for name in layout.targets})
        self.left = LeftOut()
        self._layout, self._limit, self._skip = layout, limit, skip
        self._used = 0
        self._texts: dict[str, str] = {}

    def add(self, path: Path, number: int) -> None:
        """A shard, which messages call so; DataErrors where it is damaged or not as the layout says."""
        with open_regular(path) as file:
            for sample in self._samples(file, path):
                if not self._has_image(sample, path):
                    continue
                found = self._targets(sample, file, path)
                self._used += EXAMPLE_BYTES * (1 + len(found)) + sum(len(str(value)) for value in found.values())
                if self._used > self._limit:
                    message = f"more examples than {self._limit:,} bytes hold (--max-memory raises it)"
                    raise DataError("G407", message, Place(shown(path)))
                for name, value in found.items():
                    self.index.cells[name].append(value)
                self.index.files.append(number)
                for info in self._pictures(sample, path):
                    self.index.places.extend((info.offset_data, info.size))

    def _samples(self, file: BinaryIO, path: Path) -> Iterator[Sample]:
        """Neighbors of one key."""
        sample = Sample("")
        for info in tar_members(file, path, EXPECTED):
            name = KEY.fullmatch(info.name)
            if not info.isreg() or name is None:
                if not info.isdir():
                    self.left.add(Why.HIDDEN if info.isreg() else Why.LINK, info.name)
                continue
            key, ending = name[1], name[2].lower()
            if key != sample.key:
                if sample.members:
                    yield sample
                sample = Sample(key)
            if ending in sample.members:
                raise self._error(path, sample, f"expected one .{ending}, found two")
            if info.issparse() or info.size > LARGEST_FILE:
                found = "a sparse one" if info.issparse() else f"one of {info.size:,} bytes"
                message = f"expected files of at most {LARGEST_FILE:,} bytes, found {found} (.{shown(ending)})"
                raise self._error(path, sample, message)
            if len(sample.members) >= MOST_ENDINGS:
                raise self._error(path, sample, f"more than {MOST_ENDINGS} files have this key")
            sample.members[ending] = info
        if sample.members:
            yield sample

    def _has_image(self, sample: Sample, path: Path) -> bool:
        count = sum(map(self._layout.is_image, sample.members))
        if count == 1:
            return True
        wanted = "one image" if self._layout.image is None else f"a .{self._layout.image}"
        said = f"expected {wanted}, found {', '.join(f'.{each}' for each in sample.members)}"
        if count or not self._skip:
            raise self._error(path, sample, said + ("; `image` says which" if count else ""))
        self.left.add(Why.NO_IMAGE, sample.key)
        return False

    def _pictures(self, sample: Sample, path: Path) -> list[TarInfo]:
        """Image and, where there are some, mask."""
        image = next(info for ending, info in sample.members.items() if self._layout.is_image(ending))
        if self._layout.mask is None:
            return [image]
        if self._layout.mask not in sample.members:
            raise self._error(path, sample, f"expected a mask, .{self._layout.mask}, found none")
        return [image, sample.members[self._layout.mask]]

    def _targets(self, sample: Sample, file: BinaryIO, path: Path) -> dict[str, Any]:
        """What the files of an example say, by target."""
        read: dict[str, str] = {}
        found: dict[str, Any] = {}
        for name in self._layout.targets:
            where = self._layout.parts(name, [*sample.members])
            if where is None:
                there = ", ".join(f".{each}" for each in sample.members)
                said = self._layout.targets[name]
                raise self._error(path, sample, f"{name}: expected a file .{said}, found {there}: `targets` says where")
            ending, keys = where
            if ending not in read:
                read[ending] = self._text(sample, ending, file, path)
            is_json = ending.rpartition(".")[2] == "json" or bool(keys)
            value = self._value(sample, read[ending], name, keys, path) if is_json else read[ending].strip()
            found[name] = self._texts.setdefault(value, value) if isinstance(value, str) else value
        return found

    def _text(self, sample: Sample, ending: str, file: BinaryIO, path: Path) -> str:
        info = sample.members[ending]
        if info.size > LARGEST_TARGET:
            message = f"expected at most {LARGEST_TARGET:,} bytes in .{ending}, found {info.size:,}"
            raise self._error(path, sample, message)
        file.seek(info.offset_data)
        try:
            return file.read(info.size).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise self._error(path, sample, f"expected UTF-8 in .{ending}: {error}") from None

    def _value(self, sample: Sample, text: str, name: str, keys: list[str], path: Path) -> Any:
        """What a JSON text says, or what lies there under the keys."""
        try:
            value = json.loads(text, object_pairs_hook=mapping_of)
        except (ValueError, RecursionError) as error:
            raise self._error(path, sample, f"{name}: expected JSON: {error}") from None
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                there = ", ".join(map(str, [*value][:10])) if isinstance(value, dict) else repr(value)[:60]
                raise self._error(path, sample, f"{name}: expected a key {key!r}, found {shown(there)}")
            value = value[key]
        return value

    def _error(self, path: Path, sample: Sample, message: str) -> DataError:
        return DataError("G405", message, Place(f"{shown(path)}[{shown(sample.key)}]"))
