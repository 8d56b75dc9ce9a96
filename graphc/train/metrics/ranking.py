"""Metrics of how predictions are ordered: exact, so every score is kept until the result is asked for.

Memory: of each example (pixel) 8 bytes an output and 8 for its label; a checkpoint inside an epoch holds them too.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import model_validator

from graphc.data.target_kind import TargetKind
from graphc.lazy import np
from graphc.train.metrics.base import LABELS, Head, PerClass, Result, Totals
from graphc.types import Array

FIRST = 1024
"""Examples that there is room for in the beginning; then twice as many, and so on."""


class _Ranking(PerClass):
    """A number for each class against the rest (or label), from scores; undefined (None) where one is."""

    judges = LABELS

    average: Literal["macro", "micro", "weighted"] = "macro"
    """Of several classes or labels: the mean, all answers taken together, or by how often each is true."""

    @model_validator(mode="before")
    @classmethod
    def _exact(cls, given: Any) -> Any:
        for name in ("bins", "logits"):
            if isinstance(given, dict) and name in given:
                raise ValueError(f"{cls.kind} is exact and knows its head's loss: `{name}` is not needed any more")
        return given

    def start(self, head: Head) -> Totals:
        width = self._label_width(head)
        return {
            "count": np.zeros((), np.int64),
            "scores": np.zeros((FIRST, head.outputs), np.float64),
            "labels": np.zeros((FIRST, width), np.int64),
        }

    @staticmethod
    def _label_width(head: Head) -> int:
        """Numbers that say what is true of an example: of several labels one each, else the class."""
        return head.outputs if TargetKind.MULTI_LABEL in head.loss.kinds(head.shape) else 1

    def add(self, totals: Totals, prediction: Array, target: Array, head: Head) -> None:
        scores = head.loss.ranking(prediction).reshape(-1, head.outputs)
        if head.kind(prediction, target) is TargetKind.MULTI_LABEL:
            labels = (target > 0).reshape(-1, head.outputs)
        else:
            labels = head.labels(prediction, target).reshape(-1, 1)
            if self._label_width(head) > 1:
                labels = labels == np.arange(head.outputs)
        count = int(totals["count"])
        for name, values in (("scores", scores), ("labels", labels)):
            totals[name] = with_room(totals[name], count + len(values))
            totals[name][count : count + len(values)] = values
        totals["count"] += len(scores)

    def result(self, totals: Totals, head: Head) -> Result:
        count = int(totals["count"])
        scores, labels = totals["scores"][:count], totals["labels"][:count]
        classes = labels.shape[1] == 1 < head.outputs
        true = labels == np.arange(head.outputs) if classes else labels == 1
        if self.average == "micro" and not self.per_class:
            value = self.of_one(true.ravel(), scores.ravel())
            return value if np.isfinite(value) else None
        each = np.array([self.of_one(true[:, i], scores[:, i]) for i in range(head.outputs)])
        if self.per_class:
            return head.named(each if head.outputs > 1 else np.array([np.nan, each[0]]))
        share = true.sum(axis=0) if self.average == "weighted" else np.ones(len(each))
        value = float((each * share).sum() / share.sum()) if share.sum() else np.nan
        return value if np.isfinite(value) else None

    def of_one(self, true: Array, scores: Array) -> float:
        """The number of one class: `true` [N] booleans, `scores` [N]; not a number where it is undefined."""
        raise NotImplementedError(self.kind)


class Auc(_Ranking):
    """Area under the ROC curve, ties counted half; of several classes the mean of one against the rest.

    Undefined where a class never occurs, or nothing else does.
    """

    kind: ClassVar[str] = "auc"

    def of_one(self, true: Array, scores: Array) -> float:
        positive = int(true.sum())
        pairs = positive * (len(true) - positive)
        if not pairs:
            return float("nan")
        # Mann and Whitney: the sum of the positives' ranks, equal scores sharing the mean of theirs
        values, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
        mean_rank = np.cumsum(counts) - (counts - 1) / 2
        ranks = float(np.bincount(inverse[true], minlength=len(values)) @ mean_rank)
        return (ranks - positive * (positive + 1) / 2) / pairs


class AveragePrecision(_Ranking):
    """Sum over thresholds of precision times the gain in recall (scikit-learn's, not interpolated).

    Undefined where a class never occurs.
    """

    kind: ClassVar[str] = "average_precision"

    def of_one(self, true: Array, scores: Array) -> float:
        positive = int(true.sum())
        if not positive:
            return float("nan")
        values, inverse = np.unique(-scores, return_inverse=True)  # the highest first; equal scores are one threshold
        hits = np.bincount(inverse, weights=true, minlength=len(values))
        taken = np.bincount(inverse, minlength=len(values))
        precision = np.cumsum(hits) / np.cumsum(taken)
        return float(precision @ hits) / positive


def with_room(array: Array, count: int) -> Array:
    """The array [N, …], or a longer one that begins like it, for `count` rows."""
    if count <= len(array):
        return array
    longer = np.zeros((max(count, 2 * len(array)), *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer
