"""Shards as WebDataset's writer makes them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from PIL import Image


def write_shard(target: Path | IO[bytes], files: Iterable[tuple[str, bytes]], form: int = tarfile.PAX_FORMAT) -> None:
    """Files by their names, in this order."""
    where = {"fileobj": target} if isinstance(target, io.BytesIO) else {"name": target}
    with tarfile.open(mode="w:", format=form, **where) as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def gray(value: int, size: tuple[int, int] = (6, 6)) -> bytes:
    """A PNG of one shade."""
    file = io.BytesIO()
    Image.new("L", size, value).save(file, "PNG")
    return file.getvalue()
