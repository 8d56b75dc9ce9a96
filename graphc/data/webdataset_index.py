"""The file that keeps what going through the shards of a data set has found.

An .npz: where members lie, the targets as JSON, and of what it is an index: the layout, and each shard's name, size and
time. Where these are others it is made anew. A file that is something else is refused, not written over.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from graphc.data.npz import read_npz
from graphc.data.reading import LARGEST_FILE
from graphc.data.webdataset import Index, Layout
from graphc.errors import DataError, Place
from graphc.files import atomic_write, machine_error, shown
from graphc.types import Array

VERSION = 2
ARRAYS = ("about", "files", "places", "cells")


def about(layout: Layout, names: Sequence[str], paths: Sequence[Path], *, skip: bool) -> dict[str, Any]:
    """Of what an index is one: the layout, whether examples without an image are left out (`skip`), and (name, bytes,
    nanoseconds of its last change) of each shard."""
    shards = []
    for name, path in zip(names, paths, strict=True):
        try:
            found = path.stat()
        except OSError as error:
            raise machine_error("read", path, error) from None
        shards.append([name, found.st_size, found.st_mtime_ns])
    wanted = {"image": layout.image, "mask": layout.mask, "targets": dict(layout.targets), "skip": skip}
    return {"graphc webdataset": VERSION, "layout": wanted, "shards": shards}


def read_index(path: Path, of: dict[str, Any], limit: int) -> Index | None:
    """What the file has, at most `limit` bytes; None where it is not there, or of other shards. A DataError where it is
    something else, or damaged."""
    if not path.exists():
        return None
    found = read_npz(path, ARRAYS, limit)
    try:
        said = json.loads(_text(found["about"]))
        if not isinstance(said, dict) or "graphc webdataset" not in said:
            raise ValueError("it is no index")
        if said != of:
            return None
        cells = json.loads(_text(found["cells"]))
        return _checked(found["files"], found["places"], cells, of)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        message = f"expected an index as graphc wrote it ({error}): remove the file, or name another one"
        raise DataError("G401", message, Place(shown(path))) from None


def write_index(path: Path, index: Index, of: dict[str, Any]) -> None:
    """Write the file; others that write it at the same time write the same."""
    files, places = index.columns()
    texts = {"about": of, "cells": index.cells}
    coded = {name: np.frombuffer(json.dumps(value).encode(), np.uint8) for name, value in texts.items()}

    def write(file: BinaryIO) -> None:
        np.savez(file, files=files, places=places, **coded)  # type: ignore[arg-type,unused-ignore]

    atomic_write(path, write)


def _text(values: Array) -> str:
    if values.dtype != np.uint8 or values.ndim != 1:
        raise ValueError(f"a text is {values.dtype} of shape {list(values.shape)}")
    return values.tobytes().decode()


def _checked(files: Array, places: Array, cells: dict[str, Any], of: dict[str, Any]) -> Index:
    """The index, whose members all lie within their shards; a ValueError where one does not."""
    width = 2 if of["layout"]["mask"] is None else 4
    if files.dtype != np.int32 or places.dtype != np.int64 or places.shape != (len(files), width):
        raise ValueError("an array has another type or shape")
    sizes = np.array([size for _, size, _ in of["shards"]], np.int64)
    if len(files) and (files.min() < 0 or files.max() >= len(sizes)):
        raise ValueError("a member is in no shard")
    for column in range(0, width, 2):
        offsets, lengths = places[:, column], places[:, column + 1]
        within = (offsets >= 0) & (lengths >= 0) & (lengths <= LARGEST_FILE) & (offsets <= sizes[files] - lengths)
        if not within.all():
            raise ValueError("a member does not lie in its shard")
    lists = all(isinstance(each, list) and len(each) == len(files) for each in cells.values())
    if {*cells} != {*of["layout"]["targets"]} or not lists:
        raise ValueError("targets are missing")
    return Index(array("i", files.tobytes()), array("q", places.tobytes()), cells)
