"""One form of every operator, whatever the opset: what used to be an attribute and became an input is an attribute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from graphc.importers.onnx_graph import OnnxNode
from graphc.types import Array

INPUTS: Mapping[str, tuple[str, ...]] = {
    "Clip": ("min", "max"),
    "Pad": ("pads", "value", "axes"),
    "ReduceL1": ("axes",),
    "ReduceL2": ("axes",),
    "ReduceMax": ("axes",),
    "ReduceMean": ("axes",),
    "ReduceMin": ("axes",),
    "ReduceSum": ("axes",),
    "ReduceSumSquare": ("axes",),
    "Reshape": ("shape",),
    "Resize": ("roi", "scales", "sizes"),
    "Slice": ("starts", "ends", "axes", "steps"),
    "Split": ("split",),
    "Squeeze": ("axes",),
    "Unsqueeze": ("axes",),
    "Upsample": ("scales",),
}
"""Operator -> what its inputs behind the first are, where they are constants."""
OLD_RESIZE = 11
"""Before this opset, Resize's second input is scales."""
OLD_NAMES = {("Pad", "paddings"): "pads"}


def canonical(node: OnnxNode, constants: Mapping[str, Array], opset: int) -> OnnxNode:
    """The node with its constant inputs, of any shape, as attributes; one that is computed stays an input."""
    names = INPUTS.get(node.op)
    if names is None:
        return node
    if node.op == "Resize" and opset < OLD_RESIZE:
        names = ("scales",)
        node = replace(
            node,
            attributes={"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            | dict(node.attributes),
        )
    attributes = {OLD_NAMES.get((node.op, name), name): value for name, value in node.attributes.items()}
    kept = [node.inputs[0]]
    for name, source in zip(names, node.inputs[1:], strict=False):
        if not source:
            continue
        if source not in constants:
            kept.append(source)
            continue
        array = np.asarray(constants[source])
        if array.size or name not in ("roi", "scales", "sizes"):
            attributes[name] = array.reshape(-1).tolist() if array.ndim else array.item()
    return replace(node, inputs=tuple(kept), attributes=attributes)
