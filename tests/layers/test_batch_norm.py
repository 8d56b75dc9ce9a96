"""Batch norm's conventions: TF-Slim's statistics, names and order."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.dims import Shape
from graphc.errors import RuleError
from graphc.kernels.context import RunContext
from graphc.layers.base import Layer
from graphc.layers.batch_norm import BatchNorm
from graphc.layers.group_norm import GroupNorm
from graphc.layers.instance_norm import InstanceNorm
from graphc.layers.layer_norm import LayerNorm


def statistics(channels: int) -> dict[str, np.ndarray]:
    return {"moving_mean": np.zeros(channels), "moving_variance": np.ones(channels)}


def test_defaults_are_tf_slims_but_for_the_moving_statistics() -> None:
    layer = BatchNorm()
    assert (layer.epsilon, layer.center, layer.scale) == (0.001, True, False)
    assert (layer.decay, layer.ramp) == (0.9, True)


def test_variables_are_in_tf_slims_order() -> None:
    specs = BatchNorm(scale=True).declare_params((8, 8, 16))
    assert list(specs) == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert [spec.trainable for spec in specs.values()] == [True, True, False, False]
    assert list(BatchNorm().declare_params((8, 8, 16))) == ["beta", "moving_mean", "moving_variance"]


def test_batch_variance_is_biased_and_moving_variance_is_not() -> None:
    """Of 0..7 the biased variance is 5.25 and the unbiased one 6."""
    x = np.arange(8.0).reshape(2, 2, 2, 1)
    layer = BatchNorm(decay=0.9, center=False, ramp=False)
    step = layer.forward(RunContext(training=True), statistics(1), x)
    np.testing.assert_allclose(step.output, (x - 3.5) / np.sqrt(5.25 + 0.001), rtol=1e-12)
    np.testing.assert_allclose(step.updates["moving_mean"], [0.9 * 0 + 0.1 * 3.5], rtol=1e-12)
    np.testing.assert_allclose(step.updates["moving_variance"], [0.9 * 1 + 0.1 * 6.0], rtol=1e-12)


def test_inference_uses_the_moving_statistics() -> None:
    params = {"moving_mean": np.array([2.0]), "moving_variance": np.array([4.0]), "beta": np.array([1.0])}
    step = BatchNorm(epsilon=1e-12).forward(RunContext(), params, np.array([[6.0]]))
    np.testing.assert_allclose(step.output, [[3.0]])
    assert not step.updates


def test_frozen_uses_and_keeps_the_moving_statistics_in_training() -> None:
    params = {"moving_mean": np.array([2.0]), "moving_variance": np.array([4.0])}
    layer = BatchNorm(epsilon=1e-12, center=False, frozen=True)
    step = layer.forward(RunContext(training=True), params, np.array([[6.0], [2.0]]))
    np.testing.assert_allclose(step.output, [[2.0], [0.0]])
    assert not step.updates
    np.testing.assert_allclose(step.backward(np.array([[1.0], [3.0]])).inputs[0], [[0.5], [1.5]])


@pytest.mark.parametrize(("step", "decay"), [(0, 1 / 10), (1, 2 / 11), (80, 81 / 90), (81, 0.9), (10_000, 0.9)])
def test_ramp_begins_with_a_smaller_decay(step: int, decay: float) -> None:
    """TensorFlow's min(decay, (1 + n)/(10 + n)) after n batches: at 0.9 the ramp ends with n = 80."""
    x = np.arange(8.0).reshape(2, 2, 2, 1)
    updates = BatchNorm(decay=0.9, center=False).forward(RunContext(training=True, step=step), statistics(1), x).updates
    np.testing.assert_allclose(updates["moving_mean"], [(1 - decay) * 3.5], rtol=1e-12)
    np.testing.assert_allclose(updates["moving_variance"], [decay + (1 - decay) * 6.0], rtol=1e-12)


def test_with_the_ramp_statistics_are_right_after_ten_batches_of_any_decay() -> None:
    """What they began with weighs 1 in 92,378 = (19 choose 9) after ten."""
    x, params = np.full((2, 1), 7.0), statistics(1)
    x[1] = 9.0
    layer = BatchNorm(decay=0.9999, center=False)
    for step in range(10):
        params |= layer.forward(RunContext(training=True, step=step), params, x).updates
    np.testing.assert_allclose(params["moving_mean"], [8 * (1 - 1 / 92_378)], rtol=1e-12)


def test_one_value_a_channel_is_an_error_in_training_only() -> None:
    params = statistics(2) | {"beta": np.array([3.0, 4.0])}
    x = np.array([[10.0, -20.0]])
    with pytest.raises(RuleError, match="at least 2 values for each mean in training, found 1"):
        BatchNorm().forward(RunContext(training=True), params, x)
    assert BatchNorm().forward(RunContext(), params, x).output.shape == (1, 2)
    assert BatchNorm(frozen=True).forward(RunContext(training=True), params, x).output.shape == (1, 2)


@pytest.mark.parametrize(
    ("layer", "examples", "shape"),
    [
        (BatchNorm(), 1, (5,)),
        (BatchNorm(), 1, (1, 1, 5)),
        (InstanceNorm(), 8, (1, 1, 5)),
        (GroupNorm(groups=4), 8, (1, 1, 4)),
        (LayerNorm(), 8, (6, 6, 1)),
        (LayerNorm(axes="all"), 8, (1,)),
    ],
)
def test_a_mean_of_one_value_is_known_from_shapes(layer: Layer, examples: int, shape: tuple[int, ...]) -> None:
    with pytest.raises(RuleError, match=f"{layer.kind} expects at least 2 values"):
        layer.check_batch(examples, shape)


@pytest.mark.parametrize(
    ("layer", "examples", "shape"),
    [
        (BatchNorm(), 2, (5,)),
        (BatchNorm(), 1, (1, 2, 5)),
        (BatchNorm(), 1, ("H", "W", 5)),
        (BatchNorm(frozen=True), 1, (5,)),
        (InstanceNorm(), 1, (1, 2, 5)),
        (GroupNorm(groups=2), 1, (1, 1, 4)),
        (LayerNorm(axes="all"), 1, (2, 1, 1)),
    ],
)
def test_two_values_are_enough(layer: Layer, examples: int, shape: Shape) -> None:
    layer.check_batch(examples, shape)


@pytest.mark.parametrize(("center", "scale"), [(True, True), (True, False), (False, True), (False, False)])
def test_as_affine_is_the_inference_forward(center: bool, scale: bool) -> None:
    rng = np.random.default_rng(0)
    layer = BatchNorm(center=center, scale=scale)
    names = layer.declare_params((4, 4, 3))
    params = {name: rng.uniform(0.5, 2, 3) for name in names}
    x = rng.standard_normal((2, 4, 4, 3))
    factor, offset = layer.as_affine(params)
    np.testing.assert_allclose(layer.forward(RunContext(), params, x).output, x * factor + offset, rtol=1e-12)


def test_large_mean_does_not_spoil_float32() -> None:
    rng = np.random.default_rng(1)
    x = (rng.standard_normal((8, 16, 16, 4)) + 1000).astype(np.float32)
    params = {name: value.astype(np.float32) for name, value in statistics(4).items()}
    y = BatchNorm(center=False, epsilon=1e-6).forward(RunContext(training=True), params, x).output
    np.testing.assert_allclose(y.std(axis=(0, 1, 2)), 1, rtol=1e-3)
