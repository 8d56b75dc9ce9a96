"""MACs of any ONNX file: equal to the plan's own count, and to what papers and libraries print."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import TensorProto, helper

from graphc.compiler import compile_plan, plan_spec
from graphc.emit.macs import count_macs
from graphc.emit.model import emit, write_model
from graphc.graph import Plan
from graphc.initializers import initial_values
from tests.passes.specs import plan_of

BODY = {
    "grouped": "layers: [{conv2d: {filters: 8, kernel: 3, groups: 2, padding: same}}]",
    "depthwise": "layers: [{depthwise_conv2d: {kernel: 3, stride: 2}}]",
    "transposed": "layers: [{conv2d_transpose: {filters: 5, kernel: 4, stride: 2}}]",
    "dense": "layers: [flatten, {fully_connected: {units: 7}}, {fully_connected: {units: 3}}]",
}


def macs_of(plan: Plan) -> int:
    return sum(each.macs or 0 for each in plan.nodes)


@pytest.mark.parametrize("name", BODY)
@pytest.mark.parametrize("batch", [1, 3])
def test_as_the_plan_counts(tmp_path: Path, name: str, batch: int) -> None:
    plan = plan_of(f"inputs: {{image: [N, 12, 10, 4]}}\n{BODY[name]}")
    write_model(emit(plan, initial_values(plan.variables, 0)), tmp_path / "net.onnx")
    found = count_macs(tmp_path / "net.onnx", {"image": (batch, 12, 10, 4)})
    assert (found.total, found.left_out) == (batch * macs_of(plan), ())


def test_recurrent_layers(tmp_path: Path) -> None:
    plan = plan_of("inputs: {x: [N, 6, 5]}\nlayers: [{lstm: {units: 4, bidirectional: true}}, {gru: {units: 3}}]")
    write_model(emit(plan, initial_values(plan.variables, 0)), tmp_path / "net.onnx")
    found = count_macs(tmp_path / "net.onnx", {"x": (2, 6, 5)})
    # gates * (inputs + units) * units * steps, both ways
    assert found.total == 2 * 6 * (2 * 4 * (5 + 4) * 4 + 3 * (8 + 3) * 3)


def test_the_published_count_of_resnet18(tmp_path: Path) -> None:
    """1.81 G in torchvision's table of models; to the last digit what fvcore counts there."""
    plan = plan_spec("resnet18")
    write_model(compile_plan(plan, initial_values(plan.variables, 0)), tmp_path / "net.onnx")
    found = count_macs(tmp_path / "net.onnx", {plan.graph.inputs[0].name: (1, 224, 224, 3)})
    assert (found.total, found.left_out) == (1_814_073_344, ())


def test_what_is_not_counted_is_named(tmp_path: Path) -> None:
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2]) for name in "xyz"]
    nodes = [
        helper.make_node("Einsum", ["x", "x"], ["a"], equation="ij,jk->ik"),
        helper.make_node("Einsum", ["a", "x"], ["y"], equation="ij,jk->ik"),
        helper.make_node("MatMul", ["y", "x"], ["b"]),
        helper.make_node("Own", ["b"], ["z"], domain="someone"),
    ]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("someone", 1)]
    model = helper.make_model(helper.make_graph(nodes, "g", ports[:1], ports[2:]), ir_version=8, opset_imports=opsets)
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    found = count_macs(tmp_path / "net.onnx", {"x": (2, 2)})
    assert (found.total, found.left_out) == (8, ("Einsum (2)", "Own (1)"))
