"""Metrics in streaming form: totals that grow with each batch, and a result at any time.

Totals are plain arrays, so a checkpoint can hold them and a resumed epoch ends with the same numbers. Predictions
are a head's output as it is (logits or probabilities: only their order matters, but for `auc`); targets are class
indices, distributions, or values.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import Field

from graphc.errors import DataError
from graphc.lazy import np
from graphc.settings import Kind
from graphc.types import Array

Totals: TypeAlias = dict[str, Array]


class Metric(Kind):
    """Settings of a metric."""

    better: ClassVar[Literal["higher", "lower"]] = "higher"
    is_number: ClassVar[bool] = True
    """Whether the result is one number, which can be watched."""

    @property
    def name(self) -> str:
        """What the log calls it."""
        return self.kind

    def start(self, shape: tuple[int, ...]) -> Totals:
        """Totals of nothing, for predictions of this shape (one example's)."""
        raise NotImplementedError(self.kind)

    def add(self, totals: Totals, prediction: Array, target: Array) -> None:
        """A batch more, in place."""
        raise NotImplementedError(self.kind)

    def result(self, totals: Totals) -> float | list[Any]:
        raise NotImplementedError(self.kind)


class Accuracy(Metric):
    """Share of examples (pixels) whose highest prediction is the target's class."""

    kind: ClassVar[str] = "accuracy"

    def start(self, shape: tuple[int, ...]) -> Totals:
        return {"right": np.zeros((), np.int64), "count": np.zeros((), np.int64)}

    def add(self, totals: Totals, prediction: Array, target: Array) -> None:
        right = classes_of(prediction) == labels_of(target, prediction)
        totals["right"] += np.count_nonzero(right)
        totals["count"] += right.size

    def result(self, totals: Totals) -> float:
        return _ratio(totals["right"], totals["count"])


class TopK(Accuracy):
    """Share of examples whose class is among the k highest predictions; of equal ones the lower class counts first."""

    kind: ClassVar[str] = "top_k"

    k: int = Field(default=5, ge=1)
    """How many predictions may be tried."""

    @property
    def name(self) -> str:
        return f"top_{self.k}"

    def add(self, totals: Totals, prediction: Array, target: Array) -> None:
        labels = labels_of(target, prediction)[..., None]
        score = np.take_along_axis(prediction, labels, axis=-1)
        earlier = np.arange(prediction.shape[-1]) < labels
        above = (prediction > score) | ((prediction == score) & earlier)
        right = above.sum(axis=-1) < self.k
        totals["right"] += np.count_nonzero(right)
        totals["count"] += right.size


class _Counts(Metric):
    """Examples (pixels) by true class (row) and predicted class (column)."""

    ignore: int | None = None
    """A target that does not count."""

    def start(self, shape: tuple[int, ...]) -> Totals:
        classes = max(shape[-1], 2)
        return {"matrix": np.zeros((classes, classes), np.int64)}

    def add(self, totals: Totals, prediction: Array, target: Array) -> None:
        labels = labels_of(target, prediction).ravel()
        found = classes_of(prediction).ravel()
        if self.ignore is not None:
            kept = labels != self.ignore
            labels, found = labels[kept], found[kept]
        classes = len(totals["matrix"])
        counts = np.bincount(labels * classes + found, minlength=classes * classes)
        totals["matrix"] += counts.reshape(classes, classes)


class ConfusionMatrix(_Counts):
    """Examples (pixels) by true class (row) and predicted class (column)."""

    kind: ClassVar[str] = "confusion_matrix"
    is_number: ClassVar[bool] = False

    def result(self, totals: Totals) -> float | list[Any]:
        matrix: list[Any] = totals["matrix"].tolist()
        return matrix


class _FromConfusion(_Counts):
    """A number per class out of the confusion matrix, then one number of them."""

    average: Literal["macro", "weighted", "micro", "binary"] = "macro"
    """macro: mean over classes; weighted: by how often a class is true; micro: over all examples; binary: class 1."""

    def result(self, totals: Totals) -> float | list[Any]:
        matrix = totals["matrix"].astype(np.float64)
        hits, true, found = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
        if self.average == "micro":
            return float(self._per_class(hits.sum(), true.sum(), found.sum()))
        each = self._per_class(hits, true, found)
        if self.average == "binary":
            return float(each[1])
        seen = (true + found) > 0  # a class that neither occurs nor is predicted says nothing
        if self.average == "weighted":
            return float((each * true).sum() / max(true.sum(), 1))
        return float(each[seen].mean()) if seen.any() else 0.0

    def _per_class(self, hits: Array, true: Array, found: Array) -> Array:
        raise NotImplementedError(self.kind)


class Precision(_FromConfusion):
    """Of what was predicted as a class, the share that is of it; 0 where nothing was."""

    kind: ClassVar[str] = "precision"

    def _per_class(self, hits: Array, true: Array, found: Array) -> Array:
        return hits / np.maximum(found, 1)


class Recall(_FromConfusion):
    """Of what is of a class, the share that was predicted as it; 0 where nothing is."""

    kind: ClassVar[str] = "recall"

    def _per_class(self, hits: Array, true: Array, found: Array) -> Array:
        return hits / np.maximum(true, 1)


class F1(_FromConfusion):
    """Harmonic mean of precision and recall."""

    kind: ClassVar[str] = "f1"

    def _per_class(self, hits: Array, true: Array, found: Array) -> Array:
        return np.asarray(2 * hits / np.maximum(true + found, 1))


class MeanIou(_Counts):
    """Intersection over union of true and predicted, averaged over the classes that occur in either."""

    kind: ClassVar[str] = "mean_iou"

    def result(self, totals: Totals) -> float | list[Any]:
        matrix = totals["matrix"].astype(np.float64)
        hits = np.diag(matrix)
        union = matrix.sum(axis=0) + matrix.sum(axis=1) - hits
        seen = union > 0
        return float((hits[seen] / union[seen]).mean()) if seen.any() else 0.0


class Auc(Metric):
    """Area under the ROC curve; of several classes the mean of one against the rest.

    Scores are put into `bins` of equal width between 0 and 1 (a head's softmax, or sigmoid where it has one
    output); scores of one bin count as equal, which is the only way in which this differs from the exact area.
    """

    kind: ClassVar[str] = "auc"

    bins: int = Field(default=10_000, ge=2, le=10_000_000)
    """How finely scores are told apart."""
    logits: bool = True
    """False where the head gives probabilities already."""

    def start(self, shape: tuple[int, ...]) -> Totals:
        return {"counts": np.zeros((shape[-1], 2, self.bins), np.int64)}

    def add(self, totals: Totals, prediction: Array, target: Array) -> None:
        classes = prediction.shape[-1]
        labels = labels_of(target, prediction).ravel()
        scores = (_probabilities(prediction) if self.logits else prediction).reshape(-1, classes)
        if not self.logits and not ((scores >= 0) & (scores <= 1)).all():
            found = f"{scores.min():g} to {scores.max():g}"
            raise DataError("G404", f"auc with `logits: false` expects probabilities, found {found}")
        bins = np.minimum((scores * self.bins).astype(np.int64), self.bins - 1)
        for index in range(classes):
            positive = labels == (index if classes > 1 else 1)
            key = positive * self.bins + bins[:, index]
            totals["counts"][index] += np.bincount(key, minlength=2 * self.bins).reshape(2, self.bins)

    def result(self, totals: Totals) -> float:
        areas = []
        for negative, positive in totals["counts"].astype(np.float64):
            pairs = negative.sum() * positive.sum()
            if pairs:
                below = np.cumsum(negative) - negative
                areas.append((positive * (below + negative / 2)).sum() / pairs)
        return float(np.mean(areas)) if areas else 0.0


class MeanAbsoluteError(Metric):
    """Mean of |prediction - target| over all elements."""

    kind: ClassVar[str] = "mae"
    better: ClassVar[Literal["higher", "lower"]] = "lower"

    def start(self, shape: tuple[int, ...]) -> Totals:
        return {"sum": np.zeros((), np.float64), "count": np.zeros((), np.int64)}

    def add(self, totals: Totals, prediction: Array, target: Array) -> None:
        if prediction.shape not in (target.shape, (*target.shape, 1)):
            raise _misfit(target, prediction)
        error = prediction - target.reshape(prediction.shape)
        totals["sum"] += np.abs(error).sum(dtype=np.float64)
        totals["count"] += error.size

    def result(self, totals: Totals) -> float:
        return _ratio(totals["sum"], totals["count"])


METRICS: tuple[type[Metric], ...] = (
    Accuracy,
    TopK,
    ConfusionMatrix,
    Precision,
    Recall,
    F1,
    MeanIou,
    Auc,
    MeanAbsoluteError,
)


def classes_of(prediction: Array) -> Array:
    """The predicted class: the highest, or of a single logit whether it is above zero."""
    if prediction.shape[-1] == 1:
        return np.asarray(prediction[..., 0] > 0, np.int64)
    return np.asarray(prediction.argmax(axis=-1))


def labels_of(target: Array, prediction: Array) -> Array:
    """Targets as class indices."""
    if target.shape == prediction.shape:
        return target[..., 0].astype(np.int64) if target.shape[-1] == 1 else target.argmax(axis=-1)
    if target.shape != prediction.shape[:-1]:
        raise _misfit(target, prediction)
    return target.astype(np.int64)


def _misfit(target: Array, prediction: Array) -> DataError:
    found = f"{list(target.shape)} for predictions {list(prediction.shape)}"
    return DataError("G404", f"a metric expects targets of the predictions' shape, or class indices, got {found}")


def _probabilities(logits: Array) -> Array:
    if logits.shape[-1] == 1:
        return np.asarray(1 / (1 + np.exp(-logits.astype(np.float64))))
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True), dtype=np.float64)
    return np.asarray(exponents / exponents.sum(axis=-1, keepdims=True))


def _ratio(part: Array, whole: Array) -> float:
    return float(part) / float(whole) if whole else 0.0
