"""Pictures of what was found in images: a folder of PNGs with boxes, names and scores drawn in."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from graphc.data.given_files import Given
from graphc.data.images import Decoding, read_image
from graphc.data.preview import color
from graphc.errors import SpecError
from graphc.files import atomic_write, make_folder, shown

BACK, INK = (0, 0, 0), (255, 255, 255)
LEAST_SCORE = 0.25
"""What scores less is not drawn: metrics want all that may be right, a picture what probably is."""
LONGEST = 40
"""Characters of a class's name that are drawn."""


class Drawing:
    """Images with their boxes, one after the other into a folder."""

    def __init__(self, folder: Path, image_limit: int) -> None:
        self._folder = folder
        self._decoding = Decoding(3, pixels=image_limit)
        self._images = self._boxes = 0

    def add(self, given: Given, boxes: Sequence[Mapping[str, Any]]) -> None:
        """The picture of one image, with boxes in its own pixels."""
        if not given.is_image:
            raise SpecError("G617", f"drawing expects images in files, found {given.name}")
        image = Image.fromarray(read_image(given.path, self._decoding))
        boxes = [box for box in boxes if box["score"] >= LEAST_SCORE and all(map(math.isfinite, box["box"]))]
        draw_boxes(image, boxes)
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        path = picture_path(given, self._folder)
        make_folder(path.parent)
        atomic_write(path, buffer.getvalue())
        self._images += 1
        self._boxes += len(boxes)

    def said(self) -> str:
        """What was written, in words."""
        found = f"{self._images:,} images with {self._boxes:,} boxes of a score of {LEAST_SCORE} or more"
        return f"{shown(self._folder)}: {found}"


def draw_boxes(image: Image.Image, boxes: Sequence[Mapping[str, Any]]) -> None:
    """Boxes with class and score into an image in RGB, in place; the best is drawn last."""
    draw = ImageDraw.Draw(image)
    line = max(1, round(min(image.size) / 200))
    font = ImageFont.load_default(max(10, min(image.size) // 32))
    for box in reversed(boxes):
        left, top, right, bottom = box["box"]
        ink = color(box["class_id"])
        draw.rectangle((left, top, max(right - 1, left), max(bottom - 1, top)), outline=ink, width=line)
    for box in reversed(boxes):
        _write(draw, image.size, box, font)


def _write(draw: ImageDraw.ImageDraw, size: tuple[int, int], box: Mapping[str, Any], font: Any) -> None:
    """Name and score above a box, or within it where there is no room."""
    text = f"{shown(str(box['class']))[:LONGEST]} {box['score']:.2f}"
    _, _, width, height = draw.textbbox((0, 0), text, font)
    left, top = box["box"][:2]
    x = max(min(left, size[0] - width), 0)
    y = top - height - 1 if top > height else top
    draw.rectangle((x, y, x + width, y + height), fill=color(box["class_id"]))
    draw.text((x, y), text, INK, font, stroke_width=1, stroke_fill=BACK)


def picture_path(given: Given, folder: Path) -> Path:
    """Where the picture of a file is written."""
    return folder / given.below.with_suffix(".png")


def check_names(files: Sequence[Given], folder: Path) -> None:
    """An error where two pictures would have one name."""
    written: dict[Path, str] = {}
    for given in files:
        path = picture_path(given, folder)
        if path in written:
            found = f"{written[path]} and {given.name}"
            raise SpecError("G617", f"expected another name for each mask, found {shown(path)} for {found}")
        written[path] = given.name
