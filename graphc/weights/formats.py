"""The one door: a file of weights is opened as what it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from graphc.errors import WeightsError
from graphc.files import open_regular, shown
from graphc.weights.file import MAX_ENTRIES, WeightsFile
from graphc.weights.keras_file import START, KerasFile
from graphc.weights.npz import NpzFile
from graphc.weights.onnx_file import OnnxFile
from graphc.weights.safetensors_file import SafetensorsFile
from graphc.weights.sharded_file import ShardedFile
from graphc.weights.tensorflow.table import MAGIC
from graphc.weights.tensorflow.v1 import TensorFlow1File
from graphc.weights.tensorflow.v2 import INDEX, TensorFlow2File
from graphc.weights.torch_file import OLD_START, TorchFile

ENDS = 512
"""Bytes at the beginning and the end of a file by which it is known; names of members of PyTorch's archives begin with
the file's own, which may be long."""

MAX_LETTERS = 4_000_000
"""Characters of all names of a file, which some formats write in very few bytes."""


def _member(first: bytes) -> bytes:
    """The name of a zip archive's first member; empty of another file."""
    return first[30 : 30 + int.from_bytes(first[26:28], "little")] if first.startswith(b"PK") else b""


INSTEAD = {
    b"version https://git-lfs": "a pointer of Git LFS: fetch the file itself with git lfs pull",
    b"<!doctype html": "a web page: download the file itself",
    b"<html": "a web page: download the file itself",
}
"""What stands at the beginning of what people have in place of a file -> what it is."""


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of file."""

    name: str
    suffixes: tuple[str, ...]
    is_one: Callable[[bytes, bytes], bool]
    """By its first and its last bytes."""
    read: Callable[[BinaryIO, Path], WeightsFile]


FORMATS: tuple[Format, ...] = (
    Format(
        "safetensors",
        (".safetensors",),
        lambda first, _: first[8:9] == b"{" and first[7:8] == b"\0",
        lambda file, path: SafetensorsFile(file, shown(path)),
    ),
    Format(
        "TensorFlow, version 2",
        (INDEX,),
        lambda _first, _last: False,  # by its name alone: its data have names that begin as its own
        TensorFlow2File,
    ),
    Format(
        "TensorFlow, version 1",
        (".ckpt",),
        lambda _, last: last.endswith(MAGIC),
        lambda file, path: TensorFlow1File(file, shown(path)),
    ),
    Format(
        "PyTorch",
        (".pth", ".pt", ".bin", ".ckpt", ".tar"),
        lambda first, _: _member(first).endswith(b".pkl") or first.startswith(OLD_START),
        lambda file, path: TorchFile(file, shown(path)),
    ),
    Format(
        "Keras",
        (".h5", ".hdf5", ".keras"),
        lambda first, _: first.startswith(START) or _member(first) == b"metadata.json",
        lambda file, path: KerasFile(file, shown(path)),
    ),
    Format(
        "NumPy archive",
        (".npz",),
        lambda first, _: _member(first).endswith(b".npy"),
        lambda file, path: NpzFile(file, shown(path)),
    ),
    Format(
        "several files with an index",
        (".json",),
        lambda first, _: first.lstrip().startswith(b"{"),
        ShardedFile,
    ),
    Format(
        "ONNX",
        (".onnx",),
        lambda first, _: first[:1] == b"\x08" and b"\x12" in first[:4],
        OnnxFile,
    ),
)
"""Every kind of file that is read. Names decide; where several kinds have one name, or none has it, the bytes do."""
SUFFIXES = tuple(dict.fromkeys(suffix for each in FORMATS for suffix in each.suffixes))


@contextmanager
def open_weights(path: str | Path) -> Iterator[WeightsFile]:
    """A file's arrays; a WeightsError where it is none that is known, or damaged."""
    path = place_of(path)
    with open_regular(path, WeightsError, "G300") as file:
        _check_present(file, path)
        found = _format_of(file, path).read(file, path)
        with found if isinstance(found, AbstractContextManager) else nullcontext():
            _check_names(found)
            yield found


def _check_names(file: WeightsFile) -> None:
    """A WeightsError where a file has more arrays than anybody's, or longer names."""
    letters = sum(map(len, file.names))
    if len(file.names) > MAX_ENTRIES:
        raise WeightsError("G304", f"{file.path}: expected at most {MAX_ENTRIES:,} arrays, found {len(file.names):,}")
    if letters > MAX_LETTERS:
        message = f"expected names of at most {MAX_LETTERS:,} characters together, found {letters:,}"
        raise WeightsError("G304", f"{file.path}: {message}")


def _check_present(file: BinaryIO, path: Path) -> None:
    """A WeightsError where something else came in the file's place."""
    first = file.read(ENDS).lstrip()
    file.seek(0)
    for start, what in INSTEAD.items():
        if first[: len(start)].lower() == start:
            raise WeightsError("G300", f"{shown(path)}: expected a file of weights, found {what}")


def place_of(path: str | Path) -> Path:
    """The file that is opened: the index of a checkpoint of TensorFlow's that is named by its prefix."""
    path = Path(path)
    if not path.name:
        return path
    index = path.with_name(path.name + INDEX)
    return index if not path.exists() and index.exists() else path


def _format_of(file: BinaryIO, path: Path) -> Format:
    named = [each for each in FORMATS if path.suffix.lower() in each.suffixes]
    if len(named) == 1:
        return named[0]
    first = file.read(ENDS)
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - ENDS))
    last = file.read(ENDS)
    file.seek(0)
    found = next((each for each in named or FORMATS if each.is_one(first, last)), None)
    if found is None:
        raise WeightsError("G300", f"expected a file of weights ending in {_either(SUFFIXES)}, got {shown(path)}")
    return found


def _either(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]
