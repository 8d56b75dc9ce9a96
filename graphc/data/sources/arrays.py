"""Sources of arrays: files that hold all examples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from graphc.data.cifar import CIFAR10_CLASSES, read_cifar
from graphc.data.examples import IMAGE, LABEL, Examples, check_memory
from graphc.data.idx import read_idx
from graphc.data.labels import Column, Typed, typed
from graphc.data.masks import MaskValues, mapped
from graphc.data.npz import read_npz
from graphc.data.sources.base import ClassNames, Source
from graphc.data.target_kind import TargetKind
from graphc.data.texts import sequences
from graphc.data.value_range import BlackToWhite, black_to_white
from graphc.data.wanted import ANYTHING, Wanted
from graphc.errors import DataError, Place
from graphc.files import shown
from graphc.settings import ONE_OR_LIST
from graphc.types import Array

LARGEST_INDEX = np.iinfo(np.int64).max
TOGETHER = 1 << 14
"""Texts that are decoded at once."""


class Npz(Source):
    """Arrays of an .npz file."""

    kind: ClassVar[str] = "npz"

    path: str
    """The file."""
    inputs: str | Annotated[dict[str, str], Field(min_length=1)] = "x"
    """Name of the array of inputs; or of one array for each input of the network."""
    targets: str | dict[str, str] = "y"
    """Name of the array of labels; or of one array for each target. Targets that are called `boxes` (N 4 or N K 4:
    left, top, right, bottom in pixels), `mask` (N H W) or `points` (N K 2) move with the image."""
    mask_values: MaskValues = Field(default={})
    """What the values of masks (targets N H W of whole numbers) mean, where they are no class indices: `{255: 1}`."""
    mmap: bool = False
    """Leave the arrays in the file until they are needed; it must not be compressed."""
    classes: ClassNames = ()
    """Names of the classes."""
    value_range: BlackToWhite = None
    """[black, white] of images, where their type does not say it: `[0, 255]` or `[-1, 1]` of floats, `[0, 4095]` of
    uint16; default: the range of integers of 8 and 16 bits, and 0 to 1 of floats that lie there."""

    def load(self, base: Path, limit: int, wanted: Wanted = ANYTHING) -> Examples:
        inputs = {IMAGE: self.inputs} if isinstance(self.inputs, str) else self.inputs
        targets = {LABEL: self.targets} if isinstance(self.targets, str) else self.targets
        path = base / self.path
        texts = set(targets.values()) - set(inputs.values())
        arrays = read_npz(path, {**inputs, **targets}.values(), limit, self.mmap, texts)
        rows = {key: _with_rows(array, key, path) for key, array in arrays.items()}
        left = limit - sum(0 if isinstance(array, np.memmap) else array.nbytes for array in arrays.values())
        typed: dict[str, Typed] = {}
        for name, key in targets.items():
            typed[name] = array_target(rows[key], name, key, path, self.classes, wanted, left)
            left -= 0 if typed[name].values is rows[key] else typed[name].values.nbytes
        named = {name: each.classes for name, each in typed.items() if each.classes}
        return Examples(
            {name: rows[key] for name, key in inputs.items()},
            {name: self._classes_of_masks(each.values) for name, each in typed.items()},
            named.pop(LABEL, self.classes),
            shown(path),
            target_classes=named,
            value_range=black_to_white(self.value_range, {key: rows[key] for key in inputs.values()}, path),
        )

    def _classes_of_masks(self, values: Array) -> Array:
        masks = self.mask_values and values.ndim >= 3 and np.issubdtype(values.dtype, np.integer)
        return mapped(values, self.mask_values) if masks else values


class Idx(Source):
    """A file of images and one of labels in MNIST's format, gzipped or not."""

    kind: ClassVar[str] = "idx"

    images: str
    """The file of images."""
    labels: str
    """The file of labels."""
    classes: ClassNames = ()
    """Names of the classes."""
    value_range: BlackToWhite = None
    """[black, white] of images, where their type does not say it."""

    def load(self, base: Path, limit: int, wanted: Wanted = ANYTHING) -> Examples:
        images = read_idx(base / self.images, limit)
        left = limit - images.nbytes
        labels = _whole(read_idx(base / self.labels, left), left, shown(base / self.labels))
        path = base / self.images
        said = black_to_white(self.value_range, {self.images: images}, path)
        return Examples({IMAGE: images}, {LABEL: labels}, self.classes, shown(path), value_range=said)


class Cifar10(Source):
    """Files of CIFAR-10's binary version."""

    kind: ClassVar[str] = "cifar10"

    files: Annotated[tuple[str, ...], ONE_OR_LIST] = Field(min_length=1)
    """data_batch_1.bin and so on, in order."""

    def load(self, base: Path, limit: int, wanted: Wanted = ANYTHING) -> Examples:
        images, labels = read_cifar([base / name for name in self.files], limit, classes=len(CIFAR10_CLASSES))
        return Examples({IMAGE: images}, {LABEL: labels}, CIFAR10_CLASSES, shown(base / self.files[0]))


def _whole(labels: Array, limit: int, where: str) -> Array:
    """Labels as int64, in another array of at most `limit` bytes; numbers that are none stay as they are (values to
    regress, or to be refused as classes)."""
    if not np.issubdtype(labels.dtype, np.integer) or (labels.dtype == np.uint64 and (labels > LARGEST_INDEX).any()):
        return labels
    if labels.dtype == np.int64:
        return labels
    check_memory(labels.shape, np.dtype(np.int64).itemsize, limit, where)
    return labels.astype(np.int64)


def array_target(
    array: Array, target: str, key: str, path: Path, classes: tuple[str, ...], wanted: Wanted, limit: int
) -> Typed:
    """A target [N, …] of an array: whole numbers are indices of classes, texts [N] are their names. `limit`: bytes
    that another array may take."""
    if array.dtype.kind not in "US":
        return Typed(_whole(array, limit, f"{shown(path)}[{key}]"))
    if array.ndim != 1:
        message = f"expected one text an example in {key!r}, found the shape {list(array.shape)}"
        raise DataError("G402", message, Place(shown(path)))

    def fail(row: int, message: str) -> DataError:
        return DataError("G405", f"{message} at example {row}", Place(f"{shown(path)}[{key}]"))

    try:
        cells = _texts(array)
    except ValueError as error:
        raise DataError("G401", f"the texts are damaged: {error}", Place(f"{shown(path)}[{key}]")) from None
    if TargetKind.SEQUENCE in wanted.of(target).kinds:
        return sequences(Column(target, cells, fail, limit=limit), wanted.of(target))
    known = wanted.classes.get(target, ())
    return typed(Column(target, cells, fail, limit=limit), wanted.of(target), classes, known)


def _texts(array: Array) -> list[str]:
    """The texts of an array [N]; those that are alike are one object."""
    found: list[str] = []
    known: dict[str, str] = {}
    for start in range(0, len(array), TOGETHER):
        part = array[start : start + TOGETHER]
        part = np.char.decode(part, "utf-8", "backslashreplace") if part.dtype.kind == "S" else part
        found += [known.setdefault(text, text) for text in map(str.strip, part.tolist())]
    return found


def _with_rows(array: Array, key: str, path: Path) -> Array:
    if array.ndim == 0:
        raise DataError(
            "G402", f"expected an array with one row an example, found a number in {key!r}", Place(shown(path))
        )
    return array
