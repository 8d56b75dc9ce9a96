"""Where a window reads zeros alone the result is exactly 0, whatever algorithm computes it, so that no rounding error
decides a ReLU's gradient."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.execution.fused import ConvMaxPool, MaxPoolRelu
from graphc.kernels.context import RunContext
from graphc.kernels.conv import ALGORITHMS, FORCING
from graphc.kernels.conv.blank import blank_outputs, blank_windows
from graphc.layers.conv import Conv2d
from graphc.layers.conv_transpose import Conv2dTranspose, _mirrored
from graphc.layers.conv_transpose_ranks import Conv1dTranspose, Conv3dTranspose
from graphc.layers.pool import MaxPool2d
from graphc.window import Window

TRANSFORMING = [each.name for each in ALGORITHMS if each.transforms]


@pytest.mark.parametrize(("kernel", "stride", "dilation", "padding"), [
    (3, 1, 1, "same"), (2, 2, 1, "valid"), (3, 2, 1, "same"), (3, 1, 2, (1, 3)), (1, 3, 1, "valid"),
])  # fmt: skip
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_windows_are_blank_where_a_sum_of_sizes_is_zero(rank, kernel, stride, dilation, padding):
    rng = np.random.default_rng(rank)
    x = rng.normal(size=(2, *(7, 6, 5)[:rank], 3)) * (rng.random((2, *(7, 6, 5)[:rank], 1)) < 0.1)
    x[0].flat[0] = 1e-300  # whose square is 0
    windows = [Window.over(size, kernel, stride, padding, dilation) for size in x.shape[1:-1]]
    outputs = [window.output for window in windows]
    padded = np.pad(np.abs(x).sum(axis=-1), [(0, 0), *(window.pads for window in windows)])
    expected = np.ones((2, *outputs), bool)
    for place in np.ndindex(*outputs):
        taps = [
            slice(at * stride, at * stride + window.extent, dilation) for at, window in zip(place, windows, strict=True)
        ]
        expected[:, *place] = ~padded[:, *taps].any(axis=tuple(range(1, rank + 1)))
    assert expected.any()
    found = blank_windows(x, windows)
    np.testing.assert_array_equal(found, expected)
    assert blank_windows(np.ones_like(x), windows) is None


def images(rng):
    """Something in the middle, and nothing around it."""
    x = np.zeros((16, 16, 16, 8), np.float32)
    x[:, 6:9, 5:11] = rng.normal(size=(16, 3, 6, 8))
    return x


@pytest.mark.parametrize("pooled", [False, True], ids=["alone", "pooled"])
@pytest.mark.parametrize("algorithm", TRANSFORMING)
def test_a_blank_background_stays_exactly_zero(algorithm, pooled, monkeypatch):
    rng = np.random.default_rng(0)
    conv = Conv2d(filters=8, kernel=5, padding="same", bias=True)
    params = {"weights": rng.normal(size=(5, 5, 8, 8)).astype(np.float32), "biases": np.zeros(8, np.float32)}
    params["biases"][0] = 0.5
    layer = MaxPoolRelu(ConvMaxPool(conv, MaxPool2d(kernel=2, stride=2))) if pooled else conv
    x, found = images(rng), {}
    for name in (algorithm, "unfolded"):
        monkeypatch.setenv(FORCING, name)
        context = RunContext(training=True, input_gradient=True)
        step = layer.forward(context, params, x.copy())
        y = step.output.copy()
        gradients = step.backward(np.ones_like(y) if pooled else (y > 0).astype(np.float32))
        found[name] = y, {key: np.array(each) for key, each in gradients.params.items()}
    (ours, gradients), (sums, expected) = found.values()
    zero = sums[..., 1:] == 0
    assert zero.mean() > 0.2
    assert not ours[..., 1:][zero].any()
    np.testing.assert_array_equal(ours > 0, sums > 0)
    for key, each in expected.items():
        np.testing.assert_allclose(gradients[key], each, atol=1e-5 * np.abs(each).max(), err_msg=key)


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 1, 1), (5, 2, 1), (3, 1, 2), (2, 3, 1)])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_outputs_are_blank_where_nothing_is_written(rank, kernel, stride, dilation):
    """As the transposed convolution says by plain sums, of filters that are all above 0."""
    rng = np.random.default_rng(rank)
    sizes = (7, 6, 5)[:rank]
    layer = (Conv1dTranspose, Conv2dTranspose, Conv3dTranspose)[rank - 1](
        filters=2, kernel=kernel, stride=stride, dilation=dilation, padding="same"
    )
    x = np.abs(rng.normal(size=(2, *sizes, 3))) * (rng.random((2, *sizes, 1)) < 0.05)
    weights = rng.uniform(1, 2, (*(kernel,) * rank, 2, 3))
    expected = layer.forward(RunContext(), {"weights": weights, "biases": np.zeros(2)}, x).output[..., 0] == 0
    found = blank_outputs(x, [_mirrored(window) for window in layer.windows(sizes)])
    np.testing.assert_array_equal(found, expected)
    assert expected.any()


@pytest.mark.parametrize("algorithm", TRANSFORMING)
def test_a_blank_background_is_transposed_to_zeros(algorithm, monkeypatch):
    rng = np.random.default_rng(1)
    layer, x = Conv2dTranspose(filters=8, kernel=5, padding="same", bias=True), images(rng)
    params = {"weights": rng.normal(size=(5, 5, 8, 8)).astype(np.float32), "biases": np.zeros(8, np.float32)}
    found = []
    for name in (algorithm, "unfolded"):
        monkeypatch.setenv(FORCING, name)
        found.append(layer.forward(RunContext(training=True), params, x).output.copy())
    assert (found[1] == 0).mean() > 0.2
    assert not found[0][found[1] == 0].any()


def test_nobody_looks_where_it_cannot_matter(monkeypatch):
    """Outside of training, and where no bias is 0."""
    monkeypatch.setenv(FORCING, "fourier")
    monkeypatch.setattr("graphc.layers.conv.blank_windows", lambda *_: pytest.fail("it was looked for"))
    conv, x = Conv2d(filters=8, kernel=5, padding="same", bias=True), images(np.random.default_rng(0))
    params = {"weights": np.ones((5, 5, 8, 8), np.float32), "biases": np.zeros(8, np.float32)}
    conv.forward(RunContext(training=False), params, x)
    params["biases"] += 0.1
    conv.forward(RunContext(training=True), params, x)
