"""Convolutions in the forms that onnxruntime's WebGPU kernels compute right: none that may be wrong, as
`graphc.emit.webgpu` says, however many filters there are in all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from graphc.emit.webgpu import LANES, is_cut_at_lanes, is_read_in_threes
from graphc.training_graph.tensor import Tensor, concat

VOLUMES = 5
"""Axes of volumes, of which WebGPU has no convolution in groups."""


def convolution(
    x: Tensor, weights: Tensor, biases: Tensor | None, attributes: Mapping[str, Any], shape: Sequence[int]
) -> Tensor:
    """Conv of x [N, C, …] by weights [K, C/groups, …]: [N, K, …], of this shape."""
    groups = attributes.get("group", 1)
    each = weights.shape[0] // groups
    if groups > 1 and (x.rank == VOLUMES or is_cut_at_lanes(each)):
        parts = [
            _padded(*part, {**attributes, "group": 1}, (shape[0], each, *shape[2:]))
            for part in zip(
                x.split([x.shape[1] // groups] * groups, 1),
                weights.split([each] * groups, 0),
                [None] * groups if biases is None else biases.split([each] * groups, 0),
                strict=True,
            )
        ]
        return concat(parts, 1)
    return _padded(x, weights, biases, attributes, shape)


def _padded(
    x: Tensor, weights: Tensor, biases: Tensor | None, attributes: Mapping[str, Any], shape: Sequence[int]
) -> Tensor:
    """With channels of zeros where WebGPU would read them in threes."""
    channels = x.shape[1]
    if attributes.get("group", 1) == 1 and math.prod(weights.shape[2:]) > 1 and is_read_in_threes(channels):
        more = [(0, 0), (0, -channels % LANES), *[(0, 0)] * (x.rank - 2)]
        x, weights = x.pad(more), weights.pad(more)
    return plain_convolution(x, weights, biases, attributes, shape)


def plain_convolution(
    x: Tensor, weights: Tensor, biases: Tensor | None, attributes: Mapping[str, Any], shape: Sequence[int]
) -> Tensor:
    """One Conv, as it is asked for."""
    names = [x.name, weights.name, *([] if biases is None else [biases.name])]
    (name,) = x.graph.node("Conv", *names, **attributes)
    return Tensor(x.graph, name, tuple(shape))
