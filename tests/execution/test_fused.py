"""Layers fused into one operation are those layers, one after the other."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.execution import fused
from graphc.execution.fused import ConvMaxPool, MaxPoolRelu
from graphc.kernels import pixels
from graphc.kernels.context import RunContext
from graphc.kernels.conv import few_channels, fourier
from graphc.kernels.conv_pool import pooling_algorithm
from graphc.layers.conv import Conv2d
from graphc.layers.pool import MaxPool2d


def outcome(operation, conv, x, dy, **given):
    """Output and every gradient, in float64, with the convolution's variables."""
    rng = np.random.default_rng(0)
    context = RunContext(training=True, **given)
    params = {name: rng.normal(size=spec.shape) for name, spec in conv.declare_params(x.shape[1:]).items()}
    step = operation.forward(context, params, x)
    gradients = step.backward(dy)
    return [step.output, gradients.inputs[0], *(gradients.params[name] for name in sorted(gradients.params))]


@pytest.fixture
def _small_blocks(monkeypatch):
    monkeypatch.setattr(pixels, "BLOCK_BYTES", 1 << 10)
    for module in (fourier, few_channels):
        monkeypatch.setattr(module, "CHUNK_BYTES", 1 << 10)


@pytest.mark.usefixtures("_small_blocks")
@pytest.mark.parametrize(("pool", "with_relu"), [((2, 2), False), ((2, 2), True), ((3, 4), False)])
@pytest.mark.parametrize(("inputs", "name"), [(6, "fourier"), (2, "few_channels")])
@pytest.mark.parametrize("bias", [False, True])
def test_in_blocks_it_is_one_after_the_other(pool, with_relu, inputs, name, bias, monkeypatch):
    conv, pool = Conv2d(filters=8, kernel=5, padding="same", bias=bias), MaxPool2d(kernel=pool)
    operation = MaxPoolRelu(ConvMaxPool(conv, pool)) if with_relu else ConvMaxPool(conv, pool)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(33, 6, 8, inputs)).round(1)  # with equal values in a window
    dy = rng.normal(size=(33, 6 // pool.kernel[0], 8 // pool.kernel[1], 8))
    used, real = [], fused.pooling_algorithm
    monkeypatch.setattr(fused, "pooling_algorithm", lambda *given: used.append(real(*given)) or used[-1])
    found = outcome(operation, conv, x, dy, input_gradient=name == "fourier")
    assert [algorithm.name for algorithm in used] == [name]
    monkeypatch.setattr(fused, "pooling_algorithm", lambda *_: None)
    expected = outcome(operation, conv, x, dy, input_gradient=name == "fourier")
    for ours, theirs in zip(found, expected, strict=True):
        if theirs is None:
            assert ours is None
        else:
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("pool", "given"),
    [
        (MaxPool2d(kernel=3, stride=2), {}),
        (MaxPool2d(kernel=2, padding=1), {}),
        (MaxPool2d(kernel=3), {}),
        (MaxPool2d(kernel=2), {"filters": 64}),
        (MaxPool2d(kernel=2), {"stride": 2}),
        (MaxPool2d(kernel=2), {"groups": 2}),
        (MaxPool2d(kernel=2), {"trainable": False}),
    ],
)
def test_where_blocks_do_not_fit_it_is_one_after_the_other(pool, given):
    plain = Conv2d(**{"filters": 8, "kernel": 3, "padding": "same", **given})
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2, 8, 8, 2))
    dy = rng.normal(size=(2, *pool.infer_shape(plain.infer_shape((8, 8, 2)))))
    found = outcome(ConvMaxPool(plain, pool), plain, x, dy)
    context = RunContext(training=True)
    params = dict(zip(("weights", "biases"), _params(plain), strict=True))
    y = plain.forward(context, params, x)
    pooled = pool.forward(context, {}, y.output)
    expected = y.backward(pooled.backward(dy).inputs[0])
    np.testing.assert_array_equal(found[0], pooled.output)
    np.testing.assert_array_equal(found[1], expected.inputs[0])
    assert len(found) == 2 + len(expected.params)


def _params(layer):
    rng = np.random.default_rng(0)
    return [rng.normal(size=spec.shape) for spec in layer.declare_params((8, 8, 2)).values()]


def test_gradients_that_the_blocks_do_not_give_are_a_reason_against_them():
    layer = Conv2d(filters=8, kernel=3, padding="same")
    x = np.ones((4, 8, 8, 2))
    tiling = MaxPool2d(kernel=2).grid((8, 8))
    for context, expected in (
        (RunContext(training=True, input_gradient=False), True),
        (RunContext(training=True), False),
        (RunContext(input_gradient=False), False),
    ):
        algorithm = pooling_algorithm(context, layer.problem(x.shape, x.dtype, context.training), tiling)
        assert (algorithm is not None) == expected


def test_where_rounding_of_a_bias_makes_pixels_equal_the_larger_one_gets_the_gradient():
    """1 and the next number are one number when 100 is added; layers one after the other take the first of them."""
    conv, pool = Conv2d(filters=8, kernel=3, padding="same"), MaxPool2d(kernel=2)
    larger = np.nextafter(np.float32(1), np.float32(2))
    x, dy = np.zeros((4, 8, 8, 2), np.float32), np.zeros((4, 4, 4, 8), np.float32)
    x[0, 0, :2, 0], dy[0, 0, 0, 0] = (1, larger), 1
    params = {"weights": np.zeros((3, 3, 2, 8), np.float32), "biases": np.full(8, 100, np.float32)}
    params["weights"][1, 1, 0] = 1
    context = RunContext(training=True, input_gradient=False)
    fused_step = ConvMaxPool(conv, pool).forward(context, params, x)
    convolved = conv.forward(context, params, x)
    pooled = pool.forward(RunContext(training=True), {}, convolved.output)
    np.testing.assert_array_equal(fused_step.output, pooled.output)
    assert fused_step.output[0, 0, 0, 0] == 101
    apart = convolved.backward(pooled.backward(dy).inputs[0])
    assert [step.params["weights"][1, 1, 0, 0] for step in (fused_step.backward(dy), apart)] == [larger, 1]
