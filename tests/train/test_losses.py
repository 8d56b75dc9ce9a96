"""Losses against finite differences, TF-Slim's published test values, and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from graphc.errors import DataError, SpecError
from graphc.train import losses
from graphc.train.losses import (
    LOSSES,
    Absolute,
    Cosine,
    Ctc,
    Dice,
    Hinge,
    Huber,
    Log,
    MeanSquared,
    SigmoidFocal,
    SoftmaxFocal,
)
from graphc.train.losses import SigmoidCrossEntropy as Sigmoid
from graphc.train.losses import SoftmaxCrossEntropy as Softmax


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def _case(loss, shape=(5, 4), kind="dense", weights=None, positive=False):
    return pytest.param(loss, shape, kind, weights, positive, id=f"{loss.kind}-{kind}-{len(shape)}-{weights}")


CASES = [
    _case(Softmax(), kind="indices"),
    _case(Softmax(label_smoothing=0.1), kind="indices", weights="example"),
    _case(Softmax(class_weights=(0.5, 1.0, 2.0, 0.0)), kind="indices"),
    _case(Softmax(ignore=2), shape=(2, 3, 3, 4), kind="indices"),
    _case(Softmax(class_weights=(0.5, 1.0, 2.0, 3.0), label_smoothing=0.2), kind="distribution"),
    _case(Softmax(), shape=(2, 3, 3, 4), kind="distribution", weights="element"),
    _case(Sigmoid(label_smoothing=0.1), kind="binary"),
    _case(Sigmoid(), kind="indices", weights="example"),
    _case(Sigmoid(pos_weight=3.0), kind="binary"),
    _case(Sigmoid(pos_weight=(0.5, 1.0, 2.0, 30.0), label_smoothing=0.1), kind="binary", weights="example"),
    _case(SoftmaxFocal(), kind="indices", weights="example"),
    _case(SoftmaxFocal(gamma=0.5, ignore=2, class_weights=(1.0, 2.0, 3.0, 0.5)), shape=(2, 3, 3, 4), kind="indices"),
    _case(SoftmaxFocal(gamma=1.0), kind="distribution"),
    _case(SigmoidFocal(), kind="binary"),
    _case(SigmoidFocal(gamma=0.7, alpha=None), kind="share"),
    _case(Dice(), shape=(3, 4, 4, 3), kind="indices", weights="example"),
    _case(Dice(ignore=1, smooth=0.1), shape=(3, 4, 4, 3), kind="indices"),
    _case(Dice(), shape=(3, 4, 4, 1), kind="binary"),
    _case(MeanSquared(), weights="element"),
    _case(MeanSquared(), shape=(2, 3, 3, 2)),
    _case(Absolute(), weights="example"),
    _case(Huber(delta=0.7)),
    _case(Hinge(), kind="binary", weights="example"),
    _case(Log(), kind="binary", positive=True),
    _case(Cosine(), weights="example"),
    _case(Cosine(), shape=(2, 3, 4)),
    _case(Ctc(), shape=(4, 7, 5), kind="sequence"),
    _case(Ctc(blank=4), shape=(3, 6, 6), kind="sequence", weights="example"),
]


def _target(rng, kind, shape):
    if kind == "indices":
        return rng.integers(0, shape[-1], shape[:-1])
    if kind == "sequence":
        return np.array([[1, 1, 2], [3, 2, -1], [2, 3, 1], [-1, -1, -1]])[: shape[0]]
    if kind == "binary":
        return rng.integers(0, 2, shape)
    if kind == "share":
        return rng.random(shape)
    if kind == "distribution":
        q = rng.uniform(0.1, 1, shape)
        return q / q.sum(axis=-1, keepdims=True)
    return rng.normal(size=shape)


def test_every_loss_has_a_row():
    of_boxes = {"box_iou", "detection"}  # in test_box_losses.py
    assert {case.values[0].kind for case in CASES} == {loss.kind for loss in LOSSES} - of_boxes


@pytest.mark.parametrize(("loss", "shape", "kind", "weights", "positive"), CASES)
def test_gradient_is_the_difference_quotient(loss, shape, kind, weights, positive, rng):
    prediction = rng.uniform(0.1, 0.9, shape) if positive else rng.normal(size=shape) * 2
    target = _target(rng, kind, shape)
    reduced = shape[:-1] if loss.kind in ("softmax_cross_entropy", "cosine") else shape
    w = {None: None, "example": rng.uniform(0, 2, shape[:1]), "element": rng.uniform(0, 2, reduced)}[weights]
    value, gradient = loss(prediction, target, w)
    direction = rng.normal(size=shape)
    eps = 1e-6
    up, down = loss(prediction + eps * direction, target, w)[0], loss(prediction - eps * direction, target, w)[0]
    assert gradient.dtype == prediction.dtype
    assert math.isfinite(value)
    assert (up - down) / (2 * eps) == pytest.approx((gradient * direction).sum(), rel=1e-7, abs=1e-9)


@pytest.mark.parametrize(("loss", "shape", "kind", "weights", "positive"), CASES)
def test_float32_stays_float32(loss, shape, kind, weights, positive, rng):
    prediction = rng.uniform(0.1, 0.9, shape).astype(np.float32)
    _, gradient = loss(prediction, _target(rng, kind, shape))
    assert gradient.dtype == np.float32
    assert gradient.shape == shape


def test_slims_softmax_values():
    logits = 10.0 * np.eye(3)
    assert Softmax()(logits, np.arange(3))[0] == pytest.approx(0.0, abs=1e-3)
    wrong = np.array([2, 0, 1])
    assert Softmax()(logits, wrong)[0] == pytest.approx(10.0, abs=1e-3)
    assert Softmax()(logits, wrong, np.array([1.2, 3.4, 5.6]))[0] == pytest.approx(34.0, abs=1e-3)
    assert Softmax()(logits, wrong, np.array([1.2, 0, 0]))[0] == pytest.approx(12.0, abs=1e-3)
    assert Softmax()(logits, wrong, np.zeros(3))[0] == 0.0
    smoothed = Softmax(label_smoothing=0.1)(np.array([[100.0, -100.0, -100.0]]), np.array([0]))[0]
    assert smoothed == pytest.approx(400 * 0.1 / 3)


def test_sigmoid_does_not_overflow():
    value, gradient = Sigmoid()(np.array([[800.0, -800.0]]), np.array([[0, 1]]))
    assert value == 800.0
    np.testing.assert_allclose(gradient, [[0.5, -0.5]])


def test_huber_is_square_then_line():
    assert Huber(delta=1.0)(np.array([[0.5]]), np.array([[0.0]]))[0] == 0.125
    assert Huber(delta=1.0)(np.array([[3.0]]), np.array([[0.0]]))[0] == 2.5


def test_ignored_pixels_do_not_count(rng):
    logits = rng.normal(size=(1, 2, 2, 3))
    target = np.array([[[0, 255], [255, 2]]])
    value, gradient = Softmax(ignore=255)(logits, target)
    kept = Softmax()(logits[:, [0, 1], [0, 1]], target[:, [0, 1], [0, 1]])[0]
    assert value == pytest.approx(kept)
    assert not gradient[0, 0, 1].any()


def test_gamma_zero_is_cross_entropy(rng):
    logits, labels = rng.normal(size=(7, 3)) * 4, rng.integers(0, 3, 7)
    assert SoftmaxFocal(gamma=0.0)(logits, labels)[0] == pytest.approx(Softmax()(logits, labels)[0])
    answers = rng.integers(0, 2, (7, 3))
    focal = SigmoidFocal(gamma=0.0, alpha=None)(logits, answers)[0]
    assert focal == pytest.approx(Sigmoid()(logits, answers)[0])


def test_focal_and_dice_by_hand():
    p = 1 / (1 + math.exp(-0.5))
    hard, easy = (
        SigmoidFocal()(np.array([[0.5]]), np.array([[0]]))[0],
        SigmoidFocal()(np.array([[0.5]]), np.array([[1]]))[0],
    )
    assert hard == pytest.approx(0.75 * p**2 * -math.log(1 - p))
    assert easy == pytest.approx(0.25 * (1 - p) ** 2 * -math.log(p))
    q = math.exp(1) / (math.exp(1) + 2)
    assert SoftmaxFocal()(np.array([[1.0, 0.0, 0.0]]), np.array([0]))[0] == pytest.approx((1 - q) ** 2 * -math.log(q))
    large = np.full((1, 2, 2, 1), 50.0)  # all four pixels are predicted, two are of the class
    assert Dice()(large, np.array([[[1, 1], [0, 0]]]))[0] == pytest.approx(1 - (2 * 2 + 1) / (4 + 2 + 1))


def test_focal_is_finite_where_everything_is_right():
    for loss in (SigmoidFocal(gamma=0.5), SigmoidFocal(), SoftmaxFocal(gamma=0.5)):
        for dtype in (np.float32, np.float64):
            logits = np.array([[200.0, -200.0]], dtype)
            target = np.array([0]) if loss.kind == "softmax_focal" else np.array([[1, 0]])
            value, gradient = loss(logits, target)
            assert value == pytest.approx(0, abs=1e-6)
            assert np.isfinite(gradient).all()


def test_pos_weight_is_a_factor_where_the_target_is_one(rng):
    logits, z = rng.normal(size=(6, 2)), rng.integers(0, 2, (6, 2))
    sigmoid = 1 / (1 + np.exp(-logits))
    expected = -(3 * z * np.log(sigmoid) + (1 - z) * np.log(1 - sigmoid)).mean()
    assert Sigmoid(pos_weight=3.0)(logits, z)[0] == pytest.approx(expected)
    with pytest.raises(SpecError, match="pos_weight: expected numbers above 0, got -1"):
        Sigmoid(pos_weight=-1.0).check((2,), "logits")
    with pytest.raises(SpecError, match="3 pos_weight for the 2 classes of logits"):
        Sigmoid(pos_weight=(1.0, 2.0, 3.0)).check((2,), "logits")


def test_a_mean_says_of_how_many_values(rng):
    logits, labels = rng.normal(size=(6, 3)), np.array([0, 255, 2, 1, 255, 0])
    loss = Softmax(ignore=255)
    parts = [loss.mean(logits[:2], labels[:2]), loss.mean(logits[2:], labels[2:])]
    whole = loss.mean(logits, labels)
    assert [part.count for part in parts] == [1, 3]
    assert sum(part.value * part.count for part in parts) / 4 == pytest.approx(whole.value)
    assert loss.mean(logits, np.full(6, 255)).count == 0


def test_the_softmax_of_one_output_is_refused():
    with pytest.raises(SpecError, match=r"softmax_cross_entropy expects two or more outputs, logits has 1"):
        Softmax().check((1,), "logits")


@pytest.mark.parametrize("bad", [-1, 3])
def test_a_label_out_of_range_is_named(bad):
    with pytest.raises(DataError, match=rf"expected labels from 0 to 2, got {bad} \(element 1 of the batch\)"):
        Softmax()(np.zeros((2, 3)), np.array([0, bad]))


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(DataError, match=r"mean_squared expects targets of the prediction's shape.*\[2, 4\]"):
        MeanSquared()(np.zeros((2, 3)), np.zeros((2, 4)))
    with pytest.raises(SpecError, match="2 class_weights for the 3 classes"):
        Softmax(class_weights=(1.0, 2.0))(np.zeros((2, 3)), np.array([0, 1]))
    with pytest.raises(DataError, match="expected weights of shape"):
        MeanSquared()(np.zeros((2, 3)), np.zeros((2, 3)), np.ones(3))


def test_kinds_are_unique():
    assert len({loss.kind for loss in losses.LOSSES}) == len(losses.LOSSES)
