"""Models in 8-bit integers, held to the float model and to what integers can hold."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from graphc import runtime
from graphc.compiler import compile_plan
from graphc.emit.quantize import Quantization, integer_layers, quantize, quantized_tensors
from graphc.emit.targets import seen_nodes
from graphc.initializers import initial_values
from graphc.kernels.integers import REDUCED, Range, integers_of, rounded_weights, weight_scales, whole_weights
from graphc.quantization.ranges import find_ranges
from graphc.runtime import Session
from tests.passes.specs import plan_of

NET = """
scope: ""
outputs: {logits: logits}
inputs: {image: [N, 12, 12, 3]}
arg_scope: {conv2d: {kernel: 3, activation: relu}}
layers:
  - conv2d: {name: stem, filters: 8}
  - max_pool2d: {name: pool, kernel: 2}
  - residual:
      name: block
      layers: [conv2d: {name: a, filters: 8}, conv2d: {name: b, filters: 8, activation: none}]
      activation: relu
  - depthwise_conv2d: {name: deep, kernel: 3, activation: relu6}
  - branches:
      name: both
      paths:
        left: [conv2d: {name: l, filters: 4}]
        right: [avg_pool2d: {name: r, kernel: 3, stride: 1, padding: same}]
  - conv2d: {name: last, filters: 6}
  - flatten
  - fully_connected: {name: hidden, units: 10, activation: relu}
  - fully_connected: {name: logits, units: 5}
"""


def made(text):
    plan = plan_of(text)
    params = {
        name: array + 0.1 if array.ndim == 1 else array for name, array in initial_values(plan.variables, 0).items()
    }
    return compile_plan(plan, params), images(plan)


def images(plan, count=4):
    (given,) = plan.graph.inputs
    return {given.name: np.random.default_rng(1).normal(size=(count, *given.shape)).astype(np.float32)}


def run(model, feeds, optimized=True, exact=True):
    """The first output; not `exact`: sums may be cut off without VNNI; not `optimized`: each operator as it is
    written, on floats that have been integers."""
    options = onnxruntime.SessionOptions()
    if exact:  # whatever the processor
        options.add_session_config_entry("session.x64quantprecision", "1")
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.serialize(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


def in_integers(model, feeds, **how):
    names = quantized_tensors(model, how.get("in_float", lambda layer: False))
    return quantize(model, Quantization(find_ranges(model, names, lambda: [feeds]), **how))


@pytest.mark.parametrize("form", ["asymmetric", "symmetric"])
def test_a_network_in_integers_gives_nearly_the_same(form):
    model, feeds = made(NET)
    small = in_integers(model, feeds, form=form)
    expected, found = run(model, feeds), run(small, feeds)
    np.testing.assert_allclose(found, expected, atol=0.04 * np.abs(expected).max())
    assert not np.array_equal(found, expected)
    np.testing.assert_allclose(run(small, feeds, optimized=False), found, atol=0.02 * np.abs(expected).max())


def test_onnxruntime_computes_all_of_it_in_integers(tmp_path):
    model, feeds = made(NET)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    small = in_integers(model, feeds).serialize()
    onnxruntime.InferenceSession(small, options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert kinds.count("QLinearConv") == 6
    assert kinds.count("QGemm") == 2
    assert {"QLinearAdd", "QLinearConcat", "QLinearAveragePool", "MaxPool"} <= set(kinds)
    assert not {"Conv", "Gemm", "Relu", "Clip", "Add", "Concat"} & set(kinds)


def test_weights_biases_and_activations_have_the_types_that_they_should():
    model, feeds = made(NET)
    small = in_integers(model, feeds)
    kinds = {name: array.dtype.name for name, array in small.tensors.items()}
    assert kinds["block/a/weights/int"] == "int8"
    assert kinds["block/a/biases/int"] == "int32"
    assert kinds["pool/zero_point"] == "uint8"
    assert small.tensors["pool/scale"] == small.tensors["stem/Relu/scale"], "pooling chooses among the same numbers"
    assert small.tensors["stem/Relu/zero_point"] == 0
    assert "block/a/weights" not in kinds
    symmetric = {name: array.dtype.name for name, array in in_integers(model, feeds, form="symmetric").tensors.items()}
    assert symmetric["pool/zero_point"] == "int8"
    assert symmetric["block/a/biases"] == "float32"


def test_tensors_keep_their_names_and_end_points_are_what_comes_out_of_integers():
    model, feeds = made(NET)
    small = in_integers(model, feeds)
    made_by = {name: node.op_type for node in small.body.graph.node for name in node.output}
    assert made_by["block/a/Relu"] == "DequantizeLinear"
    assert made_by["logits"] == "Gemm", "sums of the last layer are given as they are"
    assert [each.name for each in small.body.graph.output] == [each.name for each in model.body.graph.output]


def test_layers_stay_in_float_where_one_says_so():
    model, feeds = made(NET)
    kept = {"stem", "logits"}
    integers = {layer: whole for layer, _, whole in integer_layers(model, kept.__contains__)}
    assert {layer for layer, whole in integers.items() if not whole} == kept
    small = in_integers(model, feeds, in_float=kept.__contains__)
    assert small.tensors["stem/weights"].dtype == np.float32
    assert small.tensors["hidden/weights/int"].dtype == np.int8


PREACTIVATION = """
scope: ""
inputs: {image: [N, 8, 8, 4]}
layers:
  - conv2d: {name: a, filters: 4, kernel: 3}
  - residual: {name: one, layers: [batch_norm: {name: n}, relu: {}, conv2d: {name: c, filters: 4, kernel: 3}]}
  - batch_norm: {name: norm}
  - global_avg_pool2d
"""


def test_what_has_no_weights_stays_in_float_where_only_floats_are_behind_it():
    """A sum that a normalization reads, which makes small channels large: integers would have lost them."""
    model, feeds = made(PREACTIVATION)
    names = quantized_tensors(model)
    assert "one/add" not in names
    small = in_integers(model, feeds)
    kinds = {node.op_type for node in small.body.graph.node if "one/add" in node.output}
    assert kinds == {"Add"}


def test_shared_weights_that_read_other_scales_have_biases_of_their_own(monkeypatch):
    text = """
inputs: {image: [N, 6, 6, 2]}
layers:
  - conv2d: {name: a, filters: 2, kernel: 3, activation: relu}
  - conv2d: {name: b, filters: 2, kernel: 3, share: a}
  - flatten
"""
    model, feeds = made(text)
    small = in_integers(model, feeds)
    expected = run(model, feeds)
    found = run(small, feeds, exact=False)  # with it onnxruntime does not load weights that are shared
    np.testing.assert_allclose(found, expected, atol=0.1 * np.abs(expected).max())
    session = Session(small.serialize())
    np.testing.assert_allclose(next(iter(session.run(feeds).values())), found)
    assert sum(name.endswith("/int") and "weights" in name for name in small.tensors) == 1
    monkeypatch.setattr(runtime, "cuts_sums_off", lambda: True)
    assert Session(small.serialize()).notices == (runtime.CUT_OFF,)
    assert Session(in_integers(model, feeds, most=REDUCED).serialize()).notices == ()
    assert sum(name.endswith("/int") and "biases" in name for name in small.tensors) == 2


RESIDUAL = """
scope: ""
inputs: {{image: [N, 8, 8, 4]}}
arg_scope: {{conv2d: {{kernel: 3, filters: 4}}}}
layers:
  - conv2d: {{name: stem, activation: relu}}
  - residual: {{name: r, activation: relu, layers: [conv2d: {{name: a, activation: relu}}, {last}]{more}}}
  - conv2d: {{name: end}}
"""


@pytest.mark.parametrize(
    ("last", "more", "left_out"),
    [
        ("conv2d: {name: b}", "", {"r/b"}),
        ("conv2d: {name: b, activation: relu6}", "", {"r/b/Relu6"}),
        ("depthwise_conv2d: {name: b, kernel: 3}", "", {"r/b"}),
        (
            "conv2d: {name: b}",
            ", shortcut: [conv2d: {name: c}]",
            {"r/c"},
        ),  # the one read first
        ("conv2d: {name: b, activation: leaky_relu}", "", set()),
        ("avg_pool2d: {name: b, kernel: 3, stride: 1, padding: same}", "", set()),
    ],
)
def test_a_convolution_goes_into_its_sum_as_it_is_where_sums_are_fused(last, more, left_out):
    model, feeds = made(RESIDUAL.format(last=last, more=more))
    paired, fused = (in_integers(model, feeds, fused_sums=how) for how in (False, True))
    rounded = [
        {node.name for node in each.body.graph.node if node.op_type == "QuantizeLinear"} for each in (paired, fused)
    ]
    assert rounded[0] - rounded[1] == {f"{name}/QuantizeLinear" for name in left_out}
    assert rounded[1] <= rounded[0]
    for optimized in (True, False):
        found = run(fused, feeds, optimized)
        np.testing.assert_allclose(found, run(model, feeds), atol=0.05 * np.abs(found).max())
    met = [any(seen.rounds_before_sum for seen in seen_nodes(each)) for each in (paired, fused)]
    assert met == [bool(left_out), False], "the table knows which is which"


def test_integers_of_a_range():
    assert integers_of(Range(0, 2.55), "asymmetric") == (pytest.approx(0.01), 0, np.uint8)
    assert integers_of(Range(-1, 1.55), "asymmetric") == (pytest.approx(0.01), 100, np.uint8)
    assert integers_of(Range(1, 2.55), "asymmetric") == (pytest.approx(0.01), 0, np.uint8), "0 is in every range"
    assert integers_of(Range(-2, -1), "asymmetric") == (pytest.approx(2 / 255), 255, np.uint8)
    assert integers_of(Range(-1, 2.54), "symmetric") == (pytest.approx(0.02), 0, np.int8)
    assert integers_of(Range(0, 0), "asymmetric") == (1.0, 0, np.uint8)
    assert integers_of(Range(-1e-44, 0), "symmetric") == (1.0, 0, np.int8), "float32 has no such scale"


def test_weights_have_a_scale_for_each_output_channel():
    weights = np.array([[1.27, -0.5], [0, 0]], np.float32)
    scales = weight_scales(weights, [0])
    np.testing.assert_allclose(scales, [[0.01], [1]])
    np.testing.assert_array_equal(whole_weights(weights, scales), [[127, -50], [0, 0]])
    np.testing.assert_allclose(rounded_weights(weights, [0]), [[1.27, -0.5], [0, 0]])


def test_channels_of_next_to_no_weights_keep_their_biases():
    """As those that training has switched off: a scale of their weights alone would leave their biases beyond int32."""
    plan = plan_of("inputs: {x: [N, 9]}\nlayers: [fully_connected: {name: a, units: 3}]")
    weights = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32) * np.float32([1, 1e-12, 1e-40])
    name = plan.graph.scoped("a/weights")
    model = compile_plan(plan, {name: weights, name.replace("weights", "biases"): np.float32([0.5, -0.5, 0.7])})
    feeds = images(plan)
    ranges = find_ranges(model, quantized_tensors(model), lambda: [feeds])
    for form in ("asymmetric", "symmetric"):
        found = run(quantize(model, Quantization(ranges, form)), feeds)
        np.testing.assert_allclose(found, run(model, feeds), atol=0.1)
        np.testing.assert_allclose(found[:, 1:], [[-0.5, 0.7]] * 4, rtol=1e-6)


@pytest.mark.parametrize("form", ["asymmetric", "symmetric"])
def test_weights_of_7_bits_leave_two_products_within_16(form):
    model, feeds = made(NET)
    small = in_integers(model, feeds, form=form, most=REDUCED)
    largest = max(np.abs(array.astype(int)).max() for array in small.tensors.values() if array.dtype == np.int8)
    assert largest == REDUCED
    assert 2 * 255 * REDUCED < 2**15
    expected = run(model, feeds)
    np.testing.assert_allclose(run(small, feeds, exact=False), expected, atol=0.05 * np.abs(expected).max())


def test_the_same_model_has_the_same_bytes():
    model, feeds = made(NET)
    assert in_integers(model, feeds).serialize() == in_integers(model, feeds).serialize()
