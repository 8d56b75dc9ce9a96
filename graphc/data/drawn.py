"""In which image boxes, key points and masks were drawn, where an EXIF tag turns it: in the stored or the upright one.

Height and width that come with them say it where the two differ; else the recipe has to. Nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from graphc.data.orientation import UPRIGHT, exchanges_sides, upright_boxes, upright_points
from graphc.data.sample import BOXES, POINTS
from graphc.errors import DataError, Place
from graphc.types import Array

Exif: TypeAlias = Literal["upright", "stored"]
Size: TypeAlias = tuple[int, int]
"""(height, width)."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """An image or a mask, read."""

    pixels: Array
    """Upright: H W C, or H W."""
    orientation: int = UPRIGHT
    """What its EXIF tag said."""

    @property
    def size(self) -> Size:
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def stored_size(self) -> Size:
        height, width = self.size
        return (width, height) if exchanges_sides(self.orientation) else (height, width)


def turn_of(image: Decoded, said: Size | None, exif: Exif | None, name: str, what: str) -> int:
    """The orientation by which annotations are still to be turned; `said`: the size of the image in which they were
    drawn; `exif`: what the recipe says of it; `what` they are."""
    if said is not None and said not in (image.size, image.stored_size):
        sizes = dict.fromkeys((image.size, image.stored_size))
        expected = " or, as it is stored, ".join(map(_written, sizes))
        message = f"expected {what} in an image of {expected}, found {_written(said)} (width × height)"
        raise DataError("G402", message, Place(name))
    if image.orientation == UPRIGHT:
        return UPRIGHT
    in_upright, in_stored = (said in (None, size) for size in (image.size, image.stored_size))
    if in_upright and in_stored and exif is None:
        found = f"an EXIF tag turns the image (orientation {image.orientation})"
        message = f"{found}, and nothing says whether {what} are those of the stored image or of the upright one"
        notes = ["`exif: stored` or `exif: upright` at the source says it"]
        raise DataError("G402", message, Place(name), notes)
    return image.orientation if in_stored and not (in_upright and exif == "upright") else UPRIGHT


def turned(
    annotations: Mapping[str, Array], image: Decoded, said: Size | None, exif: Exif | None, name: str
) -> dict[str, Array]:
    """Boxes [..., 4] and key points [..., 2] as they are to be seen; the mapping and its arrays stay as they are."""
    there = [key for key in (BOXES, POINTS) if key in annotations and np.isfinite(annotations[key]).any()]
    orientation = turn_of(image, said, exif, name, "boxes and key points") if there else UPRIGHT
    if orientation == UPRIGHT:
        return dict(annotations)
    size, found = image.stored_size, dict(annotations)
    for key, turn in ((BOXES, upright_boxes), (POINTS, upright_points)):
        if key in there:
            found[key] = turn(annotations[key], size, orientation)
    return found


def _written(size: Size) -> str:
    return f"{size[1]}×{size[0]}"
