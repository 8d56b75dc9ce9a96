"""Merges, reductions and functions beside PyTorch's, forward and backward, where PyTorch is installed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphc.kernels.context import RunContext
from graphc.layers.activation import HardTanh, ThresholdedRelu
from graphc.layers.arithmetic import Clip, Log, Power, Sqrt
from graphc.layers.base import Layer
from graphc.layers.constant import Coordinates
from graphc.layers.elementwise_merge import Add, Average, Divide, Maximum, Minimum, Multiply, Subtract
from graphc.layers.log_softmax import LogSoftmax
from graphc.layers.matmul import Matmul
from graphc.layers.prelu import PRelu
from graphc.layers.reduce import ReduceMax, ReduceMean, ReduceMin, ReduceSum
from graphc.layers.rms_norm import RmsNorm
from graphc.layers.smooth_activation import Softsign

torch = pytest.importorskip("torch", reason="compared with PyTorch where it is installed")
F = torch.nn.functional

IMAGE, PLANE, GATE = (4, 3, 5), (4, 3, 1), (1, 1, 5)


def row(x):
    """[N, W, C] beside an image: PyTorch broadcasts the batch too."""
    return x[:, None]


def vector(x):
    return x[:, None, None]


def coordinates(x):
    """CoordConv's channels, as its authors make them, but y first; 0*x for a gradient."""
    height, width = x.shape[1:3]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    grid = torch.stack((rows / (height - 1), columns / (width - 1)), -1).double() * 2 - 1
    return grid.expand(len(x), -1, -1, -1) + 0 * x[..., :1]


CASES: list[tuple[Layer, tuple[tuple[int, ...], ...], Callable]] = [
    (Add(), (IMAGE, (5,), (3, 5)), lambda a, b, c: a + vector(b) + row(c)),
    (Average(), (IMAGE, PLANE, GATE), lambda a, b, c: torch.stack(torch.broadcast_tensors(a, b, c)).mean(0)),
    (Multiply(), (IMAGE, PLANE), torch.mul),
    (Subtract(), ((5,), IMAGE), lambda a, b: vector(a) - b),
    (Divide(), (IMAGE, GATE), torch.div),
    (Maximum(), (IMAGE, PLANE), torch.maximum),
    (Minimum(), (IMAGE, (3, 5)), lambda a, b: torch.minimum(a, row(b))),
    (ReduceMean(axes=("height", "channels")), (IMAGE,), lambda x: x.mean((1, 3))),
    (ReduceSum(axes=(-1,), keep_dims=True), (IMAGE,), lambda x: x.sum(3, keepdim=True)),
    (ReduceMax(axes=("height", "width")), (IMAGE,), lambda x: x.amax((1, 2))),
    (ReduceMin(axes=("channels",)), (IMAGE,), lambda x: x.amin(3)),
    (Matmul(transpose_b=True), ((2, 4, 5), (2, 3, 5)), lambda a, b: a @ b.mT),
    (Matmul(transpose_a=True), ((5, 4), (5, 3)), lambda a, b: a.mT @ b),
    (Clip(minimum=-0.5, maximum=0.5), (IMAGE,), lambda x: x.clamp(-0.5, 0.5)),
    (HardTanh(), (IMAGE,), F.hardtanh),
    (ThresholdedRelu(threshold=0.5), (IMAGE,), lambda x: F.threshold(x, 0.5, 0.0)),
    (Softsign(), (IMAGE,), F.softsign),
    (LogSoftmax(), (IMAGE,), lambda x: F.log_softmax(x, -1)),
    (Coordinates(), (IMAGE,), coordinates),
]
POSITIVE: list[tuple[Layer, tuple[tuple[int, ...], ...], Callable]] = [
    (Sqrt(), (IMAGE,), torch.sqrt),
    (Log(), (IMAGE,), torch.log),
    (Power(exponent=-0.5), (IMAGE,), torch.rsqrt),
]


@pytest.mark.parametrize(
    ("layer", "shapes", "theirs", "positive"),
    [(*case, False) for case in CASES] + [(*case, True) for case in POSITIVE],
    ids=lambda each: repr(each) if isinstance(each, Layer) else "",
)
def test_without_variables(layer, shapes, theirs, positive):
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal((2, *shape)) for shape in shapes]
    inputs = [np.abs(x) + 0.1 for x in inputs] if positive else inputs
    tensors = [torch.tensor(x, requires_grad=True) for x in inputs]
    step = layer.forward(RunContext(training=True), {}, *inputs)
    y = theirs(*tensors)
    np.testing.assert_allclose(step.output, y.detach().numpy(), rtol=0, atol=1e-6 if layer.sees_nothing else 1e-12)
    dy = rng.standard_normal(step.output.shape)
    y.backward(torch.tensor(dy))
    for ours, tensor in zip(step.backward(dy).inputs, tensors, strict=True):
        expected = tensor.grad.numpy()
        np.testing.assert_allclose(np.zeros_like(expected) if ours is None else ours, expected, rtol=0, atol=1e-11)


def test_what_is_equally_large_shares_the_gradient_as_there():
    equal, one = np.array([[1.0, 1.0, 0.0]]), np.array([[1.0, 0.0, 2.0]])
    for layer, theirs, inputs in (
        (ReduceMax(axes=(0,), keep_dims=True), lambda x: x.amax(1, keepdim=True), [equal]),
        (Maximum(), torch.maximum, [equal, one]),
    ):
        tensors = [torch.tensor(x, requires_grad=True) for x in inputs]
        theirs(*tensors).sum().backward()
        step = layer.forward(RunContext(training=True), {}, *inputs)
        for ours, tensor in zip(step.backward(np.ones_like(step.output)).inputs, tensors, strict=True):
            np.testing.assert_array_equal(ours, tensor.grad.numpy())


@pytest.mark.parametrize(
    ("layer", "variable", "theirs"),
    [
        (RmsNorm(epsilon=1e-5), "gamma", lambda x, gamma: F.rms_norm(x, (5,), gamma, 1e-5)),
        (PRelu(shared=True), "alpha", F.prelu),
    ],
    ids=["rms_norm", "prelu"],
)
def test_with_a_variable(layer, variable, theirs):
    rng = np.random.default_rng(0)
    x, values = rng.standard_normal((2, *IMAGE)), rng.uniform(0.5, 1.5, layer.declare_params(IMAGE)[variable].shape)
    tensors = [torch.tensor(array, requires_grad=True) for array in (x, values)]
    step = layer.forward(RunContext(training=True), {variable: values}, x)
    y = theirs(*tensors)
    np.testing.assert_allclose(step.output, y.detach().numpy(), rtol=0, atol=1e-12)
    dy = rng.standard_normal(step.output.shape)
    y.backward(torch.tensor(dy))
    found = step.backward(dy)
    np.testing.assert_allclose(found.inputs[0], tensors[0].grad.numpy(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.params[variable], tensors[1].grad.numpy(), rtol=0, atol=1e-12)
