"""Metrics of classes and labels, counted as scikit-learn counts them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from graphc.data.target_kind import TargetKind
from graphc.errors import SpecError
from graphc.lazy import np
from graphc.train.metrics.base import CLASSES, LABELS, Head, Metric, PerClass, Result, Totals, answers, ratio
from graphc.types import Array


class _ShareOfRight(Metric):
    """Right answers among all."""

    def start(self, head: Head) -> Totals:
        return {"right": np.zeros((), np.int64), "count": np.zeros((), np.int64)}

    def add(self, totals: Totals, prediction: Array, target: Array, head: Head) -> None:
        right = self.right(prediction, target, head)
        totals["right"] += np.count_nonzero(right)
        totals["count"] += right.size

    def right(self, prediction: Array, target: Array, head: Head) -> Array:
        """Whether each answer is right."""
        raise NotImplementedError(self.kind)

    def result(self, totals: Totals, head: Head) -> Result:
        return ratio(totals["right"], totals["count"])


class Accuracy(_ShareOfRight):
    """Share of examples (pixels) whose highest prediction is the target's class; of several labels, see `labels`."""

    kind: ClassVar[str] = "accuracy"
    judges = LABELS

    labels: Literal["all", "each"] = "all"
    """Where an example has several labels: all must be right (scikit-learn's accuracy), or each counts for itself
    (one minus its Hamming loss)."""

    def right(self, prediction: Array, target: Array, head: Head) -> Array:
        """Whether each example is right, truth values [n, …], of predictions [n, …, K]."""
        if head.kind(prediction, target) is not TargetKind.MULTI_LABEL:
            return np.asarray(head.predicted(prediction) == head.labels(prediction, target))
        each = answers(prediction, head) == (target > 0)
        return np.asarray(each.all(axis=-1) if self.labels == "all" else each)


class TopK(_ShareOfRight):
    """Share of examples whose class is among the k highest predictions; of equal ones the lower class counts first."""

    kind: ClassVar[str] = "top_k"

    k: int = Field(default=5, ge=1)
    """How many predictions may be tried: fewer than there are classes."""

    @property
    def name(self) -> str:
        return f"top_{self.k}"

    def check(self, head: Head) -> None:
        if self.k >= head.outputs:
            expected = f"expected k below the number of classes, {head.outputs}"
            raise SpecError("G601", f"top_k: {expected}, found {self.k}: it would be 1 whatever is predicted")

    def right(self, prediction: Array, target: Array, head: Head) -> Array:
        """Whether each example is right, truth values [n, …], of predictions [n, …, K]."""
        labels = head.labels(prediction, target)[..., None]
        score = np.take_along_axis(prediction, labels, axis=-1)
        earlier = np.arange(prediction.shape[-1]) < labels
        above = (prediction > score) | ((prediction == score) & earlier)
        return np.asarray(above.sum(axis=-1) < self.k)


class _Counts(Metric):
    """Examples (pixels) by true class (row) and predicted class (column); or, of several labels, a 2×2 matrix each."""

    ignore: Annotated[int, Field(ge=-(2**31) + 1, lt=2**31)] | None = None
    """A target that does not count."""

    def start(self, head: Head) -> Totals:
        classes = max(head.outputs, 2)
        totals = {"matrix": np.zeros((classes, classes), np.int64)}
        if TargetKind.MULTI_LABEL in head.loss.kinds(head.shape) & self.judges:
            totals["labels"] = np.zeros((4, head.outputs), np.int64)  # hits, true, predicted, seen
        return totals

    def add(self, totals: Totals, prediction: Array, target: Array, head: Head) -> None:
        if head.kind(prediction, target) is TargetKind.MULTI_LABEL:
            found, true = answers(prediction, head), target > 0
            for row, counted in enumerate((found & true, true, found, np.ones_like(true))):
                totals["labels"][row] += counted.reshape(-1, head.outputs).sum(axis=0)
            return
        labels, predicted = head.labels(prediction, target).ravel(), head.predicted(prediction).ravel()
        if self.ignore is not None:
            kept = labels != self.ignore
            labels, predicted = labels[kept], predicted[kept]
        classes = len(totals["matrix"])
        counts = np.bincount(labels * classes + predicted, minlength=classes * classes)
        totals["matrix"] += counts.reshape(classes, classes)

    @staticmethod
    def counts(totals: Totals) -> tuple[Array, Array, Array, bool]:
        """(hits, true, predicted) of each class, and whether they are labels of which several may hold."""
        if "labels" in totals and totals["labels"][3].any():
            hits, true, predicted, _ = totals["labels"].astype(np.float64)
            return hits, true, predicted, True
        matrix = totals["matrix"].astype(np.float64)
        return np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0), False


class ConfusionMatrix(_Counts):
    """Examples (pixels) by true class (row) and predicted class (column)."""

    kind: ClassVar[str] = "confusion_matrix"

    @property
    def is_number(self) -> bool:
        return False

    def result(self, totals: Totals, head: Head) -> Result:
        matrix: Result = totals["matrix"].tolist()
        return matrix


class _FromCounts(PerClass, _Counts):
    """A number per class, then one number of them; 0 where there is nothing to divide by, as in scikit-learn."""

    judges = LABELS

    average: Literal["macro", "weighted", "micro", "binary"] | None = None
    """macro: mean over classes; weighted: by how often a class is true; micro: over all examples; binary: class 1.
    Default: binary where the head has one output, else macro."""

    def check(self, head: Head) -> None:
        if self.average == "binary" and head.outputs > 2:
            expected = f"expected macro, micro or weighted for {head.outputs} outputs"
            raise SpecError("G601", f"{self.kind}: average: {expected}, found binary")

    def result(self, totals: Totals, head: Head) -> Result:
        hits, true, predicted, several = self.counts(totals)
        if not true.sum() and not several:
            return None
        if self.average == "micro" and not self.per_class:
            return float(self.of_class(hits.sum(), true.sum(), predicted.sum()))
        each = self.of_class(hits, true, predicted)
        if self.per_class:
            return head.named(each)
        return self._averaged(each, true, predicted, several, self.average or self._default(head))

    @staticmethod
    def _default(head: Head) -> str:
        return "binary" if head.outputs == 1 else "macro"

    @staticmethod
    def _averaged(each: Array, true: Array, predicted: Array, several: bool, average: str) -> float:
        if average == "binary":
            return float(each[-1])
        if average == "weighted":
            return float((each * true).sum() / max(true.sum(), 1))
        counted = (true + predicted > 0) | several  # a class that neither occurs nor is predicted says nothing
        return float(each[counted].mean())

    def of_class(self, hits: Array, true: Array, predicted: Array) -> Array:
        """The number of each class [K] from the counts [K] of hits, of what is of it, and of what was predicted as
        it."""
        raise NotImplementedError(self.kind)


class Precision(_FromCounts):
    """Of what was predicted as a class, the share that is of it; 0 where nothing was."""

    kind: ClassVar[str] = "precision"

    def of_class(self, hits: Array, true: Array, predicted: Array) -> Array:
        return np.asarray(hits / np.maximum(predicted, 1))


class Recall(_FromCounts):
    """Of what is of a class, the share that was predicted as it; 0 where nothing is."""

    kind: ClassVar[str] = "recall"

    def of_class(self, hits: Array, true: Array, predicted: Array) -> Array:
        return np.asarray(hits / np.maximum(true, 1))


class F1(_FromCounts):
    """Harmonic mean of precision and recall."""

    kind: ClassVar[str] = "f1"

    def of_class(self, hits: Array, true: Array, predicted: Array) -> Array:
        return np.asarray(2 * hits / np.maximum(true + predicted, 1))


class MeanIou(PerClass, _Counts):
    """Intersection over union of true and predicted, averaged over the classes that occur in either."""

    kind: ClassVar[str] = "mean_iou"
    judges = CLASSES

    @property
    def name(self) -> str:
        return "iou_per_class" if self.per_class else self.kind

    def result(self, totals: Totals, head: Head) -> Result:
        hits, true, predicted, _ = self.counts(totals)
        union = true + predicted - hits
        seen = union > 0
        each = np.divide(hits, union, out=np.full(len(hits), np.nan), where=seen)
        if self.per_class:
            return head.named(each)
        return float(each[seen].mean()) if seen.any() else None
