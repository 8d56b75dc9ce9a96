"""Interpolation along one axis: which inputs an output is made of, how much of each, and the adjoint.

Positions are exact fractions until weights are made of them, so that the nearest pixel never depends on rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

from graphc.lazy import np
from graphc.types import Array

Ratio: TypeAlias = tuple[int, int]
"""Old over new pixels along an axis; over distances where the corners are aligned."""
FEW = 4
"""As many inputs an output are added one after the other; more are one product with a matrix."""
RADIUS = {"bilinear": 1, "bicubic": 2}
"""Pixels on either side that count."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Output r is the sum of x[taps[t, r]]*weights[t, r] over t."""

    taps: Array
    """[inputs of an output, outputs], inside the input."""
    weights: Array | None
    """The same shape; None: all one, of one input an output."""

    def apply(self, x: Array, axis: int) -> Array:
        """x [..., size, ...] with this axis sampled: [..., samples, ...], a new array."""
        if len(self.taps) > FEW:
            return _product(self.matrix(x.shape[axis], x.dtype), x, axis)
        y: Array = np.take(x, self.taps[0], axis=axis)
        if self.weights is None:
            return y
        y *= _along(self.weights[0], x, axis)
        for taps, weights in zip(self.taps[1:], self.weights[1:], strict=True):
            y += np.take(x, taps, axis=axis) * _along(weights, x, axis)
        return y

    def adjoint(self, dy: Array, axis: int, size: int) -> Array:
        """The gradient [..., size, ...] of an axis of `size` inputs from that of its samples, [..., samples, ...]."""
        return _product(self.matrix(size, dy.dtype).T, dy, axis)

    def matrix(self, size: int, dtype: Any) -> Array:
        """[samples, size]: the same as a product."""
        count = self.taps.shape[1]
        shares = np.zeros((count, size), dtype)
        for index, taps in enumerate(self.taps):
            shares[np.arange(count), taps] += 1 if self.weights is None else self.weights[index]
        return shares


@dataclass(frozen=True, slots=True)
class Interpolation:
    """How positions of the output lie on the input, and what is made of the pixels there."""

    method: str
    """nearest, bilinear or bicubic."""
    coordinates: str
    """half_pixel, asymmetric or align_corners."""
    rounding: str = "floor"
    """Of nearest: floor, ceil, round_prefer_floor or round_prefer_ceil."""
    coefficient: float = -0.75
    """Of bicubic."""
    antialias: bool = False
    """Whether a smaller image is made of all pixels: the method's window is as many times wider as pixels are fewer."""

    def _source(self, position: Any, ratio: Ratio) -> tuple[Any, int]:
        """Where a position lies on the input, as a numerator and a denominator."""
        old, new = ratio
        if self.coordinates == "half_pixel":
            return (2 * position + 1) * old - new, 2 * new
        return position * old, new

    def _nearest(self, above: Any, below: int) -> Any:
        if self.rounding == "floor":
            return above // below
        if self.rounding == "ceil":
            return -(-above // below)
        if self.rounding == "round_prefer_floor":
            return -((below - 2 * above) // (2 * below))
        return (2 * above + below) // (2 * below)

    def span(self, position: int, ratio: Ratio) -> tuple[int, int]:
        """The first and the last input that an output sees, as if the input had no ends."""
        above, below = self._source(position, ratio)
        if self.method == "nearest":
            picked = self._nearest(above, below)
            return picked, picked
        radius = RADIUS[self.method]
        if self.antialias and ratio[0] > ratio[1]:
            reach = 2 * radius * ratio[0]  # over `below`, which is twice the new pixels
            return (above - reach) // below + 1, -(-(above + reach) // below) - 1
        low = above // below
        return (low, low) if above % below == 0 else (low - radius + 1, low + radius)

    def sampling(self, size: int, outputs: int, ratio: Ratio) -> Sampling:
        """What so many outputs are made of, of an input of `size`: its first and last pixel go on outside."""
        above, below = self._source(np.arange(outputs, dtype=np.int64), ratio)
        if self.method == "nearest":
            return Sampling(np.clip(self._nearest(above, below), 0, size - 1)[None], None)
        if self.antialias:
            return self._smoothed(size, above, below, ratio)
        radius = RADIUS[self.method]
        offsets = np.arange(1 - radius, radius + 1)[:, None]
        taps = above // below + offsets
        weights = self._window(np.abs(above % below / below - offsets))
        return Sampling(np.clip(taps, 0, size - 1), weights)

    def _smoothed(self, size: int, above: Array, below: int, ratio: Ratio) -> Sampling:
        """A window as wide as the pixels that an output stands for; what of it lies outside does not count."""
        reach = RADIUS[self.method] * max(below, 2 * ratio[0])
        count = -(-2 * reach // below) + 1
        taps = (above - reach) // below + 1 + np.arange(count)[:, None]
        weights = self._window(np.abs(taps - above / below) / max(ratio[0] / ratio[1], 1))
        weights[(taps < 0) | (taps >= size)] = 0
        return Sampling(np.clip(taps, 0, size - 1), weights / weights.sum(axis=0))

    def _window(self, distance: Array) -> Array:
        """The weight [...] of pixels at these distances [...], in pixels."""
        d = distance
        if self.method == "bilinear":
            linear: Array = np.maximum(1 - d, 0)
            return linear
        a = self.coefficient
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        cubic: Array = np.where(d <= 1, near, np.where(d < 2, far, 0))
        return cubic


def _along(weight: Array, x: Array, axis: int) -> Array:
    return weight.astype(x.dtype).reshape(-1, *(1,) * (x.ndim - axis - 1))


def _product(matrix: Array, x: Array, axis: int) -> Array:
    """The matrix [new, old] times every line of x [..., old, ...] along the axis."""
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    y: Array = matrix @ x.reshape(math.prod(before), x.shape[axis], math.prod(after))
    return y.reshape(*before, len(matrix), *after)
