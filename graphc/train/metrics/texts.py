"""Metrics of labels in order, read from a prediction as the highest of each step say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from graphc.data.alphabet import PADDING
from graphc.data.target_kind import TargetKind
from graphc.lazy import np
from graphc.train.metrics.base import Head, Metric, Result, Totals, ratio
from graphc.types import Array


class _OfSequences(Metric):
    """A count for each example, over a count of what could have been."""

    judges = frozenset({TargetKind.SEQUENCE})

    def start(self, head: Head) -> Totals:
        return {"part": np.zeros((), np.int64), "whole": np.zeros((), np.int64)}

    def add(self, totals: Totals, prediction: Array, target: Array, head: Head) -> None:
        head.kind(prediction, target)
        for one, labels in zip(prediction, target, strict=True):
            part, whole = self.counts(head.read(one), labels[labels != PADDING].tolist())
            totals["part"] += part
            totals["whole"] += whole

    def counts(self, found: Sequence[int], true: Sequence[int]) -> tuple[int, int]:
        """Of one example."""
        raise NotImplementedError(self.kind)

    def result(self, totals: Totals, head: Head) -> Result:
        return ratio(totals["part"], totals["whole"])


class CharacterErrorRate(_OfSequences):
    """Insertions, deletions and substitutions that make the targets of what was read (Levenshtein), over the labels of
    all targets; it can be above 1."""

    kind: ClassVar[str] = "character_error_rate"
    better: ClassVar[Literal["higher", "lower"]] = "lower"

    def counts(self, found: Sequence[int], true: Sequence[int]) -> tuple[int, int]:
        return edit_distance(found, true), len(true)


class SequenceAccuracy(_OfSequences):
    """Share of examples that are read without an error."""

    kind: ClassVar[str] = "sequence_accuracy"

    def counts(self, found: Sequence[int], true: Sequence[int]) -> tuple[int, int]:
        return int(list(found) == list(true)), 1


def edit_distance(a: Sequence[int], b: Sequence[int]) -> int:
    """The fewest insertions, deletions and substitutions of one element that make b of a."""
    other, places = np.asarray(b, np.int64), np.arange(len(b) + 1)
    row = places
    for count, element in enumerate(a, start=1):
        changed = np.minimum(row[1:] + 1, row[:-1] + (other != element))
        # an insertion adds 1 to the entry before: the least of all entries before, each with as many insertions
        row = np.minimum.accumulate(np.concatenate([[count], changed]) - places) + places
    return int(row[-1])
