"""What the other normalizations mean, in numbers worked out by hand and by way of one another."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.errors import RuleError
from graphc.kernels.context import RunContext
from graphc.layers.base import Layer
from graphc.layers.global_response_norm import GlobalResponseNorm
from graphc.layers.group_norm import GroupNorm
from graphc.layers.instance_norm import InstanceNorm
from graphc.layers.layer_norm import LayerNorm
from graphc.layers.local_response_norm import LocalResponseNorm
from graphc.layers.unit_norm import UnitNorm

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 3, 4, 6))
PLAIN = {"center": False, "scale": False}


def run(layer: Layer, x: np.ndarray, **params: np.ndarray) -> np.ndarray:
    return layer.forward(RunContext(), params, x).output


def test_layer_norm_is_over_the_channels_of_a_pixel() -> None:
    y = run(LayerNorm(**PLAIN), X)
    np.testing.assert_allclose(y.mean(axis=-1), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=-1), 1, rtol=1e-9)


def test_layer_norm_over_all_is_over_an_example_with_parameters_a_channel() -> None:
    gamma, beta = RNG.standard_normal((2, 6))
    y = run(LayerNorm(axes="all"), X, gamma=gamma, beta=beta)
    normal = (y - beta) / gamma
    np.testing.assert_allclose(normal.mean(axis=(1, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(normal.var(axis=(1, 2, 3)), 1, rtol=1e-9)
    assert LayerNorm(axes="all").sees_everything
    assert not LayerNorm().sees_everything


def test_group_norm_of_one_channel_a_group_is_instance_norm() -> None:
    np.testing.assert_allclose(run(GroupNorm(groups=6, **PLAIN), X), run(InstanceNorm(**PLAIN), X), rtol=1e-12)


def test_group_norm_of_one_group_is_layer_norm_over_all() -> None:
    layers = GroupNorm(groups=1, epsilon=1e-12, **PLAIN), LayerNorm(axes="all", **PLAIN)
    first, second = (run(layer, X) for layer in layers)
    np.testing.assert_allclose(first, second, rtol=1e-12)


def test_group_norm_groups_neighbouring_channels() -> None:
    y = run(GroupNorm(groups=2, **PLAIN), X)
    np.testing.assert_allclose(y[..., :3].mean(axis=(1, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(y[..., 3:].mean(axis=(1, 2, 3)), 0, atol=1e-12)


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [(8, "groups=8 is more than the 6 channels"), (4, "groups=4 does not divide the 6 channels")],
)
def test_group_norm_needs_groups_that_fit(groups: int, sentence: str) -> None:
    with pytest.raises(RuleError, match=sentence) as caught:
        GroupNorm(groups=groups).infer_shape((3, 4, 6))
    assert (caught.value.code, caught.value.argument) == ("G204", "groups")


def test_beta_comes_before_gamma_as_in_tf_slim() -> None:
    assert list(LayerNorm().declare_params((3, 4, 6))) == ["beta", "gamma"]


def test_local_response_norm_sums_neighbours_as_tensorflow_does() -> None:
    x = np.array([1.0, 2.0, 3.0]).reshape(1, 1, 1, 3)
    y = run(LocalResponseNorm(depth_radius=1, bias=1, alpha=1, beta=1), x)
    np.testing.assert_allclose(y.ravel(), [1 / 6, 2 / 15, 3 / 14], rtol=1e-12)


def test_local_response_norm_does_not_divide_alpha() -> None:
    x = np.full((1, 1, 1, 1), 2.0)
    y = run(LocalResponseNorm(depth_radius=5, bias=2, alpha=0.5, beta=0.5), x)
    np.testing.assert_allclose(y.ravel(), [2 / np.sqrt(2 + 0.5 * 4)], rtol=1e-12)


def test_unit_norm_has_length_one() -> None:
    np.testing.assert_allclose(np.linalg.norm(run(UnitNorm(), X), axis=-1), 1, rtol=1e-5)
    np.testing.assert_allclose(run(UnitNorm(), np.array([[3.0, 4.0]])), [[0.6, 0.8]], rtol=1e-8)
    assert np.array_equal(run(UnitNorm(), np.zeros((1, 4))), np.zeros((1, 4)))


def test_global_response_norm_weighs_a_channels_length_by_the_mean_of_all() -> None:
    x = np.array([[3.0, 0, 1], [4, 0, 0]]).reshape(1, 2, 1, 3)  # lengths 5, 0, 1: mean 2
    gamma, beta = np.array([1.0, 1, 2]), np.array([0.0, 7, 0])
    y = run(GlobalResponseNorm(epsilon=1e-12), x, gamma=gamma, beta=beta)
    np.testing.assert_allclose(y.reshape(2, 3), [[3 + 3 * 2.5, 7, 1 + 2 * 0.5], [4 + 4 * 2.5, 7, 0]], rtol=1e-10)
