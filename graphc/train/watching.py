"""What is looked at after each validation: which weights are best, when training ends early, when the rate falls."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from graphc.errors import DivergedError
from graphc.train.recipe import Recipe
from graphc.train.state import BestTracker, TrainState

LOSS = "loss"


def watched(recipe: Recipe) -> str:
    """What `best`, early stopping and `reduce_on_plateau` look at: the recipe's choice, else the first metric that is
    one number, else the loss."""
    if recipe.monitor is not None:
        return recipe.monitor
    names = [each.name for each in recipe.named_metrics if each.metric.is_number]
    return names[0] if names else LOSS


class Watcher:
    """Compares the watched number with what it has been."""

    def __init__(self, recipe: Recipe, prefix: str) -> None:
        """`prefix`: of the judged numbers in the log's records."""
        self.recipe = recipe
        self.prefix = prefix
        self.names = (LOSS, *(each.name for each in recipe.named_metrics))
        """Of the numbers that may be watched."""
        self.lower = {each.name for each in recipe.named_metrics if each.metric.better == "lower"} | {LOSS}

    def choose(self, record: Mapping[str, Any], tracker: BestTracker) -> str | None:
        """Settle at the first validation what is watched; a sentence where it is not what the recipe asks for.

        A metric may be undefined on a data set, as AUC is where a class is missing: then the loss is watched.
        """
        if tracker.name:
            return None
        wanted = watched(self.recipe)
        tracker.name = wanted if is_finite(record[self.prefix + wanted]) else LOSS
        if tracker.name == wanted:
            return None
        return f"{self.prefix}{wanted} is undefined on these data: best weights are those of the lowest loss"

    def judge(self, record: Mapping[str, Any], state: TrainState) -> bool:
        """Whether this is the best value so far; early stopping and the schedule see it too."""
        tracker, value = state.tracker, record[self.prefix + state.tracker.name]
        if not is_finite(value):
            if tracker.name == LOSS:
                raise DivergedError("G620", f"epoch {state.epoch}: the monitored {tracker.name} is not finite")
            tracker.waited += 1  # undefined in this epoch: no improvement
            return False
        lower = tracker.name in self.lower
        stop = self.recipe.early_stopping
        if gain(value, tracker.reference, lower) > (stop.min_delta if stop else 0.0):
            tracker.reference, tracker.waited = value, 0
        else:
            tracker.waited += 1
        self.recipe.schedule.judge(state.plateau, value, lower)
        if gain(value, tracker.best, lower) <= 0:
            return False
        tracker.best, tracker.epoch = value, state.epoch
        return True


def gain(value: float, before: float | None, lower: bool) -> float:
    """By how much a value is better than one before; infinity where there is none."""
    if before is None:
        return math.inf
    return before - value if lower else value - before


def best_record(recipe: Recipe, records: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Of a log's records of epochs, the one whose weights did best; None where nothing was judged."""
    prefix = "validation_" if any(f"validation_{LOSS}" in record for record in records) else ""
    judged = [record for record in records if prefix + LOSS in record]
    if not judged:
        return None
    wanted = watched(recipe)
    name = wanted if is_finite(judged[0].get(prefix + wanted)) else LOSS
    lower = name in Watcher(recipe, prefix).lower
    finite = [record for record in judged if is_finite(record.get(prefix + name))]
    pick = min if lower else max  # the first of equals
    return pick(finite, key=lambda record: record[prefix + name], default=None)


def is_finite(value: Any) -> bool:
    """Whether a value of a log is a number, and neither infinite nor NaN."""
    return isinstance(value, int | float) and math.isfinite(value)
