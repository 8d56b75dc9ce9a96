"""Opening files that a recipe names: plain files only, and every refusal as graphc's own error."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from graphc import files
from graphc.errors import DataError

LARGEST_FILE = 2**28
"""Bytes that an image's file may have."""


def open_regular(path: Path | str) -> BinaryIO:
    """A plain file, open for reading; devices, pipes and folders are refused without being read."""
    return files.open_regular(path, DataError, "G401")


def read_regular(path: Path | str, limit: int) -> bytes:
    """The bytes of a plain file, at most one more than `limit`."""
    with open_regular(path) as file:
        return file.read(min(os.fstat(file.fileno()).st_size, limit) + 1) or b""
