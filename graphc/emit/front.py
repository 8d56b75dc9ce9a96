"""Preprocessing in front of a graph: raw images in, N H W C, mostly bytes, what the network was trained on behind.

    image (uint8) -> Cast -> Mul, Add … -> Transpose -> conv1

A factor and an offset a channel go into the first convolutions' weights where that is exact: always for the factor,
for the offset where nothing is padded. Then only the Cast is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from onnx import TensorProto

from graphc.dims import Shape
from graphc.emit.builder import NEWER_FORMS, GraphBuilder
from graphc.emit.operations import Affine, Operation
from graphc.graph import Node, readers_of
from graphc.layers.protocols import AbsorbsInput
from graphc.passes.simplify import Inference
from graphc.types import Array, Params

ELEMENTS = {
    "uint8": TensorProto.UINT8, "int8": TensorProto.INT8, "uint16": TensorProto.UINT16, "int16": TensorProto.INT16,
    "int32": TensorProto.INT32, "float32": TensorProto.FLOAT,
}  # fmt: skip
"""Types that raw values may have."""


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
        before = found[-1] if found else None
        if isinstance(operation, Affine) and isinstance(before, Affine):
            found[-1] = operation.after(before)
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
    last = front.operations[-1] if front.operations else None
    if not isinstance(last, Affine):
        return graph, front
    scale, offset = last.scale, last.offset
    channels = graph.shapes[name][-1]
    if scale.ndim != 1 or offset.ndim != 1 or not isinstance(channels, int) or not scale.all():
        return graph, front
    scale, offset = np.broadcast_to(scale, channels), np.broadcast_to(offset, channels)
    readers = readers_of(graph.nodes).get(name, [])
    rest = front.operations[:-1]
    for part, stays in (((scale, offset), ()), ((scale, 0 * offset), (offset / scale,))):
        found = [_absorbing(graph, node, part) for node in readers]
        if all(found):
            kept = [Affine(np.ones(1), each) for each in stays]
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
        value, shape = operation.emit(_InputBuilder(build, name), value, shape)
    return value


@dataclass(frozen=True, slots=True)
class _InputBuilder:
    """The builder as operations on one input see it."""

    build: GraphBuilder
    input: str

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        return self.build.prepare(self.input, kind, *inputs, **attributes)

    def constant(self, label: str, array: Any, dtype: Any = np.float32) -> str:
        return self.build.prepared_constant(self.input, label, np.asarray(array, dtype))

    def mean(self, value: str, axes: int) -> str:
        over = list(range(1, axes + 1))
        if self.build.opset >= NEWER_FORMS:
            return self.op("ReduceMean", value, self.constant("axes", over, np.int64), keepdims=1)
        return self.op("ReduceMean", value, axes=over, keepdims=1)
