"""Models in half precision, held to the float32 model in onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import defs

from graphc.compiler import Emission, compile_plan
from graphc.emit.float16 import FOLLOWS, LARGEST, OPERATORS, Half, half, to_float16
from graphc.emit.front import Front
from graphc.emit.operations import Affine
from graphc.initializers import initial_values
from tests.passes.specs import plan_of

NET = """
scope: ""
outputs: {probabilities: probabilities, middle: unit}
inputs: {image: [N, 8, 8, 3]}
layers:
  - conv2d: {name: stem, filters: 8, kernel: 3, activation: relu}
  - residual: {name: block, layers: [conv2d: {name: a, filters: 8, kernel: 3}]}
  - unit_norm: {name: unit}
  - conv2d: {name: last, filters: 6, kernel: 3, padding: valid}
  - global_avg_pool2d
  - fully_connected: {name: logits, units: 5}
  - softmax: {name: probabilities}
"""


def made(text=NET, **how):
    plan = plan_of(text)
    return compile_plan(plan, initial_values(plan.variables, 0), Emission(**how)), plan


def images(plan, dtype=np.float32):
    (given,) = plan.graph.inputs
    return {given.name: np.random.default_rng(1).normal(size=(3, *given.shape)).astype(dtype)}


def run(model, feeds):
    return onnxruntime.InferenceSession(model.serialize(), providers=["CPUExecutionProvider"]).run(None, feeds)


def operators(model):
    """Name -> (operator, types of its float outputs) of each node."""
    graph = onnx.shape_inference.infer_shapes(model.proto(), strict_mode=True).graph
    types = {each.name: each.type.tensor_type.elem_type for each in (*graph.value_info, *graph.output)}
    return {node.name: (node.op_type, types[node.output[0]]) for node in graph.node}


@pytest.mark.parametrize("form", ["inside", "all"])
def test_a_network_in_half_precision_gives_nearly_the_same(form):
    model, plan = made()
    small, report = to_float16(model, Half(form))
    feeds = images(plan)
    expected = run(model, feeds)
    found = run(small, images(plan, np.float16) if form == "all" else feeds)
    for ours, theirs in zip(expected, found, strict=True):
        assert theirs.dtype == (np.float16 if form == "all" else np.float32)
        np.testing.assert_allclose(theirs, ours, atol=2e-3 * np.abs(ours).max())
        assert not np.array_equal(theirs, ours)
    assert 0 < sum(report.float32.values()) < report.nodes
    assert report.numbers == sum(array.size for array in small.tensors.values() if array.dtype == np.float16)


def test_a_norm_stays_in_float32_from_its_squares_to_its_quotient_and_weights_do_not():
    model, _ = made()
    found = operators(to_float16(model)[0])
    half_precision, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    unit = {kind: type_ for name, (kind, type_) in found.items() if name.startswith("unit") and kind != "Cast"}
    assert unit == dict.fromkeys(("Mul", "ReduceSum", "Add", "Sqrt", "Div"), single)
    assert found["stem"] == ("Conv", half_precision)
    assert found["block/a"] == ("Conv", half_precision)
    assert found["logits"] == ("Gemm", half_precision)
    assert found["probabilities"] == ("Softmax", single)


def test_a_value_is_cast_once_however_many_read_it():
    model, _ = made()
    casts = [node.input[0] for node in to_float16(model)[0].body.graph.node if node.op_type == "Cast"]
    assert len(casts) == len(set(casts)) == 4, "the image, what is normalized, its quotient, the logits"


def test_inputs_and_outputs_are_declared_as_they_are():
    model, _ = made()
    for form, type_ in (("inside", onnx.TensorProto.FLOAT), ("all", onnx.TensorProto.FLOAT16)):
        graph = to_float16(model, Half(form))[0].body.graph
        assert {each.type.tensor_type.elem_type for each in (*graph.input, *graph.output)} == {type_}
        assert [each.name for each in graph.output] == [each.name for each in model.body.graph.output]


def test_layers_stay_where_one_says_so_or_the_layer_does():
    model, _ = made()
    kept = to_float16(model, Half(in_float={"stem"}.__contains__))[0]
    assert kept.tensors["stem/weights"].dtype == np.float32
    assert kept.tensors["block/a/weights"].dtype == np.float16
    said, report = to_float16(model, Half(full_precision={"last": "it is large"}.get))
    assert said.tensors["last/weights"].dtype == np.float32
    assert report.float32["it is large"] == 1


def test_weights_beyond_float16_keep_their_layer_in_float32_and_are_named():
    plan = plan_of(NET)
    params = initial_values(plan.variables, 0)
    params["last/weights"][0, 0, 0, 0] = 1e5
    params["stem/weights"] *= 1e-9
    model = compile_plan(plan, params)
    small, report = to_float16(model)
    assert report.too_large == {"last/weights": ("last", pytest.approx(1e5))}
    assert list(report.lost) == ["stem/weights"]
    assert report.zeros >= np.count_nonzero(params["stem/weights"]) * report.lost["stem/weights"] > 0
    assert small.tensors["last/weights"].dtype == np.float32
    assert all(np.isfinite(each).all() for each in run(small, images(plan)))


def test_lost_digits_are_counted():
    array = np.asarray([1.0, 3e-5, 1e-9, 0.0, np.inf, -np.finfo(np.float32).max], np.float32)
    found = half(array)
    assert found[2] == 0
    assert found[4] == np.inf
    assert found[5] == -LARGEST
    assert found[1] != 0


def test_preprocessing_stays_in_float32_whatever_the_inputs_are():
    front = Front((8, 8, 3), (Affine(np.full(3, 1 / 255), np.asarray([0.1, 0.2, 0.3])),))
    plan = plan_of(NET.replace("kernel: 3, activation", "kernel: 3, padding: same, activation"))
    how = Emission(preprocess=lambda plan: {"image": front}, fold=False)
    model = compile_plan(plan, initial_values(plan.variables, 0), how)
    small, _ = to_float16(model, Half("all"))
    (given,) = small.body.graph.input
    assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    bytes_ = {"image": np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)}
    for ours, theirs in zip(run(model, bytes_), run(small, bytes_), strict=True):
        np.testing.assert_allclose(theirs, ours, atol=2e-3 * np.abs(ours).max())


def test_the_tables_name_operators_of_onnx():
    for kind in {*OPERATORS, *FOLLOWS}:
        assert defs.has(kind), kind
    assert not FOLLOWS & OPERATORS.keys()
