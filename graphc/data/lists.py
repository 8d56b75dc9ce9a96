"""Lists of images with their annotations, CSV and JSON: one example a line, or a line for each box of an image.

Columns of CSV: `image`; the targets by their names; `left`, `top`, `right`, `bottom` and `box_label`; `x1`, `y1`,
`x2`, `y2` … (key points); `mask`; `height` and `width` of the image in which these were drawn. JSON is a list of
mappings with the same keys, but `boxes`, `box_labels` and `points` as lists. Coordinates are in pixels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphc.data.annotated import Entry
from graphc.data.classes import ClassIndex, class_text
from graphc.data.examples import BOX_LABEL, LABEL, MEMORY_LIMIT
from graphc.data.labels import Column, Typed, class_index, indices, is_missing, typed
from graphc.data.listed import Listed, Roles, from_csv, from_json
from graphc.data.sample import BOXES, BOXES_THERE, MASK, POINTS, POINTS_THERE
from graphc.data.tables import Table
from graphc.data.target_kind import TargetKind
from graphc.data.texts import sequences
from graphc.data.wanted import Wanted
from graphc.errors import DataError, counted

ANNOTATED = (BOXES, BOXES_THERE, BOX_LABEL, POINTS, POINTS_THERE, MASK)
"""Targets that are made of annotations, not read from a column of their name."""


MISSING_WORDS = ("na", "n/a", "#n/a", "null", "<na>", "undefined")
"""Words with which some programs mean that nothing is said; here they are names."""


@dataclass(frozen=True, slots=True)
class Reader:
    """How a list is read."""

    table: Table
    roles: Roles
    classes: tuple[str, ...]
    """Names of the classes, where the source gives them."""
    separator: str | None
    """What stands between the labels of an example that has several."""
    wanted: Wanted
    limit: int = MEMORY_LIMIT
    """Bytes that a target may take."""


@dataclass(frozen=True, slots=True)
class ListedSet:
    """A list, read."""

    entries: list[Entry]
    targets: Mapping[str, Typed]
    classes: tuple[str, ...]
    """Of `label` and `box_label`."""
    notes: tuple[str, ...]


def read_examples(reader: Reader) -> ListedSet:
    """The examples of a list, their targets as the losses want them."""
    table, roles = reader.table, reader.roles
    roles.check(table)
    names = _target_names(reader)
    examples = list(from_json(table, roles) if table.is_json else from_csv(table, roles))
    if not examples:
        raise table.error(1, "found no images", "G403")
    _refuse_shares(examples, table)
    index = _box_classes(reader, examples, LABEL in names)
    shared = {LABEL: index.names, BOX_LABEL: index.names} if index is not None else {}
    targets = {name: _target(reader, examples, name, {**shared, **reader.wanted.classes}) for name in names}
    entries = [_entry(each, index, table) for each in examples]
    classes = targets[LABEL].classes if LABEL in targets else index.names if index is not None else ()
    return ListedSet(entries, targets, classes, tuple(_notes(reader, names, examples)))


def _target_names(reader: Reader) -> list[str]:
    """The targets that are read from columns: those that a loss wants, or `label` where nobody said."""
    table, roles, wanted = reader.table, reader.roles, reader.wanted
    if wanted.targets is None:
        own = [name for name in roles.columns if not roles.is_annotation(name)]
        return list(dict.fromkeys([*([LABEL] if roles.column(LABEL) in table.columns else []), *own]))
    names, there = [name for name in wanted.targets if name not in ANNOTATED], {*table.columns}
    for name in names:
        for column in roles.of(name):
            if column not in there:
                raise table.without(column, name)
    return names


def _target(reader: Reader, examples: Sequence[Listed], name: str, known: Mapping[str, Sequence[str]]) -> Typed:
    """A target's values of all examples."""
    columns, want = reader.roles.of(name), reader.wanted.of(name)
    split = reader.separator if TargetKind.MULTI_LABEL in want.kinds else None
    cells = [_cell(each, columns, split) for each in examples]
    names = tuple(columns) if len(columns) > 1 else ()
    if TargetKind.SEQUENCE in want.kinds:
        return sequences(_column(reader, examples, name, cells), want)
    return typed(_column(reader, examples, name, cells, names), want, reader.classes, known.get(name, ()))


def _column(
    reader: Reader, examples: Sequence[Listed], name: str, cells: Sequence[Any], names: tuple[str, ...] = ()
) -> Column:
    def fail(row: int, message: str) -> DataError:
        return reader.table.error(examples[row].line, message, "G405")

    return Column(name, cells, fail, names, reader.limit)


def _cell(example: Listed, columns: Sequence[str], separator: str | None) -> Any:
    """What an example says of a target: of several columns a list, and where labels are separated, these."""
    values = [example.values.get(column) for column in columns]
    if len(values) > 1:
        return values
    if separator is None or isinstance(values[0], list):
        return values[0]
    text = "" if is_missing(values[0]) else str(values[0]).strip()
    if text.startswith("[") and text.endswith("]"):  # as programs write lists, with quotes
        text = text[1:-1]
        return [each for part in text.split(separator) if (each := part.strip().strip("'\"").strip())]
    parts = text.split(separator)
    return [part.strip() for part in parts if part.strip()]


def _box_classes(reader: Reader, examples: Sequence[Listed], labeled: bool) -> ClassIndex | None:
    """The classes of boxes; with the examples' own labels, where these are classes, one set of names."""
    boxes = [(each, label) for each in examples for label in each.box_labels if not is_missing(label)]
    if not boxes:
        return None
    want = reader.wanted.of(BOX_LABEL)
    said = [*boxes]
    if labeled and TargetKind.CLASS in (own := reader.wanted.of(LABEL)).kinds and len(reader.roles.of(LABEL)) == 1:
        column = reader.roles.column(LABEL)
        said += [(each, each.values.get(column)) for each in examples if not is_missing(each.values.get(column))]
        want = own if want.classes is None else want
    cells = [label for _, label in said]
    column_of = _column(reader, [each for each, _ in said], BOX_LABEL, cells)
    known = reader.wanted.classes.get(BOX_LABEL, ())
    index = class_index(column_of, [class_text(cell) for cell in cells], want, reader.classes, known)
    of_boxes = _column(reader, [each for each, _ in boxes], BOX_LABEL, [])
    indices(of_boxes, range(len(boxes)), [class_text(label) for _, label in boxes], index)
    return index


def _entry(example: Listed, index: ClassIndex | None, table: Table) -> Entry:
    labels: list[int] = []
    for label in example.box_labels:
        number = None if index is None or is_missing(label) else index.get(class_text(label))
        labels.append(-1 if number is None else number)
    return Entry(example.image, None, example.boxes, labels, example.points, example.mask, example.size)


def _refuse_shares(examples: Sequence[Listed], table: Table) -> None:
    """Coordinates that are all between 0 and 1, with fractions, are shares of the image, not pixels."""
    for what in ("boxes", "points"):
        found = [number for each in examples for place in getattr(each, what) for number in place]
        finite = [number for number in found if number == number]  # noqa: PLR0124
        if finite and all(0 <= number <= 1 for number in finite) and not all(map(float.is_integer, finite)):
            first = next(each for each in examples if getattr(each, what))
            raise table.error(first.line, f"expected {what} in pixels, found shares of the image (all from 0 to 1)")


def _notes(reader: Reader, names: Sequence[str], examples: Sequence[Listed]) -> list[str]:
    """What is in the list and not read."""
    roles = reader.roles
    sized = any(each.size for each in examples)
    read = {column for name in names for column in roles.of(name)} | roles.annotations(reader.table, sized)
    extra = [column or "(without a name)" for column in reader.table.columns if column not in read]
    notes = [f"{counted(len(extra), 'column')} not read: {', '.join(extra[:12])}"] if extra else []
    for name in names:
        said = [each.values.get(column) for each in examples for column in roles.of(name)]
        words = Counter(cell for cell in said if isinstance(cell, str) and cell.lower() in MISSING_WORDS)
        notes += [
            f"{name}: {word!r} is a value like others ({counted(count, 'example')})" for word, count in words.items()
        ]
    labels = [label for each in examples for label in each.box_labels]
    without = sum(map(is_missing, labels))
    if without and without < len(labels):
        notes.append(f"{without} of {len(labels):,} boxes have no label (-1)")
    return notes
