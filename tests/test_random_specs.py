"""Random legal specs through the whole front door: what the compiler says of them is what happens."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import pytest

from graphc.compiler import Emission, compile_plan
from graphc.dims import Dim, is_static
from graphc.emit.model import emit
from graphc.errors import SpecError
from graphc.execution.network import evaluate
from graphc.graph import Plan
from graphc.layers.base import Layer
from graphc.layers.pad import Pad
from graphc.passes.infer_shapes import check_sizes
from graphc.receptive_field import Reach
from graphc.runtime import Session
from graphc.types import Array
from graphc.verify import watched
from tests.random_specs import RandomSpec

pytest.importorskip("onnxruntime")

TOLERANCE = 1e-4
SYMBOLS = {"H": 17, "W": 10}


def size(dim: Dim) -> int:
    symbols = SYMBOLS | {"N": 2}
    return dim if isinstance(dim, int) else dim.evaluate({name: symbols[name] for name in dim.symbols()})


def random_params(plan: Plan, rng: np.random.Generator) -> dict[str, Array]:
    found = {}
    for name, spec in plan.variables.items():
        positive = name.endswith("variance")
        values = rng.uniform(0.5, 1.5, spec.shape) if positive else rng.standard_normal(spec.shape) * 0.5
        found[name] = values.astype(np.float32)
    return found


def random_inputs(plan: Plan, rng: np.random.Generator) -> dict[str, Array]:
    return {
        each.name: rng.standard_normal((2, *map(size, each.shape))).astype(np.float32) for each in plan.graph.inputs
    }


def channels_first(array: Array) -> Array:
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2)) if array.ndim == 4 else array


def double(arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name: array.astype(np.float64) for name, array in arrays.items()}


def assert_near(name: str, ours: Array, exact: Array, theirs: Array) -> None:
    """Within the tolerance, or as far from the exact value as float32 takes NumPy too."""
    assert theirs.shape == ours.shape, name
    largest = np.abs(exact).max() or 1.0
    own = np.abs(ours - exact).max() / largest
    error = np.abs(theirs - exact).max() / largest
    assert error <= TOLERANCE + 100 * own, f"{name}: {error:.1e}, and float32 alone {own:.1e}"


def check(seed: int) -> None:
    made = RandomSpec(seed)
    plan = made.plan
    rng = np.random.default_rng(seed)
    params, inputs = random_params(plan, rng), random_inputs(plan, rng)
    every = [planned.node.name for planned in plan.nodes]
    try:
        check_sizes(plan.graph, {name: array.shape[1:] for name, array in inputs.items()})
    except SpecError:
        assert not all(is_static(each.shape) for each in plan.graph.inputs)
        return  # the sizes put in for the symbols are too small
    values = evaluate(plan, params, inputs, keep=every)
    exact = evaluate(plan, double(params), double(inputs), keep=every)
    for planned in plan.nodes:
        assert values[planned.node.name].shape[1:] == tuple(map(size, planned.shape)), planned.node.name
    assert sum(planned.param_count for planned in plan.nodes) == sum(array.size for array in params.values())
    choice = made.random.choice
    how = Emission(
        opset=choice([13, 15, 17, 18, 21]),
        ir_version=10,
        layout=choice(["nhwc", "nchw"]),
        fold=choice([True, False]),
        output_layout=choice([None, "nhwc", "nchw"]),
    )
    points = {node: node for node in watched(plan)}
    try:
        model = compile_plan(plan, params, how)
        inner = emit(plan, params, opset=how.opset, ir_version=10, layout=how.layout, fold=how.fold, outputs=points)
    except SpecError as error:
        if error.code != "G321" or how.opset >= 17:
            raise
        return  # an operator that this opset does not have
    assert model.serialize() == compile_plan(made.parsed(), params, how).serialize()
    onnx.checker.check_model(model.proto(), full_check=True)
    feeds = inputs if how.layout == "nhwc" else {name: channels_first(array) for name, array in inputs.items()}
    results = Session(model.serialize(), threads=1).run(feeds)
    turned = channels_first if (how.output_layout or how.layout) == "nchw" else np.asarray
    for name, node in plan.graph.outputs.items():
        assert_near(name, *(turned(found[node]) for found in (values, exact)), results[name])
    for node, theirs in Session(inner.serialize(), threads=1).run(feeds).items():
        assert_near(node, *(channels_first(found[node]) for found in (values, exact)), theirs)


@pytest.mark.parametrize("seed", range(30))
def test_a_random_spec_does_what_its_plan_says(seed):
    check(seed)


@pytest.mark.parametrize("seed", range(100, 120))
def test_no_output_sees_beyond_its_receptive_field(seed):
    plan = RandomSpec(seed).plan
    if plan.warnings or len(plan.graph.inputs) > 1 or any(is_mirror(planned.node.layer) for planned in plan.nodes):
        return  # paths that are not aligned, other inputs, mirrored pixels: not told, or of the first input only
    rng = np.random.default_rng(seed)
    params, inputs = double(random_params(plan, rng)), double(random_inputs(plan, rng))
    image = inputs["image"]
    seeing = [each for each in plan.nodes if each.receptive_field and each.receptive_field.padding is not None]
    for planned in seeing[-3:]:
        name, field = planned.node.name, planned.receptive_field
        before = evaluate(plan, params, inputs, keep=[name])[name]
        height, width = before.shape[1:3]
        for row, column in ((0, 0), (height // 2, width // 2), (height - 1, width - 1)):
            inside = np.zeros(image.shape, bool)
            inside[:, span(field.axes[0], row), span(field.axes[1], column)] = True
            other = {"image": np.where(inside, image, image + 3)}
            after = evaluate(plan, params, other, keep=[name])[name]
            np.testing.assert_allclose(after[:, row, column], before[:, row, column], rtol=1e-9, atol=1e-9)


def is_mirror(layer: Layer) -> bool:
    return isinstance(layer, Pad) and layer.mode == "reflect"


def span(reach: Reach, position: int) -> slice:
    return slice(max(reach.first(position), 0), max(reach.last(position) + 1, 0))
