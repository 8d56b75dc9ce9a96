"""Checkpoints: a safetensors file of arrays, and a JSON file that vouches for it.

The arrays are written first, under a name of their own; the JSON file, written last, makes them a checkpoint. It
holds the arrays' SHA-256 and its own checksum, so that a damaged file is known as one. Two checkpoints are kept.
Neither file holds a time: the same state gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import safetensors
import safetensors.numpy

from graphc.errors import MachineError, Warn, WeightsError, clipped
from graphc.files import atomic_write, for_reading, machine_error, read_limited, remove, remove_leftovers, shown
from graphc.system import NotPlain, open_plain
from graphc.types import Array
from graphc.valid_json import lacking, loads
from graphc.weights.safetensors_file import pieces

FORMAT = 1
KEPT = 2
OF_DATA = {"data_sha256": str, "data_bytes": int}
"""What a checkpoint's JSON file says of the arrays beside it."""
NAME = re.compile(r"step-(\d{10})-epoch-(\d{6})\.(?:json|safetensors)", re.ASCII)
LARGEST_FACTS = 16_000_000
CHUNK = 1 << 22


@dataclass(frozen=True, slots=True, order=True)
class CheckpointKey:
    """When a checkpoint is: after this many steps and whole epochs."""

    step: int
    epoch: int

    def __str__(self) -> str:
        return f"step-{self.step:010}-epoch-{self.epoch:06}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was saved."""

    arrays: dict[str, Array]
    facts: dict[str, Any]
    path: Path


class Checkpoints:
    """The checkpoints of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, key: CheckpointKey, arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> Path:
        """Write a checkpoint of arrays of any shape and drop the oldest; afterwards it outlasts a power cut."""
        data, path = self._data_path(key), self._path(key)
        digest = _Digest()
        atomic_write(data, lambda file: _write_arrays(file, arrays, digest))
        content = {"format": FORMAT, **facts, "data_sha256": digest.hexdigest(), "data_bytes": digest.count}
        atomic_write(path, _signed(content))
        self.tidy(key)
        return path

    def latest(self) -> tuple[Checkpoint | None, list[Warn]]:
        """The newest checkpoint that is whole, and a warning for each newer one that is not."""
        warnings: list[Warn] = []
        for key in reversed(self._keys()):
            try:
                return self._load(key), warnings
            except WeightsError as error:
                warnings.append(Warn(error.code, error.message))
        if warnings:
            notes = [str(warning) for warning in warnings]
            raise WeightsError("G321", f"{shown(self.folder)}: no checkpoint is whole", notes=notes)
        return None, []

    def tidy(self, last: CheckpointKey) -> None:
        """Keep this checkpoint and the one before: remove later ones, which are damaged, older ones, arrays without
        their JSON, and unfinished files. What else lies in the folder stays."""
        keys = self._keys()
        kept = [key for key in keys if key <= last][-KEPT:]
        for key in keys:
            if key not in kept:
                remove(self._path(key))
        for key in set(self._keys(".safetensors")) - set(kept):
            remove(self._data_path(key))
        remove_leftovers(self.folder, _is_ours, of_the_living=True)

    def _load(self, key: CheckpointKey) -> Checkpoint:
        path, data = self._path(key), self._data_path(key)
        facts = _verified(read_limited(path, LARGEST_FACTS, WeightsError, "G320"), path)
        if _file_digest(data) != (facts["data_sha256"], facts["data_bytes"]):
            raise WeightsError("G320", f"{shown(data)}: the checkpoint is damaged: its checksum is not its contents'")
        try:
            return Checkpoint(safetensors.numpy.load_file(data), facts, path)
        except OSError:  # of which it says that there is no file; there is, its checksum is right
            raise MachineError("G502", f"cannot read {shown(data)}: it cannot be opened") from None
        except (
            safetensors.SafetensorError,
            ValueError,
            KeyError,
            AttributeError,
        ) as error:  # of types that NumPy lacks
            raise WeightsError("G320", f"{shown(data)}: the checkpoint cannot be read: {shown(str(error))}") from None

    def _keys(self, suffix: str = ".json") -> list[CheckpointKey]:
        """Of the checkpoints that there are, in order."""
        try:
            found = [NAME.fullmatch(path.name) for path in self.folder.iterdir() if path.suffix == suffix]
        except OSError as error:
            raise machine_error("read", self.folder, error) from None
        return sorted(CheckpointKey(int(match[1]), int(match[2])) for match in found if match)

    def _path(self, key: CheckpointKey) -> Path:
        return self.folder / f"{key}.json"

    def _data_path(self, key: CheckpointKey) -> Path:
        return self.folder / f"{key}.safetensors"


def _is_ours(name: str) -> bool:
    return NAME.fullmatch(name) is not None


class _Digest:
    """SHA-256 and length of what goes by."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self.count = 0

    def update(self, data: bytes | memoryview) -> None:
        self._sha.update(data)
        self.count += len(data)

    def hexdigest(self) -> str:
        return self._sha.hexdigest()


def _write_arrays(file: BinaryIO, arrays: Mapping[str, Array], digest: _Digest) -> None:
    """A safetensors file, array by array: nothing is held twice in memory."""
    for piece in pieces(arrays):
        file.write(piece)
        digest.update(piece)


def _file_digest(path: Path) -> tuple[str, int]:
    digest = _Digest()
    try:
        with for_reading(open_plain(path), path) as file:
            while piece := file.read(CHUNK):
                digest.update(piece)
    except FileNotFoundError:
        raise WeightsError("G320", f"{shown(path)}: the checkpoint's arrays are missing") from None
    except NotPlain as problem:
        raise WeightsError("G320", f"{shown(path)}: expected the checkpoint's arrays, found {problem.found}") from None
    except OSError as error:
        raise machine_error("read", path, error) from None
    return digest.hexdigest(), digest.count


def _signed(content: Mapping[str, Any]) -> bytes:
    return _text({**content, "checksum": hashlib.sha256(_text(content)).hexdigest()})


def _verified(data: bytes, path: Path) -> dict[str, Any]:
    """The contents of a checkpoint's JSON file, if its checksum is right."""
    damaged = WeightsError("G320", f"{shown(path)}: the checkpoint is damaged: its checksum is not its contents'")
    try:
        content = loads(data)
        checksum = content.pop("checksum")
    except (ValueError, KeyError, AttributeError, TypeError):
        raise damaged from None
    if checksum != hashlib.sha256(_text(content)).hexdigest():
        raise damaged
    if content.get("format") != FORMAT:
        found = clipped(content.get("format"))
        raise WeightsError("G322", f"{shown(path)}: expected a checkpoint of format {FORMAT}, got {found}")
    if said := lacking(content, OF_DATA):
        raise WeightsError("G320", f"{shown(path)}: the checkpoint cannot be used: {said}")
    return dict(content)


def _text(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=1, sort_keys=True).encode() + b"\n"
