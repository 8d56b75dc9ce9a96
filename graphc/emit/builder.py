"""GraphBuilder: what layers see of ONNX (`graphc.onnx_builder.OnnxBuilder`).

Names come from the spec: the first node of a layer has the layer's name, further ones `layer/OpType`; the layer's
result has the layer's name, or the output's where it is one; initializers have the variables' full names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import PurePath
from typing import Any

import numpy as np
import onnx
from onnx import defs, helper

from graphc.dims import Dim, Shape, is_image
from graphc.emit.arrays import copy
from graphc.errors import RuleError
from graphc.graph import LayerGraph, Node
from graphc.onnx_builder import Value as AnyValue
from graphc.types import Array

TO_CHANNELS_LAST = [0, 2, 3, 1]
TO_CHANNELS_FIRST = [0, 3, 1, 2]


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of the graph; see `graphc.onnx_builder.Value`."""

    name: str
    shape: Shape
    flat_order: Shape | None = None


class Names:
    """Hands out names, each once."""

    def __init__(self, taken: set[str]) -> None:
        self._taken = taken

    def unique(self, name: str) -> str:
        """`name`, or name_2, name_3 … where it is taken."""
        found, count = name, 1
        while found in self._taken:
            count += 1
            found = f"{name}_{count}"
        self._taken.add(found)
        return found


class GraphBuilder:
    """Collects nodes and initializers, one layer after the other."""

    def __init__(self, graph: LayerGraph, opset: int, reserved: set[str], inner_order: Mapping[str, bool]) -> None:
        """`reserved` names belong to inputs and outputs; `inner_order` says of each layer whether all readers of
        its output can take a flattened image in C H W order."""
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: dict[str, Array] = {}
        """Initializers by name; arrays may be views in any order."""
        self._graph = graph
        self._inner_order = inner_order
        self._value_names = Names(set(reserved))
        self._node_names = Names(set())
        self._channels_last: dict[str, Value] = {}
        """N C H W value -> the graph input that it is the transpose of."""
        self._node: Node | None = None
        self._first = 0
        self._constants: dict[str, str] = {}

    # -- layers, in order ------------------------------------------------------------------------------------

    def image_input(self, name: str, shape: Shape, preprocessed: str | None = None) -> Value:
        """The N C H W form of an N H W C graph input, or of what preprocessing makes of it."""
        source = Value(preprocessed or name, shape)
        node = helper.make_node(
            "Transpose", [source.name], [self._value_names.unique(f"{name}/Transpose")], perm=TO_CHANNELS_FIRST
        )
        node.name = self._node_names.unique(f"{name}/Transpose")
        node.doc_string = f"input {name}: N H W C to N C H W"
        self.nodes.append(node)
        value = Value(node.output[0], shape)
        self._channels_last[value.name] = source
        return value

    def prepare(self, name: str, kind: str, *inputs: str, **attributes: Any) -> str:
        """A node of an input's preprocessing; its value's name."""
        _require(kind, self.opset)
        full = f"{name}/preprocess/{kind}"
        node = helper.make_node(kind, list(inputs), [self._value_names.unique(full)], **attributes)
        node.name = self._node_names.unique(full)
        node.doc_string = f"preprocessing of {name}"
        self.nodes.append(node)
        found: str = node.output[0]
        return found

    def prepared_constant(self, name: str, label: str, array: Array) -> str:
        """An initializer of any shape that the preprocessing of the input `name` reads."""
        full = self._value_names.unique(f"{name}/preprocess/{label}")
        self.tensors[full] = array
        return full

    def begin(self, node: Node) -> None:
        """What follows belongs to this layer."""
        self._node = node
        self._first = len(self.nodes)
        self._constants = {}

    def end(self, result: AnyValue, name: str | None) -> Value:
        """The layer's result under the name of the output that it is, or else the layer's.

        A layer that did nothing gives its input back, under the name that it has.
        """
        assert self._node is not None
        own = self.nodes[self._first :]
        value = Value(result.name, result.shape, result.flat_order)
        if all(value.name not in node.output for node in own):
            return value
        chosen = name or self._value_names.unique(self._node.name)
        for node in own:
            _rename(node.input, value.name, chosen)
            _rename(node.output, value.name, chosen)
        return replace(value, name=chosen)

    def rename(self, source: str, output: str) -> None:
        """A graph output that has another's value: the only use of Identity."""
        self.nodes.append(
            helper.make_node("Identity", [source], [output], name=self._node_names.unique(f"{output}/Identity"))
        )

    def image_output(self, source: str, output: str) -> None:
        """A graph output that is an N C H W value as N H W C."""
        if source in self._channels_last:
            self.rename(self._channels_last[source].name, output)
            return
        node = helper.make_node("Transpose", [source], [output], perm=TO_CHANNELS_LAST)
        node.name = self._node_names.unique(f"{output}/Transpose")
        node.doc_string = f"output {output}: N C H W to N H W C"
        self.nodes.append(node)

    def drop_unread(self, outputs: set[str]) -> None:
        """Remove the transposes of inputs that only channels-last readers use."""
        read = outputs.union(*(node.input for node in self.nodes))
        self.nodes = [n for n in self.nodes if n.output[0] in read or n.output[0] not in self._channels_last]

    # -- OnnxBuilder -----------------------------------------------------------------------------------------

    def op(self, kind: str, *inputs: AnyValue | str | None, shape: Shape | None = None, **attributes: Any) -> Value:
        assert self._node is not None
        _require(kind, self.opset)
        first = next(value for value in inputs if value is not None and not isinstance(value, str))
        names = ["" if value is None else value if isinstance(value, str) else value.name for value in inputs]
        while not names[-1]:  # tract panics at an empty name at the end
            names.pop()
        layer = self._node.name
        node = helper.make_node(kind, names, [self._value_names.unique(f"{layer}/{kind}")], **attributes)
        node.name = self._node_names.unique(layer if len(self.nodes) == self._first else f"{layer}/{kind}")
        node.doc_string = f"{layer} {PurePath(self._node.place.path).name}:{self._node.place.line}"
        self.nodes.append(node)
        if shape is None:
            return Value(node.output[0], first.shape, first.flat_order)
        return Value(node.output[0], shape)

    def constant(self, name: str, array: Array) -> str:
        assert self._node is not None
        if name in self._constants:
            return self._constants[name]
        full = self._graph.variable(self._node, name)
        known = self.tensors.get(full)
        if known is None or known.shape != array.shape or not np.array_equal(known, array):
            full = self._value_names.unique(full)
            self.tensors[full] = array
        self._constants[name] = full
        return full

    def in_channel_order(self, vector: Array, value: AnyValue) -> Array:
        if value.flat_order is None or vector.ndim == 0:
            return vector
        lead = vector.shape[:-1]
        spread = np.moveaxis(vector.reshape(*lead, *_integers(value.flat_order)), -1, len(lead))  # … c h w
        ordered = np.empty(spread.shape, spread.dtype)
        copy(spread, ordered)
        return ordered.reshape(*lead, -1)

    def flatten(self, value: AnyValue) -> AnyValue:
        if len(value.shape) == 1:
            return value
        size = _product(value.shape)
        if not is_image(value.shape) or value.shape[:2] == (1, 1) or value.shape[2] == 1:
            return self.op("Flatten", value, shape=(size,), axis=1)
        assert self._node is not None
        if self._inner_order.get(self._node.name, False):
            return Value(self.op("Flatten", value, axis=1).name, (size,), flat_order=value.shape)
        return self.op("Flatten", self.channels_last(value), shape=(size,), axis=1)

    def in_order(self, value: AnyValue) -> AnyValue:
        if value.flat_order is None:
            return value
        height, width, channels = _integers(value.flat_order)
        sizes = self.constant("unflattened", np.array([-1, channels, height, width], np.int64))
        image = self.op("Reshape", value, sizes, shape=value.flat_order)
        return self.op("Flatten", self.channels_last(image), shape=value.shape, axis=1)

    def channels_last(self, value: AnyValue) -> AnyValue:
        if not is_image(value.shape):
            return value
        if value.name in self._channels_last:
            return self._channels_last[value.name]
        return self.op("Transpose", value, perm=TO_CHANNELS_LAST)

    def channels_first(self, value: AnyValue, shape: Shape) -> AnyValue:
        if not is_image(shape):
            return Value(value.name, shape)
        return self.op("Transpose", value, shape=shape, perm=TO_CHANNELS_FIRST)


@cache
def _require(kind: str, opset: int) -> None:
    """A RuleError where this opset has no such operator."""
    try:
        schema = defs.get_schema(kind, opset, "")
    except defs.SchemaError:
        since = min((s.since_version for s in defs.get_all_schemas_with_history() if s.name == kind), default=None)
        needs = f"needs opset {since}" if since else "is no ONNX operator"
        raise RuleError("G321", f"ONNX's {kind} {needs}, and {opset} was asked for") from None
    if schema.deprecated:
        raise RuleError("G321", f"ONNX's {kind} is deprecated in opset {opset}")


def _rename(names: Any, old: str, new: str) -> None:
    for index, name in enumerate(names):
        if name == old:
            names[index] = new


def _integers(shape: Shape) -> tuple[int, ...]:
    sizes = tuple(size for size in shape if isinstance(size, int))
    assert len(sizes) == len(shape), shape
    return sizes


def _product(shape: Shape) -> Dim:
    size: Dim = 1
    for factor in shape:
        size = factor * size if isinstance(size, int) else size * factor
    return size
