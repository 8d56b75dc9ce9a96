"""Weights in several files with an index beside them, as Hugging Face's libraries write what is large."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from graphc.errors import WeightsError, counted
from graphc.files import open_regular, shown
from graphc.types import Array
from graphc.valid_json import without_duplicates
from graphc.weights.file import MAX_ENTRIES, Entry, Layout, WeightsFile
from graphc.weights.safetensors_file import SafetensorsFile
from graphc.weights.torch_file import TorchFile

MAX_INDEX = 64 * 2**20
"""Bytes."""
MAX_SHARDS = 100
"""Files that are open at a time."""
MAP = "weight_map"
PARTS: Mapping[str, Callable[[BinaryIO, str], WeightsFile]] = {
    ".safetensors": SafetensorsFile, ".bin": TorchFile, ".pth": TorchFile, ".pt": TorchFile,
}  # fmt: skip
"""The ending of a file's name -> its reader."""
SHOWN = 8


class ShardedFile:
    """The arrays of all files that an index names; they lie in its folder, and are open until `__exit__`."""

    format = "several files with an index"
    in_order = False
    nested = False

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.path = shown(path)
        self._stack = ExitStack()
        self._places = self._read(file)
        try:
            names = dict.fromkeys(self._places.values())
            self._files = {name: self._opened(path.with_name(name), name) for name in names}
            self._check()
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> ShardedFile:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def layout(self) -> Layout | None:
        found = {each.layout for each in self._files.values()}
        return found.pop() if len(found) == 1 else None

    @property
    def writer(self) -> str | None:
        return next((each.writer for each in self._files.values()), None)

    @property
    def metadata(self) -> Mapping[str, str]:
        said = {key: value for each in self._files.values() for key, value in each.metadata.items()}
        more = [name for file in self._files.values() for name in file.names if name not in self._places]
        if more:
            said["not in the index"] = ", ".join(map(shown, more[:SHOWN])) + (", …" if len(more) > SHOWN else "")
        return {"files": str(len(self._files)), **said}

    @property
    def names(self) -> list[str]:
        return list(self._places)

    def entry(self, name: str) -> Entry:
        """Shape and type of an array."""
        return self._files[self._places[name]].entry(name)

    def read(self, name: str) -> Array:
        """The array, of any shape, as float32."""
        return self._files[self._places[name]].read(name)

    def _read(self, file: BinaryIO) -> dict[str, str]:
        """Array -> the file that it is in."""
        text = file.read(MAX_INDEX + 1)
        if len(text) > MAX_INDEX:
            raise self._wrong(f"expected an index of at most {MAX_INDEX:,} bytes, found more", "G304")
        try:
            found: Any = json.loads(text.decode("utf-8"), object_pairs_hook=without_duplicates)
        except (ValueError, RecursionError) as error:
            raise self._wrong(f"expected an index of weights in JSON, found {shown(str(error)[:100])}") from None
        places = found.get(MAP) if isinstance(found, dict) else None
        if not isinstance(places, dict) or not places:
            raise self._wrong(f"expected an index of weights with {MAP}: a mapping of arrays to files, found none")
        if len(places) > MAX_ENTRIES:
            raise self._wrong(f"expected at most {MAX_ENTRIES:,} arrays, found {len(places):,}", "G304")
        for array, name in places.items():
            if not isinstance(name, str) or Path(name).name != name or "\\" in name or Path(name).suffix not in PARTS:
                expected = f"the name of a file ending in {', '.join(PARTS)}"
                raise self._wrong(f"{shown(array[:100])}: expected {expected}, found {shown(str(name)[:100])}")
        count = len(set(places.values()))
        if count > MAX_SHARDS:
            raise self._wrong(f"expected at most {MAX_SHARDS} files, found {count:,}", "G304")
        return places

    def _opened(self, path: Path, name: str) -> WeightsFile:
        file = self._stack.enter_context(open_regular(path, WeightsError, "G300"))
        return PARTS[path.suffix](file, f"{self.path}: {shown(name)}")

    def _check(self) -> None:
        """A WeightsError where arrays of the index are not in their files."""
        there = {name: set(file.names) for name, file in self._files.items()}
        missing = [array for array, name in self._places.items() if array not in there[name]]
        if missing:
            listed = ", ".join(shown(each[:100]) for each in missing[:SHOWN])
            raise self._wrong(
                f"expected the arrays of its index in its files, {counted(len(missing), 'array')} not: {listed}"
            )

    def _wrong(self, message: str, code: str = "G301") -> WeightsError:
        return WeightsError(code, f"{self.path}: {message}")
