"""The shapes of targets that are annotations of images, whatever file they are from."""

from __future__ import annotations

import math

from graphc.data.examples import BOX_LABEL, Examples
from graphc.data.sample import BOXES, MASK, POINTS, VALID
from graphc.data.stored import STORED
from graphc.dims import format_shape
from graphc.errors import DataError, Place

NUMBERS = {BOXES: 4, POINTS: 2}
"""Of a box, of a point."""


def check_annotations(examples: Examples) -> None:
    """A DataError where targets with the names of annotations have shapes that these have not: masks [N, H, W] as the
    images, boxes [N, …, 4], points [N, …, 2], and what says which there are, or a box's class, a number for each."""
    shapes = {name: array.shape[1:] for name, array in examples.targets.items() if not isinstance(array, STORED)}
    images = [array.shape[1:3] for array in examples.inputs.values() if array.ndim in (3, 4)]
    if MASK in shapes and len(images) == 1 and shapes[MASK][:2] != images[0]:
        _refuse(examples, MASK, f"a class a pixel of {format_shape(images[0])}", shapes[MASK])
    for name, count in NUMBERS.items():
        shape = shapes.get(name)
        if shape is not None and (shape[-1:] != (count,) or 0 in shape):
            _refuse(examples, name, f"{count} numbers each", shape)
    for name, of in ((VALID[BOXES], BOXES), (VALID[POINTS], POINTS), (BOX_LABEL, BOXES)):
        if name in shapes and of in shapes and math.prod(shapes[name]) != math.prod(shapes[of][:-1]):
            many = format_shape(shapes[of][:-1]) if shapes[of][:-1] else "one"
            _refuse(examples, name, f"one number for each of {of}, {many}", shapes[name])


def _refuse(examples: Examples, name: str, expected: str, shape: tuple[int, ...]) -> None:
    found = format_shape(shape) if shape else "single numbers"
    raise DataError("G404", f"the target {name!r}: expected {expected}, found {found}", Place(examples.source))
