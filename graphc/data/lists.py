"""Lists of images with annotations: CSV, JSON, and COCO's JSON.

CSV has a header: `image` and any of `label`, `left,top,right,bottom` with `box_label`, `x1,y1,x2,y2…` (key
points), and `mask`.
An image with several boxes has a line for each. JSON is a list of mappings with `image`, `label`, `boxes`,
`box_labels`, `points`, `mask`. Labels are names or numbers; boxes are in pixels.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphc.data.annotated import Entry
from graphc.errors import DataError, Place
from graphc.files import read_limited, shown

LARGEST_LIST = 2**30
BOX = ("left", "top", "right", "bottom")
COLUMNS = ("image", "label", *BOX, "box_label", "mask")


@dataclass
class _Known:
    """What the lines of a list have said of one image so far."""

    label: Any = None
    boxes: list[list[float]] = field(default_factory=list)
    box_labels: list[Any] = field(default_factory=list)
    points: list[list[float]] = field(default_factory=list)
    mask: str | None = None


def read_list(path: Path, classes: tuple[str, ...]) -> tuple[list[Entry], tuple[str, ...]]:
    """(entries, names of the classes) of a .csv or .json file; class names are sorted unless they are given."""
    text = _text(path)
    known = _from_json(text, path) if path.suffix.lower() == ".json" else _from_csv(text, path)
    said = [each.label for each in known.values()] + [label for each in known.values() for label in each.box_labels]
    names = classes or _names(said)
    entries = []
    for name, each in known.items():
        label = None if each.label is None else _index(each.label, names, path)
        box_labels = [_index(value, names, path) for value in each.box_labels]
        entries.append(Entry(name, label, each.boxes, box_labels, each.points, each.mask))
    return entries, names


def read_coco(path: Path, classes: tuple[str, ...]) -> tuple[list[Entry], tuple[str, ...]]:
    """(entries, names of the classes) of COCO's JSON: boxes with their classes, key points of the first object that
    has some. Classes in the order of their numbers; with `classes` only those."""
    tree = _json(_text(path), path)
    images, found = _rows(tree, "images", path), _rows(tree, "annotations", path)
    try:
        categories = sorted(_rows(tree, "categories", path), key=lambda each: each["id"])
        names = classes or tuple(str(each["name"]) for each in categories)
        index = {each["id"]: names.index(each["name"]) for each in categories if each["name"] in names}
        known: dict[Any, _Known] = {each["id"]: _Known() for each in images}
        for each in found:
            if each.get("iscrowd") or each["category_id"] not in index:
                continue
            here = known[each["image_id"]]
            left, top, width, height = (float(value) for value in each["bbox"])
            here.boxes.append([left, top, left + width, top + height])
            here.box_labels.append(index[each["category_id"]])
            if not here.points and each.get("keypoints"):
                values = each["keypoints"]
                triples = zip(values[::3], values[1::3], values[2::3], strict=True)
                here.points = [[float(x), float(y)] if seen else [math.nan] * 2 for x, y, seen in triples]
        entries = []
        for image in images:
            here = known[image["id"]]
            entries.append(Entry(str(image["file_name"]), None, here.boxes, here.box_labels, here.points))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError("G411", f"expected COCO's form, found no such thing: {error!r}", Place(shown(path))) from None
    return entries, names


def _from_csv(text: str, path: Path) -> dict[str, _Known]:
    rows = csv.DictReader(io.StringIO(text))
    columns = list(rows.fieldnames or ())
    points = sorted(int(m[1]) for name in columns if (m := re.fullmatch(r"x(\d{1,4})", name or "")))
    unknown = [name for name in columns if name not in COLUMNS and not re.fullmatch(r"[xy]\d{1,4}", name or "")]
    if "image" not in columns or unknown:
        found = ", ".join(map(str, columns[:12]))
        raise DataError(
            "G411",
            f"expected the columns image, {', '.join(COLUMNS[1:])}, x1, y1 …, found {found}",
            Place(shown(path), 1, 1),
        )
    known: dict[str, _Known] = {}
    try:
        for row in rows:
            here = known.setdefault(_path(row["image"]), _Known())
            here.label = row.get("label") or here.label
            here.mask = row.get("mask") or here.mask
            if row.get("left"):
                here.boxes.append([_number(row[name]) for name in BOX])
                here.box_labels += [row["box_label"]] if row.get("box_label") else []
            if points and not here.points:
                here.points = [[_number(row[f"x{n}"], math.nan), _number(row[f"y{n}"], math.nan)] for n in points]
    except (ValueError, TypeError, KeyError, csv.Error) as error:
        raise DataError("G411", f"the line cannot be read: {error}", Place(shown(path), rows.line_num, 1)) from None
    return known


def _from_json(text: str, path: Path) -> dict[str, _Known]:
    tree = _json(text, path)
    known: dict[str, _Known] = {}
    if not isinstance(tree, list):
        raise DataError("G411", "expected a list of mappings with `image`", Place(shown(path)))
    for number, row in enumerate(tree):
        try:
            boxes = [[_number(value) for value in _exactly(box, 4)] for box in row.get("boxes", ())]
            points = [[_number(value, math.nan) for value in _exactly(point, 2)] for point in row.get("points", ())]
            mask = None if row.get("mask") is None else _path(row["mask"])
            entry = _Known(row.get("label"), boxes, list(row.get("box_labels", ())), points, mask)
            known[_path(row["image"])] = entry
            if entry.box_labels and len(entry.box_labels) != len(boxes):
                raise ValueError(f"{len(boxes)} boxes and {len(entry.box_labels)} box_labels")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError("G411", f"entry {number} cannot be read: {error!r}", Place(shown(path))) from None
    return known


def _text(path: Path) -> str:
    try:
        return read_limited(path, LARGEST_LIST, DataError, "G401").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("G411", f"expected text in UTF-8: {error}", Place(shown(path))) from None


def _json(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError("G411", f"expected JSON: {error}", Place(shown(path))) from None


def _rows(tree: Any, key: str, path: Path) -> list[Mapping[str, Any]]:
    rows = tree.get(key) if isinstance(tree, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError("G411", f"expected COCO's form, found no list {key!r}", Place(shown(path)))
    return rows


def _path(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected a path, found {value!r}")
    return value


def _number(value: Any, default: float | None = None) -> float:
    if default is not None and value in ("", None):
        return default
    found = float(value)
    if not math.isfinite(found):
        raise ValueError(f"expected a number, found {value!r}")
    return found


def _exactly(values: Sequence[Any], count: int) -> Sequence[Any]:
    if len(values) != count:
        raise ValueError(f"expected {count} numbers, found {len(values)}")
    return values


def _names(labels: Iterable[Any]) -> tuple[str, ...]:
    """The classes that labels name; whole numbers are indices and have no names."""
    names = {str(label) for label in labels if label is not None}
    return () if all(name.isdecimal() for name in names) else tuple(sorted(names))


def _index(label: Any, names: tuple[str, ...], path: Path) -> int:
    text = str(label)
    if text in names:
        return names.index(text)
    if text.isdecimal() and len(text) < 10 and (not names or int(text) < len(names)):
        return int(text)
    known = ", ".join(names[:10]) or "whole numbers"
    raise DataError("G411", f"expected a class among {known}, found {text[:60]!r}", Place(shown(path)))
