"""Preprocessing in front of a graph: raw images in, N H W C, mostly bytes, what the network was trained on behind.

    image (uint8) -> Cast -> Mul, Add … -> Transpose -> conv1

A factor and an offset a channel go into the first convolutions' weights where that is exact: always for the factor,
for the offset where nothing is padded. Then only the Cast is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from onnx import TensorProto

from graphc.dims import Shape
from graphc.emit.builder import GraphBuilder
from graphc.errors import SpecError
from graphc.graph import Node, readers_of
from graphc.layers.protocols import AbsorbsInput
from graphc.passes.simplify import Inference
from graphc.types import Array, Params

Operation: TypeAlias = tuple[str, tuple[Array, ...], dict[str, Any]]
"""(kind, constants, settings), on images N H W C."""
ELEMENTS = {
    "uint8": TensorProto.UINT8, "int8": TensorProto.INT8, "uint16": TensorProto.UINT16, "int16": TensorProto.INT16,
    "int32": TensorProto.INT32, "float32": TensorProto.FLOAT,
}  # fmt: skip
"""Types that raw values may have."""
AXES_ARE_AN_INPUT = 18
"""From this opset on, ReduceMean's axes are an input."""


@dataclass(frozen=True, slots=True)
class Front:
    """What is done to one input."""

    shape: Shape
    """Of a raw image, H W C; symbols only where all operations are factors and offsets."""
    operations: tuple[Operation, ...]
    element: int = TensorProto.UINT8
    """Type of the raw values; FLOAT for runtimes that take no others."""


def merged(operations: Sequence[Operation]) -> tuple[Operation, ...]:
    """Neighbouring factors and offsets as one."""
    found: list[Operation] = []
    for operation in operations:
        if operation[0] == "affine" and found and found[-1][0] == "affine":
            (scale, offset), (first, start) = operation[1], found.pop()[1]
            found.append(("affine", (first * scale, start * scale + offset), {}))
        else:
            found.append(operation)
    return tuple(found)


def absorb(graph: Inference, fronts: Mapping[str, Front]) -> tuple[Inference, dict[str, Front]]:
    """What can go into the first layers' weights goes there."""
    left: dict[str, Front] = {}
    for name, front in fronts.items():
        graph, left[name] = _absorbed(graph, name, replace(front, operations=merged(front.operations)))
    return graph, left


def _absorbed(graph: Inference, name: str, front: Front) -> tuple[Inference, Front]:
    if not front.operations or front.operations[-1][0] != "affine":
        return graph, front
    scale, offset = front.operations[-1][1]
    channels = graph.shapes[name][-1]
    if scale.ndim != 1 or offset.ndim != 1 or not isinstance(channels, int) or not scale.all():
        return graph, front
    scale, offset = np.broadcast_to(scale, channels), np.broadcast_to(offset, channels)
    readers = readers_of(graph.nodes).get(name, [])
    rest = front.operations[:-1]
    for part, stays in (((scale, offset), ()), ((scale, 0 * offset), (offset / scale,))):
        found = [_absorbing(graph, node, part) for node in readers]
        if all(found):
            kept: list[Operation] = [("affine", (np.ones(1), each), {}) for each in stays]
            changed = {node.name: new for node, new in zip(readers, found, strict=True) if new is not None}
            nodes = tuple(changed[node.name][0] if node.name in changed else node for node in graph.nodes)
            params = {**graph.params, **{key: new for key, (_, new) in changed.items()}}
            return replace(graph, nodes=nodes, params=params), replace(front, operations=(*rest, *kept))
    return graph, front


def _absorbing(graph: Inference, node: Node, affine: tuple[Array, Array]) -> tuple[Node, Params] | None:
    if len(node.inputs) != 1 or not isinstance(node.layer, AbsorbsInput):
        return None
    found = node.layer.absorb_input(graph.params[node.name], *affine, graph.shapes[node.inputs[0]])
    return None if found is None else (replace(node, layer=found[0]), found[1])


def emit_front(build: GraphBuilder, name: str, front: Front) -> str:
    """The nodes; the name of the preprocessed value."""
    value = name
    if front.element != TensorProto.FLOAT:
        value = build.prepare(name, "Cast", value, to=TensorProto.FLOAT)
    shape: tuple[Any, ...] = front.shape
    for operation in front.operations:
        value, shape = _emit(build, name, value, shape, operation)
    return value


def _emit(
    build: GraphBuilder, name: str, value: str, shape: tuple[Any, ...], operation: Operation
) -> tuple[str, tuple[Any, ...]]:
    """One operation: (value, shape) behind it."""
    kind, arrays, settings = operation

    def op(kind: str, *inputs: str, **attributes: Any) -> str:
        return build.prepare(name, kind, *inputs, **attributes)

    def constant(label: str, array: Any, dtype: Any = np.float32) -> str:
        return build.prepared_constant(name, label, np.asarray(array, dtype))

    def mean(values: str) -> str:
        axes = list(range(1, len(shape) + 1))
        if build.opset >= AXES_ARE_AN_INPUT:
            return op("ReduceMean", values, constant("axes", axes, np.int64), keepdims=1)
        return op("ReduceMean", values, axes=axes, keepdims=1)

    match kind:
        case "affine":
            scale, offset = arrays
            value = value if (scale == 1).all() else op("Mul", value, constant("scale", scale))
            value = value if not offset.any() else op("Add", value, constant("offset", offset))
        case "center_each":
            value = op("Sub", value, mean(value))
        case "deviate_each":
            variance = op("Add", mean(op("Mul", value, value)), constant("epsilon", [settings["epsilon"]]))
            value = op("Div", value, op("Sqrt", variance))
        case "mix_channels":
            value, shape = op("MatMul", value, constant("matrix", arrays[0])), (*shape[:-1], arrays[0].shape[1])
        case "mix_all":
            flat = op("Reshape", value, constant("flat", [-1, len(arrays[0])], np.int64))
            mixed = op("MatMul", flat, constant("matrix", arrays[0]))
            value = op("Reshape", mixed, constant("image", [-1, *shape], np.int64))
        case "resize":
            down, right = arrays
            shape = (len(down), len(right), shape[2])
            wide = op("MatMul", constant("right", right), value)  # N H w C
            rows = op("Reshape", wide, constant("rows", [-1, down.shape[1], shape[1] * shape[2]], np.int64))
            tall = op("MatMul", constant("down", down), rows)  # N h (w C)
            value = op("Reshape", tall, constant("resized", [-1, *shape], np.int64))
        case "crop":
            start, size = settings["start"], settings["size"]
            ends = [at + length for at, length in zip(start, size, strict=True)]
            bounds = [constant(a, b, np.int64) for a, b in (("starts", start), ("ends", ends), ("axes", [1, 2]))]
            value, shape = op("Slice", value, *bounds), (*size, shape[2])
        case "edges":
            before, size = settings["start"], settings["size"]
            after = [whole - at - have for whole, at, have in zip(size, before, shape, strict=False)]
            pads = constant("pads", [0, *before, 0, 0, *after, 0], np.int64)
            value, shape = op("Pad", value, pads, constant("fill", settings["fill"])), (*size, shape[2])
        case _:
            raise SpecError("G322", f"there is no preprocessing {kind!r} in ONNX files")
    return value, shape
