"""onnxruntime against NumPy, at every end point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from graphc.dims import Formula, Shape, evaluate_shape
from graphc.emit.model import emit
from graphc.errors import GraphcError
from graphc.graph import Plan
from graphc.initializers import Normal
from graphc.passes.infer_shapes import check_sizes
from graphc.runtime import Session
from graphc.train.network import evaluate
from graphc.types import Array

FREE_SIZE = 64
"""Height or width of a test image where the spec leaves it open, doubled while a layer finds it too small."""
LARGEST_FREE_SIZE = 1024


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far two values of an end point are apart."""

    name: str
    node: str
    largest: float
    """NumPy's largest absolute value."""
    error: float
    """Largest absolute difference, relative to `largest`."""


def verify(
    plan: Plan,
    params: Mapping[str, Array],
    inputs: Mapping[str, Array] | None = None,
    *,
    batch: int = 2,
    seed: int = 0,
    opset: int = 17,
    fold: bool = True,
    threads: int | None = None,
) -> list[Comparison]:
    """Every end point and output, in the order of the layers; `inputs` are channels last, random where not given."""
    names = watched(plan)
    feeds = dict(inputs) if inputs is not None else random_inputs(plan, batch, seed)
    ours = evaluate(plan, params, feeds, keep=names)
    model = emit(plan, params, opset=opset, fold=fold, outputs={node: node for node in names})
    theirs = Session(model.serialize(), threads=threads).run(feeds)
    return [
        Comparison(point, node, *_difference(ours[node], _channels_last(theirs[node])))
        for node, points in names.items()
        for point in points
    ]


def watched(plan: Plan) -> dict[str, list[str]]:
    """Node -> the end points that it is; an output that is none goes by its own name."""
    found: dict[str, list[str]] = {}
    for name, node in plan.graph.end_points.items():
        found.setdefault(node, []).append(name)
    for name, node in plan.graph.outputs.items():
        found.setdefault(node, [name])
    order = {planned.node.name: index for index, planned in enumerate(plan.nodes)}
    return dict(sorted(found.items(), key=lambda item: order[item[0]]))


def random_inputs(plan: Plan, batch: int, seed: int) -> dict[str, Array]:
    """Normally distributed inputs; where a size is a symbol, every symbol is FREE_SIZE, or what the layers need."""
    count = plan.graph.batch if isinstance(plan.graph.batch, int) else batch
    return {
        name: Normal(stddev=1.0).draw((count, *shape), f"input {name}", seed)
        for name, shape in _test_shapes(plan).items()
    }


def _test_shapes(plan: Plan) -> dict[str, tuple[int, ...]]:
    """A shape that the layers can take for every input, where the spec leaves sizes open."""
    size = FREE_SIZE
    while True:
        shapes = {each.name: _sized(each.shape, size) for each in plan.graph.inputs}
        try:
            check_sizes(plan.graph, shapes)
        except GraphcError:
            if size >= LARGEST_FREE_SIZE:
                raise
            size *= 2
        else:
            return shapes


def _sized(shape: Shape, size: int) -> tuple[int, ...]:
    symbols = {name: size for each in shape if isinstance(each, Formula) for name in each.symbols()}
    return evaluate_shape(shape, symbols)


def _difference(ours: Array, theirs: Array) -> tuple[float, float]:
    """(largest absolute value, largest difference relative to it); infinite where shapes or NaNs differ."""
    largest = float(np.max(np.abs(ours)))
    if ours.shape != theirs.shape:
        return largest, float("inf")
    error = float(np.max(np.abs(ours - theirs))) / (largest or 1.0)
    return largest, error if np.isfinite(error) else float("inf")


def _channels_last(array: Array) -> Array:
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array
