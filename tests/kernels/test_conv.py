"""Convolution kernels against plain loops and against themselves as adjoints."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from graphc.kernels.context import RunContext
from graphc.kernels.conv import conv2d, conv2d_grad_input, conv2d_grad_weights
from graphc.kernels.depthwise import depthwise_conv2d, depthwise_conv2d_grad_input, depthwise_conv2d_grad_weights

CONTEXT = RunContext()

GEOMETRIES = [
    # kernel, stride, pads, dilation, groups
    ((1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((1, 1), (2, 2), ((0, 0), (0, 0)), (1, 1), 1),
    ((3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((3, 3), (1, 1), ((0, 2), (1, 0)), (1, 1), 2),
    ((3, 3), (2, 2), ((0, 1), (1, 1)), (1, 1), 1),
    ((3, 2), (1, 2), ((2, 1), (0, 1)), (2, 1), 3),
    ((5, 5), (2, 1), ((2, 2), (2, 2)), (1, 1), 1),
    ((1, 7), (1, 1), ((0, 0), (3, 3)), (1, 1), 1),
    ((2, 3), (1, 1), ((0, 0), (1, 1)), (1, 1), 1),
    ((2, 2), (3, 3), ((0, 0), (0, 0)), (1, 1), 6),
    ((2, 2), (1, 1), ((2, 0), (1, 2)), (1, 1), 1),
]


def plain_conv2d(x, w, stride, pads, dilation, groups):
    """The definition, one output pixel at a time."""
    padded = np.pad(x, ((0, 0), *pads, (0, 0)))
    kh, kw, inputs, filters = w.shape
    height = (padded.shape[1] - (kh - 1) * dilation[0] - 1) // stride[0] + 1
    width = (padded.shape[2] - (kw - 1) * dilation[1] - 1) // stride[1] + 1
    y = np.zeros((len(x), height, width, filters))
    for r, c, f in itertools.product(range(height), range(width), range(filters)):
        group = f // (filters // groups)
        for i, j in itertools.product(range(kh), range(kw)):
            pixel = padded[:, r * stride[0] + i * dilation[0], c * stride[1] + j * dilation[1]]
            y[:, r, c, f] += pixel[:, group * inputs : (group + 1) * inputs] @ w[i, j, :, f]
    return y


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_conv2d_is_its_definition(geometry):
    kernel, *rest, groups = geometry
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(3, 9, 8, 6)), rng.normal(size=(*kernel, 6 // groups, 12))
    expected = plain_conv2d(x, w, *rest, groups)
    np.testing.assert_allclose(conv2d(CONTEXT, x, w, *rest, groups), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_gradients_of_conv2d_are_its_adjoints(geometry):
    kernel, *rest, groups = geometry
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(3, 9, 8, 6)), rng.normal(size=(*kernel, 6 // groups, 12))
    y = conv2d(CONTEXT, x, w, *rest, groups)
    dy = rng.normal(size=y.shape)
    dx = conv2d_grad_input(CONTEXT, dy, w, x.shape, *rest, groups)
    dw = conv2d_grad_weights(CONTEXT, x, dy, w.shape, *rest, groups)
    assert dx.shape == x.shape
    assert dw.shape == w.shape
    assert np.vdot(x, dx) == pytest.approx(np.vdot(y, dy), rel=1e-11)
    assert np.vdot(w, dw) == pytest.approx(np.vdot(y, dy), rel=1e-11)


@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_depthwise_is_a_convolution_of_single_channel_groups(geometry, multiplier):
    kernel, *rest, _ = geometry
    rng = np.random.default_rng(2)
    x, w = rng.normal(size=(3, 9, 8, 6)), rng.normal(size=(*kernel, 6, multiplier))
    grouped = w.reshape(*kernel, 1, 6 * multiplier)
    y = depthwise_conv2d(CONTEXT, x, w, *rest)
    np.testing.assert_allclose(y, conv2d(CONTEXT, x, grouped, *rest, 6), rtol=0, atol=1e-12)
    dy = rng.normal(size=y.shape)
    dx = depthwise_conv2d_grad_input(CONTEXT, dy, w, x.shape, *rest)
    dw = depthwise_conv2d_grad_weights(CONTEXT, x, dy, w.shape, *rest)
    np.testing.assert_allclose(dx, conv2d_grad_input(CONTEXT, dy, grouped, x.shape, *rest, 6), rtol=0, atol=1e-11)
    expected = conv2d_grad_weights(CONTEXT, x, dy, grouped.shape, *rest, 6)
    np.testing.assert_allclose(dw.reshape(grouped.shape), expected, rtol=0, atol=1e-11)
