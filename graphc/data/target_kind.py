"""What a target says of an example: the words that sources, losses and metrics share."""

from __future__ import annotations

from enum import StrEnum


class TargetKind(StrEnum):
    """Kinds of targets. A loss says which it takes, a metric which it can judge, a source is told which is wanted."""

    CLASS = "class"
    """One class an example (or pixel), as its index from 0: integers of the prediction's shape less its last axis."""
    DISTRIBUTION = "distribution"
    """The share of every class, summing to 1: floats of the prediction's shape."""
    MULTI_LABEL = "multi_label"
    """For each of several labels whether it holds, as 0 or 1 or a probability: the prediction's shape."""
    BOXES = "boxes"
    """The boxes of an image with their classes, of which images have different numbers."""
    VALUES = "values"
    """Numbers to be predicted: the prediction's shape, or without its last axis where that is 1."""
    SEQUENCE = "sequence"
    """Labels in order, as many as there are: integers [S] with -1 behind the last; of texts, their characters."""
