"""What every augmentation shares: a probability, and random numbers that only seed, epoch and example decide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import ClassVar

from graphc.data.resizing import STRETCH, Resizing, UnitInterval
from graphc.data.sample import Sample, drop_lost_boxes, warp
from graphc.lazy import np
from graphc.settings import Kind
from graphc.types import Array


class Augmentation(Kind):
    """Something that changes an example, now and then."""

    moves: ClassVar[bool] = False
    """Whether things are elsewhere in the picture afterwards."""
    cuts: ClassVar[bool] = False
    """Whether it cuts a window out of the image, to give it the network's size."""
    copies: ClassVar[int] = 6
    """How many images in float32 are there while it works, at most."""

    probability: UnitInterval = 1.0
    """How often it happens."""

    def apply(self, sample: Sample, rng: np.random.Generator, size: tuple[int, int]) -> Sample:
        """The changed example; `size`: height and width that the network gets in the end."""
        raise NotImplementedError(self.kind)

    def sizes(self, old: tuple[int, int], size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        """The largest heights and widths on the way of an image of height and width `old`, the last one the result's;
        `size`: as of `apply`."""
        return (old,)


class Warp(Augmentation):
    """An augmentation that takes straight lines to straight lines: several in a row move the pixels only once."""

    kind: ClassVar[str] = "warp"
    moves: ClassVar[bool] = True

    fill: UnitInterval = 0.0
    """What comes in from outside: 0 is black, 1 white."""

    def matrix(self, rng: np.random.Generator, size: tuple[int, int]) -> Array:
        """[3, 3] in float64, old coordinates (x, y, 1) to new ones, in an image of this size (height, width)."""
        raise NotImplementedError(self.kind)


class Recolor(Augmentation):
    """An augmentation that is a matrix on the channels of each pixel, and an offset, where black is 0: several in a
    row are done at once, with one rounding."""

    kind: ClassVar[str] = "recolor"

    def matrix(self, rng: np.random.Generator, mean: Callable[[], Array], channels: int) -> tuple[Array, Array]:
        """([C, C], [C]), new values from old; `mean` gives the image's mean of each channel."""
        raise NotImplementedError(self.kind)

    def apply(self, sample: Sample, rng: np.random.Generator, size: tuple[int, int]) -> Sample:
        return _Colors(sample).then(self, rng).applied()


@cache
def unchanged(channels: int) -> tuple[Array, Array]:
    """The matrix [C, C] and the offset [C] that leave colors as they are, in float64; nobody writes into them."""
    return np.eye(channels), np.zeros(channels)


class _Colors:
    """Changes of color that are not yet made."""

    def __init__(self, sample: Sample) -> None:
        values = sample.known_range("a change of colors")
        self._sample, self._black = replace(sample, value_range=values), np.float32(values.low)
        self._channels = sample.image.shape[2]
        self._matrix, self._offset = unchanged(self._channels)

    def then(self, step: Recolor, rng: np.random.Generator) -> _Colors:
        matrix, offset = step.matrix(rng, self._mean, self._channels)
        self._matrix, self._offset = matrix @ self._matrix, matrix @ self._offset + offset
        return self

    def applied(self) -> Sample:
        mixed = self._flat() @ self._matrix.T.astype(np.float32)
        mixed += (self._offset + self._black).astype(np.float32)
        return self._sample.with_values(mixed.reshape(self._sample.image.shape))

    def _flat(self) -> Array:
        """The pixels' distances from black."""
        flat = self._sample.image.reshape(-1, self._channels).astype(np.float32)
        if self._black:
            flat -= self._black
        return flat

    def _mean(self) -> Array:
        flat = self._flat()
        mean: Array = np.full(len(flat), 1 / len(flat), np.float32) @ flat
        return np.asarray(self._matrix @ mean + self._offset)


def augment(
    sample: Sample,
    steps: Sequence[Augmentation],
    rng: np.random.Generator,
    size: tuple[int, int],
    min_visibility: float,
    resizing: Resizing = STRETCH,
    from_file: bool = False,
) -> Sample:
    """The example through all steps and into the network's size; boxes with too small a rest are gone."""
    whole = from_file
    matrix: Array | None = None
    colors: _Colors | None = None
    fill = 0.0
    for step in steps:
        if step.probability < 1 and rng.random() >= step.probability:
            continue
        whole &= not step.cuts
        if matrix is not None and not isinstance(step, Warp):
            sample, matrix = warp(sample, matrix, fill), None
        if colors is not None and not isinstance(step, Recolor):
            sample, colors = colors.applied(), None
        if isinstance(step, Warp):
            own = step.matrix(rng, sample.size)
            matrix, fill = (own if matrix is None else own @ matrix), step.fill
        elif isinstance(step, Recolor):
            colors = (colors or _Colors(sample)).then(step, rng)
        else:
            sample = step.apply(sample, rng, size)
    if matrix is not None:
        sample = warp(sample, matrix, fill)
    if colors is not None:
        sample = colors.applied()
    return finished(sample, size, resizing, whole, min_visibility)


def finished(
    sample: Sample, size: tuple[int, int], resizing: Resizing, whole: bool, min_visibility: float = 0
) -> Sample:
    """The example in the network's size. `whole`: nothing has been cut from the image in the file; else one that has
    the size already stays as it is."""
    if whole or sample.size != size:
        sample = resizing.apply(sample, size)
    return drop_lost_boxes(sample, min_visibility)


def generator(seed: int, epoch: int, row: int, stream: int = 0) -> np.random.Generator:
    """Random numbers of one example in one epoch: Philox counts up from 0 under a key, which is cheap to set,
    in place of a seed sequence for each example (10 µs)."""
    key = np.array([seed | epoch << 32, row | stream << 56], np.uint64)
    return np.random.Generator(np.random.Philox(key=key))
