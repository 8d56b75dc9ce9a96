"""The initializers of an ONNX file: what an exporter kept of a network's variables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from graphc.files import shown
from graphc.lazy import lazy_import
from graphc.types import Array
from graphc.weights.file import Entry, Layout, check_array, check_floats
from graphc.weights.floats import FLOATS

if TYPE_CHECKING:
    from graphc.emit import stored
else:  # opening other files loads no onnx
    stored = lazy_import("graphc.emit.stored")


class OnnxFile:
    """The initializers of a model by name, matrices as [out, in]."""

    format = "ONNX"
    layout: Layout | None = "OIHW"
    in_order = False
    nested = False

    def __init__(self, _: BinaryIO, path: Path) -> None:
        self.path = shown(path)
        self._tensors, said = stored.initializers(path)
        self.writer = shown(said["producer"]) or None
        self.metadata: Mapping[str, str] = said
        for name, tensor in self._tensors.items():
            check_array(self.path, name, tensor.shape)

    @property
    def names(self) -> list[str]:
        return list(self._tensors)

    def entry(self, name: str) -> Entry:
        """Shape and type of an initializer."""
        tensor = self._tensors[name]
        return Entry(tensor.shape, tensor.dtype)

    def read(self, name: str) -> Array:
        """The initializer, of any shape, as float32."""
        check_floats(self.path, name, self.entry(name))
        tensor = self._tensors[name]
        return FLOATS[tensor.dtype].as_float32(tensor.read())
