"""Metrics in streaming form: totals that grow with each batch, and a result at any time.

Totals are plain arrays, so a checkpoint can hold them and a resumed epoch ends with the same numbers. A metric is
told of the head that it judges (`Head`): predictions come as the head gives them, the head's loss says how they are
to be understood. A metric says which kinds of targets it can judge; every other pairing is an error before training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from graphc.data.target_kind import TargetKind
from graphc.errors import DataError
from graphc.lazy import np
from graphc.settings import Kind
from graphc.train.losses import Loss
from graphc.types import Array

Totals: TypeAlias = dict[str, Array]
Result: TypeAlias = float | list[Any] | dict[str, Any] | None
"""A number; a matrix; a number for each class by name; None where it is undefined on what was seen."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a metric knows of the predictions that it judges."""

    shape: tuple[int, ...]
    """Of one example's prediction."""
    loss: Loss
    classes: Sequence[str] = ()
    """Names of the classes or labels, where they are known."""
    box_classes: int = 0
    """Classes of boxes that are told apart, where the predictions are boxes."""

    @property
    def outputs(self) -> int:
        return self.shape[-1]

    def kind(self, prediction: Array, target: Array) -> TargetKind:
        """What a batch of targets [n, …] is to predictions [n, …, K]; both may be some rows or pixels of the head's
        only."""
        whole = np.issubdtype(target.dtype, np.integer)
        kind = self.loss.kind_of(prediction.shape[1:], target.shape[1:], whole)
        if kind is None:
            found = f"{list(target.shape)} for predictions {list(prediction.shape)}"
            message = f"a metric expects targets of the predictions' shape, or class indices, got {found}"
            raise DataError("G404", message)
        return kind

    def predicted(self, prediction: Array) -> Array:
        """Class indices [...] (int64) of predictions [..., K]: the highest output's, or of a single one whether it is
        above the loss's threshold."""
        if self.outputs == 1:
            return np.asarray(prediction[..., 0] > self.loss.threshold, np.int64)
        return np.asarray(prediction.argmax(axis=-1))

    def labels(self, prediction: Array, target: Array) -> Array:
        """Class indices [...] of targets for predictions [..., K]: as they are, or of distributions the highest
        share's."""
        if target.shape == prediction.shape[:-1]:
            return target.astype(np.int64)
        return target[..., 0].astype(np.int64) if self.outputs == 1 else target.argmax(axis=-1)

    def read(self, prediction: Array) -> list[int]:
        """Labels in order of one prediction [L, K]."""
        codes = self.loss.codes
        assert codes is not None, "only losses of labels in order are judged so"
        return codes.read(prediction)

    def name(self, index: int) -> str:
        """What a class is called in results."""
        return str(self.classes[index]) if index < len(self.classes) else str(index)

    def named(self, values: Array) -> dict[str, Any]:
        """A number (None where it is not one) for each class, of values [K]."""
        return {self.name(i): float(value) if np.isfinite(value) else None for i, value in enumerate(values)}


class Metric(Kind):
    """Settings of a metric."""

    better: ClassVar[Literal["higher", "lower"]] = "higher"
    judges: ClassVar[frozenset[TargetKind]] = frozenset({TargetKind.CLASS, TargetKind.DISTRIBUTION})
    """Kinds of targets that it can judge."""

    @property
    def is_number(self) -> bool:
        """Whether the result is one number, which can be watched."""
        return True

    @property
    def name(self) -> str:
        """What the log calls it."""
        return self.kind

    def check(self, head: Head) -> None:
        """Whether the settings fit the head; a SpecError otherwise."""

    def start(self, head: Head) -> Totals:
        """Totals of nothing."""
        raise NotImplementedError(self.kind)

    def add(self, totals: Totals, prediction: Array, target: Array, head: Head) -> None:
        """A batch more, in place in `totals`: `prediction` [N, …] of the head's shape, `target` as its kind says."""
        raise NotImplementedError(self.kind)

    def result(self, totals: Totals, head: Head) -> Result:
        raise NotImplementedError(self.kind)


class PerClass(Metric):
    """A metric that is one number, or one for each class."""

    per_class: bool = False
    """The number of each class by its name, in place of an average."""

    @property
    def is_number(self) -> bool:
        return not self.per_class

    @property
    def name(self) -> str:
        return f"{self.kind}_per_class" if self.per_class else self.kind


CLASSES = Metric.judges
LABELS = CLASSES | {TargetKind.MULTI_LABEL}
VALUES = frozenset({TargetKind.VALUES})


def answers(prediction: Array, head: Head) -> Array:
    """Which labels are predicted, of several that may hold at once: truth values [..., K]."""
    return np.asarray(prediction > head.loss.threshold)


def ratio(part: Array, whole: Array) -> float | None:
    """part / whole, each of one number, []; None of nothing."""
    return float(part) / float(whole) if whole else None
