"""Moving averages in a training graph."""

from __future__ import annotations

from graphc.training_graph.tensor import Tensor


def emit_ramped(decay: float, step: Tensor) -> Tensor:
    """`graphc.kernels.moving_average.ramped`, for value number `step` (from 0)."""
    return ((step + 1) / (step + 10)).clip(most=decay)
