"""Augmentations that change values and move nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, ClassVar, TypeAlias

from pydantic import Field, model_validator

from graphc.data.augment.base import Augmentation, Recolor, unchanged
from graphc.data.resizing import UnitInterval
from graphc.data.sample import Sample
from graphc.data.value_range import in_type
from graphc.lazy import np
from graphc.settings import LIST
from graphc.types import Array

GRAY = (0.299, 0.587, 0.114)
"""Red's, green's and blue's share of brightness (ITU-R BT.601)."""

Strength: TypeAlias = Annotated[float, Field(ge=0, le=10)]


class _Factor(Recolor):
    """A factor drawn from 1 - amount to 1 + amount, never below 0."""

    amount: Strength = 0.25
    """How far the factor may be from 1."""

    def factor(self, rng: np.random.Generator) -> float:
        return max(0.0, rng.uniform(1 - self.amount, 1 + self.amount))


class Brightness(_Factor):
    """All values times a factor."""

    kind: ClassVar[str] = "brightness"

    def matrix(self, rng: np.random.Generator, mean: Callable[[], Array], channels: int) -> tuple[Array, Array]:
        same, nothing = unchanged(channels)
        return self.factor(rng) * same, nothing


class Contrast(_Factor):
    """Distances from the image's mean gray times a factor."""

    kind: ClassVar[str] = "contrast"

    def matrix(self, rng: np.random.Generator, mean: Callable[[], Array], channels: int) -> tuple[Array, Array]:
        factor, means = self.factor(rng), mean()
        gray = float(means @ GRAY) if channels == 3 else float(means.mean())
        return factor * unchanged(channels)[0], np.full(channels, (1 - factor) * gray)


class Saturation(_Factor):
    """Distances of colors from gray times a factor; images that are not in color stay as they are."""

    kind: ClassVar[str] = "saturation"

    def matrix(self, rng: np.random.Generator, mean: Callable[[], Array], channels: int) -> tuple[Array, Array]:
        factor = self.factor(rng)
        same, nothing = unchanged(channels)
        return (factor * same + (1 - factor) * np.array(GRAY) if channels == 3 else same), nothing


class RandomGray(Recolor):
    """Colors as gray, the image keeping its channels; images that are not in color stay as they are."""

    kind: ClassVar[str] = "random_gray"

    probability: UnitInterval = 0.1
    """How often it happens."""

    def matrix(self, rng: np.random.Generator, mean: Callable[[], Array], channels: int) -> tuple[Array, Array]:
        same, nothing = unchanged(channels)
        return (np.tile(GRAY, (3, 1)) if channels == 3 else same), nothing


class Hue(Recolor):
    """Colors turned about the gray axis; images that are not in color stay as they are."""

    kind: ClassVar[str] = "hue"

    degrees: float = Field(default=18, ge=0, le=180)
    """Farthest, to either side; 120 turns red into green."""

    def matrix(self, rng: np.random.Generator, mean: Callable[[], Array], channels: int) -> tuple[Array, Array]:
        angle = math.radians(rng.uniform(-self.degrees, self.degrees))
        if channels != 3:
            return unchanged(channels)
        a, b = math.cos(angle), math.sin(angle) / math.sqrt(3)
        c = (1 - a) / 3
        return np.array([[a + c, c - b, c + b], [c + b, a + c, c - b], [c - b, c + b, a + c]]), unchanged(channels)[1]


class Blur(Augmentation):
    """A Gaussian blur."""

    kind: ClassVar[str] = "blur"

    sigma: Annotated[tuple[Strength, Strength], LIST] = (0.1, 1.0)
    """Least and most deviation, in pixels."""

    @model_validator(mode="after")
    def _fits(self) -> Blur:
        if not 0 < self.sigma[0] <= self.sigma[1]:
            raise ValueError(f"sigma: expected [least, most] above 0, found {list(self.sigma)}")
        return self

    def apply(self, sample: Sample, rng: np.random.Generator, size: tuple[int, int]) -> Sample:
        sigma = rng.uniform(*self.sigma)
        reach = max(1, math.ceil(3 * sigma))
        weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
        weights = (weights / weights.sum()).astype(np.float32)
        values = sample.image.astype(np.float32)
        for axis in (0, 1):
            values = _convolve(values, weights, axis)
        return sample.with_values(values)


class Noise(Augmentation):
    """Independent normal noise on every value."""

    kind: ClassVar[str] = "noise"

    deviation: Annotated[tuple[UnitInterval, UnitInterval], LIST] = (0.0, 0.05)
    """Least and most, as shares of the range from black to white."""

    @model_validator(mode="after")
    def _fits(self) -> Noise:
        if self.deviation[0] > self.deviation[1]:
            raise ValueError(f"deviation: expected [least, most], found {list(self.deviation)}")
        return self

    def apply(self, sample: Sample, rng: np.random.Generator, size: tuple[int, int]) -> Sample:
        deviation = rng.uniform(*self.deviation) * sample.known_range(self.kind).span
        noise: Array = np.float32(deviation) * rng.standard_normal(sample.image.shape, np.float32)  # type: ignore[assignment]
        return sample.with_values(np.add(noise, sample.image, out=noise, casting="same_kind"))


class Cutout(Augmentation):
    """A rectangle painted over; annotations stay as they are."""

    kind: ClassVar[str] = "cutout"

    share: UnitInterval = 0.5
    """Side of the rectangle as a share of the image's."""
    fill: UnitInterval = 0.5
    """What it is painted with: 0 is black, 1 white."""

    def apply(self, sample: Sample, rng: np.random.Generator, size: tuple[int, int]) -> Sample:
        image = sample.image.copy()
        spans = [_span(rng, length, self.share) for length in sample.size]
        image[spans[0], spans[1]] = in_type(
            np.array(sample.known_range(self.kind).at(self.fill), np.float64), image.dtype
        )
        return replace(sample, image=image)


def _span(rng: np.random.Generator, length: int, share: float) -> slice:
    """A stretch about a random middle, cut off at the edges."""
    half = share * length / 2
    middle = rng.uniform(0, length)
    return slice(max(round(middle - half), 0), min(round(middle + half), length))


def _convolve(values: Array, weights: Array, axis: int) -> Array:
    """Along an axis, the edge pixels continued."""
    reach = len(weights) // 2
    edges = [(reach, reach) if n == axis else (0, 0) for n in range(values.ndim)]
    padded = np.moveaxis(np.pad(values, edges, mode="edge"), axis, 0)
    length = values.shape[axis]
    total = sum(weight * padded[at : at + length] for at, weight in enumerate(weights))
    return np.moveaxis(np.asarray(total), 0, axis)
