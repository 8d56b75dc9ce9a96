"""Files in the shards of a data set: tar archives, of which arrays say where each file lies."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from graphc.data.tars import BLOCK, Handles
from graphc.errors import DataError
from graphc.files import shown
from graphc.types import Array

DRAWN = 0x5A4D
"""Keeps the random numbers of the order apart."""


@dataclass(frozen=True, slots=True)
class Members(Sequence[str]):
    """One member for each example: texts for `Shards`, made of 20 bytes a member when they are asked for."""

    files: Array
    """The number of its shard: int32 [N]."""
    offsets: Array
    """Where it begins there: int64 [N]."""
    sizes: Array
    """Its bytes: int64 [N]."""
    window: int
    """Examples that are shuffled together."""

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: Any) -> Any:
        return f"{self.files[row]}:{self.offsets[row]}:{self.sizes[row]}"

    def take(self, rows: Sequence[int]) -> Members:
        """Those of these rows."""
        return Members(self.files[rows], self.offsets[rows], self.sizes[rows], self.window)

    def order(self, seed: int, epoch: int) -> Array:
        """The rows of an epoch, int64 [N]: shards in a drawn order, and in that of their members, shuffled within
        windows of so many examples."""
        rng = np.random.default_rng([seed, epoch, DRAWN])
        place = rng.permutation(int(self.files.max()) + 1)
        rows = np.argsort(place[self.files], kind="stable")
        for start in range(0, len(rows), self.window):
            rng.shuffle(rows[start : start + self.window])
        return rows


@dataclass(frozen=True, slots=True)
class Shards:
    """The archives that `Members` are in."""

    paths: Sequence[Path]
    _handles: Handles = field(default_factory=Handles, compare=False)

    def read(self, name: str) -> bytes:
        file, offset, size = map(int, name.split(":"))
        return self._handles.of(self.paths[file]).read(size, offset, partial(self.shown, name))

    def size(self, name: str) -> int:
        return int(name.rpartition(":")[2])

    def shown(self, name: str) -> str:
        """The shard, and what the member's header calls it; where it lies, where that cannot be read."""
        file, offset, _ = map(int, name.split(":"))
        path = self.paths[file]
        try:
            header = self._handles.of(path).read(BLOCK, offset - BLOCK, partial(shown, path))
            member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape").name  # the first 100 bytes
        except (DataError, tarfile.TarError, ValueError):
            member = f"byte {offset}"
        return f"{shown(path)}[{shown(member)}]"

    def hints(self, name: str) -> list[str]:
        return []
