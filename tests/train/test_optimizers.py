"""Optimizers against their formulas written out on scalars, and against PyTorch where it is installed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from graphc.kernels.factored_gradient import FactoredGradient
from graphc.train import blocks
from graphc.train.blocks import square_sum
from graphc.train.optimizers import (
    OPTIMIZERS,
    Adagrad,
    Adam,
    AdamW,
    Lamb,
    Momentum,
    Nesterov,
    RmsProp,
    Sgd,
    new_slots,
)

RATE, DECAY = 0.05, 0.01
GRADIENTS = (0.5, -1.0, 0.25, 2.0)


def _sgd(w, g, s, t):
    return w - RATE * (g + DECAY * w)


def _momentum(w, g, s, t):
    s["m"] = 0.9 * s.get("m", 0.0) + g + DECAY * w
    return w - RATE * s["m"]


def _nesterov(w, g, s, t):
    g += DECAY * w
    s["m"] = 0.9 * s.get("m", 0.0) + g
    return w - RATE * (g + 0.9 * s["m"])


def _rmsprop(w, g, s, t):
    g += DECAY * w
    s["v"] = 0.99 * s.get("v", 0.0) + 0.01 * g * g
    s["mean"] = 0.99 * s.get("mean", 0.0) + 0.01 * g
    s["m"] = 0.9 * s.get("m", 0.0) + g / (math.sqrt(s["v"] - s["mean"] ** 2) + 1e-8)
    return w - RATE * s["m"]


def _adagrad(w, g, s, t):
    g += DECAY * w
    s["s"] = s.get("s", 0.1) + g * g
    return w - RATE / (1 + (t - 1) * 0.2) * g / (math.sqrt(s["s"]) + 1e-10)


def _moments(g, s, t, eps):
    s["m"] = 0.9 * s.get("m", 0.0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0.0) + 0.001 * g * g
    return s["m"] / (1 - 0.9**t) / (math.sqrt(s["v"] / (1 - 0.999**t)) + eps)


def _adam(w, g, s, t):
    return w - RATE * _moments(g + DECAY * w, s, t, 1e-8)


def _adamw(w, g, s, t):
    return w * (1 - RATE * DECAY) - RATE * _moments(g, s, t, 1e-8)


def _lamb(w, g, s, t):
    r = _moments(g, s, t, 1e-6) + DECAY * w
    return w - RATE * abs(w) / abs(r) * r


FORMULAS = [
    (Sgd(weight_decay=DECAY), _sgd),
    (Momentum(weight_decay=DECAY), _momentum),
    (Nesterov(weight_decay=DECAY), _nesterov),
    (RmsProp(weight_decay=DECAY, momentum=0.9, centered=True), _rmsprop),
    (Adagrad(weight_decay=DECAY, initial=0.1, rate_decay=0.2), _adagrad),
    (Adam(weight_decay=DECAY), _adam),
    (AdamW(weight_decay=DECAY), _adamw),
    (Lamb(weight_decay=DECAY), _lamb),
]


def test_every_optimizer_has_a_row():
    assert [type(settings) for settings, _ in FORMULAS] == list(OPTIMIZERS)


@pytest.mark.parametrize(("settings", "formula"), FORMULAS, ids=lambda x: getattr(x, "kind", ""))
def test_update_is_the_formula(settings, formula):
    variable, expected, memory = np.array([[1.5]]), 1.5, {}
    slots = new_slots(settings, variable)
    for step, gradient in enumerate(GRADIENTS, start=1):
        settings.update(variable, np.array([[gradient]]), slots, RATE, step)
        expected = formula(expected, gradient, memory, step)
        assert variable.item() == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("settings", [settings for settings, _ in FORMULAS], ids=lambda s: s.kind)
def test_blocks_do_not_change_the_result(settings, monkeypatch):
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(7, 11)), rng.normal(size=(3, 7, 11))
    results = []
    for size in (5, 1000):
        monkeypatch.setattr(blocks, "BLOCK", size)
        variable, slots = start.copy(), new_slots(settings, start)
        for step in range(3):
            settings.update(variable, gradients[step].copy(), slots, RATE, step + 1)
        results.append(variable)
    np.testing.assert_allclose(results[0], results[1], rtol=1e-14)


@pytest.mark.parametrize("settings", [settings for settings, _ in FORMULAS], ids=lambda s: s.kind)
@pytest.mark.parametrize("block", [5, 23, 1000])
def test_a_gradient_as_its_factors_is_the_gradient(settings, block, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", block)
    rng = np.random.default_rng(0)
    start, inputs, slopes = rng.normal(size=(7, 11)), rng.normal(size=(3, 4, 7)), rng.normal(size=(3, 4, 11))

    def halves(work, count):
        work(slice(0, count // 2))
        work(slice(count // 2, count))

    results = []
    for as_factors in (False, True):
        variable, slots = start.copy(), new_slots(settings, start)
        for step in range(3):
            factors = FactoredGradient(inputs[step], slopes[step])
            gradient = factors if as_factors else np.asarray(factors)
            settings.update(variable, gradient, slots, RATE, step + 1, halves)
        results.append(variable)
    np.testing.assert_allclose(results[0], results[1], rtol=1e-12)


@pytest.mark.parametrize("settings", [settings for settings, _ in FORMULAS], ids=lambda s: s.kind)
def test_float32_stays_float32(settings):
    variable = np.ones((3, 3), np.float32)
    slots = new_slots(settings, variable)
    settings.update(variable, np.ones((3, 3), np.float32), slots, RATE, 1)
    assert {variable.dtype, *(slot.dtype for slot in slots)} == {np.dtype(np.float32)}


@pytest.mark.parametrize("settings", [settings for settings, _ in FORMULAS], ids=lambda s: s.kind)
@pytest.mark.parametrize(("shape", "decays"), [((3, 2), True), ((3,), False)])
def test_decay_can_leave_biases_alone(settings, shape, decays):
    """With `decay_only_weights` a matrix moves as it does with the decay, a bias as it does without."""
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=shape), rng.normal(size=(3, *shape))

    def moved(**changes):
        changed = settings.model_copy(update={"weight_decay": 0.5, **changes})
        variable, slots = start.copy(), new_slots(changed, start)
        for step in range(3):
            changed.update(variable, gradients[step].copy(), slots, RATE, step + 1)
        return variable

    found = moved(decay_only_weights=True)
    np.testing.assert_array_equal(found, moved() if decays else moved(weight_decay=0.0))
    assert (found != (moved(weight_decay=0.0) if decays else moved())).any()


def test_lamb_of_zero_weights_moves():
    variable = np.zeros((2, 2))
    Lamb().update(variable, np.ones((2, 2)), new_slots(Lamb(), variable), 0.1, 1)
    np.testing.assert_allclose(variable, -0.1, rtol=1e-5)


def test_square_sum():
    array = np.arange(100_000, dtype=np.float64).reshape(100, 1000)
    assert square_sum(array) == pytest.approx((array**2).sum(), rel=1e-12)


def test_square_sum_does_not_depend_on_blas_threads():
    array = np.random.default_rng(0).normal(size=200_000).astype(np.float32)
    sums = []
    for threads in (1, 2, 4):
        with threadpool_limits(threads):
            sums.append(square_sum(array))
    assert len(set(sums)) == 1


COMMON = {"lr": RATE, "weight_decay": DECAY}
PYTORCHS = {
    "sgd": ("SGD", {}),
    "momentum": ("SGD", {"momentum": 0.9}),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "rmsprop": ("RMSprop", {"momentum": 0.9, "centered": True}),
    "adagrad": ("Adagrad", {"initial_accumulator_value": 0.1, "lr_decay": 0.2}),
    "adam": ("Adam", {}),
    "adamw": ("AdamW", {}),
}
"""PyTorch's class and its arguments; it has no LAMB."""


@pytest.mark.parametrize("settings", [s for s, _ in FORMULAS if s.kind in PYTORCHS], ids=lambda s: s.kind)
def test_a_hundred_updates_equal_pytorchs(settings):
    torch = pytest.importorskip("torch", reason="compared with PyTorch where it is installed")
    rng = np.random.default_rng(1)
    variable, gradients = rng.normal(size=(6, 5)), rng.normal(size=(100, 6, 5))
    theirs = torch.tensor(variable.copy(), requires_grad=True)
    name, arguments = PYTORCHS[settings.kind]
    optimizer = getattr(torch.optim, name)([theirs], **COMMON, **arguments)
    slots = new_slots(settings, variable)
    for step in range(100):
        theirs.grad = torch.tensor(gradients[step])
        optimizer.step()
        settings.update(variable, gradients[step].copy(), slots, RATE, step + 1)
    np.testing.assert_allclose(variable, theirs.detach().numpy(), rtol=0, atol=1e-12)
