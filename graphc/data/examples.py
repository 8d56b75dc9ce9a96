"""Examples in memory: arrays for a network's inputs and for its losses' targets, one row an example."""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from graphc.data.shard_members import Members
from graphc.data.stored import STORED, StoredImages
from graphc.data.value_range import AnyRange, ImageValues, UnknownRange, ValueRange, range_of, range_of_type
from graphc.errors import DataError, Place, twice_in
from graphc.types import Array

MEMORY_LIMIT = 8 * 2**30
"""Bytes that one data set may take, unless the caller says otherwise."""

IMAGES = 4
"""Axes of images: N H W C."""
Rows: TypeAlias = Any
"""An array with one row an example, or images that stay in files and can be indexed like one."""

LABEL = "label"
"""What the targets of a data set with one kind of target are called."""
BOX_LABEL = "box_label"
NO_CLASS = -1
"""The label of a box that has none."""


def of_crowds(labels: Any) -> Any:
    """Labels of classes as those of boxes around crowds of them, and back: -2 - label. No loss learns such boxes, and
    metrics count what is found there as neither right nor wrong, as pycocotools does."""
    return -2 - labels


"""Target with the class of each box, -1 where there is none."""
IMAGE = "image"
"""What the inputs of a data set with one kind of input are called."""


@dataclass(frozen=True, slots=True)
class Examples:
    """A data set: every array has one row an example."""

    inputs: Mapping[str, Rows]
    targets: Mapping[str, Rows]
    classes: tuple[str, ...] = ()
    """Names of the classes that `label` and `box_label` count, where they are known."""
    source: str = ""
    """Where they come from, for messages."""
    skipped: tuple[str, ...] = ()
    """Files that could not be read and were left out, as the recipe allowed: what was said of each."""
    target_classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of the classes that other targets count, by target."""
    point_names: tuple[str, ...] = ()
    """Names of the key points, where they are known."""
    category_ids: tuple[int, ...] = ()
    """What a COCO file calls each of `classes`, where these are whole numbers."""
    notes: tuple[str, ...] = ()
    """What else was left out or decided in reading, to be said once."""
    value_range: ValueRange | None = None
    """Which values of images are black and white, where the source says it."""

    def __post_init__(self) -> None:
        counts = {name: len(array) for name, array in {**self.inputs, **self.targets}.items()}
        if len(set(counts.values())) > 1:
            found = ", ".join(f"{count} of {name}" for name, count in counts.items())
            raise DataError("G402", f"expected as many of one as of the other, found {found}", Place(self.source))
        if not len(self):
            raise DataError("G402", "found no examples", Place(self.source))
        for name, array in self.inputs.items():
            if 0 in array.shape[1:]:
                found = "×".join(map(str, array.shape))
                raise DataError("G402", f"expected values in {name!r}, found the shape {found}", Place(self.source))
        for names in (self.classes, *self.target_classes.values()):
            if (twice := twice_in(names)) is not None:
                raise DataError("G405", f"classes: expected each name once, found {twice!r} twice", Place(self.source))

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def classes_of(self, target: str) -> tuple[str, ...]:
        """Names of the classes that a target counts; nothing where they have none."""
        return self.classes if target in (LABEL, BOX_LABEL) else self.target_classes.get(target, ())

    def take(self, rows: Array) -> Examples:
        """Some of the examples, of these rows ([n] indices), in this order."""
        return replace(
            self,
            inputs={name: _taken(array, rows) for name, array in self.inputs.items()},
            targets={name: _taken(array, rows) for name, array in self.targets.items()},
        )

    def range_of(self, name: str) -> AnyRange | None:
        """Which values of an input's images are black and white; None: nothing is said, and only files can tell."""
        array = self.inputs[name]
        if isinstance(array, STORED):
            return self.value_range or range_of_type(array.dtype)
        found = self.value_range or range_of(array)
        return replace(found, source=self.source) if isinstance(found, UnknownRange) else found

    def values_of(self, name: str) -> ImageValues:
        """Type and range of an input's images."""
        array = self.inputs[name]
        if isinstance(array, StoredImages):
            return array.values
        return ImageValues.of(array.dtype, self.range_of(name), self.value_range)

    def unit_of(self, name: str) -> float:
        """What an input is multiplied with where preprocessing does not say it: the largest value of images becomes
        1; floats of unknown range, and numbers that are no images, stay; bytes are divided by 255."""
        array = self.inputs[name]
        if array.ndim != IMAGES:
            return 1 / 255 if array.dtype == np.uint8 else 1.0
        found = self.range_of(name)
        if isinstance(found, UnknownRange) and array.dtype.kind != "f":
            raise found.error("preprocessing", "`scale` in `preprocess` says what they are multiplied with")
        return found.unit if isinstance(found, ValueRange) else 1.0

    def order(self, seed: int, epoch: int) -> Array:
        """The rows of an epoch, shuffled, int64 [N]: the same for the same seed and epoch. Of images in shards those
        come together that lie together."""
        stored = (array.names for array in self.inputs.values() if isinstance(array, StoredImages))
        if (members := next((names for names in stored if isinstance(names, Members)), None)) is not None:
            return members.order(seed, epoch)
        return epoch_order(seed, epoch, len(self))

    def name(self, row: int) -> str:
        """What messages call an example."""
        files = (array for array in self.inputs.values() if isinstance(array, STORED))
        return next((array.name(row) for array in files), f"example {row}")

    def fingerprint(self) -> str:
        """SHA-256 over names, types, shapes and bytes: whether a resumed run sees the same data."""
        digest = hashlib.sha256()
        for name, array in sorted({**self.inputs, **self.targets}.items()):
            digest.update(f"{name} {array.dtype.str} {array.shape};".encode())
            digest.update(
                array.fingerprint() if isinstance(array, STORED) else np.ascontiguousarray(array).data.cast("B")
            )
        return digest.hexdigest()


def epoch_order(seed: int, epoch: int, count: int) -> Array:
    """The rows of an epoch, shuffled, int64 [count]: the same for the same seed and epoch."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def _taken(array: Rows, rows: Array) -> Rows:
    return array.take(rows) if isinstance(array, STORED) else array[rows]


def split(examples: Examples, share: float, seed: int, stratified: bool = False) -> tuple[Examples, Examples]:
    """(the rest, `share` of the examples), drawn by the seed; both in their old order.

    Stratified: the share of each class, as nearly as whole examples allow.
    """
    count = round(len(examples) * share)
    if not 0 < count < len(examples):
        raise DataError("G402", f"a share of {share} of {len(examples)} examples leaves one part empty")
    shuffled = np.random.default_rng([seed, 0x5711]).permutation(len(examples))
    if stratified:
        shuffled = shuffled[np.argsort(_depths(examples, shuffled), kind="stable")]
    drawn = np.zeros(len(examples), bool)
    drawn[shuffled[:count]] = True
    return examples.take(np.flatnonzero(~drawn)), examples.take(np.flatnonzero(drawn))


def _depths(examples: Examples, shuffled: Array) -> Array:
    """How far down its class each of the shuffled examples stands, from 0 to 1: the first so many by depth are the
    same share of every class."""
    check_one_class(examples, "a stratified split")
    labels = examples.targets[LABEL][shuffled]
    depths = np.empty(len(labels))
    for value in np.unique(labels):
        rows = np.flatnonzero(labels == value)
        depths[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
    return depths


def check_one_class(examples: Examples, what: str) -> None:
    """An error where examples are not of one class each."""
    labels = examples.targets.get(LABEL)
    if labels is None or labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        found = "none" if labels is None else f"{labels.dtype} of shape {list(labels.shape)}"
        message = f"{what} needs one label an example, the index of its class, found {found}"
        raise DataError("G408", message, Place(examples.source))


def class_weights(labels: Array, classes: int) -> tuple[float, ...]:
    """count / (classes * count of the class), of class indices of any shape: classes weigh the same together, an
    average example 1; 0 for a class that has none."""
    counts = np.bincount(labels.ravel(), minlength=classes)
    return tuple(len(labels.ravel()) / (classes * count) if count else 0.0 for count in counts.tolist())


def check_memory(shape: tuple[int, ...], item_bytes: int, limit: int, path: str, *hints: str) -> int:
    """The bytes of an array, or an error, with these hints, before anything of that size is allocated."""
    size = math.prod(shape) * item_bytes
    if size > limit:
        found = f"{'×'.join(map(str, shape))} values of {item_bytes} bytes are {size:,} bytes"
        raise DataError("G407", f"{found}, the limit is {limit:,} (--max-memory raises it)", Place(path), [*hints])
    if math.prod(max(length, 1) for length in shape) * item_bytes > sys.maxsize:  # NumPy's, also where one is 0
        raise DataError("G407", f"no array can have the shape {'×'.join(map(str, shape))}", Place(path))
    return size


def first_wrong(values: Array, wrong: Array) -> tuple[int, Any]:
    """(example, value) of the first of `values` [N, …] that is wrong; `wrong` are truth values of the same shape."""
    first = int(np.flatnonzero(wrong)[0])
    return first // max(math.prod(values.shape[1:]), 1), values.ravel()[first]
