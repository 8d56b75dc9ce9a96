"""A node of a model as the questions of the table see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Literal

import onnx
from onnx import TensorProto, helper

from graphc.emit.model import OnnxModel
from graphc.emit.quantize import CLAMPS
from graphc.types import Array

PAIR = "QuantizeLinear", "DequantizeLinear"
Numbers = Literal["float32", "float16", "int8"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A node with what is known of its inputs."""

    node: onnx.NodeProto
    attributes: Mapping[str, Any]
    shapes: tuple[tuple[int, ...] | None, ...]
    """Of its inputs that are constants, in integers too; None: of the others."""
    ranks: tuple[int | None, ...]
    """Axes of its inputs, with the batch; None: not known."""
    numbers: Numbers
    """In which the node computes: float16 where anything of it is, int8 for what quantizes."""
    reads: str
    """The operator that makes its first input; empty where that is an input or a constant."""
    reads_input: bool
    """Whether that is a picture, sequence or volume that is an input of the model, or the Transpose of one."""
    operators: AbstractSet[str]
    """All that the file has."""
    open_batch: bool
    """Whether the model takes any number of examples."""
    open_sizes: bool
    """Whether an input that is no constant has a size besides the batch that is open."""
    is_unsigned: bool
    """Whether it makes unsigned integers of floats, or floats of them."""
    pads_channels: bool
    """Whether it pads the axis behind the batch, by a constant."""
    rounds_before_sum: bool
    """Whether it is a sum in integers whose convolutions, that it alone reads, are all rounded before."""

    @property
    def operator(self) -> str:
        return str(self.node.op_type)

    @property
    def in_integers(self) -> bool:
        """Whether the file quantizes anything."""
        return PAIR[0] in self.operators

    @property
    def weights(self) -> tuple[int, ...]:
        """The shape of constant weights; empty where there are none."""
        return (self.shapes[1] or ()) if len(self.shapes) > 1 else ()

    @property
    def groups(self) -> int:
        return int(self.attributes.get("group", 1))

    @property
    def channels(self) -> int:
        """That a convolution reads; 0 where its weights are not constant."""
        return self.weights[1] * self.groups if len(self.weights) > 2 else 0

    @property
    def filters(self) -> int:
        """Of a convolution; 0 where its weights are not constant."""
        return self.weights[0] if len(self.weights) > 2 else 0

    @property
    def has_edges(self) -> bool:
        """Whether a convolution or a pooling pads."""
        return any(self.attributes.get("pads", ()))

    @property
    def has_window(self) -> bool:
        """Whether a convolution's kernel is larger than 1 in any axis."""
        return any(size > 1 for size in self.weights[2:])


def seen_nodes(model: OnnxModel) -> Iterator[Seen]:
    """Every node, in order."""
    graph = model.body.graph
    infos = {each.name: each for each in (*graph.input, *graph.value_info, *graph.output)}
    shapes = {name: array.shape for name, array in model.tensors.items()}
    for node in graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in shapes:
            shapes[node.output[0]] = shapes[node.input[0]]
    ranks = {name: len(each.type.tensor_type.shape.dim) for name, each in infos.items()}
    open_values = {name for name, each in infos.items() if _has_open_sizes(each)}
    half = {name for name, each in infos.items() if each.type.tensor_type.elem_type == TensorProto.FLOAT16}
    half |= {name for name, array in model.tensors.items() if array.dtype.name == "float16"}
    half |= {node.output[0] for node in graph.node if node.op_type == "Cast" and _casts_to_half(node)}
    operators = frozenset(node.op_type for node in graph.node)
    nodes = {name: node for node in graph.node for name in node.output}
    makers = {name: str(node.op_type) for name, node in nodes.items()}
    readers = Counter(name for node in graph.node for name in node.input)
    given = {each.name for each in graph.input if ranks[each.name] > 2}
    given |= {node.output[0] for node in graph.node if node.op_type == "Transpose" and node.input[0] in given}
    first = graph.input[0].type.tensor_type.shape.dim
    is_open = bool(first) and not first[0].dim_value
    for node in graph.node:
        if not open_values.isdisjoint(node.input):
            open_values.update(name for name in node.output if name not in infos)
        yield Seen(
            node,
            {each.name: helper.get_attribute_value(each) for each in node.attribute},
            tuple(shapes.get(name) for name in node.input),
            tuple(ranks.get(name) for name in node.input),
            _numbers(node, half),
            makers.get(node.input[0], "") if node.input else "",
            bool(node.input) and node.input[0] in given,
            operators,
            is_open,
            not open_values.isdisjoint(node.input),
            node.op_type in PAIR and model.tensors[node.input[2]].dtype.kind == "u",
            node.op_type == "Pad" and _pads_second_axis(model.tensors.get(node.input[1])),
            node.op_type == "Add" and _rounds(node, nodes, readers),
        )


def _has_open_sizes(value: onnx.ValueInfoProto) -> bool:
    return any(not size.HasField("dim_value") for size in value.type.tensor_type.shape.dim[1:])


def _casts_to_half(node: onnx.NodeProto) -> bool:
    return any(each.name == "to" and each.i == TensorProto.FLOAT16 for each in node.attribute)


def _pads_second_axis(pads: Array | None) -> bool:
    """Of a Pad's constant [2 * axes]: how much before each axis, then how much behind it."""
    return pads is not None and bool(pads.reshape(2, -1)[:, 1].any())


def _rounds(node: onnx.NodeProto, nodes: Mapping[str, onnx.NodeProto], readers: Mapping[str, int]) -> bool:
    """Whether a sum reads convolutions, or what cuts off theirs, through pairs alone, of which one only it reads."""
    found = []
    for name in node.input:
        is_paired = name in nodes and nodes[name].op_type == PAIR[1] and nodes[name].input[0] in nodes
        source = nodes[nodes[name].input[0]].input[0] if is_paired else name
        while source in nodes and nodes[source].op_type in CLAMPS:
            source = nodes[source].input[0]
        if source in nodes and nodes[source].op_type == "Conv" and readers[name] == 1:
            found.append(is_paired)
    return bool(found) and all(found)


def _numbers(node: onnx.NodeProto, half: AbstractSet[str]) -> Numbers:
    if node.op_type in PAIR:
        return "int8"
    return "float32" if half.isdisjoint((*node.input, *node.output)) else "float16"
