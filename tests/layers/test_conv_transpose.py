"""Conventions of the transposed convolution. Values are TensorFlow's."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.errors import RuleError
from graphc.layers.conv import Conv2d
from graphc.layers.conv_transpose import Conv2dTranspose
from tests.layers.apply import apply, gradient

IMAGE = np.arange(1.0, 5).reshape(2, 2, 1)
FILTER = np.arange(1.0, 10).reshape(3, 3, 1, 1)


@pytest.mark.parametrize(
    ("stride", "padding", "expected"),
    [
        (1, "same", [[23, 33], [53, 63]]),
        (1, "valid", [[1, 4, 7, 6], [7, 23, 33, 24], [19, 53, 63, 42], [21, 52, 59, 36]]),
        (2, "same", [[1, 2, 5, 4], [4, 5, 14, 10], [10, 14, 36, 24], [12, 15, 34, 20]]),
        (
            2,
            "valid",
            [[1, 2, 5, 4, 6], [4, 5, 14, 10, 12], [10, 14, 36, 24, 30], [12, 15, 34, 20, 24], [21, 24, 55, 32, 36]],
        ),
    ],
)
def test_values(stride, padding, expected):
    layer = Conv2dTranspose(filters=1, kernel=3, stride=stride, padding=padding, bias=False)
    np.testing.assert_array_equal(apply(layer, IMAGE, weights=FILTER), expected)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_stride_beyond_the_kernel_leaves_zeros_after(padding):
    layer = Conv2dTranspose(filters=1, kernel=1, stride=3, padding=padding, bias=False)
    found = apply(layer, IMAGE, weights=np.full((1, 1, 1, 1), 5.0))
    expected = np.zeros((6, 6))
    expected[::3, ::3] = 5 * IMAGE[..., 0]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("shape", "arguments", "expected"),
    [
        ((10, 12, 3), {"kernel": 3, "padding": "valid"}, (12, 14, 8)),
        ((9, 11, 3), {"kernel": 3, "stride": 2, "padding": "valid"}, (19, 23, 8)),
        ((3, 2, 3), {"kernel": (2, 4), "stride": (2, 1)}, (6, 2, 8)),
        ((3, 2, 3), {"kernel": (2, 4), "stride": (2, 1), "padding": "valid"}, (6, 5, 8)),
        ((3, 2, 3), {"kernel": (2, 4), "stride": (2, 4), "padding": "valid"}, (6, 8, 8)),
        ((3, 2, 3), {"kernel": (2, 4), "stride": (2, 5), "padding": "valid"}, (6, 10, 8)),
        ((7, 7, 3), {"kernel": 3, "stride": 2, "padding": 1, "output_padding": 1}, (14, 14, 8)),
    ],
)
def test_shapes_of_tf_slims_and_pytorchs_rules(shape, arguments, expected):
    assert Conv2dTranspose(filters=8, **arguments).infer_shape(shape) == expected


def test_it_is_the_gradient_of_the_convolution():
    rng = np.random.default_rng(0)
    weights, dy = rng.standard_normal((3, 3, 2, 5)), rng.standard_normal((4, 4, 5))
    conv = Conv2d(filters=5, kernel=3, stride=2, bias=False)
    transposed = Conv2dTranspose(filters=2, kernel=3, stride=2, bias=False)
    dx = gradient(conv, np.zeros((8, 8, 2)), dy, weights=weights)
    np.testing.assert_allclose(apply(transposed, dy, weights=weights), dx, rtol=0, atol=1e-12)


def test_costs():
    layer = Conv2dTranspose(filters=8, kernel=3, stride=2)
    assert layer.declare_params((5, 4, 3))["weights"].shape == (3, 3, 8, 3)
    assert layer.count_macs((5, 4, 3)) == 5 * 4 * 3 * 9 * 8
    assert layer.count_flops((5, 4, 3)) == 2 * 5 * 4 * 3 * 9 * 8 + 10 * 8 * 8


@pytest.mark.parametrize(
    ("arguments", "argument", "message"),
    [
        ({"stride": 2, "output_padding": 1}, "output_padding", "goes with padding in pixels, not with same"),
        ({"stride": 2, "padding": 1, "output_padding": 2}, "output_padding", "must be less than stride=2"),
        ({"padding": 3}, "padding", "leaves nothing of the 6 outputs"),
    ],
)
def test_what_cannot_be_is_refused(arguments, argument, message):
    with pytest.raises(RuleError, match=message) as caught:
        Conv2dTranspose(filters=2, kernel=3, **arguments).infer_shape((4, 4, 1))
    assert caught.value.argument == argument
