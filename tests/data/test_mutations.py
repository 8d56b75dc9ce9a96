"""Bytes changed at random: every reader gives values or graphc's own error, never anything else."""

from __future__ import annotations

import gzip
import io
import random

import numpy as np
import pytest
from PIL import Image

from graphc.data.idx import read_idx, write_idx
from graphc.data.images import read_image
from graphc.data.npz import read_npz
from graphc.errors import GraphcError

TRIES = 300
LIMIT = 100_000


def _idx(path):
    write_idx(path, np.arange(60, dtype=np.uint8).reshape(5, 4, 3))
    return path.read_bytes()


def _idx_gz(path):
    return gzip.compress(_idx(path), mtime=0)


def _npz(path):
    np.savez(path.with_suffix(".npz"), x=np.arange(20.0), y=np.arange(5))
    return path.with_suffix(".npz").read_bytes()


def _image(kind):
    def make(path):
        buffer = io.BytesIO()
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (9, 8, 3), dtype=np.uint8)).save(buffer, kind)
        return buffer.getvalue()

    return make


READERS = {
    "idx": (_idx, lambda path: read_idx(path, LIMIT)),
    "idx.gz": (_idx_gz, lambda path: read_idx(path, LIMIT)),
    "npz": (_npz, lambda path: read_npz(path, ["x", "y"], LIMIT)),
    **{kind: (_image(kind), read_image) for kind in ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP")},
}


def _mutated(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(changed))
        changed[at] = rng.choice((0, 255, rng.randrange(256), changed[at] ^ (1 << rng.randrange(8))))
    return bytes(changed[: rng.randrange(len(changed))] if rng.random() < 0.2 else changed)


@pytest.mark.parametrize(("make", "read"), READERS.values(), ids=READERS)
def test_changed_bytes(tmp_path, make, read):
    path, rng = tmp_path / "file", random.Random(1)
    data = make(path)
    errors = 0
    for _ in range(TRIES):
        path.write_bytes(_mutated(data, rng))
        try:
            read(path)
        except GraphcError:
            errors += 1
    assert errors > 0
