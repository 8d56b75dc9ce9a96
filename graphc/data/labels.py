"""Targets as lists write them (texts, numbers, lists of these) become arrays of what the losses want."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.data.classes import LISTED, NUMBER, TRUTH, ClassIndex, class_names, class_text, class_texts
from graphc.data.examples import MEMORY_LIMIT, check_memory
from graphc.data.target_kind import TargetKind
from graphc.data.wanted import Want
from graphc.errors import DataError, counted
from graphc.types import Array

JOINING = ("|", ";", ",")
"""What stands between labels."""

Fail = Callable[[int, str], DataError]
"""The error for an example, with the place where the list says it."""


@dataclass(frozen=True, slots=True)
class Column:
    """One target of a list."""

    target: str
    cells: Sequence[Any]
    """One an example: a text, a number, a truth value, None where there is nothing; or a list of these."""
    fail: Fail
    names: tuple[str, ...] = ()
    """Of the columns of numbers that each list was put together from."""
    limit: int = MEMORY_LIMIT
    """Bytes that the target may take."""

    def check(self, *shape: int, item_bytes: int) -> None:
        """An error before an array is made that has no room."""
        place = self.fail(0, "").place
        where = self.target if place is None else place.path
        check_memory(shape, item_bytes, self.limit, where, f"{self.target}: every example gets a row as long")


@dataclass(frozen=True, slots=True)
class Typed:
    """A target as an array, one row an example, and the names of the classes that it counts."""

    values: Array
    classes: tuple[str, ...] = ()


def typed(column: Column, want: Want, given: Sequence[str], known: Sequence[str]) -> Typed:
    """A target as the losses want it; `given`: the classes that the source names, `known`: the training set's."""
    if TargetKind.VALUES in want.kinds and not want.of_values:
        message = f"{column.target}: one loss wants numbers to predict, another classes: give each a target of its own"
        raise column.fail(0, message)
    lists = [isinstance(cell, (list, tuple)) for cell in column.cells]
    if any(lists):
        if not all(lists):
            raise column.fail(lists.index(False), f"{column.target}: expected a list as in other examples")
        names = not column.names and all(isinstance(each, str) for cell in column.cells for each in cell)
        return _multi_hot(column, want, given, known) if names else _vectors(column, want, given)
    _refuse_missing(column, given)
    if (row := next((row for row, cell in enumerate(column.cells) if is_no_name(cell)), None)) is not None:
        found = "a mapping" if isinstance(column.cells[row], dict) else column.cells[row]
        raise column.fail(row, f"{column.target}: expected a name or a number, found {found}")
    if want.of_values:
        return Typed(np.array([_number(column, row, cell) for row, cell in enumerate(column.cells)], np.float64))
    if _are_shares(column, want):
        return Typed(np.array([float(cell) for cell in column.cells], np.float64))
    if TargetKind.CLASS not in want.kinds and (want.outputs or 2) > 1:
        return _multi_hot(column, want, given, known)
    if TargetKind.MULTI_LABEL in want.kinds and (want.outputs or 1) > 1 and not (given or known):
        _refuse_joined(column)
    texts = class_texts(column.cells)
    rows = [row for row, text in enumerate(texts) if text != want.ignored]
    index = class_index(column, [texts[row] for row in rows], want, given, known)
    numbers = np.full(len(texts), -1 if want.ignore is None else want.ignore, np.int64)
    numbers[rows] = indices(column, rows, texts, index)
    return Typed(numbers, index.names)


def _refuse_joined(column: Column) -> None:
    """One text that may be several labels, for a loss that takes several, is an error."""
    for row, cell in enumerate(column.cells):
        if (sign := next((sign for sign in JOINING if sign in str(cell).strip()), None)) is not None:
            message = (
                f"{column.target}: expected one label, found {str(cell)[:60]!r}: `label_separator: {sign!r}` takes "
                "labels apart; `classes` lists names that are meant to be so"
            )
            raise column.fail(row, message)


def class_index(
    column: Column, texts: Sequence[str], want: Want, given: Sequence[str], known: Sequence[str]
) -> ClassIndex:
    """The classes that labels count: those that the source names, the training set's, else those that occur."""
    if given:
        return ClassIndex(given, numbered=True)
    if known:
        return ClassIndex(known)

    def refuse(message: str, name: str) -> DataError:
        row = next((at for at, cell in enumerate(column.cells) if name in _texts(cell)), 0)
        return column.fail(row, f"{column.target}: {message}")

    names = class_names(texts, want.classes, refuse)
    if want.classes is not None and len(names) > want.classes:
        some = ", ".join(names[:LISTED]) + (" …" if len(names) > LISTED else "")
        message = f"{column.target}: found {len(names):,} classes ({some}), the network tells {want.classes} apart"
        raise column.fail(0, message)
    return ClassIndex(names)


def indices(column: Column, rows: Sequence[int], texts: Sequence[str], index: ClassIndex) -> list[int]:
    """The class of the text of each of these rows; one that is none is an error at its line."""
    found = []
    for row in rows:
        number = index.get(texts[row])
        if number is None:
            raise column.fail(row, f"{column.target}: {index.unknown(texts[row])}")
        found.append(number)
    return found


def _multi_hot(column: Column, want: Want, given: Sequence[str], known: Sequence[str]) -> Typed:
    """1 for each label that an example names, else 0: N K float32."""
    if TargetKind.MULTI_LABEL not in want.kinds:
        raise column.fail(0, f"{column.target}: expected one class an example, found a list{_losses(want)}")
    named = [_texts(cell) for cell in column.cells]
    index = class_index(column, [name for names in named for name in names], want, given, known)
    if want.outputs not in (None, len(index.names)):
        some = ", ".join(index.names[:LISTED])
        message = (
            f"{column.target}: found {counted(len(index.names), 'label')} ({some}), the network has {want.outputs}"
        )
        raise column.fail(0, f"{message} outputs: `classes` names all labels")
    column.check(len(named), len(index.names), item_bytes=4)
    found = np.zeros((len(named), len(index.names)), np.float32)
    for row, names in enumerate(named):
        for name in names:
            if not name:
                raise column.fail(row, f"{column.target}: expected the names of labels, found an empty one")
            number = index.get(name)
            if number is None:
                raise column.fail(row, f"{column.target}: {index.unknown(name)}")
            found[row, number] = 1
    return Typed(found, index.names)


def _vectors(column: Column, want: Want, given: Sequence[str]) -> Typed:
    """Numbers, several an example: N K."""
    if want.kinds == {TargetKind.CLASS}:
        raise column.fail(0, f"{column.target}: expected one class an example, found a list{_losses(want)}")
    length = len(column.cells[0])
    rows = []
    for row, cell in enumerate(column.cells):
        if len(cell) != length:
            message = f"{column.target}: expected {length} numbers as in other examples, found {len(cell)}"
            raise column.fail(row, message)
        rows.append([_number(column, row, each, truth=not want.of_values) for each in cell])
    names = () if want.of_values else tuple(given) or column.names
    if names and len(names) != length:
        raise column.fail(0, f"{column.target}: expected {len(names)} numbers, one a class, found {length}")
    return Typed(np.array(rows, np.float64), names)


def _losses(want: Want) -> str:
    return f" (the loss takes {' or '.join(sorted(kind.value for kind in want.kinds))})"


def _texts(cell: Any) -> list[str]:
    return [class_text(each) for each in (cell if isinstance(cell, (list, tuple)) else [cell])]


def _refuse_missing(column: Column, given: Sequence[str]) -> None:
    missing = [row for row, cell in enumerate(column.cells) if is_missing(cell) and class_text(cell) not in given]
    if missing:
        there = f"found it for {len(column.cells) - len(missing)} of {counted(len(column.cells), 'example')}"
        raise column.fail(missing[0], f"expected a value of {column.target!r} for every example, {there}")


def is_missing(cell: Any) -> bool:
    """Nothing, an empty text, or not a number (which pandas writes for nothing)."""
    return cell is None or (isinstance(cell, str) and cell.lower() in ("", "nan")) or cell != cell  # noqa: PLR0124


def is_no_name(cell: Any) -> bool:
    """Whether it is a list, a mapping or an infinite number (as which JSON's 1e400 is read), which name no class."""
    return isinstance(cell, (list, dict)) or (isinstance(cell, float) and math.isinf(cell))


def _are_shares(column: Column, want: Want) -> bool:
    """Whether single numbers say how probable the only output is: 0.3, not only 0 and 1."""
    if TargetKind.MULTI_LABEL not in want.kinds or (want.outputs or 1) > 1:
        return False
    numbers = [float(cell) for cell in column.cells if is_number(cell)]
    return len(numbers) == len(column.cells) and any(not number.is_integer() for number in numbers)


def is_number(cell: Any) -> bool:
    """Whether a cell says a finite number."""
    if isinstance(cell, str):
        return NUMBER.fullmatch(cell) is not None and math.isfinite(float(cell))
    return isinstance(cell, (int, float)) and not isinstance(cell, bool) and _is_finite(cell)


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _number(column: Column, row: int, cell: Any, truth: bool = False) -> float:
    """A cell as a number; with `truth`, true and false as 1 and 0."""
    if truth and class_text(cell).lower() in TRUTH:
        return float(TRUTH.index(class_text(cell).lower()))
    if not is_number(cell):
        hint = " (numbers are written with a point)" if isinstance(cell, str) and "," in cell else ""
        raise column.fail(row, f"{column.target}: expected a number, found {cell!r:.60}{hint}")
    return float(cell)
