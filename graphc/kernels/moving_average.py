"""Moving averages that begin quickly."""

from __future__ import annotations


def ramped(decay: float, step: int) -> float:
    """The decay for value number `step` (from 0): min(decay, (1 + step)/(10 + step)), TensorFlow's `num_updates`.

    What the average began with has a weight of 1/10 after the first value and 1/55 after the second.
    """
    return min(decay, (1 + step) / (10 + step))


def initial_share(decay: float, ramp: bool, steps: int) -> float:
    """The weight of what an average began with after so many values."""
    if not ramp:
        return decay**steps
    share = 1.0
    for step in range(min(steps, 200)):  # smaller than any number that counts by then
        share *= ramped(decay, step)
    return share
