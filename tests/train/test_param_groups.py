"""Patterns, penalties, clipping, the moving average."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.errors import SpecError
from graphc.initializers import Zeros
from graphc.regularizers import Regularizer
from graphc.train.param_groups import ParamGroups, add_penalty_gradient, clip, length, move_average, penalty
from graphc.train.recipe import Clip, Ema, read_recipe_text
from graphc.variables import ParamSpec

RECIPE = """\
recipe: 1
model: net
data: {train: digits}
loss: hinge
optimizer: sgd
learning_rate: 1
steps: 1
"""
VARIABLES = {
    "net/body/weights": ParamSpec((2, 2), Zeros(), regularizer=Regularizer(l2=0.1)),
    "net/body/moving_mean": ParamSpec((2,), Zeros(), trainable=False),
    "net/head/weights": ParamSpec((2, 2), Zeros()),
}


def _learning(*lines):
    return ParamGroups.of(VARIABLES, read_recipe_text(RECIPE + "\n".join(lines)))


def test_patterns_choose_variables():
    learning = _learning('freeze: "*/body/*"', 'multipliers: {"*/head/*": 10, "*": 2}')
    assert learning.learning == ("net/head/weights",)
    assert learning.frozen == {"net/body/weights", "net/body/moving_mean"}
    assert learning.factors == {"net/head/weights": 10}
    assert _learning('multipliers: {"*/body/*": 0.5}').factors["net/head/weights"] == 1


def test_gradients_may_come_as_factors_where_nobody_needs_the_whole():
    assert _learning().factorable == {"net/head/weights"}  # the body's penalty is added to its whole gradient
    assert _learning("accumulate: 2").factorable == frozenset()
    lamb = RECIPE.replace("sgd", "lamb")
    assert ParamGroups.of(VARIABLES, read_recipe_text(lamb)).factorable == frozenset()


def test_a_frozen_variables_penalty_stays_in_the_loss():
    params = {name: np.ones(spec.shape) for name, spec in VARIABLES.items()}
    assert _learning('freeze: "*/body/*"').penalty(params) == pytest.approx(0.1 * 4 / 2)


def test_a_pattern_that_fits_nothing_is_an_error():
    with pytest.raises(SpecError, match=r"'net/haed/weights' fits no variable \(did you mean 'net/head/weights'\?\)"):
        _learning("freeze: net/haed/weights")


@pytest.mark.parametrize("regularizer", [Regularizer(l1=0.3), Regularizer(l2=0.7), Regularizer(l1=0.3, l2=0.7)])
def test_penalty_and_its_gradient(regularizer):
    w = np.random.default_rng(0).normal(size=(5, 7))
    gradient = np.zeros_like(w)
    add_penalty_gradient(gradient, w, regularizer)
    expected = regularizer.l1 * np.abs(w).sum() + regularizer.l2 * (w**2).sum() / 2
    assert penalty(w, regularizer) == pytest.approx(expected)
    direction = np.random.default_rng(1).normal(size=w.shape)
    up, down = penalty(w + 1e-6 * direction, regularizer), penalty(w - 1e-6 * direction, regularizer)
    assert (up - down) / 2e-6 == pytest.approx((gradient * direction).sum(), rel=1e-6)


def _clipped(**limits):
    gradients = {"a": np.array([3.0, 4.0]), "b": np.array([0.0, 1.0])}
    norms = {name: float(np.linalg.norm(gradient)) for name, gradient in gradients.items()}
    clip(gradients, norms, Clip(**limits))
    return gradients


def test_clipping():
    assert length({"a": 5.0, "b": 12.0}) == 13.0
    np.testing.assert_allclose(_clipped(variable_norm=2.0)["a"], [1.2, 1.6], rtol=1e-5)
    np.testing.assert_allclose(_clipped(variable_norm=2.0)["b"], [0, 1])
    both = _clipped(global_norm=2.0)
    np.testing.assert_allclose(both["a"], np.array([3, 4]) * 2 / np.sqrt(26), rtol=1e-5)
    np.testing.assert_allclose(both["b"], np.array([0, 1]) * 2 / np.sqrt(26), rtol=1e-5)
    np.testing.assert_array_equal(_clipped(global_norm=100.0)["a"], [3, 4])
    assert np.hypot(*[np.linalg.norm(g) for g in _clipped(variable_norm=2.0, global_norm=1.0).values()]) < 1


def test_moving_average():
    average, params = {"w": np.array([0.0])}, {"w": np.array([1.0])}
    move_average(average, params, Ema(decay=0.9, ramp=False), 0)
    assert average["w"] == pytest.approx(0.1)
    move_average(average, params, Ema(decay=0.9, ramp=True), 0)  # decay 0.1 at first
    assert average["w"] == pytest.approx(0.1 + 0.9 * 0.9)
