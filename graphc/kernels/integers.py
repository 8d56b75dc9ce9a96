"""Real numbers as 8-bit integers, and back.

    real = scale * (integer - zero_point)

Weights have a scale for each output channel and zero point 0, from -127 to 127. Other tensors have one scale: uint8
with a zero point (`asymmetric`), or int8 with zero point 0 (`symmetric`). Rounding is to the nearest, halves to even,
as ONNX's QuantizeLinear has it. Benoit Jacob and others, Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference, 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from graphc.lazy import np
from graphc.types import Array

Form: TypeAlias = Literal["asymmetric", "symmetric"]
"""Of activations."""

LARGEST = 127
"""Of the integers of weights: -128 is not used, so that both signs have as many."""
STEPS = 255
"""Of a range of uint8."""


@dataclass(frozen=True, slots=True)
class Range:
    """The least and the largest real value of a tensor that integers stand for; 0 is between them."""

    low: float
    high: float

    def joined(self, other: Range) -> Range:
        return Range(min(self.low, other.low), max(self.high, other.high))


def integers_of(over: Range, form: Form) -> tuple[float, int, Any]:
    """(scale, zero point, type) of the integers that stand for a range."""
    low, high = min(over.low, 0.0), max(over.high, 0.0)
    if form == "symmetric":
        return max(-low, high) / LARGEST or 1.0, 0, np.int8
    scale = (high - low) / STEPS or 1.0
    return scale, round(-low / scale), np.uint8


def weight_scales(weights: Array, kept: Sequence[int]) -> Array:
    """The scale of each output channel of weights [...], in float32: of the same rank, 1 along all axes but those kept.
    Of zeros alone it is 1."""
    others = tuple(axis for axis in range(weights.ndim) if axis not in kept)
    largest = np.abs(weights).max(axis=others, keepdims=True)
    scales: Array = np.where(largest > 0, largest / LARGEST, 1).astype(np.float32)
    return scales


def whole_weights(weights: Array, scales: Array) -> Array:
    """Weights [...] as int8 of their shape; the scales broadcast to it."""
    return np.clip(np.round(weights / scales), -LARGEST, LARGEST).astype(np.int8)


def rounded_weights(weights: Array, kept: Sequence[int]) -> Array:
    """What the integers of weights [...] stand for, in their shape and type; `kept`: the axes of output channels."""
    scales = weight_scales(weights, kept).astype(weights.dtype, copy=False)
    rounded: Array = np.round(weights / scales) * scales
    return rounded
