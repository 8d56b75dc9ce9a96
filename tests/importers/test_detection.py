"""Boxes that are decoded and chosen come back as layers; a graph that computes anything else does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from graphc.compiler import compile_plan, plan_model, plan_spec
from graphc.errors import WeightsError
from graphc.importers.onnx_import import Request, import_onnx
from graphc.initializers import initial_values
from graphc.spec.model import read_spec_text

HEAD = """graphc: 1
name: boxes
inputs: {image: [N, 32, 48, 4]}
layers:
  - conv2d: {name: small, filters: FIRST, kernel: 8, stride: 8, padding: same}
  - conv2d: {name: large, filters: SECOND, kernel: 3, stride: 2, padding: 1}
"""
ANCHORS = "[[[16, 16], [24.5, 12.1]], [[48, 32]]]"
FORMS = {
    "decode_distances: {inputs: [small, large], classes: 3, strides: [8, 16], bins: 4}": (19, 19),
    "decode_distances: {inputs: [small, large], classes: 3, strides: [8, 16]}": (7, 7),
    "decode_distances: {inputs: small, classes: 2, background: true, strides: [8]}": (7, 7),
    f"decode_deltas: {{inputs: [small, large], classes: 2, strides: [8, 16], anchors: {ANCHORS}}}": (12, 6),
    f"decode_deltas: {{inputs: [small, large], classes: 1, background: true, strides: [8, 16], anchors: {ANCHORS},"
    " variances: [0.1, 0.1, 0.2, 0.2]}": (12, 6),
}


def written(tmp_path: Path, decode: str, rest: str = "") -> Path:
    first, second = map(str, FORMS[decode])
    text = HEAD.replace("FIRST", first).replace("SECOND", second)
    path = tmp_path / "net.yaml"
    path.write_text(f"{text}  - {decode}\n{rest}")
    plan = plan_spec(path)
    path.with_suffix(".onnx").write_bytes(compile_plan(plan, initial_values(plan.variables, 0)).serialize())
    return path.with_suffix(".onnx")


@pytest.mark.parametrize("decode", FORMS)
def test_boxes_come_back(decode: str, tmp_path: Path) -> None:
    suppression = "non_max_suppression: {detections: 9, score_threshold: 0.3, iou_threshold: 0.45}"
    path = written(tmp_path, decode, f"  - {suppression}\n")
    found = import_onnx(path, Request(graph=True))
    kind, _, arguments = decode.partition(": ")
    plan = plan_model(read_spec_text(found.text, tmp_path / "again.yaml"))
    layers = {node.node.layer.kind: node.node.layer for node in plan.nodes}
    original = {node.node.layer.kind: node.node.layer for node in plan_spec(tmp_path / "net.yaml").nodes}
    assert arguments
    assert layers[kind] == original[kind]
    assert layers["non_max_suppression"] == original["non_max_suppression"]


def test_boxes_of_any_class_come_back(tmp_path: Path) -> None:
    path = written(tmp_path, next(iter(FORMS)), "  - non_max_suppression: {detections: 9, class_agnostic: true}\n")
    assert "class_agnostic: true" in import_onnx(path, Request(graph=True)).text


@pytest.mark.parametrize("constant", ["middles", "signed_strides", "most"])
def test_what_computes_anything_else_is_refused(constant: str, tmp_path: Path) -> None:
    path = written(tmp_path, next(iter(FORMS)), "  - non_max_suppression: {detections: 9}\n")
    model = onnx.load(path)
    (tensor,) = [each for each in model.graph.initializer if each.name.endswith(f"/{constant}")][:1]
    array = numpy_helper.to_array(tensor).copy()
    array.reshape(-1)[-1] += 1
    tensor.CopyFrom(numpy_helper.from_array(np.asarray(array), tensor.name))
    onnx.save(model, path)
    with pytest.raises(WeightsError, match="cannot be said as layers"):
        import_onnx(path, Request(graph=True))
