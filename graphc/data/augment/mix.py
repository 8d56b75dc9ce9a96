"""Augmentations that mix examples of a batch: each with a partner that its own random numbers choose.

Labels become distributions over the classes. Boxes, masks and key points cannot be mixed; a recipe that asks for it
is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import ClassVar

from pydantic import Field

from graphc.data.resizing import UnitInterval
from graphc.data.value_range import in_type
from graphc.lazy import np
from graphc.settings import Kind
from graphc.types import Array


class Mix(Kind):
    """Something that mixes two examples."""

    called: ClassVar[str] = "augmentation"

    probability: UnitInterval = 1.0
    """How often it happens."""
    alpha: float = Field(default=0.2, gt=0, le=100)
    """The share of the first example is drawn from a beta distribution, Beta(alpha, alpha)."""

    def mix(self, own: Array, other: Array, share: float, rng: np.random.Generator) -> float:
        """Mix `other` into `own`, both [H, W, C], in place; the share of `own` that is left."""
        raise NotImplementedError(self.kind)


class MixUp(Mix):
    """share*own + (1 - share)*other (Zhang et al. 2017)."""

    kind: ClassVar[str] = "mixup"

    def mix(self, own: Array, other: Array, share: float, rng: np.random.Generator) -> float:
        values = share * own.astype(np.float32) + (1 - share) * other.astype(np.float32)
        own[...] = in_type(values, own.dtype)
        return share


class CutMix(Mix):
    """A rectangle of the other example put in (Yun et al. 2019)."""

    kind: ClassVar[str] = "cutmix"

    alpha: float = Field(default=1.0, gt=0, le=100)
    """The share of the first example is drawn from a beta distribution, Beta(alpha, alpha)."""

    def mix(self, own: Array, other: Array, share: float, rng: np.random.Generator) -> float:
        height, width = own.shape[:2]
        side = math.sqrt(1 - share)
        middle = rng.uniform(0, height), rng.uniform(0, width)
        top, bottom = (round(min(max(middle[0] + s * side * height / 2, 0), height)) for s in (-1, 1))
        left, right = (round(min(max(middle[1] + s * side * width / 2, 0), width)) for s in (-1, 1))
        own[top:bottom, left:right] = other[top:bottom, left:right]
        return float(1 - (bottom - top) * (right - left) / (height * width))


def mix_batch(
    images: Array, labels: Array, classes: int, steps: Sequence[Mix], generators: Callable[[int], np.random.Generator]
) -> tuple[Array, Array]:
    """(mixed images [N, H, W, C], float32 distributions [N, classes]) of a batch: images [N, H, W, C] and labels [N],
    class indices, which stay as they are. `generators`: row of the batch -> its random numbers."""
    mixed = images.copy()
    shares = np.zeros((len(labels), classes), np.float32)
    for row in range(len(images)):
        rng = generators(row)
        partner, kept = row, 1.0
        for step in steps:
            if rng.random() < step.probability:
                partner = int(rng.integers(len(images)))
                kept = step.mix(mixed[row], images[partner], float(rng.beta(step.alpha, step.alpha)), rng)
                break
        shares[row, labels[row]] += kept
        shares[row, labels[partner]] += 1 - kept
    return mixed, shares
