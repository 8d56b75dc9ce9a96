"""What an open checkpoint of TensorFlow is in both versions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Generic, Protocol, TypeVar

from graphc.errors import WeightsError
from graphc.files import shown
from graphc.types import Array
from graphc.weights.file import Entry, Layout, check_floats
from graphc.weights.tensorflow.messages import Damaged


class Saved(Protocol):
    """An array, and whatever says where its numbers are."""

    @property
    def entry(self) -> Entry: ...


S = TypeVar("S", bound=Saved)


class Checkpoint(ABC, Generic[S]):
    """Arrays by name; a version says how one is read."""

    writer: str | None = "TensorFlow"
    layout: Layout | None = "HWIO"
    in_order = False
    nested = False
    path: str
    metadata: Mapping[str, str]
    _saved: dict[str, S]

    @property
    def names(self) -> list[str]:
        return list(self._saved)

    def entry(self, name: str) -> Entry:
        """Shape and type of an array."""
        return self._saved[name].entry

    def read(self, name: str) -> Array:
        """The array, of any shape, as float32."""
        saved = self._saved[name]
        check_floats(self.path, name, saved.entry)
        try:
            return self._array(name, saved)
        except Damaged as error:
            raise WeightsError("G316", f"{self.path}: {shown(name)}: {error}") from None

    @abstractmethod
    def _array(self, name: str, saved: S) -> Array:
        """The array, of its entry's shape; Damaged where it is not as it should be."""
