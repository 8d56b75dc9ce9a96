"""Every layer kind's training graph gives NumPy's output, gradients and moving averages in onnxruntime.

In the suite the smallest row of a kind; with `--exhaustive` (`.ci/training`) all rows, and twenty drawn at random.
"""

from __future__ import annotations

import itertools
import zlib
from dataclasses import replace
from random import Random
from typing import ClassVar

import numpy as np
import onnx
import pytest
from onnx import helper

from graphc.emit.targets import TROUBLES, seen_nodes
from graphc.emit.training import UNIFORM, TrainingGraph
from graphc.emit.training_targets import TRAINING_OPERATORS
from graphc.errors import SpecError
from graphc.layers import CATALOGUE
from graphc.layers.base import Layer
from graphc.layers.conv import Conv2d
from graphc.layers.conv_ranks import Conv1d, Conv3d
from graphc.layers.conv_transpose import Conv2dTranspose
from graphc.layers.depthwise_conv import SeparableConv2d
from graphc.layers.protocols import EmitsTraining
from tests.layers.cases import Case, all_cases, all_samplers
from tests.layers.one_layer import initial_params, one_layer_plan, random_inputs
from tests.training_graph.one_layer import BATCH, emitted, in_numpy, in_onnxruntime

TOLERANCE = 1e-5
"""Of the largest value."""
CANCELING = {"d key_biases", "d factor"}
"""Gradients whose terms cancel: what all keys have in common the softmax takes away, and the sum over all values."""
WITHOUT = frozenset[str]()
"""Kinds that have no `emit_training` yet."""
CASES = all_cases()


def rows(kind):
    return [case for case in CASES if case.layer.kind == kind]


def smallest(kind):
    return sorted(rows(kind), key=lambda case: sum(np.prod(shape) for shape in case.input_shapes))[:1]


def every(kind):
    rng, samplers = Random(zlib.crc32(kind.encode())), all_samplers()
    drawn = [samplers[kind](rng) for _ in range(20)] if kind in samplers else []
    return [*rows(kind), *drawn]


def pytest_generate_tests(metafunc):
    if "case" in metafunc.fixturenames:
        of_kind = every if metafunc.config.getoption("--exhaustive") else smallest
        kinds = sorted(CATALOGUE.keys() - WITHOUT)
        cases = list(itertools.chain.from_iterable(map(of_kind, kinds)))
        metafunc.parametrize("case", cases, ids=str)


def test_the_kinds_without_a_training_graph_are_known():
    lacking = {kind for kind in CATALOGUE if not all(isinstance(each.layer, EmitsTraining) for each in rows(kind))}
    assert lacking == WITHOUT


def test_it_is_as_in_numpy(case):
    rng = np.random.default_rng(1)
    params, inputs = initial_params(case, rng, "float32"), random_inputs(case, BATCH, rng, "float32")
    dy = rng.standard_normal((BATCH, *case.layer.infer_shape(*case.input_shapes))).astype(np.float32)
    theirs = dict(in_onnxruntime(case, params, inputs, dy).named())
    found = dict(in_numpy(case, params, inputs, dy).named())
    for name, ours in found.items():
        assert theirs[name].shape == ours.shape, name
        beside = found.values() if name in CANCELING else [ours]
        largest = max(1e-20, *(float(np.abs(each).max(initial=0)) for each in beside))
        assert float(np.abs(theirs[name] - ours).max(initial=0)) <= TOLERANCE * largest, name


@pytest.mark.parametrize("kind", ["max_pool1d", "max_pool2d", "max_pool3d", "global_max_pool2d", "maximum"])
def test_equal_values_share_the_gradient_as_in_numpy(kind):
    for case in rows(kind)[::3]:
        rng = np.random.default_rng(2)
        inputs = [rng.integers(0, 2, (BATCH, *shape)).astype(np.float32) for shape in case.input_shapes]
        dy = rng.integers(-8, 9, (BATCH, *case.layer.infer_shape(*case.input_shapes))).astype(np.float32) * 6
        ours, theirs = in_numpy(case, {}, inputs, dy), in_onnxruntime(case, {}, inputs, dy)
        for one, other in zip(ours.inputs, theirs.inputs, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=str(case))


def test_no_kind_draws_numbers_in_evaluation():
    drawing = set()
    for case in CASES:
        graphs = [TrainingGraph(one_layer_plan(case), BATCH, training=training) for training in (True, False)]
        for graph in graphs:
            graph.variables = {name: graph.input(name, s.shape, "float32") for name, s in graph.plan.variables.items()}
            graph.forward(["layer"])
        drawn, none = ({name for name in graph.inputs if name.endswith(UNIFORM)} for graph in graphs)
        assert not none, case
        drawing |= {case.layer.kind} if drawn else set()
    assert {"dropout", "gaussian_noise", "multi_head_attention"} <= drawing


class NoNodes(Layer):
    """A kind without a training graph."""

    kind: ClassVar[str] = "no_nodes"

    def infer_shape(self, *inputs):
        return inputs[0]


def test_what_has_none_says_so_with_its_place():
    with pytest.raises(SpecError, match=r"case\.yaml:1:1: error\[G370\]: layer: no_nodes has no training graph"):
        emitted(Case(NoNodes(), ((4,),)))


def test_operators_that_webgpu_lacks_are_refused_with_the_layer():
    case = rows("softsign")[0]
    assert "Softsign" in {node.op_type for node in emitted(case).body.graph.node}
    with pytest.raises(SpecError, match=r"G370\]: layer: softsign needs the operator Softsign, which webgpu has no"):
        emitted(case, target="webgpu")


@pytest.mark.parametrize(
    ("layer", "channels"),
    [(Conv2d(filters=24, kernel=3, groups=4), 8), (Conv2d(filters=8, kernel=3), 6), (Conv2d(filters=4, kernel=1), 6)],
)
def test_convolutions_that_webgpu_computes_wrong_have_another_form_there(layer, channels):
    case = Case(layer, ((4, 5, channels),))
    for node in emitted(case, target="webgpu").body.graph.node:
        given = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        if node.op_type == "Conv":
            assert given.get("group", 1) == 1
    assert_webgpus_form_computes_the_same(case)
    kinds = [node.op_type for node in emitted(case, target="webgpu").body.graph.node]
    assert kinds.count("Conv") == (layer.groups if layer.groups > 1 else 1)
    assert ("Pad" in kinds) == (max(layer.kernel) > 1)


@pytest.mark.parametrize(("channels", "filters", "groups"), [(8, 6, 2), (4, 8, 4)])
def test_volumes_in_groups_are_convolved_group_by_group_for_webgpu(channels, filters, groups):
    case = Case(Conv3d(filters=filters, kernel=3, stride=2, groups=groups), ((4, 5, 6, channels),))
    convolutions = [node for node in emitted(case, target="webgpu").body.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == groups
    for node in convolutions:
        assert {each.name: helper.get_attribute_value(each) for each in node.attribute}.get("group", 1) == 1
    assert_webgpus_form_computes_the_same(case)


def assert_webgpus_form_computes_the_same(case):
    """Output and gradients, in onnxruntime on the CPU, beside those of the CPU's form."""
    rng = np.random.default_rng(3)
    params, inputs = initial_params(case, rng, "float32"), random_inputs(case, BATCH, rng, "float32")
    dy = rng.standard_normal((BATCH, *case.layer.infer_shape(*case.input_shapes))).astype(np.float32)
    there = dict(in_onnxruntime(case, params, inputs, dy, "webgpu").named())
    for name, ours in in_onnxruntime(case, params, inputs, dy).named():
        np.testing.assert_allclose(there[name], ours, atol=1e-5 * np.abs(ours).max(), err_msg=name)


def wrong_on_webgpu(model):
    """The Conv nodes of a model that the table of troubles knows as wrong there, by the shapes of their weights."""
    whole = onnx.load_from_string(model.serialize())
    inferred = onnx.shape_inference.infer_shapes(whole, strict_mode=True, data_prop=True).graph
    shapes = {each.name: tuple(d.dim_value for d in each.type.tensor_type.shape.dim) for each in inferred.value_info}
    shapes |= {each.name: tuple(d.dim_value for d in each.type.tensor_type.shape.dim) for each in inferred.input}
    shapes |= {name: array.shape for name, array in model.tensors.items()}
    troubles = [each for each in TROUBLES if (each.target, each.effect) == ("webgpu", "wrong")]
    assert troubles
    seen = (replace(each, shapes=tuple(map(shapes.get, each.node.input))) for each in seen_nodes(model))
    return [each.node.name for each in seen if any(trouble.is_met(each) for trouble in troubles)]


@pytest.mark.parametrize(
    ("layer", "channels"),
    [
        (Conv2d(filters=8, kernel=3), 6),
        (Conv2d(filters=24, kernel=3, groups=4), 8),
        (Conv2dTranspose(filters=6, kernel=3, stride=2), 8),
        (Conv2dTranspose(filters=8, kernel=3, groups=4), 24),
        (SeparableConv2d(filters=4, kernel=3, depth_multiplier=6), 4),
        (Conv1d(filters=8, kernel=3), 6),
    ],
    ids=lambda each: getattr(each, "kind", None),
)
def test_every_convolution_of_a_step_has_webgpus_form_backward_too(layer, channels):
    case = Case(layer, ((5, channels),) if layer.kind == "conv1d" else ((4, 5, channels),))
    assert wrong_on_webgpu(emitted(case)), "it would be wrong as it is emitted elsewhere"
    assert not wrong_on_webgpu(emitted(case, target="webgpu"))
    assert_webgpus_form_computes_the_same(case)


@pytest.mark.parametrize("kind", ["conv2d", "depthwise_conv2d", "batch_norm", "max_pool2d", "avg_pool2d", "dropout"])
def test_the_kinds_of_common_nets_run_on_every_target(kind):
    for case, target in itertools.product(smallest(kind), TRAINING_OPERATORS):
        used = {node.op_type for node in emitted(case, target=target).body.graph.node}
        assert used <= TRAINING_OPERATORS[target]
