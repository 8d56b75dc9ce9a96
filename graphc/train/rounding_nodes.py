"""Rounding to what 8-bit integers can hold, as `graphc.kernels.integers` says it."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.kernels.integers import LARGEST, SMALLEST, STEPS, Form
from graphc.training_graph.tensor import Operand, Tensor, concat


def emit_rounded_weights(weights: Tensor, kept: Sequence[int]) -> Tensor:
    """`rounded_weights` in nodes: what the integers of weights [...] stand for, with scales along the axes `kept`."""
    others = [axis for axis in range(weights.rank) if axis not in kept]
    largest = weights.abs().max(*others, keep=True)
    scales = _scale(largest / LARGEST)
    return (weights / scales).round() * scales


def emit_rounded(x: Tensor, low: Tensor, high: Tensor, form: Form) -> tuple[Tensor, Tensor]:
    """(the values that integers over the range from `low` to `high`, each a number, stand for; 1 where x is within
    what they can stand for, else 0): all of x's shape."""
    low, high = low.clip(most=0.0), high.clip(least=0.0)
    if form == "symmetric":
        scale = _scale(concat([(-low).reshape(1), high.reshape(1)], axis=0).max() / LARGEST)
        least: Operand = -LARGEST - 1
        most: Operand = LARGEST
    else:
        scale = _scale((high - low) / STEPS)
        zero = (-low / scale).round()
        least, most = -zero, STEPS - zero
    y = (x / scale).round()
    inside = (1 - y.below(least)) * (1 - y.above(most))
    return y.clip(least, most) * scale, inside


def _scale(wanted: Tensor) -> Tensor:
    """Of scales [...], 1 where they are next to nothing."""
    return wanted + wanted.below(SMALLEST)
