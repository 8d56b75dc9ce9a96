"""CIFAR's binary version: records of one label byte (CIFAR-100: two) and 3072 pixels, plane by plane."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from graphc.data.examples import check_memory
from graphc.data.reading import open_regular
from graphc.errors import DataError, Place
from graphc.files import shown
from graphc.types import Array

PIXELS = 3 * 32 * 32
LABEL_BYTES = 8
"""Of a label in memory."""
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


RECORDS = 256
"""That are read at once."""


def read_cifar(paths: Sequence[Path], limit: int, label_bytes: int = 1, classes: int = 100) -> tuple[Array, Array]:
    """(images [N, 32, 32, 3], uint8, labels [N], int64) of files, one behind the other; of CIFAR-100's two labels the
    second, the fine one. Sizes are compared with the limit, in bytes, before anything is read; a label that is none of
    so many `classes` is a DataError."""
    record = label_bytes + PIXELS
    counts = [_count(path, record) for path in paths]
    check_memory((sum(counts), PIXELS + LABEL_BYTES), 1, limit, shown(paths[0]))
    images = np.empty((sum(counts), 32, 32, 3), np.uint8)
    labels = np.empty(sum(counts), np.int64)
    start = 0
    for path, count in zip(paths, counts, strict=True):
        with open_regular(path) as file:
            for at in range(start, start + count, RECORDS):
                rows = slice(at, min(at + RECORDS, start + count))
                _read(file, path, label_bytes, images[rows], labels[rows])
        _check(labels[start : start + count], classes, path)
        start += count
    return images, labels


def _check(labels: Array, classes: int, path: Path) -> None:
    """An error for the first label that is no class's."""
    if len(wrong := np.flatnonzero(labels >= classes)):
        found = f"{labels[wrong[0]]} in record {wrong[0]:,} (from 0)"
        raise DataError("G405", f"expected labels from 0 to {classes - 1}, found {found}", Place(shown(path)))


def _count(path: Path, record: int) -> int:
    """Of records in a file."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
    if not size or size % record:
        found = f"{size:,} bytes, {size % record:,} more than whole records" if size else "an empty file"
        raise DataError("G401", f"expected records of {record:,} bytes, found {found}", Place(shown(path)))
    return size // record


def _read(file: BinaryIO, path: Path, label_bytes: int, images: Array, labels: Array) -> None:
    """The next records, written into images [n, 32, 32, 3] and labels [n]."""
    size = len(images) * (label_bytes + PIXELS)
    data = file.read(size)
    if len(data) != size:
        raise DataError("G401", f"expected {size:,} more bytes, could read {len(data):,}", Place(shown(path)))
    records = np.frombuffer(data, np.uint8).reshape(len(images), -1)
    images[...] = records[:, label_bytes:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    labels[...] = records[:, label_bytes - 1]
