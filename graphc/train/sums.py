"""Totals over many batches: of each loss, and of each metric. What they say does not depend on how rows were cut.

Totals are plain arrays by name, so that a checkpoint can hold them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.train.loss_terms import LossTerms
from graphc.train.losses import Mean
from graphc.types import Array

TERMS = "terms"
"""What the losses' totals are called beside those of the metrics."""


class LossSums:
    """Sums of losses and their counts, one of each for a term."""

    def __init__(self, heads: LossTerms, totals: dict[str, Array] | None = None) -> None:
        """`totals`: those of before, which go on; None: nothing has been seen."""
        self.heads = heads
        terms = len(heads.factors)
        self.totals = totals or {name: np.zeros(terms, np.float64) for name in ("sums", "counts")}

    def add(self, terms: Sequence[Mean]) -> None:
        """One batch more."""
        for number, term in enumerate(terms):
            self.totals["sums"][number] += term.value * term.count
            self.totals["counts"][number] += term.count

    def add_step(self, step: LossSums) -> None:
        """A step more, as the mean of its batches."""
        counts = step.totals["counts"]
        self.totals["sums"] += np.array(step.means()) * counts
        self.totals["counts"] += counts

    def means(self) -> list[float]:
        """Of each term."""
        pairs = zip(self.totals["sums"], self.totals["counts"], strict=True)
        return [float(total / count) if count else 0.0 for total, count in pairs]

    def loss(self) -> float:
        """The weighted sum over the heads."""
        means = self.means()
        if self.heads.teacher is not None and not self.totals["counts"][1]:
            return means[0]  # nobody was taught: a validation
        return sum(factor * mean for factor, mean in zip(self.heads.factors, means, strict=True))

    def by_head(self) -> dict[str, float]:
        """Each head's own loss, where there are several."""
        targets = self.heads.targets
        means = zip(targets, self.means(), strict=True) if len(targets) > 1 else ()
        return {f"loss_{head.name}": mean for head, mean in means}


class Sums:
    """Of an epoch or a data set: losses, and the totals of every metric."""

    def __init__(self, heads: LossTerms, totals: dict[str, dict[str, Array]] | None = None) -> None:
        """`totals`: those of before, which go on; None: nothing has been seen."""
        self.heads = heads
        self.losses = LossSums(heads, None if totals is None else totals[TERMS])
        self.totals = {TERMS: self.losses.totals, **self._no_metrics()} if totals is None else totals

    def _no_metrics(self) -> dict[str, dict[str, Array]]:
        judges = enumerate(self.heads.judges)
        return {f"metric {number}": judge.metric.start(self.heads.form(judge.head)) for number, judge in judges}

    def add_judged(self, judged: Mapping[int, tuple[Array, Array]]) -> None:
        """Predictions and targets [n, ...] of one batch more, by head; a head that is left out counts nothing."""
        for number, judge in enumerate(self.heads.judges):
            if judge.head not in judged:
                continue
            prediction, target = judged[judge.head]
            judge.metric.add(self.totals[f"metric {number}"], prediction, target, self.heads.form(judge.head))

    def metrics(self) -> dict[str, Any]:
        """Each metric's result by its name."""
        return {
            judge.name: judge.metric.result(self.totals[f"metric {number}"], self.heads.form(judge.head))
            for number, judge in enumerate(self.heads.judges)
        }
