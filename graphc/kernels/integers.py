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

SMALLEST = 2.0**-126
"""Scale with all its digits in float32: what is smaller is 0."""
LARGEST_BIAS = 2**30
"""Of the integers of biases, which leaves as much of int32 to the sums that are added."""

Form: TypeAlias = Literal["asymmetric", "symmetric"]
"""Of activations."""

LARGEST = 127
"""Of the integers of weights: -128 is not used, so that both signs have as many."""
REDUCED = 63
"""The same of 7 bits: two products with uint8 add up to at most 32,130, which 16 bits hold."""
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
        return _scale(max(-low, high) / LARGEST), 0, np.int8
    scale = _scale((high - low) / STEPS)
    return scale, round(-low / scale), np.uint8


def _scale(wanted: float) -> float:
    return wanted if wanted >= SMALLEST else 1.0


def weight_scales(weights: Array, kept: Sequence[int], most: int = LARGEST, least: Array | float = 0.0) -> Array:
    """The scale of each output channel of weights [...], in float32: of the same rank, 1 along all axes but those kept.
    `most`: the largest integer; `least`: of scales, broadcasting to them. Of zeros alone it is that, or 1."""
    others = tuple(axis for axis in range(weights.ndim) if axis not in kept)
    wanted = np.maximum(np.abs(weights).max(axis=others, keepdims=True) / most, least)
    scales: Array = np.where(wanted >= SMALLEST, wanted, 1).astype(np.float32)
    return scales


def least_scales(biases: Array, of_input: float) -> Array:
    """The least scales of weights with which biases of any shape, integers of that scale times the input's, are not
    beyond LARGEST_BIAS: what counts in channels whose weights are nothing, or next to it."""
    least: Array = np.abs(biases, dtype=np.float64) / (LARGEST_BIAS * of_input)
    return least


def whole_weights(weights: Array, scales: Array, most: int = LARGEST) -> Array:
    """Weights [...] as int8 of their shape, at most `most`; the scales broadcast to it."""
    return np.clip(np.round(weights / scales), -most, most).astype(np.int8)


def rounded_weights(weights: Array, kept: Sequence[int]) -> Array:
    """What the integers of weights [...] stand for, in their shape and type; `kept`: the axes of output channels."""
    scales = weight_scales(weights, kept).astype(weights.dtype, copy=False)
    rounded: Array = np.round(weights / scales) * scales
    return rounded
