"""Totals over many batches: of each loss, and of each metric. What they say does not depend on how rows were cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.train.heads import Heads
from graphc.train.losses import Mean
from graphc.types import Array

TERMS = "terms"
"""What the losses' totals are called beside those of the metrics."""


class Sums:
    """Sums of losses and their counts, and the metrics' totals, as arrays that a checkpoint can hold."""

    def __init__(self, heads: Heads, totals: dict[str, dict[str, Array]] | None = None) -> None:
        """`totals`: those of before, which go on; None: nothing has been seen."""
        self.heads = heads
        self.totals = self._nothing() if totals is None else totals

    def _nothing(self) -> dict[str, dict[str, Array]]:
        terms = len(self.heads.factors)
        found = {TERMS: {"sums": np.zeros(terms, np.float64), "counts": np.zeros(terms, np.float64)}}
        for number, judge in enumerate(self.heads.judges):
            found[f"metric {number}"] = judge.metric.start(self.heads.form(judge.head))
        return found

    def add_terms(self, terms: Sequence[Mean]) -> None:
        """Losses of one batch more, or of one step."""
        for number, term in enumerate(terms):
            self.totals[TERMS]["sums"][number] += term.value * term.count
            self.totals[TERMS]["counts"][number] += term.count

    def add_sums(self, other: Sums) -> None:
        """Losses of a step more, from its own sums."""
        counts = other.totals[TERMS]["counts"]
        self.totals[TERMS]["sums"] += np.array(other.means()) * counts
        self.totals[TERMS]["counts"] += counts

    def add_judged(self, judged: Mapping[int, tuple[Array, Array]]) -> None:
        """Predictions and targets of one batch more, by head."""
        for number, judge in enumerate(self.heads.judges):
            prediction, target = judged[judge.head]
            judge.metric.add(self.totals[f"metric {number}"], prediction, target, self.heads.form(judge.head))

    def means(self) -> list[float]:
        """Of each term."""
        terms = self.totals[TERMS]
        return [float(total / count) if count else 0.0 for total, count in zip(*terms.values(), strict=True)]

    def loss(self) -> float:
        """The weighted sum over the heads."""
        means = self.means()
        if self.heads.teacher is not None and not self.totals[TERMS]["counts"][1]:
            return means[0]  # nobody was taught: a validation
        return sum(factor * mean for factor, mean in zip(self.heads.factors, means, strict=True))

    def head_losses(self) -> dict[str, float]:
        """Each head's own loss, where there are several."""
        targets = self.heads.targets
        means = zip(targets, self.means(), strict=True) if len(targets) > 1 else ()
        return {f"loss_{head.name}": mean for head, mean in means}

    def metrics(self) -> dict[str, Any]:
        """Each metric's result by its name."""
        return {
            judge.name: judge.metric.result(self.totals[f"metric {number}"], self.heads.form(judge.head))
            for number, judge in enumerate(self.heads.judges)
        }
