"""Multiplications with additions of any ONNX file, counted from its shapes: the peer of a plan's own count.

Counted are the operators that a matrix product could stand for; elementwise operators, pooling and normalization are
not, as in the tables that papers print. Operators that multiply and are not counted here are named, never left out
without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TypeAlias

import onnx
from onnx import NodeProto, shape_inference

from graphc.emit.functions import in_place
from graphc.emit.read import open_model
from graphc.errors import WeightsError
from graphc.files import brief, shown

Shape: TypeAlias = tuple[int, ...]
Shapes: TypeAlias = Sequence[Shape | None]
"""Of a node's inputs, or outputs; None where it is not known."""


class UnknownShape(Exception):
    """A shape that a count needs is not known."""


def _of(shapes: Shapes, index: int) -> Shape:
    found = shapes[index] if index < len(shapes) else None
    if found is None:
        raise UnknownShape
    return found


def _conv(weights: int) -> Callable[[Shapes, Shapes], int]:
    """`weights`: which input they are, [M, C/groups, ...]."""
    return lambda inputs, outputs: prod(_of(outputs, 0)) * prod(_of(inputs, weights)[1:])


def _conv_transpose(inputs: Shapes, outputs: Shapes) -> int:
    return prod(_of(inputs, 0)) * prod(_of(inputs, 1)[1:])


def _matmul(inputs: Shapes, outputs: Shapes) -> int:
    return prod(_of(outputs, 0)) * _of(inputs, 0)[-1]


def _gemm(inputs: Shapes, outputs: Shapes) -> int:
    rows = _of(outputs, 0)[0]
    return prod(_of(outputs, 0)) * (prod(_of(inputs, 0)) // max(rows, 1))


def _recurrent(inputs: Shapes, outputs: Shapes) -> int:
    """Inputs X [T, N, C], W [D, G*H, C], R [D, G*H, H]."""
    length, batch, _ = _of(inputs, 0)
    return length * batch * (prod(_of(inputs, 1)) + prod(_of(inputs, 2)))


COUNTED: Mapping[str, Callable[[Shapes, Shapes], int]] = {
    "Conv": _conv(1), "ConvInteger": _conv(1), "QLinearConv": _conv(3), "ConvTranspose": _conv_transpose,
    "Gemm": _gemm, "MatMul": _matmul, "MatMulInteger": _matmul, "QLinearMatMul": _matmul,
    "LSTM": _recurrent, "GRU": _recurrent, "RNN": _recurrent,
}  # fmt: skip
NOT_COUNTED = ("Attention", "DeformConv", "Einsum", "If", "Loop", "Scan", "SequenceMap")
"""Operators that multiply, or hold others that may."""


NAMED = 10
"""Operators that are named before the others are counted."""


@dataclass(frozen=True, slots=True)
class Macs:
    """What a run of the model multiplies."""

    total: int
    left_out: tuple[str, ...]
    """Operators that were not counted, each once, with how often it stands there: `Einsum (2)`."""


def count_macs(path: str | Path, inputs: Mapping[str, Shape]) -> Macs:
    """The MACs of one run with inputs of these shapes; WeightsError where the file is no ONNX model."""
    model = in_place(open_model(path), path)
    del model.graph.value_info[:]
    for value in model.graph.input:
        if value.name in inputs:
            _set_shape(value, inputs[value.name])
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        model = shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # onnx raises many kinds, by what is wrong
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise WeightsError("G310", f"{shown(path)}: its shapes cannot be found: {brief(said)}") from None
    shapes = _known_shapes(model.graph)
    total, left_out = 0, dict[str, int]()
    for node in model.graph.node:
        try:
            total += _count(node, shapes)
        except (UnknownShape, IndexError, ValueError):
            left_out[node.op_type] = left_out.get(node.op_type, 0) + 1
    named = [f"{brief(kind)} ({count})" for kind, count in list(left_out.items())[:NAMED]]
    return Macs(total, (*named, *([f"and {len(left_out) - NAMED:,} others"] if len(left_out) > NAMED else [])))


def _count(node: NodeProto, shapes: Mapping[str, Shape]) -> int:
    own = node.domain in ("", "ai.onnx")
    if not own or node.op_type in NOT_COUNTED:
        raise UnknownShape
    count = COUNTED.get(node.op_type)
    if count is None:
        return 0
    return count([shapes.get(name) for name in node.input], [shapes.get(name) for name in node.output])


def _set_shape(value: onnx.ValueInfoProto, shape: Shape) -> None:
    value.type.tensor_type.ClearField("shape")
    for size in shape:
        value.type.tensor_type.shape.dim.add().dim_value = size


def _known_shapes(graph: onnx.GraphProto) -> dict[str, Shape]:
    """Name -> shape, of every tensor whose sizes are all known."""
    found = {each.name: tuple(each.dims) for each in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        kind = value.type.tensor_type
        sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim]
        if kind.HasField("shape") and all(size is not None for size in sizes):
            found[value.name] = tuple(size for size in sizes if size is not None)
    return found
