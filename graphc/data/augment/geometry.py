"""Augmentations that move the picture, and its boxes, masks and key points along."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, TypeAlias

from pydantic import Field, model_validator

from graphc.data.augment.base import Augmentation, Warp
from graphc.data.resizing import UnitInterval
from graphc.data.sample import Sample, about_center, crop, flip, projection, resize, turn
from graphc.data.sides import ShorterSide, Size
from graphc.lazy import np
from graphc.settings import LIST, Settings
from graphc.types import Array

Positive: TypeAlias = Annotated[float, Field(gt=0, le=1000)]
Pixels: TypeAlias = Annotated[int, Field(gt=0, le=100_000)]


def _ordered(settings: Settings, *names: str) -> None:
    for name in names:
        low, high = getattr(settings, name)
        if low > high:
            raise ValueError(f"{name}: expected [least, most], found [{low}, {high}]")


class FlipHorizontal(Augmentation):
    """Left and right exchanged."""

    kind: ClassVar[str] = "flip_horizontal"
    moves: ClassVar[bool] = True

    probability: UnitInterval = 0.5
    """How often it happens."""

    def apply(self, sample: Sample, rng: np.random.Generator, size: tuple[int, int]) -> Sample:
        return flip(sample, horizontal=True)


class FlipVertical(Augmentation):
    """Above and below exchanged."""

    kind: ClassVar[str] = "flip_vertical"
    moves: ClassVar[bool] = True

    probability: UnitInterval = 0.5
    """How often it happens."""

    def apply(self, sample: Sample, rng: np.random.Generator, size: tuple[int, int]) -> Sample:
        return flip(sample, horizontal=False)


class Scale(Warp):
    """Larger or smaller about the middle, the image keeping its size."""

    kind: ClassVar[str] = "scale"

    range: Annotated[tuple[Positive, Positive], LIST] = (0.8, 1.25)
    """Factors, drawn evenly on a logarithmic scale."""

    @model_validator(mode="after")
    def _fits(self) -> Scale:
        _ordered(self, "range")
        return self

    def matrix(self, rng: np.random.Generator, size: tuple[int, int]) -> Array:
        low, high = self.range
        return about_center(size, scale=math.exp(rng.uniform(math.log(low), math.log(high))))


class Shift(Warp):
    """Moved along both axes."""

    kind: ClassVar[str] = "shift"

    share: UnitInterval = 0.1
    """Farthest, as a share of height and of width."""

    def matrix(self, rng: np.random.Generator, size: tuple[int, int]) -> Array:
        down, right = rng.uniform(-self.share, self.share, 2)
        return np.array([[1, 0, right * size[1]], [0, 1, down * size[0]], [0, 0, 1]])


class Rotate(Warp):
    """Turned about the middle."""

    kind: ClassVar[str] = "rotate"

    degrees: float = Field(default=15, ge=0, le=180)
    """Farthest, to either side."""

    def matrix(self, rng: np.random.Generator, size: tuple[int, int]) -> Array:
        return about_center(size, degrees=rng.uniform(-self.degrees, self.degrees))


class Rotate90(Augmentation):
    """Turned by none, one, two or three quarters, each as often; height and width of an odd quarter change places."""

    kind: ClassVar[str] = "rotate_90"
    moves: ClassVar[bool] = True

    def apply(self, sample: Sample, rng: np.random.Generator, size: tuple[int, int]) -> Sample:
        return turn(sample, int(rng.integers(4)))


class Perspective(Warp):
    """Seen from the side: each corner moved towards the middle, by itself."""

    kind: ClassVar[str] = "perspective"

    probability: UnitInterval = 0.5
    """How often it happens."""
    distortion: float = Field(default=0.5, ge=0, lt=1)
    """Farthest, as a share of half the height and of half the width."""

    def matrix(self, rng: np.random.Generator, size: tuple[int, int]) -> Array:
        height, width = size
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
        middle = np.array([width / 2, height / 2])
        return projection(corners, corners + rng.uniform(0, self.distortion, (4, 2)) * (middle - corners))


class RandomCrop(Augmentation):
    """A window anywhere inside the image; of an image that is smaller, the window with the image anywhere in it."""

    kind: ClassVar[str] = "random_crop"
    moves: ClassVar[bool] = True
    cuts: ClassVar[bool] = True

    size: Size | None = None
    """[height, width]; default: the network's."""
    fill: UnitInterval = 0.0
    """What lies beyond the image: 0 is black, 1 white."""

    def apply(self, sample: Sample, rng: np.random.Generator, size: tuple[int, int]) -> Sample:
        return _window(sample, rng, self.size or size, self.fill)

    def sizes(self, old: tuple[int, int], size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        return (self.size or size,)


class PadCrop(Augmentation):
    """Edges put around the image, then a window of its own size anywhere: what is done for CIFAR."""

    kind: ClassVar[str] = "pad_crop"
    moves: ClassVar[bool] = True

    pad: Pixels = 4
    """Pixels on each side."""
    fill: UnitInterval = 0.0
    """Of the edges: 0 is black, 1 white."""

    def apply(self, sample: Sample, rng: np.random.Generator, size: tuple[int, int]) -> Sample:
        top, left = rng.integers(-self.pad, self.pad, 2, endpoint=True).tolist()
        return crop(sample, top, left, *sample.size, self.fill)


class RandomResizedCrop(Augmentation):
    """A window of random area and aspect, resized to the network's size: what is done for Inception."""

    kind: ClassVar[str] = "random_resized_crop"
    moves: ClassVar[bool] = True
    cuts: ClassVar[bool] = True

    area: Annotated[tuple[Positive, Positive], LIST] = (0.08, 1.0)
    """Share of the image's area."""
    aspect: Annotated[tuple[Positive, Positive], LIST] = (0.75, 4 / 3)
    """Width over height, drawn evenly on a logarithmic scale."""

    @model_validator(mode="after")
    def _fits(self) -> RandomResizedCrop:
        _ordered(self, "area", "aspect")
        if self.area[1] > 1:
            raise ValueError(f"area: expected shares up to 1, found {self.area[1]}")
        return self

    def apply(self, sample: Sample, rng: np.random.Generator, size: tuple[int, int]) -> Sample:
        rows, columns = sample.size
        for _ in range(10):
            area = rows * columns * rng.uniform(*self.area)
            aspect = math.exp(rng.uniform(math.log(self.aspect[0]), math.log(self.aspect[1])))
            height, width = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
            if 0 < height <= rows and 0 < width <= columns:
                return resize(_window(sample, rng, (height, width), 0.0), *size)
        side = min(rows, columns)  # no such window fits: the middle
        return resize(crop(sample, (rows - side) // 2, (columns - side) // 2, side, side), *size)

    def sizes(self, old: tuple[int, int], size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        return (size,)


class SideScale(Augmentation):
    """The shorter side scaled to a random length, then a window of the network's size: what is done for VGG."""

    kind: ClassVar[str] = "side_scale"
    moves: ClassVar[bool] = True
    cuts: ClassVar[bool] = True

    side: Annotated[tuple[ShorterSide, ShorterSide], LIST] = (256, 512)
    """Least and most pixels of the shorter side."""

    @model_validator(mode="after")
    def _fits(self) -> SideScale:
        _ordered(self, "side")
        return self

    def apply(self, sample: Sample, rng: np.random.Generator, size: tuple[int, int]) -> Sample:
        side = int(rng.integers(*self.side, endpoint=True))
        return _window(resize(sample, *_scaled(sample.size, side)), rng, size, 0.0)

    def sizes(self, old: tuple[int, int], size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        return (_scaled(old, self.side[1]), size)


def _scaled(size: tuple[int, int], side: int) -> tuple[int, int]:
    """The size of an image whose shorter side gets this length."""
    factor = side / min(size)
    return max(round(size[0] * factor), 1), max(round(size[1] * factor), 1)


def _window(sample: Sample, rng: np.random.Generator, size: tuple[int, int], fill: float) -> Sample:
    """A window of this size, anywhere it fits."""
    spare = [have - want for have, want in zip(sample.size, size, strict=True)]
    top, left = (int(rng.integers(min(room, 0), max(room, 0), endpoint=True)) for room in spare)
    return crop(sample, top, left, *size, fill)
