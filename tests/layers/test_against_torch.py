"""Layers beside PyTorch's, forward and backward, where PyTorch is installed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphc.kernels.context import RunContext
from graphc.layers.base import Layer
from graphc.layers.blur_pool import BlurPool2d
from graphc.layers.conv import Conv2d
from graphc.layers.conv_transpose import Conv2dTranspose
from graphc.layers.conv_transpose_ranks import Conv1dTranspose, Conv3dTranspose
from graphc.layers.lp_pool import LpPool2d
from graphc.layers.pad import Pad
from graphc.layers.pool import AvgPool2d, MaxPool2d
from graphc.layers.space_to_depth import DepthToSpace, SpaceToDepth
from graphc.layers.unpool import MaxUnpool2d

torch = pytest.importorskip("torch", reason="compared with PyTorch where it is installed")
F = torch.nn.functional

IMAGE = (10, 8, 4)

CASES: list[tuple[Layer, Callable]] = [
    (
        MaxPool2d(kernel=3, stride=2, dilation=(2, 1), padding=1, ceil_mode=ceil),
        lambda x, ceil=ceil: F.max_pool2d(x, 3, 2, 1, (2, 1), ceil),
    )
    for ceil in (False, True)
]
CASES += [
    case
    for size in ((6, 5), (9, 4), (3, 11), (1, 1))
    for case in (
        (MaxPool2d(output_size=size), lambda x, size=size: F.adaptive_max_pool2d(x, size)),
        (AvgPool2d(output_size=size), lambda x, size=size: F.adaptive_avg_pool2d(x, size)),
    )
]

CASES += [
    (Pad(padding=((2, 1), (0, 3)), mode=mode), lambda x, theirs=theirs: F.pad(x, (0, 3, 2, 1), theirs))
    for mode, theirs in (("reflect", "reflect"), ("edge", "replicate"), ("circular", "circular"))
]
CASES += [
    (DepthToSpace(block=2, order="CRD"), lambda x: F.pixel_shuffle(x, 2)),
    (SpaceToDepth(block=2, order="CRD"), lambda x: F.pixel_unshuffle(x, 2)),
]
CASES += [(LpPool2d(kernel=(3, 2), stride=2), lambda x: F.lp_pool2d(x, 2.0, (3, 2), 2))]
BLUR = {3: [1, 2, 1], 4: [1, 3, 3, 1], 5: [1, 4, 6, 4, 1]}


def blurred(x, size: int):
    """Zhang's, with his padding."""
    row = torch.tensor(BLUR[size], dtype=x.dtype)
    before, after = (size - 1) // 2, size // 2
    filters = (row[:, None] * row / row.sum() ** 2).expand(x.shape[1], 1, size, size)
    return F.conv2d(F.pad(x, (before, after, before, after), "reflect"), filters, stride=2, groups=x.shape[1])


CASES += [(BlurPool2d(kernel=size), lambda x, size=size: blurred(x, size)) for size in BLUR]


def named(each) -> str:
    return repr(each) if isinstance(each, Layer) else ""


@pytest.mark.parametrize(("layer", "theirs"), CASES, ids=named)
def test_without_variables(layer, theirs):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, *IMAGE))
    image = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    step = layer.fitted(IMAGE).forward(RunContext(training=True), {}, x)
    y = theirs(image)
    np.testing.assert_allclose(step.output, last(y), rtol=0, atol=1e-12)
    dy = rng.standard_normal(step.output.shape)
    y.backward(torch.tensor(dy.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(step.backward(dy).inputs[0], last(image.grad), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("pool", "sizes"), [({}, (9, 8)), ({"ceil_mode": True}, (9, 7)), ({"padding": 1}, (8, 10))])
def test_unpooling(pool, sizes):
    rng = np.random.default_rng(0)
    pooled = np.round(2 * rng.standard_normal((2, *sizes, 3)))  # with equal numbers
    theirs = torch.tensor(pooled.transpose(0, 3, 1, 2))
    largest, places = F.max_pool2d(theirs, 2, return_indices=True, **pool)
    x = torch.randn(largest.shape, dtype=torch.float64, requires_grad=True)
    step = MaxUnpool2d(kernel=2, **pool).forward(RunContext(training=True), {}, last(x), pooled)
    y = F.max_unpool2d(x, places, 2, padding=pool.get("padding", 0), output_size=sizes)
    np.testing.assert_array_equal(step.output, last(y))
    dy = rng.standard_normal(step.output.shape)
    y.backward(torch.tensor(dy.transpose(0, 3, 1, 2)))
    np.testing.assert_array_equal(step.backward(dy).inputs[0], last(x.grad))


def last(tensor) -> np.ndarray:
    """N C … as N … C."""
    return np.moveaxis(tensor.detach().numpy(), 1, -1)


def convolution(**more) -> Callable:
    return lambda: torch.nn.Conv2d(4, 6, 3, **{"padding": 1, **more})


EXAMPLES = {1: (7, 4), 2: IMAGE, 3: (3, 4, 5, 4)}
"""By the spatial axes of a convolution."""

CONVOLUTIONS = [
    (Conv2d(filters=6, kernel=3, padding_mode="reflect"), convolution(padding_mode="reflect")),
    (
        Conv2d(filters=6, kernel=3, stride=2, padding=(2, 1), dilation=2, padding_mode="edge"),
        convolution(stride=2, padding=(2, 1), dilation=2, padding_mode="replicate"),
    ),
    (Conv2d(filters=6, kernel=3, groups=2, padding_mode="circular"), convolution(groups=2, padding_mode="circular")),
    (
        Conv2dTranspose(filters=6, kernel=3, stride=2, padding=1, output_padding=1, dilation=(1, 2), groups=2),
        lambda: torch.nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2, dilation=(1, 2)),
    ),
    (
        Conv2dTranspose(filters=6, kernel=3, stride=(3, 2), padding="valid", dilation=2),
        lambda: torch.nn.ConvTranspose2d(4, 6, 3, (3, 2), dilation=2),
    ),
    (
        Conv1dTranspose(filters=6, kernel=4, stride=3, padding=1, output_padding=2, groups=2),
        lambda: torch.nn.ConvTranspose1d(4, 6, 4, 3, 1, 2, groups=2),
    ),
    (
        Conv3dTranspose(filters=6, kernel=(2, 3, 3), stride=(2, 1, 2), padding=(0, 1, 1), output_padding=(1, 0, 1)),
        lambda: torch.nn.ConvTranspose3d(4, 6, (2, 3, 3), (2, 1, 2), (0, 1, 1), (1, 0, 1)),
    ),
    (Conv2d(filters=6, kernel=3, weight_standardization=True), lambda: StandardizedConv2d(4, 6, 3, padding=1)),
]


class StandardizedConv2d(torch.nn.Conv2d):
    """As timm has it: by batch normalization of the weights."""

    def forward(self, x):
        flat = self.weight.reshape(1, self.out_channels, -1)
        weight = F.batch_norm(flat, None, None, training=True, momentum=0.0, eps=1e-6).reshape_as(self.weight)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


@pytest.mark.parametrize(
    ("layer", "make"), CONVOLUTIONS, ids=lambda each: repr(each) if isinstance(each, Layer) else ""
)
def test_convolutions(layer, make):
    rng = np.random.default_rng(0)
    module = make().double()
    rank = module.weight.ndim - 2
    x = rng.standard_normal((2, *EXAMPLES[rank]))
    example = torch.tensor(np.moveaxis(x, -1, 1), requires_grad=True)
    order = (*range(2, rank + 2), 1, 0)
    weights = module.weight.detach().numpy().transpose(order)
    step = layer.forward(RunContext(training=True), {"weights": weights, "biases": module.bias.detach().numpy()}, x)
    y = module(example)
    np.testing.assert_allclose(step.output, last(y), rtol=0, atol=1e-12)
    dy = rng.standard_normal(step.output.shape)
    y.backward(torch.tensor(np.moveaxis(dy, -1, 1)))
    found = step.backward(dy)
    np.testing.assert_allclose(found.inputs[0], last(example.grad), rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.params["weights"], module.weight.grad.numpy().transpose(order), atol=1e-11)
    np.testing.assert_allclose(found.params["biases"], module.bias.grad.numpy(), atol=1e-11)
