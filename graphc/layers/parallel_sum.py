"""Convolutions side by side, of one input and added: one convolution, whose weights are the sum of theirs.

A window inside another, such as 1×1 in 3×3, has its weights there and zeros around them; a batch norm of the input is a
window of one pixel. RepVGG (Ding et al., 2021) is trained so and run as one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.dims import Shape
from graphc.layers.base import Layer, static
from graphc.layers.protocols import Affine
from graphc.lazy import np
from graphc.types import Array, Params
from graphc.window import Window

OWN = {
    "kernel", "padding", "dilation", "bias", "trainable", "weights_initializer", "weights_regularizer",
    "biases_initializer", "biases_regularizer",
}  # fmt: skip
"""Arguments in which convolutions that are added may differ; windows are compared by where their taps lie."""


def sum_of_both(
    layer: Any, params: Params, other: Any, others: Params, shape: Shape
) -> tuple[Layer, dict[str, Array]] | None:
    """One layer with all its variables, each in its declared shape, for the convolution `layer` plus `other`; both read
    a value of this shape and have outputs of one shape. None where the other's window is not inside the layer's."""
    weights = params[layer.main_weights]
    windows = layer.windows(shape[:-1])
    if isinstance(other, Affine):
        if layer.infer_shape(shape) != shape or any(window.stride > 1 for window in windows):
            return None
        scale, offset = other.as_affine(others)
        part = layer.pixel_weights(weights, np.broadcast_to(scale, static(shape[-1:], layer.kind)))
        places = _places(windows, [_pixel(window) for window in windows])
    elif type(other) is type(layer) and layer.model_dump(exclude=OWN) == other.model_dump(exclude=OWN):
        part, offset = others[other.main_weights], others["biases"] if other.has_bias else np.zeros(())
        places = _places(windows, other.windows(shape[:-1]))
    else:
        return None
    if part is None or places is None:
        return None
    total = weights.copy()
    total[tuple(slice(at, at + size) for at, size in zip(places, part.shape, strict=False))] += part
    biases = np.zeros(layer.infer_shape(shape)[-1], weights.dtype) + offset
    biases += params["biases"] if layer.has_bias else 0
    found = {**params, layer.main_weights: total, "biases": biases.astype(weights.dtype)}
    return layer.model_copy(update={"bias": True}), found


def _pixel(window: Window) -> Window:
    """The window that is one pixel, over as many as this one."""
    return Window.over(window.size, 1, 1, "valid", window.dilation)


def _places(outer: Sequence[Window], inner: Sequence[Window]) -> list[int] | None:
    """Which tap of the outer window lies where the inner one begins, along each axis; None where an inner one is not
    inside."""
    found = []
    for around, within in zip(outer, inner, strict=True):
        if around.before is None or within.before is None or (within.kernel > 1 and within.dilation != around.dilation):
            return None
        taps, rest = divmod(around.before - within.before, around.dilation)
        if rest or taps < 0 or taps + within.kernel > around.kernel:
            return None
        found.append(taps)
    return found
