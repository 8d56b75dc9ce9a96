"""Losses: `LOSSES` is the catalogue, a line a kind; what they share is in `base`.

Predictions have one dtype, float32 or float64, and so have losses and gradients; means are summed in float64.
"""

from __future__ import annotations

from graphc.train.losses.base import Loss, Mean
from graphc.train.losses.boxes import BoxIou
from graphc.train.losses.cross_entropy import (
    Hinge,
    Log,
    OverClasses,
    SigmoidCrossEntropy,
    SigmoidFocal,
    SoftmaxCrossEntropy,
    SoftmaxFocal,
)
from graphc.train.losses.ctc import Ctc
from graphc.train.losses.detection import Detection
from graphc.train.losses.dice import Dice
from graphc.train.losses.regression import Absolute, Cosine, Huber, MeanSquared

LOSSES: tuple[type[Loss], ...] = (
    SoftmaxCrossEntropy,
    SigmoidCrossEntropy,
    SoftmaxFocal,
    SigmoidFocal,
    Dice,
    MeanSquared,
    Absolute,
    Huber,
    Hinge,
    Log,
    Cosine,
    Ctc,
    BoxIou,
    Detection,
)

__all__ = [
    "LOSSES",
    "Absolute",
    "BoxIou",
    "Cosine",
    "Ctc",
    "Detection",
    "Dice",
    "Hinge",
    "Huber",
    "Log",
    "Loss",
    "Mean",
    "MeanSquared",
    "OverClasses",
    "SigmoidCrossEntropy",
    "SigmoidFocal",
    "SoftmaxCrossEntropy",
    "SoftmaxFocal",
]
