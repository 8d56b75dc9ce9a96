"""Where an image lies in what a network reads of it, so that boxes found there can be said of the image itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from graphc.data.sample import Sample
from graphc.types import Array


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the corners of an image have come to lie."""

    size: tuple[int, int]
    """(height, width) of the image itself, upright."""
    corners: tuple[float, float, float, float]
    """Left, top, right and bottom of the image in what the network reads."""

    def of_image(self, boxes: Array) -> Array:
        """Boxes [K, 4] of what the network reads in the image's own pixels, cut off at its edges: [K, 4]."""
        low, high = np.array(self.corners[:2]), np.array(self.corners[2:])
        height, width = self.size
        scaled = (boxes.reshape(-1, 2, 2) - low) / (high - low) * [width, height]
        return np.asarray(np.clip(scaled, 0, [width, height]).reshape(-1, 4))


def marked(sample: Sample) -> Sample:
    """The sample with its corners as key points, which go where its pixels go."""
    height, width = sample.size
    return replace(sample, points=np.array([[0.0, 0.0], [width, height]]), points_there=np.ones(2, bool))


def placement_of(sample: Sample, size: tuple[int, int]) -> Placement:
    """Of a marked sample, after all that has moved it; `size`: (height, width) that it had before."""
    assert sample.points is not None
    left, top, right, bottom = sample.points.ravel().tolist()
    return Placement(size, (left, top, right, bottom))
