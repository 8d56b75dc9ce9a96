"""What every file of weights can say, whoever wrote it: `WeightsFile`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from graphc.dims import format_shape
from graphc.errors import CONTROLS, WeightsError
from graphc.files import shown
from graphc.types import Array
from graphc.weights.floats import FLOATS, NAMES

Layout: TypeAlias = Literal["HWIO", "OIHW"]
"""How arrays lie: HWIO as in TensorFlow, Keras and here (a dense layer's [in, out], an image flattened as H W C), OIHW
as in PyTorch and ONNX ([out, in], C H W)."""
MAX_ENTRIES = 50_000
"""Arrays of a file."""
MAX_NAME = 1_000
"""Characters of an array's name, with the groups or dictionaries that it lies in."""
OTHERS = "other values"
"""Key of the metadata: what a file has besides arrays."""
HALVES = re.compile("[\ud800-\udfff]")
"""Halves of letters, which no file of text can hold."""
MAX_RANK = 32
MAX_SIZE = 2**48
"""Numbers of an array, those of axes without any not counted."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An array of a file, before it is read."""

    shape: tuple[int, ...]
    dtype: str
    """As NumPy calls it (float32, int64, …), bfloat16, or what the file calls it."""

    @property
    def size(self) -> int:
        """Numbers in it."""
        return math.prod(self.shape)


class WeightsFile(Protocol):
    """An open file of arrays by name.

    What it holds is bounded and checked before it is read: a WeightsError says what was expected and what was found.
    """

    @property
    def path(self) -> str:
        """The file, as messages call it."""

    @property
    def format(self) -> str:
        """What it is: `TensorFlow checkpoint, version 2`."""

    @property
    def writer(self) -> str | None:
        """What wrote it, where it says so."""

    @property
    def layout(self) -> Layout | None:
        """How its arrays lie; None where neither the format nor its metadata say."""

    @property
    def in_order(self) -> bool:
        """Whether names come in the order in which their layers were made."""

    @property
    def nested(self) -> bool:
        """Whether names begin with the place in the file, `state_dict/conv1.weight`, as of what training scripts write
        with other things beside it."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """What else it says of itself."""

    @property
    def names(self) -> list[str]:
        """Of all arrays, in the file's order."""

    def entry(self, name: str) -> Entry:
        """Shape and type of an array that is there."""

    def read(self, name: str) -> Array:
        """An array of floating-point numbers, of any shape, as float32, in C order; a WeightsError where it holds
        others."""


def check_floats(path: str, name: str, entry: Entry) -> None:
    """A WeightsError where an array is of other than floating-point numbers, or of a shape that none has."""
    check_array(path, name, entry.shape)
    if entry.dtype == "object":
        raise WeightsError("G305", f"{path}: {name}: object array refused: expected {NAMES}")
    if entry.dtype not in FLOATS:
        raise WeightsError("G305", f"{path}: {name}: expected {NAMES}, found {shown(entry.dtype[:100])}")


def check_array(path: str, name: str, shape: tuple[int, ...]) -> None:
    """A WeightsError where a name or a shape is none that anybody's array has. Every reader asks this of all arrays
    before it says that they are there."""
    if len(name) > MAX_NAME or not CONTROLS.keys().isdisjoint(map(ord, name)) or HALVES.search(name):
        expected = f"expected names of at most {MAX_NAME:,} characters that can be printed"
        raise WeightsError("G304", f"{path}: {expected}, found {shown(name[:100])}{'…' if len(name) > 100 else ''}")
    if len(shape) > MAX_RANK:
        raise WeightsError("G304", f"{path}: {name}: expected at most {MAX_RANK} axes, found {len(shape):,}")
    if any(size < 0 for size in shape) or math.prod(filter(None, shape)) > MAX_SIZE:
        raise WeightsError("G304", f"{path}: {name}: expected an array's shape, found {format_shape(shape)[:100]}")
