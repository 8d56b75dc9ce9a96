"""Linear interpolation between neighbours along one axis, and its adjoint."""

from __future__ import annotations

import math
from dataclasses import dataclass

from graphc.lazy import np
from graphc.types import Array


@dataclass(frozen=True, slots=True)
class Sampling:
    """Output r is x[low[r]]*(1 - weight[r]) + x[high[r]]*weight[r]."""

    low: Array
    high: Array
    weight: Array | None
    """None: all zero, which picks the nearest."""

    def apply(self, x: Array, axis: int) -> Array:
        """x [..., size, ...] with this axis sampled: [..., samples, ...], a new array."""
        picked: Array = np.take(x, self.low, axis=axis)
        if self.weight is None:
            return picked
        weight = _along(self.weight, x, axis)
        picked *= 1 - weight
        picked += np.take(x, self.high, axis=axis) * weight
        return picked

    def adjoint(self, dy: Array, axis: int, size: int) -> Array:
        """The gradient [..., size, ...] of an axis of `size` inputs from that of its samples, [..., samples, ...]."""
        samples = np.arange(len(self.low))
        shares = np.zeros((size, len(samples)), dy.dtype)
        shares[self.low, samples] = 1
        if self.weight is not None:
            shares[self.low, samples] -= self.weight
            shares[self.high, samples] += self.weight
        before, after = dy.shape[:axis], dy.shape[axis + 1 :]
        dx: Array = shares @ dy.reshape(math.prod(before), len(samples), math.prod(after))
        return dx.reshape(*before, size, *after)


def _along(weight: Array, x: Array, axis: int) -> Array:
    return weight.astype(x.dtype).reshape(-1, *(1,) * (x.ndim - axis - 1))
