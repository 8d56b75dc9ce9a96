"""Data sets whose images stay in files, with annotations: what lists, COCO files, folders and archives become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np

from graphc.data.annotated_image import annotated_image
from graphc.data.drawn import Exif
from graphc.data.examples import BOX_LABEL, IMAGE, LABEL, MEMORY_LIMIT, Examples, check_memory
from graphc.data.resizing import STRETCH, Resizing
from graphc.data.sample import BOXES, BOXES_THERE, MASK, POINTS, POINTS_THERE
from graphc.data.sides import PIXEL_LIMIT
from graphc.data.stored import Drawing, Store, StoredImages, StoredMasks
from graphc.data.value_range import BYTES, ImageValues, ValueRange
from graphc.errors import DataError, Place
from graphc.types import Array

MOST_MISSING = 1_000
"""Files that are not there, behind which no others are looked for."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An image and what is known of it."""

    name: str
    """Of the file, in the store."""
    label: int | None = None
    boxes: Sequence[Sequence[float]] = ()
    """Left, top, right, bottom, in pixels."""
    box_labels: Sequence[int] = ()
    points: Sequence[Sequence[float]] = ()
    """x, y in pixels; not numbers where a point is not in the picture."""
    mask: str | Drawing | None = None
    """The name of its file in the store, or how it is drawn."""
    size: tuple[int, int] | None = None
    """(height, width) of the image in which boxes, points and mask were drawn, where the annotation says so."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How images are read."""

    size: tuple[int, int]
    channels: int = 3
    pixels: int = PIXEL_LIMIT
    skip: bool = False
    """Leave out what cannot be read, rather than fail."""
    boxes: int | None = None
    """Boxes an image may have; None: as many as the one with most."""
    classes: tuple[str, ...] = field(default=())
    mask_values: Mapping[int, int] = field(default_factory=dict)
    """Value of a mask -> class."""
    resizing: Resizing = STRETCH
    mask_fill: int = 0
    """Class of what is beside the image."""
    box_labels: bool = False
    """Whether the classes of boxes are wanted, also where no box has one."""
    values: ImageValues = BYTES
    """Type and range that images are brought to."""
    exif: Exif | None = None
    """Whether annotations were drawn in the stored or the upright image, where sizes do not say it."""
    value_range: ValueRange | None = None
    """Black and white of images, where the source says it."""
    limit: int = MEMORY_LIMIT
    """Bytes that the boxes, or the key points, of all images may take."""


def examples_of(
    entries: Sequence[Entry], store: Store, how: Reading, source: str, others: Mapping[str, Array] | None = None
) -> Examples:
    """The data set, with other targets of the entries ([N, …] by name); with `skip` every file is decoded once, and the
    bad ones are left out and counted."""
    if not entries:
        raise DataError("G403", "found no images", Place(source))
    files = [entry.name for entry in entries]
    sizes = [entry.size for entry in entries]
    images = StoredImages(store, files, how.size, how.channels, how.pixels, how.resizing, how.values, sizes, how.exif)
    masked = [entry.mask is not None for entry in entries]
    if any(masked) and not all(masked):
        raise DataError("G402", f"expected a mask for every image, found {sum(masked)} of {len(masked)}", Place(source))
    masks = None
    if any(masked):
        names = [entry.mask or "" for entry in entries]
        masks = StoredMasks(store, names, how.size, how.pixels, how.mask_values, how.resizing, how.mask_fill)
    if not how.skip:
        _require_files([images, *([masks] if masks is not None else [])])
    targets: dict[str, Any] = {**(others or {}), **({} if masks is None else {MASK: masks})}
    labeled = [entry.label for entry in entries if entry.label is not None]
    if labeled and len(labeled) < len(entries):
        raise DataError("G402", f"found labels for {len(labeled)} of {len(entries)} images", Place(source))
    if labeled:
        targets[LABEL] = np.array(labeled, np.int64)
    targets |= _box_targets(entries, how, source) | _point_targets(entries, how, source)
    examples = Examples({IMAGE: images}, targets, how.classes, source, value_range=how.value_range)
    return without_bad(examples) if how.skip else examples


def in_memory(examples: Examples, limit: int, whole: bool = False) -> Examples:
    """All images and masks read and resized; `whole`: in their own size, which augmentation cuts from, as many as the
    limit has room for."""
    images = examples.inputs[IMAGE]
    if whole and isinstance(images, StoredImages):
        held = images.held(limit)
        count, total = held.count_held, len(held)
        note = f"{count:,} of {total:,} images fit into {limit:,} bytes (--max-memory), the others are read when needed"
        notes = examples.notes if count == total else (*examples.notes, note)
        return replace(examples, inputs={**examples.inputs, IMAGE: held}, notes=notes)
    hint = "`keep: files` reads each image when it is needed"
    check_memory(images.shape, images.dtype.itemsize, limit, examples.source, hint)
    every = np.arange(len(examples))
    inputs = {name: array[every] for name, array in examples.inputs.items()}
    targets = {name: array[every] for name, array in examples.targets.items()}
    return replace(examples, inputs=inputs, targets=targets)


def _require_files(stored: Sequence[StoredImages | StoredMasks]) -> None:
    """An error for the first file that is not there, before hours of training come to it."""
    names = [(each.store, dict.fromkeys(name for name in each.names if isinstance(name, str))) for each in stored]
    files = [(store, name) for store, different in names for name in different]
    missing = [*islice(((store, name) for store, name in files if store.size(name) < 0), MOST_MISSING)]
    if missing:
        store, name = missing[0]
        least = "at least " if len(missing) == MOST_MISSING else ""
        more = f" ({least}{len(missing):,} of {len(files):,} files are missing)" if len(missing) > 1 else ""
        notes = [*store.hints(name), "`bad_files: skip` leaves out and counts what cannot be read"]
        try:
            store.read(name)
        except DataError as error:
            raise DataError(error.code, f"{error.message}{more}", error.place, notes) from None


def _box_targets(entries: Sequence[Entry], how: Reading, source: str) -> dict[str, Array]:
    """Boxes N K 4 (N 4 where one is the most), their classes, and which there are; nothing where no image has any."""
    found, most = max(len(entry.boxes) for entry in entries), how.boxes
    if not found and most is None:
        return {}
    if most is not None and found > most:
        name = next(entry.name for entry in entries if len(entry.boxes) == found)
        expected = f"{most} box" if most == 1 else f"{most} boxes"
        raise DataError("G402", f"expected at most {expected} in an image, found {found} in {name}", Place(source))
    most = found if most is None else most
    fullest = next(entry.name for entry in entries if len(entry.boxes) == found)
    hint = f"{fullest} has {found:,} boxes, and every image gets room for as many"
    check_memory((len(entries), most, 6), 4, how.limit, source, hint)
    boxes = np.full((len(entries), most, 4), np.nan, np.float32)
    labels = np.full((len(entries), most), -1, np.int64)
    for row, entry in enumerate(entries):
        if entry.boxes:
            boxes[row, : len(entry.boxes)] = entry.boxes
        labels[row, : len(entry.box_labels)] = entry.box_labels
    there = finite(boxes)
    if most == 1:
        boxes, labels, there = boxes[:, 0], labels[:, 0], there[:, 0]
    classes = {BOX_LABEL: labels} if how.box_labels or any(entry.box_labels for entry in entries) else {}
    return {BOXES: boxes, BOXES_THERE: there, **classes}


def _point_targets(entries: Sequence[Entry], how: Reading, source: str) -> dict[str, Array]:
    most = max(len(entry.points) for entry in entries)
    if not most:
        return {}
    if (other := next((e for e in entries if len(e.points) not in (0, most)), None)) is not None:
        message = f"expected {most} key points in every image, found {len(other.points)} in {other.name}"
        raise DataError("G402", message, Place(source))
    check_memory((len(entries), most, 3), 4, how.limit, source, "every image gets room for as many key points")
    points = np.full((len(entries), most, 2), np.nan, np.float32)
    for row, entry in enumerate(entries):
        if entry.points:
            points[row, : len(entry.points)] = entry.points
    return {POINTS: points, POINTS_THERE: finite(points)}


def finite(coordinates: Array) -> Array:
    """1 where all coordinates of a box or point, [..., 4] or [..., 2], are numbers, else 0: float32 [...]."""
    found: Array = np.all(np.isfinite(coordinates), axis=-1)
    return found.astype(np.float32)


def without_bad(examples: Examples) -> Examples:
    """Those that can be read: all of them are, once, and what was said of the others is kept."""
    good, said = [], []
    for row in range(len(examples)):
        try:
            annotated_image(examples, IMAGE, row)
        except DataError as error:
            said.append(str(error))
        else:
            good.append(row)
    if not good:
        raise DataError("G403", "none of the images can be read", Place(examples.source), notes=said[:5])
    kept = examples.take(np.array(good, np.intp)) if said else examples
    return replace(kept, skipped=tuple(said))
