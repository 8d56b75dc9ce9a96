"""Targets that are labels in order: texts of lists and arrays, and lists of numbers."""

from __future__ import annotations

from typing import Any

from graphc.data.alphabet import padded
from graphc.data.labels import Column, Typed, is_missing
from graphc.data.wanted import Want
from graphc.errors import clipped, counted

LARGEST = 2**31 - 1
"""Label of a text."""


def sequences(column: Column, want: Want) -> Typed:
    """Labels in order, [N, S] with -1 behind the last, of texts (by the loss's alphabet) or lists of labels."""
    rows = [_labels(column, row, cell, want) for row, cell in enumerate(column.cells)]
    column.check(len(rows), max(map(len, rows), default=0), item_bytes=8)
    return Typed(padded(rows))


def _labels(column: Column, row: int, cell: Any, want: Want) -> list[int]:
    if isinstance(cell, list) and all(isinstance(each, int) and not isinstance(each, bool) for each in cell):
        if (wrong := next((each for each in cell if not -LARGEST <= each <= LARGEST), None)) is not None:
            raise column.fail(row, f"{column.target}: expected labels up to {LARGEST}, found {clipped(wrong)}")
        return cell
    if isinstance(cell, str) and cell:
        alphabet = want.alphabet
        if alphabet is None or not alphabet.characters:
            message = "found a text, and the loss has no `alphabet` that says which label a character is"
            raise column.fail(row, f"{column.target}: {message}")
        try:
            return alphabet.labels(cell)
        except ValueError as error:
            raise column.fail(row, f"{column.target}: {error}") from None
    if is_missing(cell):
        there = sum(not is_missing(each) for each in column.cells)
        found = f"found it for {there} of {counted(len(column.cells), 'example')}"
        raise column.fail(row, f"expected a text of {column.target!r} for every example, {found}")
    raise column.fail(row, f"{column.target}: expected a text, or a list of labels, found {cell!r:.60}")
