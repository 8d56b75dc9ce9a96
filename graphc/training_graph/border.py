"""Borders of an image's own pixels, as the products with matrices of zeros and ones that they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from graphc.lazy import np
from graphc.training_graph.linear import along
from graphc.training_graph.tensor import Tensor
from graphc.types import Array

NUMPY_MODES = {"reflect": "reflect", "edge": "edge", "symmetric": "symmetric", "circular": "wrap"}


def with_border(x: Tensor, pads: Sequence[tuple[int, int]], mode: str) -> Tensor:
    """x [N, C, …] with so many of its own pixels (before, after) around each spatial axis."""
    for axis, sides in enumerate(pads, start=2):
        if any(sides):
            x = along(x, axis, _matrix(x.shape[axis], sides, mode))
    return x


def emit_border_gradient(dx: Tensor, pads: Sequence[tuple[int, int]], mode: str) -> Tensor:
    """The gradient [N, C, …] of what had no border from that of what had one."""
    for axis, sides in enumerate(pads, start=2):
        if any(sides):
            dx = along(dx, axis, _matrix(dx.shape[axis] - sum(sides), sides, mode).T)
    return dx


def _matrix(size: int, sides: tuple[int, int], mode: str) -> Array:
    """[size + sides, size]: 1 where a pixel of the result is one of the image."""
    chosen: Literal["reflect"] = NUMPY_MODES[mode]  # type: ignore[assignment]
    places = np.pad(np.arange(size), sides, mode=chosen)
    return np.eye(size, dtype=np.float32)[places]
