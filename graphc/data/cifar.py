"""CIFAR's binary version: records of one label byte (CIFAR-100: two) and 3072 pixels, plane by plane."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from graphc.data.examples import check_memory
from graphc.data.reading import open_regular
from graphc.errors import DataError, Place
from graphc.files import shown
from graphc.types import Array

PIXELS = 3 * 32 * 32
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def read_cifar(path: Path, limit: int, label_bytes: int = 1) -> tuple[Array, Array]:
    """(images [N, 32, 32, 3], labels [N]) of one file, both uint8; of CIFAR-100's two labels the second, the fine
    one."""
    record = label_bytes + PIXELS
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if not size or size % record:
            found = f"{size:,} bytes, {size % record:,} more than whole records" if size else "an empty file"
            raise DataError("G401", f"expected records of {record:,} bytes, found {found}", Place(shown(path)))
        check_memory((size,), 1, limit, shown(path))
        data = file.read(size)
    if len(data) != size:
        raise DataError("G401", f"expected {size:,} bytes, could read {len(data):,}", Place(shown(path)))
    records = np.frombuffer(data, np.uint8).reshape(-1, record)
    planes = records[:, label_bytes:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, label_bytes - 1].astype(np.int64)
