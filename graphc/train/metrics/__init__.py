"""Metrics: `METRICS` is the catalogue, a line a kind; what they share is in `base`.

Predictions are of any float dtype; sums are kept in float64, counts in int64.
"""

from __future__ import annotations

from graphc.train.metrics.base import Head, Metric, Result, Totals
from graphc.train.metrics.classification import F1, Accuracy, ConfusionMatrix, MeanIou, Precision, Recall, TopK
from graphc.train.metrics.detection import MeanAveragePrecision, MeanAverageRecall
from graphc.train.metrics.ranking import Auc, AveragePrecision
from graphc.train.metrics.regression import R2, MeanAbsoluteError, MeanSquaredError, RootMeanSquaredError
from graphc.train.metrics.texts import CharacterErrorRate, SequenceAccuracy

METRICS: tuple[type[Metric], ...] = (
    Accuracy,
    TopK,
    ConfusionMatrix,
    Precision,
    Recall,
    F1,
    MeanIou,
    Auc,
    AveragePrecision,
    MeanAbsoluteError,
    MeanSquaredError,
    RootMeanSquaredError,
    R2,
    CharacterErrorRate,
    SequenceAccuracy,
    MeanAveragePrecision,
    MeanAverageRecall,
)

__all__ = [
    "F1",
    "METRICS",
    "R2",
    "Accuracy",
    "Auc",
    "AveragePrecision",
    "CharacterErrorRate",
    "ConfusionMatrix",
    "Head",
    "MeanAbsoluteError",
    "MeanAveragePrecision",
    "MeanAverageRecall",
    "MeanIou",
    "MeanSquaredError",
    "Metric",
    "Precision",
    "Recall",
    "Result",
    "RootMeanSquaredError",
    "SequenceAccuracy",
    "TopK",
    "Totals",
]
