"""Metrics of numbers."""

from __future__ import annotations

from typing import ClassVar, Literal

from graphc.lazy import np
from graphc.train.metrics.base import VALUES, Head, Metric, Result, Totals, ratio
from graphc.types import Array


class MeanAbsoluteError(Metric):
    """Mean of |prediction - target| over all elements."""

    kind: ClassVar[str] = "mae"
    better: ClassVar[Literal["higher", "lower"]] = "lower"
    judges = VALUES

    def start(self, head: Head) -> Totals:
        return {"sum": np.zeros((), np.float64), "count": np.zeros((), np.int64)}

    def add(self, totals: Totals, prediction: Array, target: Array, head: Head) -> None:
        head.kind(prediction, target)
        error = prediction - target.reshape(prediction.shape)
        totals["sum"] += self.summed(error)
        totals["count"] += error.size

    def summed(self, error: Array) -> float:
        """The sum, in float64, of what each error counts, of any shape."""
        return float(np.abs(error).sum(dtype=np.float64))

    def result(self, totals: Totals, head: Head) -> Result:
        return ratio(totals["sum"], totals["count"])


class MeanSquaredError(MeanAbsoluteError):
    """Mean of (prediction - target)**2 over all elements."""

    kind: ClassVar[str] = "mse"

    def summed(self, error: Array) -> float:
        return float(np.square(error, dtype=np.float64).sum())


class RootMeanSquaredError(MeanSquaredError):
    """Square root of the mean of (prediction - target)**2 over all elements."""

    kind: ClassVar[str] = "rmse"

    def result(self, totals: Totals, head: Head) -> Result:
        mean = ratio(totals["sum"], totals["count"])
        return None if mean is None else float(np.sqrt(mean))


class R2(Metric):
    """1 - sum((target - prediction)**2) / sum((target - mean target)**2), a mean over the last
    axis.

    Undefined for fewer than two examples; of a target that never varies 1 if it is met exactly, else 0, as in
    scikit-learn.
    """

    kind: ClassVar[str] = "r2"
    judges = VALUES

    def start(self, head: Head) -> Totals:
        sums = {name: np.zeros(head.outputs, np.float64) for name in ("mean", "spread", "error")}
        return {"count": np.zeros((), np.int64), **sums}

    def add(self, totals: Totals, prediction: Array, target: Array, head: Head) -> None:
        head.kind(prediction, target)
        true = target.reshape(-1, head.outputs).astype(np.float64)
        rows = len(true)
        totals["error"] += np.square(true - prediction.reshape(-1, head.outputs)).sum(axis=0)
        if not rows:
            return
        # Chan, Golub, LeVeque 1979: means and sums of squares of two sets become those of both
        before, mean = int(totals["count"]), true.mean(axis=0)
        step = mean - totals["mean"]
        totals["spread"] += np.square(true - mean).sum(axis=0) + step**2 * (before * rows / (before + rows))
        totals["mean"] += step * (rows / (before + rows))
        totals["count"] += rows

    def result(self, totals: Totals, head: Head) -> Result:
        if totals["count"] < 2:
            return None
        error, spread = totals["error"], totals["spread"]
        varies = spread > 0
        each = np.where(error > 0, 0.0, 1.0)
        each[varies] = 1 - error[varies] / spread[varies]
        return float(each.mean())
