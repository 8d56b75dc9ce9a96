"""What makes a convolution a convolution, measured layer by layer: sparse connections, shared weights, a growing
receptive field, and a response that moves with the image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from graphc.dims import Shape, is_image, is_static
from graphc.execution.network import evaluate
from graphc.graph import Plan, PlannedNode
from graphc.layers.base import elements
from graphc.report.picture.blocks import blocks
from graphc.types import Array


@dataclass(frozen=True, slots=True)
class Economy:
    """A layer against the fully connected layer from the same inputs to the same outputs."""

    connections: int
    """Input-output pairs with a weight between them: its MACs."""
    params: int
    dense_connections: int
    dense_params: int

    @property
    def sparsity(self) -> float:
        """How many times fewer connections."""
        return self.dense_connections / self.connections

    @property
    def sharing(self) -> float:
        """How many connections use each parameter, on average."""
        return self.connections / self.params


def economies(plan: Plan) -> dict[str, Economy]:
    """Every layer with weights of its own and sizes that are known, by node name."""
    found = {}
    for each in plan.nodes:
        shapes = plan.input_shapes(each.node)
        if each.params and each.macs and all(is_static(shape) for shape in shapes):
            inputs = sum(elements(shape) for shape in shapes)
            outputs = elements(each.shape)
            dense = inputs * outputs
            found[each.node.name] = Economy(each.macs, each.param_count, dense, dense + outputs)
    return found


@dataclass(frozen=True, slots=True)
class Drift:
    """How far an output is from moving with the image: root mean square difference over root mean square."""

    shift: int
    """Pixels by which the image was moved."""
    inside: float | None
    """Where the receptive field lies in the image both times: rounding alone. None where it nowhere does."""
    everywhere: float
    """With the borders, whose padding does not move."""
    one_pixel: float
    """After a move by a single pixel, against the nearest whole move of the output: what striding loses."""


def drifts(plan: Plan, params: Mapping[str, Array], seed: int = 0) -> dict[str, Drift]:
    """The error of every block's output when the image moves to the right, by node name.

    With variables by full name, each in its own shape. The image is noise, smoothed over 5 pixels, cut out of a wider
    one at three places. It moves by the largest stride that leaves half of it in view; layers with a larger stride are
    left out.
    """
    images = [given for given in plan.graph.inputs if is_image(given.shape)]
    kept = [plan.by_name[block.members[-1].node.name] for block in blocks(plan) if block.members]
    if not images or not all(is_static(given.shape) for given in plan.graph.inputs):
        return {}
    width = min(elements((given.shape[1],)) for given in images)
    strides = [stride_of(each) for each in kept]
    shift = max((stride for stride in strides if stride and 2 * stride <= width), default=0)
    if not shift:
        return {}
    rng = np.random.default_rng(seed)
    inputs = {given.name: moved(rng, given.shape, shift) for given in plan.graph.inputs}
    values = evaluate(plan, params, inputs, [each.node.name for each in kept])
    found = {}
    for each, stride in zip(kept, strides, strict=True):
        overlaps = stride and shift % stride == 0 and values[each.node.name].shape[2] > shift // stride
        if overlaps:
            found[each.node.name] = drift(each, values[each.node.name], shift, stride, width)
    return found


def stride_of(planned: PlannedNode) -> int:
    """Image columns from one output to the next; 0 where that is no whole number or all is seen."""
    field = planned.receptive_field
    if field is None or not is_image(planned.shape) or field.stride[1].denominator != 1:
        return 0
    return int(field.stride[1])


def moved(rng: np.random.Generator, shape: Shape, shift: int) -> Array:
    """Three examples [3, H, W, C]: an image, the same moved right by `shift`, and by one pixel. Other inputs: the same
    thrice."""
    if not is_image(shape):
        return np.repeat(rng.normal(size=(1, *shape)), 3, axis=0).astype(np.float32)  # type: ignore[arg-type]
    height, width, channels = shape
    assert isinstance(height, int)
    assert isinstance(width, int)
    wide = rng.normal(size=(height + 4, width + shift + 4, channels))  # type: ignore[arg-type]
    rows = np.sum([wide[i : i + height] for i in range(5)], axis=0)
    smooth = np.sum([rows[:, i : i + width + shift] for i in range(5)], axis=0) / 5
    images = [smooth[:, start : start + width] for start in (shift, 0, shift - 1)]
    return np.stack(images).astype(np.float32)


def drift(planned: PlannedNode, values: Array, shift: int, stride: int, width: int) -> Drift:
    """How far values [3, H, W, C] of the three examples of `moved` are from moving with the image."""
    still, far, near = values.astype(np.float64)  # H W C
    columns = still.shape[1]
    steps = shift // stride
    assert planned.receptive_field is not None
    reach = planned.receptive_field.axes[1]
    inside = [
        x for x in range(columns - steps) if reach.known and reach.first(x) >= 0 and reach.last(x) + shift <= width - 1
    ]
    error = far[:, steps:] - still[:, : columns - steps]
    scale = size(still) or 1.0  # a silent layer does not drift
    pixel = near[:, 1:] - still[:, :-1] if stride == 1 else near - still
    return Drift(shift, size(error[:, inside]) / scale if inside else None, size(error) / scale, size(pixel) / scale)


def size(values: Array) -> float:
    """Root mean square of any shape."""
    return float(np.sqrt(np.mean(np.square(values))))
