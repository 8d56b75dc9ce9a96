"""Layers beside PyTorch's, forward and backward, where PyTorch is installed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphc.kernels.context import RunContext
from graphc.layers.base import Layer
from graphc.layers.pool import AvgPool2d, MaxPool2d

torch = pytest.importorskip("torch", reason="compared with PyTorch where it is installed")
F = torch.nn.functional

IMAGE = (9, 8, 4)

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


@pytest.mark.parametrize(("layer", "theirs"), CASES, ids=lambda each: repr(each) if isinstance(each, Layer) else "")
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


def last(tensor) -> np.ndarray:
    """N C H W as N H W C."""
    return tensor.detach().numpy().transpose(0, 2, 3, 1)
