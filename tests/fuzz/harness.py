"""What is fuzzed: a `Harness` a reader, with the inputs that it begins with. A new one is a class and a line in
`HARNESSES` (`harnesses/__init__.py`).

What is held of every input stands in `watch.py`: no exception but graphc's own, no answer over `seconds`, no memory
beyond `mebibytes`, and nothing written, started or fetched.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar


class Harness:
    """A reader of files, in a folder of its own."""

    name: ClassVar[str]
    suffix: ClassVar[str] = ""
    """Of the file that the input becomes."""
    is_text: ClassVar[bool] = False
    """Whether inputs are changed as lines and words rather than as bytes."""
    seconds: ClassVar[float] = 2.0
    """Of a processor, that an answer may take."""
    mebibytes: ClassVar[int] = 150
    """That reading may take at most."""
    needs: ClassVar[tuple[str, ...]] = ()
    """Packages without which it cannot be read."""
    share_read: ClassVar[float] = 1.0
    """Of the seeds, that is read at least."""
    writes: ClassVar[bool] = False
    """Whether it may write in its folder, and start what it needs for that."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / f"input{self.suffix}"
        self.prepare()

    @classmethod
    def is_there(cls) -> bool:
        """Whether what it needs is installed."""
        return all(importlib.util.find_spec(each) is not None for each in cls.needs)

    def prepare(self) -> None:
        """Write what lies beside the input."""

    def seeds(self) -> Sequence[bytes]:
        """Inputs that are read without an error, made by code."""
        raise NotImplementedError(self.name)

    def words(self) -> Sequence[bytes]:
        """What inputs are likely to be changed into: keywords, signatures, sizes."""
        return ()

    def packed(self, data: bytes) -> bytes:
        """The file of an input: with the checksums or around the compression that would refuse every change."""
        return data

    def read(self) -> None:
        """Read the file at `path`; a GraphcError where it is refused."""
        raise NotImplementedError(self.name)


def words_of(schema: Any) -> list[bytes]:
    """The keys and values that a JSON Schema knows."""
    return [word.encode() for word in dict.fromkeys(_words(schema))]


def _words(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for each in schema:
            yield from _words(each)
    elif isinstance(schema, dict):
        yield from schema.get("properties", {})
        values = [*schema.get("enum", []), *([schema["const"]] if "const" in schema else [])]
        yield from (value if isinstance(value, str) else json.dumps(value) for value in values)
        for value in schema.values():
            yield from _words(value)
