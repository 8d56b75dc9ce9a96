"""Initializers of ONNX files: which way matrices lie, and those that graphc compiled."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from graphc import weights
from graphc.conversion import described
from graphc.emit.model import emit, write_model
from graphc.errors import WeightsError
from tests.passes.specs import plan_of
from tests.weights.test_layouts import NET

W = np.arange(6, dtype="f4").reshape(2, 3)


def model(path, *nodes, tensors=("w",)):
    made = [TensorProto(name=name, dims=W.shape, data_type=1, raw_data=W.tobytes()) for name in tensors]
    graph = helper.make_graph(list(nodes), "g", [], [], made)
    path.write_bytes(helper.make_model(graph, producer_name="hand", producer_version="7").SerializeToString())
    return path


@pytest.mark.parametrize(
    ("nodes", "turned"),
    [
        ([helper.make_node("MatMul", ["x", "w"], ["y"])], True),
        ([helper.make_node("MatMul", ["w", "x"], ["y"])], False),
        ([helper.make_node("Gemm", ["x", "w"], ["y"])], True),
        ([helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)], False),
        ([helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Add", ["w", "z"], ["a"])], False),
        ([], False),
    ],
)
def test_matrices_are_read_as_out_and_in(tmp_path, nodes, turned):
    with weights.open_weights(model(tmp_path / "w.onnx", *nodes)) as file:
        assert file.writer == "hand 7"
        assert file.entry("w").shape == ((3, 2) if turned else (2, 3))
        assert np.array_equal(file.read("w"), W.T if turned else W)


def test_two_initializers_of_a_name_are_an_error(tmp_path):
    with pytest.raises(WeightsError, match="expected one initializer w, found two"):
        weights.load(model(tmp_path / "w.onnx", tensors=("w", "w")), {})


@pytest.mark.parametrize("largest", [2**31, 100])
def test_variables_of_a_compiled_file_are_read_back(tmp_path, largest):
    """With 100 bytes as the largest file, the data lie beside it."""
    plan = plan_of(NET)
    rng = np.random.default_rng(0)
    params = {name: rng.random(spec.shape).astype("f4") for name, spec in plan.variables.items()}
    write_model(emit(plan, params, fold=False), tmp_path / "net.onnx", largest=largest)
    values, report = weights.load_variables(tmp_path / "net.onnx", plan)
    assert values.keys() == params.keys()
    assert all(np.array_equal(values[name], params[name]) for name in params)
    assert report.missing == ()


def test_every_beginning_of_a_compiled_file_is_an_error_or_has_all_variables(tmp_path):
    plan = plan_of("inputs: {x: [N, 4]}\nlayers: [{fully_connected: {name: fc, units: 3}}]")
    params = {name: np.full(spec.shape, 2, np.float32) for name, spec in plan.variables.items()}
    data = emit(plan, params, fold=False).serialize()
    path = tmp_path / "net.onnx"
    for length in range(len(data)):
        path.write_bytes(data[:length])
        try:
            values, report = weights.load_variables(path, plan)
            report.raise_if_incomplete()
        except WeightsError:
            continue
        assert {name: array.tolist() for name, array in values.items()} == {n: a.tolist() for n, a in params.items()}


def test_a_folded_file_is_refused(tmp_path):
    plan = plan_of(NET)
    params = {name: np.ones(spec.shape, np.float32) for name, spec in plan.variables.items()}
    write_model(emit(plan, params), tmp_path / "net.onnx")
    with pytest.raises(WeightsError, match="compile with --no-fold"):
        weights.load_variables(tmp_path / "net.onnx", plan)


def test_sparse_initializers_are_not_left_out_without_a_word(tmp_path):
    path = model(tmp_path / "w.onnx")
    made = ModelProto.FromString(path.read_bytes())
    values = TensorProto(name="s", dims=[1], data_type=1, raw_data=bytes(4))
    indices = TensorProto(dims=[1], data_type=7, raw_data=bytes(8))
    made.graph.sparse_initializer.add(values=values, indices=indices, dims=[10])
    path.write_bytes(made.SerializeToString())
    assert "sparse initializers that are left out: '1'" in described(str(path), ema=False)[0]
