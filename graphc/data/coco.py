"""COCO's JSON: boxes with their classes, key points, and masks drawn from polygons and run lengths."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from graphc.data.annotated import Entry
from graphc.data.classes import ClassIndex, class_text, ordered
from graphc.data.examples import of_crowds
from graphc.data.places import LARGEST, has_area
from graphc.data.segmentation import BadAreaError, box_of, cost_of, paint
from graphc.data.sides import PIXEL_LIMIT
from graphc.data.tables import is_path, read_json
from graphc.errors import DataError, Place, counted, did_you_mean
from graphc.files import shown
from graphc.types import Array

GROUND = "background"
"""Name of class 0 of masks; the class of index k is k + 1 there."""
CROWD = "of crowds"
LAYERS, FEW = 100, 10_000_000
"""How often the areas of an image may cover all of it, together; and pixels that they may have in any."""
POLYGONS = 10_000
"""That the areas of an image may have."""


@dataclass(frozen=True, slots=True)
class CocoRules:
    """What is read of a COCO file, and what happens to the rest."""

    classes: tuple[str, ...] = ()
    """Only these; none: all categories."""
    known: tuple[str, ...] = ()
    """The training set's classes, which labels count where there are any."""
    masks: bool = False
    """Draw a mask for each image."""
    crowd: Literal["error", "skip", "mask", "ignore"] = "skip"
    """What happens to annotations of crowds."""
    skip_bad: bool = False
    """Leave out and count annotations that cannot be used, rather than fail."""
    pixels: int = PIXEL_LIMIT
    """That a mask may have."""


@dataclass(frozen=True, slots=True)
class CocoSet:
    """A COCO file, read."""

    entries: list[Entry]
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    category_ids: tuple[int, ...] = ()
    """The id of each of `classes` in the file; none where one of them has none that is a whole number."""
    point_names: tuple[str, ...] = ()
    """Names of the key points, where all categories that have some have the same."""


@dataclass(frozen=True, slots=True)
class CocoMask:
    """The mask of one image: 0, and where objects are the index of their class + 1, smaller objects over larger."""

    name: str
    size: tuple[int, int]
    parts: tuple[tuple[int, Any], ...]
    """(value, segmentation), largest first."""

    def draw(self) -> Array:
        mask = np.zeros(self.size, np.int32, order="F")
        for value, segmentation in self.parts:
            paint(mask, segmentation, value)
        return mask.astype(np.int64, order="C")

    def __str__(self) -> str:
        return self.name


class _BadError(Exception):
    """An annotation that cannot be used: what kind of fault, and a sentence."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass
class _Image:
    """An image and what is known of it so far."""

    name: str
    size: tuple[int, int] | None
    boxes: list[list[float]] = field(default_factory=list)
    box_labels: list[int] = field(default_factory=list)
    points: list[list[float]] = field(default_factory=list)
    areas: list[tuple[float, Any, int]] = field(default_factory=list)
    """(its size, segmentation, value in the mask)."""
    cost: int = 0
    """Of all areas together."""
    polygons: int = 0
    """Of all areas together."""


def read_coco(path: Path, rules: CocoRules, limit: int) -> CocoSet:
    """The images of a file with their annotations, which may take `limit` bytes; what is left out is counted."""
    tree = read_json(path, limit)
    images = _images(_rows(tree, "images", path), path)
    annotations = _rows(tree, "annotations", path)
    classes, index = _classes(_rows(tree, "categories", path), annotations, rules, path)
    left: Counter[str] = Counter()
    first: dict[str, str] = {}
    for number, each in enumerate(annotations):
        try:
            left.update(_take(each, images, index, rules))
        except (_BadError, BadAreaError) as error:
            kind = error.kind if isinstance(error, _BadError) else "their area cannot be drawn"
            said = f"annotation {shown(str(each.get('id', number)))[:60]}: {error}"
            if kind == CROWD or not rules.skip_bad:
                notes = [] if kind == CROWD else ["`bad_annotations: skip` leaves such out and counts them"]
                raise DataError("G411", said, Place(shown(path)), notes) from None
            left[kind] += 1
            first.setdefault(kind, f"; {said}")
    entries = [_entry(image, rules, path) for image in images.values()]
    notes = [f"{counted(count, 'annotation')} left out: {kind}{first.get(kind, '')}" for kind, count in left.items()]
    categories = _rows(tree, "categories", path)
    ids = {index.get(_key(row.get("id"))): row.get("id") for row in categories}
    listed = [ids.get(number) for number in range(len(classes))]
    whole = tuple(each for each in listed if type(each) is int and 0 <= each < LARGEST)
    known = whole if len(whole) == len(classes) else ()
    return CocoSet(entries, classes, tuple(notes), known, _point_names(categories))


def _take(
    each: Mapping[str, Any], images: Mapping[str, _Image], index: Mapping[str, int | str | None], rules: CocoRules
) -> list[str]:
    """Add one annotation to its image; what is left out of it as the recipe says."""
    image, category = images.get(_key(each.get("image_id"))), _key(each.get("category_id"))
    if image is None:
        raise _BadError("of no image", f"expected the id of an image, found {each.get('image_id')!r:.60}")
    if category not in index:
        raise _BadError("of no category", f"expected the id of a category, found {each.get('category_id')!r:.60}")
    label = index[category]
    if isinstance(label, str):
        raise _BadError("of classes that the training set does not have", label)
    if label is None:
        return ["of categories that are not among `classes`"]
    if each.get("iscrowd") not in (None, 0, 1):
        raise _BadError("with a bad `iscrowd`", f"expected 0 or 1 as `iscrowd`, found {each['iscrowd']!r:.60}")
    crowd = bool(each.get("iscrowd"))
    if crowd and rules.crowd == "error":
        raise _BadError(CROWD, "found a crowd, which is no single object (`crowd: skip` leaves these out)")
    if crowd and (rules.crowd == "skip" or (rules.crowd == "mask" and not rules.masks)):
        return [CROWD]
    box = None if crowd and rules.crowd == "mask" else _box(each, image)
    points = [] if crowd else _points(each)
    if rules.masks and not (crowd and rules.crowd == "ignore"):
        image.areas.append((*_area(each, image), label + 1))
    if box is None:
        return []
    image.boxes.append(box)
    image.box_labels.append(of_crowds(label) if crowd else label)
    further = bool(points and image.points)
    image.points = image.points or points
    return ["key points of further objects in an image (the boxes are kept)"] if further else []


def _point_names(categories: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    found = [each["keypoints"] for each in categories if each.get("keypoints")]
    same = bool(found) and all(each == found[0] for each in found)
    texts = same and isinstance(found[0], list) and all(isinstance(name, str) for name in found[0])
    return tuple(found[0]) if texts else ()


def _box(each: Mapping[str, Any], image: _Image) -> list[float]:
    """Left, top, right, bottom; around the area where there is no box."""
    found = each.get("bbox")
    if not found:
        size = image.size
        if size is None or not each.get("segmentation"):
            raise _BadError("without a box", f"expected `bbox`, found {found!r}")
        box = box_of(each["segmentation"], *size)
    elif not _are_numbers(found, 4):
        raise _BadError("without a box", f"expected `bbox` of x, y, width and height, found {found!r:.60}")
    else:
        left, top, width, height = map(float, found)
        box = [left, top, left + width, top + height] if min(width, height) > 0 else None
    if box is None or not has_area(*box):
        raise _BadError("with an empty box", f"expected a box with an area, found {found!r:.60}")
    if image.size is not None and (min(box[2:]) <= 0 or box[0] >= image.size[1] or box[1] >= image.size[0]):
        message = f"expected a box in the image of {image.size[1]}×{image.size[0]}, found {found!r:.60}"
        raise _BadError("with a box outside the image", message)
    return box


def _area(each: Mapping[str, Any], image: _Image) -> tuple[float, Any]:
    """(size, segmentation) of an area that can be drawn; the size is the annotation's own, or of the box around it."""
    found = each.get("segmentation")
    if image.size is None:
        raise _BadError("their area cannot be drawn", f"masks need height and width of the image {shown(image.name)}")
    image.polygons += len(found) if isinstance(found, list) else 0
    if image.polygons > POLYGONS:
        message = f"expected areas of at most {POLYGONS:,} polygons in the image {shown(image.name)}, found more"
        raise _BadError("their area cannot be drawn", message)
    image.cost += cost_of(found, *image.size)
    if image.cost > max(FEW, LAYERS * math.prod(image.size)):
        message = f"expected areas that cover the image at most {LAYERS} times together, found more, or longer edges"
        raise _BadError("their area cannot be drawn", message)
    size = each.get("area")
    if not _are_numbers([size], 1):
        left, top, right, bottom = box_of(found, *image.size) or [0.0] * 4
        size = (right - left) * (bottom - top)
    return float(size or 0), found


def _points(each: Mapping[str, Any]) -> list[list[float]]:
    """x and y of each key point; not numbers where it is not labeled, which a visibility above 0 says."""
    values = each.get("keypoints") or []
    if not isinstance(values, list) or not _are_numbers(values, len(values)) or len(values) % 3:
        raise _BadError("with bad key points", f"expected x, y and visibility of each, found {values!r:.60}")
    triples = zip(values[::3], values[1::3], values[2::3], strict=True)
    points = [[float(x), float(y)] if seen > 0 else [math.nan] * 2 for x, y, seen in triples]
    return points if any(seen > 0 for seen in values[2::3]) else []


def _entry(image: _Image, rules: CocoRules, path: Path) -> Entry:
    mask = None
    if rules.masks:
        if image.size is None:
            message = f"masks need height and width of each image, found none of {shown(image.name)}"
            raise DataError("G411", message, Place(shown(path)))
        if math.prod(image.size) > rules.pixels:
            found = f"{image.size[1]}×{image.size[0]}"
            raise DataError("G406", f"the image {shown(image.name)} has {found} pixels, the limit is {rules.pixels:,}")
        areas = sorted(image.areas, key=lambda area: -area[0])
        mask = CocoMask(
            f"the mask of {shown(image.name)}", image.size, tuple((value, area) for _, area, value in areas)
        )
    return Entry(image.name, None, image.boxes, image.box_labels, image.points, mask, image.size)


def _images(rows: Sequence[Mapping[str, Any]], path: Path) -> dict[str, _Image]:
    """The images by their ids."""
    found: dict[str, _Image] = {}
    for row in rows:
        key, name = _id_of(row, "image", path), row.get("file_name")
        if not is_path(name):
            raise _not_coco(f"an image (id {key}) whose 'file_name' is {name!r:.60}", path)
        if key in found:
            raise _not_coco(f"two images with the id {key}", path)
        size = row.get("height"), row.get("width")
        if size != (None, None) and not all(type(side) is int and 0 < side < 10**9 for side in size):
            raise _not_coco(f"the image {shown(str(name))} with height {size[0]!r} and width {size[1]!r}", path)
        found[key] = _Image(str(name), None if size[0] is None else (int(size[0]), int(size[1] or 0)))
    return found


def _classes(
    rows: Sequence[Mapping[str, Any]], annotations: Sequence[Mapping[str, Any]], rules: CocoRules, path: Path
) -> tuple[tuple[str, ...], dict[str, int | str | None]]:
    """(names of the classes, index of each category's id; None where the recipe leaves it out, a sentence where there
    is none)."""
    names = _categories(rows, annotations, path)
    keys = ordered(names)
    own = tuple(rules.classes) or tuple(names[key] for key in keys)
    taken = {*names.values(), *rules.known}
    unknown = [name for name in rules.classes if name not in taken]
    if unknown:
        known = ", ".join(names[key] for key in keys[:10])
        message = f"classes: expected categories of the file ({known}), found {unknown[0]!r}"
        raise DataError("G411", message + did_you_mean(unknown[0], names.values()), Place(shown(path)))
    index, wanted = ClassIndex(rules.known or own), {*own}
    found: dict[str, int | str | None] = {}
    for key, name in names.items():
        number = index.get(name)
        found[key] = None if name not in wanted else index.unknown(name) if number is None else number
    return index.names, found


def _categories(
    rows: Sequence[Mapping[str, Any]], annotations: Sequence[Mapping[str, Any]], path: Path
) -> dict[str, str]:
    """The names of categories by id; of several with one name, those that no annotation uses are none."""
    names: dict[str, str] = {}
    for row in rows:
        key = _id_of(row, "category", path)
        if not isinstance(row.get("name"), (str, int)) or key in names:
            found = f"two categories with the id {key}" if key in names else f"a category without 'name' (id {key})"
            raise _not_coco(found, path)
        names[key] = class_text(row["name"])
    used = {_key(each.get("category_id")) for each in annotations}
    keys: dict[str, list[str]] = {}
    for key, name in names.items():
        keys.setdefault(name, []).append(key)
    for name, same in keys.items():
        kept = [key for key in same if key in used] or same[:1]
        if len(kept) > 1:
            raise _not_coco(f"categories {' and '.join(kept)} with the same name {name!r}", path)
        for key in same:
            if key not in kept:
                del names[key]
    return names


def _id_of(row: Mapping[str, Any], what: str, path: Path) -> str:
    key = _key(row.get("id"))
    if not key:
        raise _not_coco(f"an {what} without 'id'".replace("an c", "a c"), path)
    return key


def _key(value: Any) -> str:
    """An id as text: 1, 1.0 and "1" are the same; nothing where it is none."""
    return class_text(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else ""


def _are_numbers(values: Any, count: int) -> bool:
    is_list = isinstance(values, list) and len(values) == count
    return is_list and all(type(value) in (int, float) and abs(value) < LARGEST for value in values)


def _rows(tree: Any, key: str, path: Path) -> list[Mapping[str, Any]]:
    rows = tree.get(key) if isinstance(tree, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _not_coco(f"no list {key!r}", path)
    return rows


def _not_coco(found: str, path: Path) -> DataError:
    return DataError("G411", f"expected COCO's form, found {found}", Place(shown(path)))
