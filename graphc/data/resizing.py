"""How an image gets the height and width that are asked for, whatever its own are: `RESIZINGS` is the catalogue.

The same is done to every image that comes from a file: in training (unless augmentation has cut it to the size), in
evaluation, in prediction, and in `graphc run`. Boxes, masks and key points move along.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, TypeAlias

from pydantic import Field

from graphc.data.sample import Interpolation, Sample, crop, resize
from graphc.data.sides import ShorterSide
from graphc.settings import Kind, OneOf

UnitInterval: TypeAlias = Annotated[float, Field(ge=0, le=1)]


class Resizing(Kind):
    """A way to resize."""

    copies: ClassVar[int] = 4
    """How many images in float32 are there while it works, at most."""

    def apply(self, sample: Sample, size: tuple[int, int]) -> Sample:
        """The example in this height and width."""
        raise NotImplementedError(self.kind)

    def sizes(self, old: tuple[int, int], size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        """The largest heights and widths on the way of an image of height and width `old` to this size."""
        return (size,)

    def check(self, size: tuple[int, int]) -> None:
        """A ValueError where images cannot get this size."""


class Stretch(Resizing):
    """Height and width become what they must; the aspect gives way."""

    kind: ClassVar[str] = "stretch"

    interpolation: Interpolation = "bilinear"
    """bilinear or bicubic."""
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Of height and of width, in the middle, that is kept before: 0.875 as for TF-Slim's Inceptions."""

    def apply(self, sample: Sample, size: tuple[int, int]) -> Sample:
        if self.share < 1:
            top, left = (
                int((side - side * self.share) / 2) for side in sample.size
            )  # tf.image.central_crop's rounding
            sample = crop(sample, top, left, sample.size[0] - 2 * top, sample.size[1] - 2 * left)
        return resize(sample, *size, self.interpolation)


class CenterCrop(Resizing):
    """The shorter side to its length, then the middle: nothing is distorted, ends of the longer side are lost. As
    torchvision's Resize and CenterCrop."""

    kind: ClassVar[str] = "center_crop"

    shorter_side: ShorterSide | None = None
    """Pixels of the shorter side before the middle is cut out, such as 256 for a middle of 224; default: as few as
    cover the size."""
    interpolation: Interpolation = "bilinear"
    """bilinear or bicubic."""

    def apply(self, sample: Sample, size: tuple[int, int]) -> Sample:
        self.check(size)
        scaled = resize(sample, *self._scaled(sample.size, size), self.interpolation)
        return crop(scaled, *middle(scaled.size, size), *size)

    def sizes(self, old: tuple[int, int], size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        return (self._scaled(old, size), size)

    def check(self, size: tuple[int, int]) -> None:
        if self.shorter_side is not None and self.shorter_side < max(size):
            found = f"{size[0]}×{size[1]} from a shorter side of {self.shorter_side}"
            raise ValueError(f"center_crop expects a shorter side of {max(size)} or more, found {found}")

    def _scaled(self, old: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
        """The size of the whole image, from which the middle is cut out."""
        rows, columns = old
        if self.shorter_side is not None:
            return by_shorter_side(old, self.shorter_side)
        if rows * size[1] <= columns * size[0]:
            return size[0], max(size[0] * columns // rows, size[1])
        return max(size[1] * rows // columns, size[0]), size[1]


class Letterbox(Resizing):
    """The longer side to its length, then edges beside the rest: nothing is distorted or lost. As in YOLO."""

    kind: ClassVar[str] = "letterbox"

    fill: UnitInterval = 0.0
    """Of the edges: 0 is black, 1 white. In masks they are what the loss ignores, else class 0 (`mask_fill`)."""

    def apply(self, sample: Sample, size: tuple[int, int]) -> Sample:
        inner, (top, left) = inside(sample.size, size)
        return crop(resize(sample, *inner), -top, -left, *size, self.fill)


RESIZINGS: tuple[type[Resizing], ...] = (Stretch, CenterCrop, Letterbox)
STRETCH = Stretch()
AnyResizing: TypeAlias = Annotated[Resizing, OneOf(RESIZINGS)]


def by_shorter_side(size: tuple[int, int], side: int) -> tuple[int, int]:
    """The size of an image whose shorter side gets this length (torchvision's rounding)."""
    rows, columns = size
    return (side, side * columns // rows) if rows <= columns else (side * rows // columns, side)


def middle(size: tuple[int, ...], window: tuple[int, int]) -> tuple[int, int]:
    """Where the upper left corner of the middle is (torchvision's rounding)."""
    return round((size[0] - window[0]) / 2), round((size[1] - window[1]) / 2)


def inside(size: tuple[int, ...], frame: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """(height and width, upper left corner) of an image as large as a frame has room for, in its middle."""
    factor = min(frame[0] / size[0], frame[1] / size[1])
    height, width = max(round(size[0] * factor), 1), max(round(size[1] * factor), 1)
    return (height, width), ((frame[0] - height) // 2, (frame[1] - width) // 2)
