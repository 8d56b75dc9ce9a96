"""The lines of a list as examples: which lines are of one image, and the annotations that they hold."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphc.data.labels import is_missing, is_no_name, is_number
from graphc.data.places import LARGEST, has_area
from graphc.data.sample import MASK
from graphc.data.tables import Row, Table, is_path
from graphc.errors import DataError

IMAGE = "image"
BOX = ("left", "top", "right", "bottom")
BOX_CLASS = "box_label"
BOXES, BOX_CLASSES, POINTS = "boxes", "box_labels", "points"
SIZE = ("height", "width")
POINT = re.compile(r"([xy])([1-9]\d{0,3})", re.ASCII)
ROLES = (IMAGE, *BOX, BOX_CLASS, BOXES, BOX_CLASSES, POINTS, MASK, *SIZE)


@dataclass(frozen=True, slots=True)
class Roles:
    """Which column holds what."""

    columns: Mapping[str, Sequence[str]]
    """What is read -> its columns, where these have other names."""

    def of(self, role: str) -> tuple[str, ...]:
        """The columns of something."""
        return tuple(self.columns.get(role, (role,)))

    def column(self, role: str) -> str:
        """The column of something that has one."""
        return self.of(role)[0]

    def is_annotation(self, role: str) -> bool:
        """Whether it is the image, or something drawn in it."""
        return role in ROLES or POINT.fullmatch(role) is not None

    def points(self, table: Table) -> list[tuple[str, str]]:
        """The columns of each key point's x and y."""
        numbers = {int(m[2]) for name in (*table.columns, *self.columns) if (m := POINT.fullmatch(name))}
        taken = {name for role, names in self.columns.items() if not POINT.fullmatch(role) for name in names}
        left = {*table.columns} - taken
        pairs = ((self.column(f"x{n}"), self.column(f"y{n}")) for n in sorted(numbers))
        return [pair for pair in pairs if pair[0] in left]

    def annotations(self, table: Table, sized: bool) -> set[str]:
        """The columns of annotations that are read; `sized`: those of the image's size too."""
        roles = [IMAGE, BOXES, BOX_CLASSES, POINTS, MASK] if table.is_json else [IMAGE, *BOX, BOX_CLASS, MASK]
        found = {self.column(role) for role in (*roles, *(SIZE if sized else ()))}
        return found if table.is_json else found | {name for pair in self.points(table) for name in pair}

    def check(self, table: Table) -> None:
        """Whether the columns that are named, and those that belong together, are there."""
        columns, nameless = {*table.columns}, table.columns.count("")
        for role in (IMAGE, *self.columns):
            for column in self.of(role):
                if column not in columns and table.rows:
                    raise table.without(column, role)
                if not column and nameless > 1:
                    raise table.error(1, f"columns: expected one column {column!r} for {role}, found {nameless}")
            if self.is_annotation(role) and len(self.of(role)) > 1:
                raise table.error(1, f"columns: expected one column for {role}, found {len(self.of(role))}")
        if table.is_json:
            return
        box = [self.column(side) for side in BOX]
        there = [name for name in box if name in table.columns]
        for name in box if there else ():
            if name not in table.columns:
                raise table.without(name, name)
        if self.column(BOX_CLASS) in table.columns and not there:
            raise table.without(box[0], BOX[0])
        for name in [name for pair in self.points(table) for name in pair]:
            if name not in columns:
                raise table.without(name, name)


@dataclass(frozen=True, slots=True)
class Listed:
    """An image and what the list says of it."""

    image: str
    line: int
    values: Mapping[str, Any]
    boxes: tuple[list[float], ...] = ()
    box_labels: tuple[Any, ...] = ()
    points: tuple[list[float], ...] = ()
    mask: str | None = None
    size: tuple[int, int] | None = None


def from_csv(table: Table, roles: Roles) -> Iterator[Listed]:
    """One example a line; where lines have boxes, one an image, and all lines of an image are about that one."""
    box, points = [roles.column(side) for side in BOX], roles.points(table)
    there = [name for name in box if name in table.columns]
    if not there or not any(row.values.get(name) for row in table.rows for name in there):
        column = roles.column(IMAGE)
        for row in table.rows:
            image = _path(row.values.get(column), row.line, IMAGE, table)
            yield _finished(Listed(image, row.line, row.values), table, roles, points)
        return
    of_a_box = {*box, roles.column(BOX_CLASS)}
    images: dict[str, list[Row]] = {}
    for row in table.rows:
        images.setdefault(_image(row, table, roles), []).append(row)
    for image, rows in images.items():
        values = _merged(rows, of_a_box, table)
        boxes = [(found, row) for row in rows if (found := _csv_box(row, box, table)) is not None]
        if len(boxes) < len(rows) > 1:
            line = next(row.line for row in rows if not any(row.values[name] for name in box))
            raise table.error(line, f"the image {image!r} is listed several times, here without a box")
        labels = tuple(row.values.get(roles.column(BOX_CLASS)) for _, row in boxes)
        _refuse_twins([(*found, label) for (found, _), label in zip(boxes, labels, strict=True)], rows, table)
        listed = Listed(image, rows[0].line, values, tuple(found for found, _ in boxes), labels)
        yield _finished(listed, table, roles, points)


def from_json(table: Table, roles: Roles) -> Iterator[Listed]:
    """One example a mapping."""
    for row in table.rows:

        def lists(role: str, length: int, row: Row = row) -> tuple[list[float], ...]:
            given = row.values.get(roles.column(role))
            if given is not None and not isinstance(given, list):
                raise table.error(row.line, f"{role}: expected a list, found {given!r:.40}")
            return tuple(_numbers(each, length, role, row, table) for each in given or ())

        boxes = lists(BOXES, 4)
        labels = row.values.get(roles.column(BOX_CLASSES))
        labels = [] if labels is None else labels
        if not isinstance(labels, list) or (labels and len(labels) != len(boxes)):
            found = f"{len(labels)}" if isinstance(labels, list) else f"{labels!r:.60}"
            raise table.error(row.line, f"expected a label for each of {len(boxes)} boxes, found {found}")
        if (wrong := next((each for each in labels if is_no_name(each)), None)) is not None:
            raise table.error(row.line, f"expected the name of a class for each box, found {wrong!r:.60}")
        for each in boxes:
            _check_box(each, row, table)
        listed = Listed(_image(row, table, roles), row.line, row.values, boxes, tuple(labels), lists(POINTS, 2))
        yield _finished(listed, table, roles)


def _image(row: Row, table: Table, roles: Roles) -> str:
    return _path(row.values.get(roles.column(IMAGE)), row.line, IMAGE, table)


def _path(value: Any, line: int, what: str, table: Table) -> str:
    if not is_path(value):
        raise table.error(line, f"{what}: expected a path, found {value!r:.60}")
    return str(value)


def _finished(listed: Listed, table: Table, roles: Roles, pairs: Sequence[tuple[str, str]] = ()) -> Listed:
    """The example with its mask, size and, of CSV, key points: `pairs` of columns."""
    mask = listed.values.get(roles.column(MASK))
    if mask is None and not pairs and not listed.boxes and not listed.points:
        return listed
    mask = None if is_missing(mask) else _path(mask, listed.line, MASK, table)
    points = listed.points if table.is_json else tuple(_csv_points(listed, table, pairs))
    size = _size(listed, table, roles) if mask or points or listed.boxes else None
    return replace(listed, mask=mask, points=points, size=size)


def _size(listed: Listed, table: Table, roles: Roles) -> tuple[int, int] | None:
    found: list[Any] = [listed.values.get(roles.column(side)) for side in SIZE]
    if any(map(is_missing, found)):
        return None
    if not all(is_number(each) and float(each).is_integer() and float(each) > 0 for each in found):
        said = " and ".join(f"{each!r:.60}" for each in found)
        raise table.error(listed.line, f"expected height and width in pixels, found {said}")
    return int(float(found[0])), int(float(found[1]))


def _merged(rows: Sequence[Row], of_a_box: set[str], table: Table) -> dict[str, Any]:
    """What the lines of one image say of it together; two values are an error."""
    values = dict(rows[0].values)
    for row in rows[1:]:
        for name, value in row.values.items():
            if name in of_a_box or not value:
                continue
            if values[name] and values[name] != value:
                message = f"{name}: expected {values[name]!r:.60} as in another line of this image, found {value!r:.60}"
                raise table.error(row.line, message)
            values[name] = value
    return values


def _csv_box(row: Row, columns: Sequence[str], table: Table) -> list[float] | None:
    cells = [row.values[name] for name in columns]
    if not any(cells):
        return None
    found = _numbers(cells, 4, "box", row, table)
    _check_box(found, row, table)
    return found


def _check_box(box: Sequence[float], row: Row, table: Table) -> None:
    left, top, right, bottom = box
    if any(map(math.isnan, box)) or not has_area(left, top, right, bottom):
        found = ", ".join(f"{number:g}" for number in box)
        raise table.error(row.line, f"expected a box with left < right and top < bottom, found {found}")


def _refuse_twins(boxes: Sequence[tuple[Any, ...]], rows: Sequence[Row], table: Table) -> None:
    lines: dict[tuple[Any, ...], int] = {}
    for box, row in zip(boxes, rows, strict=False):
        if (first := lines.setdefault(box, row.line)) != row.line:
            raise table.error(row.line, f"expected each box of an image once, found that of line {first} again")


def _csv_points(listed: Listed, table: Table, pairs: Sequence[tuple[str, str]]) -> Iterator[list[float]]:
    for names in pairs:
        cells = [listed.values[name] for name in names]
        if any(cells) and not all(cells):
            raise table.error(listed.line, f"expected {names[0]} and {names[1]}, found only one of them")
        yield _numbers(cells, 2, names[0], Row(listed.values, listed.line), table)


def _numbers(cells: Any, length: int, what: str, row: Row, table: Table) -> list[float]:
    """So many numbers; of key points, not numbers where nothing is said."""
    if not isinstance(cells, (list, tuple)) or len(cells) != length:
        found = f"{len(cells)}" if isinstance(cells, (list, tuple)) else repr(cells)
        raise _wrong(table, row, what, f"{length} numbers", found)
    numbers = [math.nan if length == 2 and is_missing(cell) else cell for cell in cells]
    wrong = next((cell for cell in numbers if not is_number(cell) and cell == cell), None)  # noqa: PLR0124
    if wrong is not None or any(cell is None for cell in numbers):
        raise _wrong(table, row, what, "numbers", repr(wrong))
    given = [float(cell) for cell in numbers]
    if (far := next((number for number in given if abs(number) >= LARGEST), None)) is not None:
        raise _wrong(table, row, what, f"numbers below {LARGEST:g}", f"{far:g}")
    return given


def _wrong(table: Table, row: Row, what: str, expected: str, found: str) -> DataError:
    return table.error(row.line, f"{what}: expected {expected}, found {found[:60]}")
