"""A series too tall for a page becomes columns, read from left to right."""

from __future__ import annotations

from itertools import pairwise

from graphc.report.picture.box import Box
from graphc.report.picture.canvas import Canvas, polyline
from graphc.report.picture.layout import gap, stack

MARGIN = 18.0
HEAD = 46.0
"""Title and legend."""
GUTTER = 34.0
"""Between columns; the line to the next column's top runs in it."""
SHAPE = 1.45
"""Width to height of a page on its side."""
UNEVEN = 1.5
"""How far the tallest column may exceed the mean: what cannot be cut stays in one."""
TALLEST = 560.0
"""Pictures up to this height stay in one column."""


def best_columns(boxes: list[Box]) -> list[Box]:
    """Boxes as the number of columns whose page has the shape nearest to a sheet on its side."""
    whole = stack(boxes)
    best = [whole]
    if whole.height <= TALLEST:
        return best
    tallest = max(box.height for box in boxes)
    for count in range(2, len(boxes) + 1):
        if tallest > UNEVEN * whole.height / count:  # what cannot be cut is too tall for so many, and for more
            break
        columns = [stack(part) for part in split(boxes, count)]
        even = max(column.height for column in columns) <= UNEVEN * whole.height / count
        if even and misfit(columns) < misfit(best):
            best = columns
        width, height = page_size(columns)
        if width > SHAPE * height:  # more columns only make it wider
            break
    return best


def misfit(columns: list[Box]) -> float:
    width, height = page_size(columns)
    ratio = width / height / SHAPE
    return max(ratio, 1 / ratio)


def page_size(columns: list[Box]) -> tuple[float, float]:
    width = sum(column.width for column in columns) + GUTTER * (len(columns) - 1) + 2 * MARGIN
    return width, max(column.height for column in columns) + HEAD + 2 * MARGIN


def split(boxes: list[Box], count: int) -> list[list[Box]]:
    """At most `count` runs of boxes, the tallest as short as can be."""
    low, high = max(box.height for box in boxes), stack(boxes).height
    while high - low > 1:
        middle = (low + high) / 2
        if len(filled(boxes, middle)) <= count:
            high = middle
        else:
            low = middle
    return filled(boxes, high)


def filled(boxes: list[Box], limit: float) -> list[list[Box]]:
    """Runs of boxes, each as long as `limit` lets it be."""
    runs = [[boxes[0]]]
    height = boxes[0].height
    for before, box in pairwise(boxes):
        height += gap(before, box) + box.height
        if height > limit:
            runs.append([])
            height = box.height
        runs[-1].append(box)
    return runs


def place(columns: list[Box], canvas: Canvas) -> tuple[float, float]:
    """Draw the columns and the lines from each one's end to the next one's top."""
    x, top = MARGIN, HEAD + MARGIN
    before: tuple[float, float, Box] | None = None
    for column in columns:
        column.draw(canvas, x, top)
        if before is not None and not before[2].ends and not column.begins:
            start, gutter, end = before[0], x - GUTTER / 2, x + column.axis
            bottom = top + before[1]
            points = [
                (start, bottom),
                (start, bottom + 9),
                (gutter, bottom + 9),
                (gutter, top - 11),
                (end, top - 11),
                (end, top),
            ]
            canvas.line(polyline(points), (end, top) if column.arrow else None)
        before = (x + column.axis, column.height, column)
        x += column.width + GUTTER
    return page_size(columns)
