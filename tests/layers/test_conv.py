"""Conventions of the convolutions. Values are TensorFlow's own, or TF-Slim's tests'."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.dims import Formula
from graphc.errors import RuleError
from graphc.layers.conv import Conv2d
from graphc.layers.depthwise_conv import DepthwiseConv2d, SeparableConv2d
from graphc.regularizers import Regularizer
from tests.layers.apply import apply, ramp
from tests.layers.cases import Case
from tests.layers.one_layer import emitted_nodes

FILTER = ramp(3)[..., None]
ONES = np.ones((3, 3, 1, 1))
COUNT = np.arange(16.0).reshape(4, 4, 1)


@pytest.mark.parametrize(
    ("size", "arguments", "expected"),
    [
        (4, {}, [[14, 28, 43, 26], [28, 48, 66, 37], [43, 66, 84, 46], [26, 37, 46, 22]]),
        (4, {"padding": "same_fixed"}, [[14, 28, 43, 26], [28, 48, 66, 37], [43, 66, 84, 46], [26, 37, 46, 22]]),
        (4, {"stride": 2}, [[48, 37], [37, 22]]),
        (4, {"stride": 2, "padding": "same_fixed"}, [[14, 43], [43, 84]]),
        (5, {"stride": 2}, [[14, 43, 34], [43, 84, 55], [34, 55, 30]]),
        (5, {"stride": 2, "padding": "same_fixed"}, [[14, 43, 34], [43, 84, 55], [34, 55, 30]]),
    ],
)
def test_same_and_same_fixed_differ_on_even_sizes_with_stride(size, arguments, expected):
    layer = Conv2d(filters=1, kernel=3, bias=False, **arguments)
    np.testing.assert_array_equal(apply(layer, ramp(size), weights=FILTER), expected)


def test_dilation_with_same():
    layer = Conv2d(filters=1, kernel=3, dilation=2, bias=False)
    expected = [[20, 24, 20, 24], [36, 40, 36, 40], [20, 24, 20, 24], [36, 40, 36, 40]]
    np.testing.assert_array_equal(apply(layer, COUNT, weights=ONES), expected)


def test_depthwise_channels_are_ordered_by_input_channel():
    x = np.arange(1.0, 9).reshape(2, 2, 2)
    weights = np.array([1.0, 10, 100, 1000]).reshape(1, 1, 2, 2)
    found = apply(DepthwiseConv2d(kernel=1, depth_multiplier=2, bias=False), x, depthwise_weights=weights)
    expected = [[[1, 10, 200, 2000], [3, 30, 400, 4000]], [[5, 50, 600, 6000], [7, 70, 800, 8000]]]
    np.testing.assert_array_equal(found, expected)


def test_separable_strides_in_the_depthwise_part():
    layer = SeparableConv2d(filters=1, kernel=3, stride=2, depth_multiplier=2, bias=False)
    weights = {"depthwise_weights": ONES * [1.0, 2], "pointwise_weights": np.array([1.0, 10]).reshape(1, 1, 2, 1)}
    np.testing.assert_array_equal(apply(layer, COUNT, **weights), [[945, 819], [1386, 1050]])


@pytest.mark.parametrize(
    ("shape", "arguments", "expected"),
    [
        ((7, 9, 4), {}, (7, 9, 32)),
        ((7, 9, 4), {"padding": "valid"}, (5, 7, 32)),
        ((6, 8, 4), {"stride": 2}, (3, 4, 32)),
        ((10, 12, 4), {"dilation": 2, "padding": "valid"}, (6, 8, 32)),
        ((10, 12, 4), {"dilation": (2, 3), "padding": "valid"}, (6, 6, 32)),
        ((224, 224, 3), {"kernel": 7, "stride": 2, "padding": "same_fixed"}, (112, 112, 32)),
    ],
)
def test_shapes_of_tf_slims_tests(shape, arguments, expected):
    assert Conv2d(**{"filters": 32, "kernel": 3, **arguments}).infer_shape(shape) == expected


def test_symbolic_sizes_are_formulas():
    shape = (Formula.symbol("H"), 8, 3)
    assert [str(size) for size in Conv2d(filters=4, kernel=3, stride=2).infer_shape(shape)] == ["(H + 1)//2", "4", "4"]


def test_vgg_16_conv1_1_costs():
    layer, shape = Conv2d(filters=64, kernel=3), (224, 224, 3)
    assert {name: spec.shape for name, spec in layer.declare_params(shape).items()} == {
        "weights": (3, 3, 3, 64),
        "biases": (64,),
    }
    assert layer.count_macs(shape) == 86_704_128
    assert layer.count_flops(shape) == 2 * 86_704_128 + 224 * 224 * 64


def test_grouped_and_separable_costs():
    grouped = Conv2d(filters=8, kernel=3, groups=4, bias=False)
    assert grouped.declare_params((5, 5, 16))["weights"].shape == (3, 3, 4, 8)
    assert grouped.count_macs((5, 5, 16)) == 5 * 5 * 8 * 3 * 3 * 4
    separable = SeparableConv2d(filters=10, kernel=3, depth_multiplier=2)
    assert {name: spec.shape for name, spec in separable.declare_params((5, 5, 3)).items()} == {
        "depthwise_weights": (3, 3, 3, 2),
        "pointwise_weights": (1, 1, 6, 10),
        "biases": (10,),
    }
    assert separable.count_macs((5, 5, 3)) == 25 * 6 * 9 + 25 * 6 * 10
    depthwise_only = SeparableConv2d(kernel=3, depth_multiplier=2)
    assert depthwise_only.infer_shape((5, 5, 3)) == (5, 5, 6)
    assert depthwise_only.count_macs((5, 5, 3)) == 25 * 6 * 9


def test_separable_weights_are_regularized_together_unless_told():
    both = SeparableConv2d(filters=4, kernel=3, weights_regularizer=Regularizer(l2=0.1)).declare_params((5, 5, 3))
    assert both["depthwise_weights"].regularizer == both["pointwise_weights"].regularizer == Regularizer(l2=0.1)
    one = SeparableConv2d(filters=4, kernel=3, pointwise_regularizer=Regularizer(l2=0.1)).declare_params((5, 5, 3))
    assert one["depthwise_weights"].regularizer is None
    assert one["pointwise_weights"].regularizer == Regularizer(l2=0.1)


@pytest.mark.parametrize(
    ("layer", "shape", "argument", "message"),
    [
        (Conv2d(filters=6, kernel=3, groups=3), (8, 8, 64), "groups", "groups=3 must divide channels=64"),
        (Conv2d(filters=4, kernel=3, groups=3), (8, 8, 6), "groups", "groups=3 must divide filters=4"),
        (Conv2d(filters=4, kernel=3), (10,), None, r"conv2d expects an image \(height, width, channels\), got 10"),
        (Conv2d(filters=4, kernel=9, padding="valid"), (8, 8, 3), "kernel", "kernel=9 is larger than its input of 8"),
        (
            Conv2d(filters=4, kernel=3, stride=2, dilation=2),
            (Formula.symbol("H"), 8, 3),
            "padding",
            "stride and dilation together with padding=same need a fixed size: use same_fixed",
        ),
    ],
)
def test_what_cannot_be_is_refused(layer, shape, argument, message):
    with pytest.raises(RuleError, match=message) as caught:
        layer.infer_shape(shape)
    assert caught.value.argument == argument


def test_emitted_pads_are_explicit_wherever_they_are_known():
    (node,) = emitted_nodes(Case(Conv2d(filters=4, kernel=3, stride=2), ((8, 7, 3),)))
    assert node["op_type"] == "Conv"
    assert node["pads"] == [0, 1, 1, 1]
    assert "auto_pad" not in node
    (node,) = emitted_nodes(Case(Conv2d(filters=4, kernel=3), ((Formula.symbol("H"), 7, 3),)))
    assert node["pads"] == [1, 1, 1, 1]
    (node,) = emitted_nodes(Case(Conv2d(filters=4, kernel=3, stride=2), ((Formula.symbol("H"), 7, 3),)))
    assert node["auto_pad"] == b"SAME_UPPER"
    assert "pads" not in node


def test_a_standardized_filter_has_mean_0_and_variance_1():
    rng = np.random.default_rng(0)
    weights = rng.normal(3, 5, (3, 2, 4, 6))
    folded, params = Conv2d(filters=6, kernel=(3, 2), weight_standardization=True).absorb_affine(
        {"weights": weights, "biases": np.zeros(6)}, np.ones(6), np.zeros(6)
    )
    assert not folded.weight_standardization
    np.testing.assert_allclose(params["weights"].mean(axis=(0, 1, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(params["weights"].var(axis=(0, 1, 2)), 1, atol=1e-6)


def test_a_border_of_an_open_size_needs_pixels():
    height, width = Formula.symbol("H"), Formula.symbol("W")
    assert Conv2d(filters=1, kernel=3, padding_mode="circular").infer_shape((height, width, 1)) == (height, width, 1)
    with pytest.raises(RuleError, match=r"padding_mode=edge with padding=same needs a fixed height, got H"):
        Conv2d(filters=1, kernel=3, stride=2, padding_mode="edge").infer_shape((height, width, 1))
    with pytest.raises(RuleError, match="reflecting 3 pixels needs a width of more than that, got 3"):
        Conv2d(filters=1, kernel=7, padding_mode="reflect").infer_shape((9, 3, 1))
