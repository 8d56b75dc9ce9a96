"""Quantized files: weights are numbers again, and values between layers are no longer rounded.

That is for files whose nodes compute with floating-point numbers between QuantizeLinear and DequantizeLinear (QDQ);
nodes that compute with integers stay what no layer says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnx.numpy_helper

from graphc.importers.onnx_graph import OnnxGraph, OnnxNode
from graphc.types import Array

THERE, BACK = "QuantizeLinear", "DequantizeLinear"


POSITIVE = frozenset({"Relu", "Sigmoid", "Softmax", "HardSigmoid", "Abs", "Exp", "Sqrt"})
"""Operators whose outputs are not below 0."""
KEEPING = frozenset(
    {"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Reshape", "Flatten", "Transpose", "Squeeze",
     "Unsqueeze", "Concat", "Add", "Identity", "Dropout", "ReduceMean", "Slice", "Split"}
)  # fmt: skip
"""Operators whose outputs are not below 0 where their inputs are not."""
UNSIGNED = (0, onnx.TensorProto.UINT8, onnx.TensorProto.UINT16)


def unrounded(graph: OnnxGraph) -> dict[str, OnnxNode]:
    """Of each value that was rounded and made a number again by the same scale, what is left of that.

    Quantizers leave a relu out whose output begins at 0, and a relu6 whose output ends at 6 too, as the integers' range
    cuts the same off: they are put back. Else nothing is left.
    """
    makers = graph.makers()
    positive: set[str] = set()
    found: dict[str, OnnxNode] = {}
    for node in graph.nodes:
        before = makers.get(node.inputs[0]) if node.op == BACK else None
        if before is not None and before.op == THERE and _same_scale(graph, before, node):
            source = before.inputs[0]
            op, attributes = ("Identity", {}) if source in positive else _cut(graph, before)
            found[node.outputs[0]] = OnnxNode(op, node.name, (source,), node.outputs, attributes)
            if op != "Identity" or source in positive:
                positive.update(node.outputs)
        elif node.op in POSITIVE or (node.op in KEEPING and positive.issuperset(node.inputs)):
            positive.update(node.outputs)
    return found


def _same_scale(graph: OnnxGraph, there: OnnxNode, back: OnnxNode) -> bool:
    """Whether both have the same scale and zero point, and the same axis."""
    arrays = [[graph.constants.get(name) for name in (*node.inputs[1:], "", "")[:2]] for node in (there, back)]
    (one, zero), (other, point) = arrays
    if one is None or other is None or there.get("axis", 1) != back.get("axis", 1):
        return False
    points = [np.zeros(1) if each is None else np.asarray(each).astype(np.int64).reshape(-1) for each in (zero, point)]
    alike = points[0].size == points[1].size or 1 in (points[0].size, points[1].size)
    return bool(np.array_equal(one, other) and alike and (points[0] == points[1]).all())


def _cut(graph: OnnxGraph, there: OnnxNode) -> tuple[str, dict[str, float]]:
    """The operator that does what the range of a QuantizeLinear's integers does around 0."""
    zero = graph.constants.get(there.inputs[2]) if len(there.inputs) > 2 else None
    if zero is None:
        unsigned = there.get("output_dtype", 0) in UNSIGNED
        zero = np.zeros(1, np.uint8 if unsigned else np.int8)
    if zero.dtype.kind not in "iu" or (zero != np.iinfo(zero.dtype).min).any():
        return "Identity", {}
    steps = np.iinfo(zero.dtype).max - zero.astype(np.float64)
    six = np.allclose(steps * graph.constants[there.inputs[1]], 6, rtol=1e-3)
    return ("Clip", {"min": 0.0, "max": 6.0}) if six else ("Relu", {})


def without_rounding(graph: OnnxGraph, instead: Mapping[str, OnnxNode]) -> OnnxGraph:
    """The graph without pairs that round values; constants are dequantized already, as every constant is computed.
    `instead`: as `unrounded` gives it."""
    return graph.with_nodes(instead.get(node.outputs[0], node) for node in graph.nodes)


def remove_rounding(model: onnx.ModelProto, instead: Mapping[str, OnnxNode]) -> None:
    """The same in a model itself, for onnxruntime; `instead`: as `unrounded` gives it."""
    limits = {"graphc.lowest": 0.0, "graphc.highest": 6.0}
    for name, value in limits.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value, np.float32), name))
    for node in model.graph.node:
        left = instead.get(node.output[0]) if node.op_type == BACK else None
        if left is not None:
            node.op_type = left.op
            del node.input[:], node.attribute[:]
            node.input.extend([*left.inputs, *(limits if left.op == "Clip" else ())])


def dequantized(node: OnnxNode, arrays: Sequence[Array]) -> Array | None:
    """A constant of any shape as numbers, (values - zero point) * scale, where both are one number, or one along the
    node's axis. None where they are laid out otherwise."""
    values, scale, *zero = arrays
    points = zero[0] if zero else np.zeros_like(scale, values.dtype)
    if (
        node.get("block_size", 0)
        or max(scale.ndim, points.ndim) > 1
        or scale.size < 1
        or points.size not in (1, scale.size)
        or scale.size > 1 > values.ndim
        or values.dtype.kind not in "iu"
    ):
        return None
    if scale.size > 1:
        axis = node.get("axis", 1) % values.ndim
        if values.shape[axis] != scale.size:
            return None
        shape = [-1 if each == axis else 1 for each in range(values.ndim)]
        scale, points = scale.reshape(shape), points.reshape(shape if points.size > 1 else ())
    else:
        scale, points = scale.reshape(()), points.reshape(())
    return np.asarray((values.astype(np.int32) - points.astype(np.int32)) * scale.astype(np.float32), np.float32)
