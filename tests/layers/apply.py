"""A layer on one image, with the weights that a test wants."""

from __future__ import annotations

import numpy as np

from graphc.kernels.context import RunContext
from graphc.layers.base import Layer


def apply(layer: Layer, x: np.ndarray, **params: np.ndarray) -> np.ndarray:
    """The layer's output for one image or vector, without axes of size 1."""
    return np.squeeze(layer.forward(RunContext(), params, x[None]).output)


def gradient(layer: Layer, x: np.ndarray, dy: np.ndarray, **params: np.ndarray) -> np.ndarray:
    """The gradient of that image, likewise."""
    (dx,) = layer.forward(RunContext(), params, x[None]).backward(dy.astype(x.dtype)[None]).inputs
    return np.squeeze(dx)


def ramp(height: int, width: int | None = None) -> np.ndarray:
    """An image of one channel whose pixel (i, j) is i + j."""
    return np.add.outer(np.arange(float(height)), np.arange(float(width or height)))[..., None]
