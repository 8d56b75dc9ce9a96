"""Schedules at hand-computed places."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from graphc.train.schedules import (
    SCHEDULES,
    Constant,
    Cosine,
    Exponential,
    OneCycle,
    Piecewise,
    Plateau,
    Polynomial,
    ReduceOnPlateau,
    Step,
    WarmUp,
    learning_rate,
)

VALUES = [
    (Constant(), {0: 1, 10: 1}),
    (Step(every=3), {0: 1, 2.9: 1, 3: 0.1, 6: 0.01}),
    (Piecewise(at=(4, 8), factors=(1, 0.5, 0.1)), {0: 1, 3.9: 1, 4: 0.5, 8: 0.1, 10: 0.1}),
    (Exponential(rate=0.9, every=2), {0: 1, 2: 0.9, 3: 0.9**1.5}),
    (Exponential(rate=0.94, every=2, staircase=True), {1.9: 1, 2: 0.94, 3.9: 0.94}),
    (Polynomial(power=2, final=0.1), {0: 1, 5: 0.9 * 0.25 + 0.1, 10: 0.1, 12: 0.1}),
    (Cosine(final=0.2), {0: 1, 5: 0.6, 10: 0.2}),
    (Cosine(cycles=2), {0: 1, 2.5: 0.5, 5: 1, 7.5: 0.5, 10: 0}),
    (OneCycle(start=0.1, final=0.0, rise=0.5), {0: 0.1, 2.5: 0.55, 5: 1, 7.5: 0.5, 10: 0}),
    (ReduceOnPlateau(), {0: 1, 5: 1, 10: 1}),
]


def test_every_schedule_has_a_row():
    assert {type(schedule) for schedule, _ in VALUES} == set(SCHEDULES)


@pytest.mark.parametrize(("schedule", "values"), VALUES, ids=lambda x: getattr(x, "kind", ""))
def test_values(schedule, values):
    for now, factor in values.items():
        assert schedule.factor(now, 10) == pytest.approx(factor, abs=1e-12), now


def test_epochs_and_steps():
    assert learning_rate(0.1, Step(every=2), None, 19, 100, 10) == pytest.approx(0.1)
    assert learning_rate(0.1, Step(every=2), None, 20, 100, 10) == pytest.approx(0.01)
    assert learning_rate(0.1, Step(every=20, unit="step"), None, 20, 100, 10) == pytest.approx(0.01)


def test_warm_up_multiplies_any_schedule():
    warm = WarmUp(length=1, start=0.2)
    rates = [learning_rate(1.0, Cosine(), warm, step, 100, 10) for step in (0, 5, 10)]
    shape = [(1 + math.cos(math.pi * share)) / 2 for share in (0, 0.05, 0.1)]
    assert rates == pytest.approx([0.2 * shape[0], 0.6 * shape[1], shape[2]])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"at": (1,), "factors": (1,)}, "one factor more than places, got 1 and 1"),
        ({"at": (2, 1), "factors": (1, 2, 3)}, "increasing places"),
    ],
)
def test_piecewise_says_what_does_not_fit(arguments, words):
    with pytest.raises(ValidationError, match=words):
        Piecewise(**arguments)


def test_a_factor_too_large_for_a_number_is_infinite():
    assert Exponential(rate=1.5, every=1).factor(1e5, 1) == math.inf
    assert Step(rate=2, every=1).factor(5000, 1) == math.inf


@pytest.mark.parametrize(
    ("settings", "values", "factors"),
    [
        # PyTorch's ReduceLROnPlateau with a patience of one less, followed by hand
        ({"patience": 2}, [5, 4, 4, 4, 3, 4, 4], [1, 1, 1, 0.1, 0.1, 0.1, 0.01]),
        ({"patience": 1, "rate": 0.5, "cooldown": 2}, [5, 5, 5, 5, 5, 5], [1, 0.5, 0.5, 0.5, 0.25, 0.25]),
        ({"patience": 1, "rate": 0.5, "minimum": 0.3}, [5, 5, 5, 5], [1, 0.5, 0.3, 0.3]),
        ({"patience": 1, "min_delta": 0.5}, [5, 4.8, 4.4, 4.0], [1, 0.1, 0.1, 0.01]),
    ],
)
def test_reduce_on_plateau(settings, values, factors):
    for sign, lower in ((1, True), (-1, False)):
        plateau, found = Plateau(), []
        for value in values:
            ReduceOnPlateau(**settings).judge(plateau, sign * value, lower)
            found.append(plateau.factor)
        assert found == pytest.approx(factors)


def test_whose_rates_depend_on_the_end():
    """The others have the same rate at a place whatever the end."""
    for schedule, _ in VALUES:
        same = all(schedule.factor(now, 10) == schedule.factor(now, 20) for now in range(10))
        assert same != schedule.depends_on_end, schedule.kind
