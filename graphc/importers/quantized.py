"""Quantized files: weights are numbers again, and values between layers are no longer rounded.

That is for files whose nodes compute with floating-point numbers between QuantizeLinear and DequantizeLinear (QDQ);
nodes that compute with integers stay what no layer says.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from graphc.importers.onnx_graph import OnnxGraph, OnnxNode
from graphc.types import Array

THERE, BACK = "QuantizeLinear", "DequantizeLinear"


def without_rounding(graph: OnnxGraph) -> OnnxGraph:
    """The graph without pairs that round values; constants are dequantized already, as every constant is computed."""
    makers = graph.makers()

    def passed_on(node: OnnxNode) -> OnnxNode:
        before = makers.get(node.inputs[0]) if node.op == BACK else None
        if before is None or before.op != THERE:
            return node
        return OnnxNode("Identity", node.name, before.inputs[:1], node.outputs)

    return graph.with_nodes(map(passed_on, graph.nodes))


def remove_rounding(model: onnx.ModelProto) -> None:
    """The same in a model itself, for onnxruntime."""
    makers = {output: node for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        before = makers.get(node.input[0]) if node.op_type == BACK and node.input else None
        if before is not None and before.op_type == THERE:
            source = before.input[0]
            node.op_type = "Identity"
            del node.input[:], node.attribute[:]
            node.input.append(source)


def dequantized(node: OnnxNode, arrays: Sequence[Array]) -> Array | None:
    """A constant of any shape as numbers, (values - zero point) * scale, where both are one number, or one along the
    node's axis. None where they are laid out otherwise."""
    values, scale, *zero = arrays
    points = zero[0] if zero else np.zeros_like(scale, values.dtype)
    if (
        node.get("block_size", 0)
        or scale.ndim > 1
        or points.size not in (1, scale.size)
        or values.dtype.kind not in "iu"
    ):
        return None
    if scale.size > 1:
        axis = node.get("axis", 1) % values.ndim
        if values.shape[axis] != scale.size:
            return None
        shape = [-1 if each == axis else 1 for each in range(values.ndim)]
        scale, points = scale.reshape(shape), points.reshape(shape) if points.size > 1 else points
    return np.asarray((values.astype(np.int32) - points.astype(np.int32)) * scale.astype(np.float32), np.float32)
