"""How other libraries lay out variables: ONNX as the emitter does it, Keras and PyTorch by hand."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.emit.builder import GraphBuilder, Value, lies_channels_first
from graphc.emit.model import emit_layers, readers_of_any_order
from graphc.initializers import Zeros
from graphc.passes.simplify import drop_idle, inference
from graphc.variables import ParamSpec
from graphc.weights.layouts import Wanted, form_of, forms, wanted
from tests.layers.cases import all_cases
from tests.layers.one_layer import one_layer_plan
from tests.passes.specs import plan_of

CASES = [case for case in all_cases() if case.layer.declare_params(*case.input_shapes)]
NET = """
    inputs: {image: [N, 6, 8, 3]}
    layers:
      - conv2d: {name: a, filters: 4, kernel: [3, 2], normalizer: batch_norm}
      - depthwise_conv2d: {name: d, kernel: 3, depth_multiplier: 2}
      - conv2d_transpose: {name: t, filters: 5, kernel: 2, stride: 2}
      - max_pool2d: {kernel: 2, stride: 2}
      - flatten
      - batch_norm: {name: bn, scale: true}
      - prelu: {name: p}
      - fully_connected: {name: square, units: 240}
      - prelu: {name: q}
      - fully_connected: {name: fc, units: 7}
"""


def where_numbers_go(plan):
    """Initializer name -> for each of its numbers, its index in the variable of that name: the layers emit indices in
    place of weights."""
    variables = plan.variables
    indices = {name: np.arange(int(np.prod(s.shape))).reshape(s.shape) for name, s in variables.items()}
    graph = drop_idle(inference(plan, indices))
    build = GraphBuilder(plan.graph, 17, set(graph.outputs), readers_of_any_order(graph))
    inputs = {
        each.name: Value(each.name, each.shape, channels_first=lies_channels_first(each.shape))
        for each in plan.graph.inputs
    }
    emit_layers(graph, build, inputs)
    return {
        name: array
        for name, array in build.tensors.items()
        if name in variables and array.size == indices[name].size and array.dtype.kind == "i"
    }


def check_against_the_emitter(plan):
    found = where_numbers_go(plan)
    for name, want in wanted(plan).items():
        if name not in found:
            continue
        places = found[name]
        form = form_of(want, "OIHW", places.shape)
        assert form is not None, f"{name}: {places.shape}"
        ours = np.arange(places.size).reshape(want.spec.shape)
        assert np.array_equal(form.to_ours(places, want.spec.shape), ours), name
        assert np.array_equal(form.to_theirs(ours), places), name
    return found


def is_emitted_as_it_is(case):
    """Whether weights reach the file as they are: not of sequences and their windows, whose order is another, nor
    standardized ones, nor those of a weighted sum, which reach it as shares of one."""
    others = ("weight_standardization", "windows", "normalization")
    return len(case.input_shapes[0]) != 2 and not any(getattr(case.layer, name, False) for name in others)


@pytest.mark.parametrize("case", [case for case in CASES if is_emitted_as_it_is(case)], ids=str)
def test_every_kind_is_read_as_onnx_has_it(case):
    assert check_against_the_emitter(one_layer_plan(case))


def test_what_lies_behind_a_flattened_image_is_read_as_onnx_has_it():
    plan = plan_of(NET)
    assert check_against_the_emitter(plan).keys() == plan.variables.keys()


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("layout", ["HWIO", "OIHW"])
def test_forms_can_be_read_and_written_and_no_two_of_a_shape_differ(case, layout):
    for want in wanted(one_layer_plan(case)).values():
        ours = np.arange(np.prod(want.spec.shape)).reshape(want.spec.shape)
        seen = {}
        for form in forms(want, layout):
            theirs = form.to_theirs(ours)
            assert theirs.shape == form.shape
            assert np.array_equal(form.to_ours(theirs, want.spec.shape), ours)
            assert np.array_equal(seen.setdefault(form.shape, theirs), theirs)


def spec(axes, *shape):
    return Wanted(ParamSpec(shape, Zeros(), axes=axes))


def test_a_dense_layer_on_a_flattened_image_is_a_convolution_of_its_size():
    theirs = np.arange(2 * 3 * 4 * 5).reshape(5, 2 * 3 * 4)  # units × (C H W)
    ours = form_of(spec("HWIO", 3, 4, 2, 5), "OIHW", theirs.shape).to_ours(theirs, (3, 4, 2, 5))
    assert ours[1, 2, 0, 3] == theirs.reshape(5, 2, 3, 4)[3, 0, 1, 2]
    theirs = np.arange(2 * 3 * 4 * 5).reshape(3 * 4 * 2, 5)  # (H W C) × units
    ours = form_of(spec("HWIO", 3, 4, 2, 5), "HWIO", theirs.shape).to_ours(theirs, (3, 4, 2, 5))
    assert ours[1, 2, 0, 3] == theirs.reshape(3, 4, 2, 5)[1, 2, 0, 3]


@pytest.mark.parametrize(
    ("want", "layout", "shape"),
    [
        (spec("HWIO", 1, 1, 8, 5), "OIHW", (5, 8)),
        (spec("IO", 8, 5), "OIHW", (5, 8, 1, 1)),
        (spec("IO", 8, 5), "HWIO", (1, 1, 8, 5)),
        (spec("HWCM", 3, 3, 4, 2), "HWIO", (3, 3, 1, 8)),
        (spec("HWIO", 3, 3, 1, 8), "HWIO", (3, 3, 8, 1)),
        (spec("", 6), "OIHW", (6, 1, 1)),
        (spec("", 6), "HWIO", (1, 1, 6)),
        (spec("", 1), "OIHW", ()),
    ],
)
def test_shapes_that_are_the_same_variable(want, layout, shape):
    form = form_of(want, layout, shape)
    assert form is not None
    assert form.to_ours(np.zeros(shape), want.spec.shape).shape == want.spec.shape


@pytest.mark.parametrize(
    ("want", "layout", "shape"),
    [
        (spec("HWIO", 3, 3, 8, 5), "OIHW", (3, 3, 8, 5)),
        (spec("HWIO", 3, 3, 8, 5), "HWIO", (5, 8, 3, 3)),
        (spec("IO", 8, 5), "OIHW", (8, 5)),
        (spec("IO", 6, 6), "OIHW", (36,)),
        (spec("", 6), "OIHW", (2, 3)),
        (spec("", 6), "OIHW", (7,)),
    ],
)
def test_shapes_that_are_another(want, layout, shape):
    assert form_of(want, layout, shape) is None
