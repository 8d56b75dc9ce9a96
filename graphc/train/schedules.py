"""Learning-rate schedules: a factor of the base rate as a function of how far training has come.

Every schedule sees `now` and `end`, both in epochs (`unit: epoch`, fractions included) or in steps (`unit: step`),
`now` being 0 at the first step; `reduce_on_plateau` looks at how training goes instead. Warm-up multiplies any
schedule by a ramp.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from graphc.settings import LIST, Kind, Settings


@dataclass
class Plateau:
    """How `reduce_on_plateau` has done so far."""

    factor: float = 1.0
    """Of the rate, now."""
    reference: float | None = None
    """The last value that counted as an improvement."""
    waited: int = 0
    """Validations since then."""
    resting: int = 0
    """Validations that do not count yet after a reduction."""


class Schedule(Kind):
    """Settings of a schedule."""

    depends_on_end: ClassVar[bool] = False
    """Whether another number of epochs changes the rate of an epoch."""

    unit: Literal["epoch", "step"] = "epoch"
    """What lengths are counted in."""

    def factor(self, now: float, end: float) -> float:
        raise NotImplementedError(self.kind)

    def judge(self, plateau: Plateau, value: float, lower: bool) -> None:
        """Look at the monitored number after a validation; `lower`: a lower one is better."""


class Constant(Schedule):
    """The base rate throughout."""

    kind: ClassVar[str] = "constant"

    def factor(self, now: float, end: float) -> float:
        return 1.0


class Step(Schedule):
    """rate ** (number of whole periods so far)."""

    kind: ClassVar[str] = "step"

    every: float = Field(gt=0)
    """Length of a period."""
    rate: float = Field(default=0.1, gt=0)
    """Factor at the end of each period."""

    def factor(self, now: float, end: float) -> float:
        return _power(self.rate, _whole_periods(now / self.every))


class Piecewise(Schedule):
    """factors[i] from at[i - 1] on, factors[0] at first."""

    kind: ClassVar[str] = "piecewise"

    at: Annotated[tuple[float, ...], LIST]
    """Where the factor changes, increasing."""
    factors: Annotated[tuple[float, ...], LIST]
    """One more than `at`."""

    @model_validator(mode="after")
    def _fits(self) -> Piecewise:
        if len(self.factors) != len(self.at) + 1:
            raise ValueError(f"expected one factor more than places, got {len(self.factors)} and {len(self.at)}")
        if list(self.at) != sorted(set(self.at)):
            raise ValueError(f"expected increasing places, got {list(self.at)}")
        return self

    def factor(self, now: float, end: float) -> float:
        return self.factors[sum(now >= place for place in self.at)]


class Exponential(Schedule):
    """rate ** (now / every); in whole periods with `staircase`."""

    kind: ClassVar[str] = "exponential"

    rate: float = Field(gt=0)
    """Factor over one period."""
    every: float = Field(default=1.0, gt=0)
    """Length of a period."""
    staircase: bool = False
    """Decay at the end of each period only."""

    def factor(self, now: float, end: float) -> float:
        periods = now / self.every
        return _power(self.rate, _whole_periods(periods) if self.staircase else periods)


class Polynomial(Schedule):
    """(1 - final) * (1 - now/end)**power + final."""

    kind: ClassVar[str] = "polynomial"
    depends_on_end: ClassVar[bool] = True

    power: float = Field(default=1.0, gt=0)
    """1 is a line."""
    final: float = Field(default=0.0, ge=0)
    """Factor at the end."""

    def factor(self, now: float, end: float) -> float:
        return (1 - self.final) * math.pow(1 - _share(now, end), self.power) + self.final


class Cosine(Schedule):
    """Half a cosine from 1 to `final`; `cycles` of them, each starting again at 1."""

    kind: ClassVar[str] = "cosine"
    depends_on_end: ClassVar[bool] = True

    final: float = Field(default=0.0, ge=0)
    """Factor at the end."""
    cycles: int = Field(default=1, ge=1)
    """Warm restarts: how often the cosine is run through."""

    def factor(self, now: float, end: float) -> float:
        share = _share(now, end)
        inside = share * self.cycles % 1 if share < 1 else 1.0
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * inside)) / 2


class OneCycle(Schedule):
    """Cosine up from `start` to 1 over the first `rise` of the run, then cosine down to `final` (Smith 2018)."""

    kind: ClassVar[str] = "one_cycle"
    depends_on_end: ClassVar[bool] = True

    start: float = Field(default=0.04, ge=0)
    """Factor at the beginning."""
    final: float = Field(default=0.000004, ge=0)
    """Factor at the end."""
    rise: float = Field(default=0.3, gt=0, lt=1)
    """Share of the run spent rising."""

    def factor(self, now: float, end: float) -> float:
        share = _share(now, end)
        if share < self.rise:
            return _anneal(self.start, 1.0, share / self.rise)
        return _anneal(1.0, self.final, (share - self.rise) / (1 - self.rise))


class ReduceOnPlateau(Schedule):
    """The rate times `factor` whenever the monitored number (`monitor`) has not become better for a while."""

    kind: ClassVar[str] = "reduce_on_plateau"

    rate: float = Field(default=0.1, gt=0, lt=1)
    """Factor at each reduction."""
    patience: int = Field(default=10, ge=1)
    """Validations without an improvement."""
    min_delta: float = Field(default=0.0, ge=0)
    """What counts as an improvement: more than this."""
    cooldown: int = Field(default=0, ge=0)
    """Validations after a reduction that are not counted."""
    minimum: float = Field(default=0.0, ge=0)
    """Share of the base rate below which the rate does not fall."""

    def factor(self, now: float, end: float) -> float:
        return 1.0

    def judge(self, plateau: Plateau, value: float, lower: bool) -> None:
        before = plateau.reference
        better = before is None or (before - value if lower else value - before) > self.min_delta
        if better:
            plateau.reference, plateau.waited = value, 0
        if plateau.resting:
            plateau.resting -= 1
        elif not better:
            plateau.waited += 1
            if plateau.waited >= self.patience:
                plateau.factor = max(plateau.factor * self.rate, self.minimum)
                plateau.resting, plateau.waited = self.cooldown, 0


SCHEDULES: tuple[type[Schedule], ...] = (
    Constant,
    Step,
    Piecewise,
    Exponential,
    Polynomial,
    Cosine,
    OneCycle,
    ReduceOnPlateau,
)


class WarmUp(Settings):
    """A line from `start` to 1 over the first `length`, times whatever the schedule says."""

    unit: Literal["epoch", "step"] = "epoch"
    """What the length is counted in."""

    length: float = Field(gt=0)
    """How long it takes."""
    start: float = Field(default=0.0, ge=0)
    """Factor at the first step."""

    def factor(self, now: float) -> float:
        return 1.0 if now >= self.length else self.start + (1 - self.start) * now / self.length


def learning_rate(
    base: float, schedule: Schedule, warm_up: WarmUp | None, step: int, steps: int, steps_per_epoch: int
) -> float:
    """The rate of the step after `step` steps, of `steps` in all."""

    def now(unit: str, count: int) -> float:
        return count / steps_per_epoch if unit == "epoch" else float(count)

    factor = schedule.factor(now(schedule.unit, step), now(schedule.unit, steps))
    return base * factor * (warm_up.factor(now(warm_up.unit, step)) if warm_up else 1.0)


def _share(now: float, end: float) -> float:
    return min(now / end, 1.0) if end > 0 else 1.0


def _anneal(first: float, last: float, share: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


def _whole_periods(periods: float) -> float:
    """Rounded down; infinity where there are more than numbers for them."""
    return float(math.floor(periods)) if math.isfinite(periods) else periods


def _power(base: float, exponent: float) -> float:
    """base ** exponent; infinity where that is too large."""
    try:
        return float(base**exponent)
    except OverflowError:
        return math.inf
