"""Data sets whose images stay in files, with annotations: what lists, COCO files, folders and archives become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from graphc.data.examples import BOX_LABEL, IMAGE, LABEL, Examples, check_memory
from graphc.data.images import PIXEL_LIMIT
from graphc.data.sample import BOXES, BOXES_THERE, MASK, POINTS, POINTS_THERE
from graphc.data.stored import Drawing, Store, StoredImages, StoredMasks
from graphc.errors import DataError, Place, did_you_mean
from graphc.types import Array


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


def examples_of(entries: Sequence[Entry], store: Store, how: Reading, source: str) -> Examples:
    """The data set; with `skip` every file is decoded once, and the bad ones are left out and counted."""
    if not entries:
        raise DataError("G403", "found no images", Place(source))
    images = StoredImages(store, [entry.name for entry in entries], how.size, how.channels, how.pixels)
    masked = [entry.mask is not None for entry in entries]
    if any(masked) and not all(masked):
        raise DataError("G402", f"expected a mask for every image, found {sum(masked)} of {len(masked)}", Place(source))
    masks = StoredMasks(store, [entry.mask or "" for entry in entries], how.size, how.pixels) if any(masked) else None
    targets: dict[str, Any] = {} if masks is None else {MASK: masks}
    labelled = [entry.label for entry in entries if entry.label is not None]
    if labelled and len(labelled) < len(entries):
        raise DataError("G402", f"found labels for {len(labelled)} of {len(entries)} images", Place(source))
    if labelled:
        targets[LABEL] = np.array(labelled, np.int64)
    targets |= _box_targets(entries, how.boxes, source) | _point_targets(entries)
    examples = Examples({IMAGE: images}, targets, how.classes, source)
    return _without_bad(examples, images, masks) if how.skip else examples


def in_memory(examples: Examples, limit: int) -> Examples:
    """All images and masks read and resized."""
    check_memory(examples.inputs[IMAGE].shape, 1, limit, examples.source)
    every = np.arange(len(examples))
    inputs = {name: array[every] for name, array in examples.inputs.items()}
    targets = {name: array[every] for name, array in examples.targets.items()}
    return replace(examples, inputs=inputs, targets=targets)


def labelled_alike(examples: Examples, classes: Sequence[str]) -> Examples:
    """The examples with their labels counted as in another set, by the names of its classes."""
    if not classes or not examples.classes or examples.classes == tuple(classes):
        return examples
    unknown = sorted(set(examples.classes) - set(classes))
    if unknown:
        found = f"{unknown[0]!r}{did_you_mean(unknown[0], classes)}"
        message = f"expected the training set's classes ({', '.join(classes)}), found {found}"
        raise DataError("G405", message, Place(examples.source))
    numbers = np.array([classes.index(name) for name in examples.classes])
    counted = {
        name: _renumbered(examples.targets[name], numbers) for name in (LABEL, BOX_LABEL) if name in examples.targets
    }
    return replace(examples, targets={**examples.targets, **counted}, classes=tuple(classes))


def _renumbered(labels: Array, numbers: Array) -> Array:
    """Labels in other numbers; what is no class (-1: none) stays."""
    known = (labels >= 0) & (labels < len(numbers))
    found: Array = np.where(known, numbers[np.where(known, labels, 0).astype(np.intp)], labels).astype(labels.dtype)
    return found


def _box_targets(entries: Sequence[Entry], most: int | None, source: str) -> dict[str, Array]:
    """Boxes N K 4 (N 4 where one is the most), their classes, and which there are; nothing where no image has any."""
    found = max(len(entry.boxes) for entry in entries)
    if not found:
        return {}
    if most is not None and found > most:
        raise DataError("G402", f"expected at most {most} boxes in an image, found {found}", Place(source))
    most = found if most is None else most
    boxes = np.full((len(entries), most, 4), np.nan, np.float32)
    labels = np.full((len(entries), most), -1, np.int64)
    for row, entry in enumerate(entries):
        if entry.boxes:
            boxes[row, : len(entry.boxes)] = entry.boxes
        labels[row, : len(entry.box_labels)] = entry.box_labels
    there = finite(boxes)
    if most == 1:
        boxes, labels, there = boxes[:, 0], labels[:, 0], there[:, 0]
    classes = {BOX_LABEL: labels} if any(entry.box_labels for entry in entries) else {}
    return {BOXES: boxes, BOXES_THERE: there, **classes}


def _point_targets(entries: Sequence[Entry]) -> dict[str, Array]:
    most = max(len(entry.points) for entry in entries)
    if not most:
        return {}
    points = np.full((len(entries), most, 2), np.nan, np.float32)
    for row, entry in enumerate(entries):
        if entry.points:
            points[row, : len(entry.points)] = entry.points
    return {POINTS: points, POINTS_THERE: finite(points)}


def finite(coordinates: Array) -> Array:
    """1 where all coordinates of a box or point are numbers, else 0."""
    found: Array = np.all(np.isfinite(coordinates), axis=-1)
    return found.astype(np.float32)


def _without_bad(examples: Examples, images: StoredImages, masks: StoredMasks | None) -> Examples:
    good, said = [], []
    for row in range(len(images)):
        try:
            size = images.read(row).shape[:2]
            if masks is not None and masks.read(row).shape != size:
                raise DataError("G402", f"the mask has another size than its image: {masks.name(row)}")
        except DataError as error:
            said.append(str(error))
        else:
            good.append(row)
    if not good:
        raise DataError("G403", "none of the images can be read", Place(examples.source), notes=said[:5])
    kept = examples.take(np.array(good, np.intp)) if said else examples
    return replace(kept, skipped=tuple(said))
