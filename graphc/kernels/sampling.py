"""Linear interpolation between neighbours along one axis, and its adjoint."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.lazy import np
from graphc.types import Array


@dataclass(frozen=True, slots=True)
class Sampling:
    """Output r is x[low[r]]*(1 - weight[r]) + x[high[r]]*weight[r]; low and high do not decrease."""

    low: Array
    high: Array
    weight: Array | None
    """None: all zero, which picks the nearest."""

    def apply(self, x: Array, axis: int) -> Array:
        """The axis sampled."""
        picked: Array = np.take(x, self.low, axis=axis)
        if self.weight is None:
            return picked
        weight = _along(self.weight, x, axis)
        picked *= 1 - weight
        picked += np.take(x, self.high, axis=axis) * weight
        return picked

    def adjoint(self, dy: Array, axis: int, size: int) -> Array:
        """The gradient of an axis of `size` inputs from that of its samples."""
        dx = np.zeros((*dy.shape[:axis], size, *dy.shape[axis + 1 :]), dy.dtype)
        if self.weight is None:
            _add_at(dx, self.low, dy, axis)
        else:
            weight = _along(self.weight, dy, axis)
            _add_at(dx, self.low, dy * (1 - weight), axis)
            _add_at(dx, self.high, dy * weight, axis)
        return dx


def _along(weight: Array, x: Array, axis: int) -> Array:
    return weight.astype(x.dtype).reshape(-1, *(1,) * (x.ndim - axis - 1))


def _add_at(dx: Array, index: Array, values: Array, axis: int) -> None:
    """dx[index] += values along the axis; equal indices are neighbours."""
    starts = np.flatnonzero(np.diff(index, prepend=-1))
    dx[(*(slice(None),) * axis, index[starts])] += np.add.reduceat(values, starts, axis=axis)
