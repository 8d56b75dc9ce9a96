"""GraphBuilder: what layers see of ONNX (`graphc.onnx_builder.OnnxBuilder`).

Names come from the spec: the first node of a layer has the layer's name, further ones `layer/OpType`; the layer's
result has the layer's name, or the output's where it is one; initializers have the variables' full names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import PurePath
from typing import Any

import numpy as np
import onnx
from onnx import defs, helper

from graphc.dims import Dim, Shape, is_image, is_sequence, is_spatial
from graphc.emit.arrays import copy
from graphc.errors import RuleError
from graphc.graph import LayerGraph, Node
from graphc.onnx_builder import Value as AnyValue
from graphc.types import Array

NEWER_FORMS = 18
"""From this opset on, a reduction's axes are an input, as ReduceSum's are in 13, and Split says into how many parts."""
MOST_OF_A_LAYER = 2_000
"""Nodes; a layer whose arguments ask for more, pixel by pixel, is refused."""
MOST_NODES = 500_000
"""In a file."""
AXES_INSIDE = {2: "C L", 3: "C H W", 4: "C D H W"}
"""Rank of an example -> its axes with the channels first."""
AXES_OUTSIDE = {2: "L C", 3: "H W C", 4: "D H W C"}


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of the graph; see `graphc.onnx_builder.Value`."""

    name: str
    shape: Shape
    flat_order: Shape | None = None
    channels_first: bool = False

    def axis(self, index: int) -> int:
        rank = len(self.shape)
        index %= rank
        if not self.channels_first:
            return index + 1
        return 1 if index == rank - 1 else index + 2

    @property
    def inner_shape(self) -> Shape:
        """One example's shape as it lies."""
        return (self.shape[-1], *self.shape[:-1]) if self.channels_first else self.shape


def lies_channels_first(shape: Shape) -> bool:
    """Whether values of this shape always have their channels first between layers: images and volumes."""
    return len(shape) in (3, 4)


def to_channels_last(rank: int) -> list[int]:
    """The permutation from N C and `rank` - 1 spatial axes to N, these and C."""
    return [0, *range(2, rank + 1), 1]


def to_channels_first(rank: int) -> list[int]:
    """The permutation from N, `rank` - 1 spatial axes and C to N C and these."""
    return [0, rank, *range(1, rank)]


class Names:
    """Hands out names, each once."""

    def __init__(self, taken: set[str]) -> None:
        self._taken = taken
        self._last: dict[str, int] = {}
        """The last number behind each name."""

    def unique(self, name: str) -> str:
        """`name`, or name_2, name_3 … where it is taken."""
        found, count = name, self._last.get(name, 1)
        while found in self._taken:
            count += 1
            found = f"{name}_{count}"
        self._taken.add(found)
        self._last[name] = count
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
        self._sources: dict[str, Value] = {}
        """Name of a transposed value -> what it is the transpose of."""
        self._transposed: dict[str, Value] = {}
        """Name of a sequence or volume -> its transpose, which all that ask for it share."""
        self._node: Node | None = None
        self._first = 0
        self._constants: dict[str, str] = {}

    # -- layers, in order ------------------------------------------------------------------------------------

    def transposed_input(self, name: str, shape: Shape, preprocessed: str | None = None) -> Value:
        """The N C H W form of an N H W C graph input, or of what preprocessing makes of it; of a volume alike."""
        source = Value(preprocessed or name, shape)
        rank = len(shape)
        node = helper.make_node(
            "Transpose", [source.name], [self._value_names.unique(f"{name}/Transpose")], perm=to_channels_first(rank)
        )
        node.name = self._node_names.unique(f"{name}/Transpose")
        node.doc_string = f"input {name}: N {AXES_OUTSIDE[rank]} to N {AXES_INSIDE[rank]}"
        self.nodes.append(node)
        value = Value(node.output[0], shape, channels_first=True)
        self._sources[value.name] = source
        return value

    def prepare(self, name: str, kind: str, *inputs: str, **attributes: Any) -> str:
        """A node of an input's preprocessing; its value's name."""
        require_operator(kind, self.opset)
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
        value = Value(result.name, result.shape, result.flat_order, result.channels_first)
        if all(value.name not in node.output for node in own):
            return value
        if self.is_transposed_at_output(value):
            name = None
        chosen = name or self._value_names.unique(self._node.name)
        for node in own:
            _rename(node.input, value.name, chosen)
            _rename(node.output, value.name, chosen)
        found = replace(value, name=chosen)
        if value.name in self._transposed:
            other = self._transposed[chosen] = self._transposed.pop(value.name)
            self._transposed[other.name] = found
        return found

    def rename(self, source: str, output: str) -> None:
        """A graph output that has another's value: the only use of Identity."""
        self.nodes.append(
            helper.make_node("Identity", [source], [output], name=self._node_names.unique(f"{output}/Identity"))
        )

    @staticmethod
    def is_transposed_at_output(value: AnyValue) -> bool:
        """Whether a graph output with this value is another, whatever the layout of images: sequences are N L C."""
        return is_sequence(value.shape) and value.channels_first

    def transposed_output(self, value: Value, output: str) -> None:
        """A graph output that has the channels last, where the value has them first."""
        if value.name in self._sources:
            self.rename(self._sources[value.name].name, output)
            return
        rank = len(value.shape)
        node = helper.make_node("Transpose", [value.name], [output], perm=to_channels_last(rank))
        node.name = self._node_names.unique(f"{output}/Transpose")
        node.doc_string = f"output {output}: N {AXES_INSIDE[rank]} to N {AXES_OUTSIDE[rank]}"
        self.nodes.append(node)

    def drop_unread(self, outputs: set[str]) -> None:
        """Remove the transposes of inputs that only channels-last readers use."""
        read = outputs.union(*(node.input for node in self.nodes))
        self.nodes = [n for n in self.nodes if n.output[0] in read or n.output[0] not in self._sources]

    # -- OnnxBuilder -----------------------------------------------------------------------------------------

    def op(
        self,
        kind: str,
        *inputs: AnyValue | str | None,
        shape: Shape | None = None,
        channels_first: bool | None = None,
        **attributes: Any,
    ) -> Value:
        (name,) = self._add_node(kind, inputs, 1, attributes)
        first = next(value for value in inputs if value is not None and not isinstance(value, str))
        if shape is None:
            shape, order = first.shape, first.flat_order
        else:
            order = None
        if channels_first is None:
            alike = len(shape) == len(first.shape)
            channels_first = first.channels_first if alike else lies_channels_first(shape)
        return Value(name, shape, order, channels_first)

    def op_several(
        self, kind: str, *inputs: AnyValue | str | None, shapes: Sequence[Shape], **attributes: Any
    ) -> list[Value]:
        names = self._add_node(kind, inputs, len(shapes), attributes)
        return [
            Value(name, shape, channels_first=lies_channels_first(shape))
            for name, shape in zip(names, shapes, strict=True)
        ]

    def _add_node(
        self, kind: str, inputs: Sequence[AnyValue | str | None], outputs: int, attributes: Mapping[str, Any]
    ) -> list[str]:
        """A node of the layer; the names of its outputs."""
        assert self._node is not None
        require_operator(kind, self.opset)
        if max(len(self.nodes) - self._first, outputs) >= MOST_OF_A_LAYER or len(self.nodes) >= MOST_NODES:
            most = f"{MOST_OF_A_LAYER:,} operators of a layer, and {MOST_NODES:,} in all"
            raise RuleError("G207", f"expected at most {most}")
        if self.opset >= NEWER_FORMS:
            inputs, attributes = self._newer_form(kind, inputs, outputs, attributes)
        names = ["" if value is None else value if isinstance(value, str) else value.name for value in inputs]
        while not names[-1]:  # tract panics at an empty name at the end
            names.pop()
        layer = self._node.name
        results = [self._value_names.unique(f"{layer}/{kind}") for _ in range(outputs)]
        node = helper.make_node(kind, names, results, **attributes)
        node.name = self._node_names.unique(layer if len(self.nodes) == self._first else f"{layer}/{kind}")
        node.doc_string = f"{layer} {PurePath(self._node.place.path).name}:{self._node.place.line}"
        self.nodes.append(node)
        return results

    def _newer_form(
        self, kind: str, inputs: Sequence[AnyValue | str | None], outputs: int, attributes: Mapping[str, Any]
    ) -> tuple[Sequence[AnyValue | str | None], Mapping[str, Any]]:
        """Inputs and attributes as operators have them from opset 18 on, of those that layers write as in opset 17."""
        if kind.startswith("Reduce") and "axes" in attributes:
            axes = attributes["axes"]
            names = self.constant(f"axes_{'_'.join(map(str, axes))}", np.asarray(axes, np.int64))
            return [*inputs, names], {name: value for name, value in attributes.items() if name != "axes"}
        if kind == "Split" and len(inputs) == 1:
            return inputs, {**attributes, "num_outputs": outputs}
        return inputs, attributes

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
        if not value.channels_first or value.shape[-1] == 1 or all(size == 1 for size in value.shape[:-1]):
            return self.op("Flatten", value, shape=(size,), axis=1)
        assert self._node is not None
        if self._inner_order.get(self._node.name, False):
            return Value(self.op("Flatten", value, axis=1).name, (size,), flat_order=value.shape)
        return self.op("Flatten", self.channels_last(value), shape=(size,), axis=1)

    def in_order(self, value: AnyValue) -> AnyValue:
        if value.flat_order is None:
            return value
        *places, channels = _integers(value.flat_order)
        sizes = self.constant("unflattened", np.array([-1, channels, *places], np.int64))
        spread = self.op("Reshape", value, sizes, shape=value.flat_order, channels_first=True)
        return self.op("Flatten", self.channels_last(spread), shape=value.shape, axis=1)

    def channels_last(self, value: AnyValue) -> AnyValue:
        if not value.channels_first:
            return value
        return self._transpose(value, to_channels_last(len(value.shape)))

    def channels_first(self, value: AnyValue) -> AnyValue:
        if value.channels_first or not is_spatial(value.shape):
            return value
        return self._transpose(value, to_channels_first(len(value.shape)))

    def between_layers(self, value: AnyValue) -> AnyValue:
        return self.channels_first(value) if lies_channels_first(value.shape) else value

    def as_first(self, values: Sequence[AnyValue]) -> list[AnyValue]:
        sequences = [value for value in values if is_sequence(value.shape)]
        if len({value.channels_first for value in sequences}) < 2:
            return list(values)
        lay = self.channels_first if sequences[0].channels_first else self.channels_last
        return [lay(value) if is_sequence(value.shape) else value for value in values]

    def _transpose(self, value: AnyValue, perm: list[int]) -> Value:
        """The value lying the other way; of an input what it was, of a sequence or a volume always the same one."""
        if value.name in self._sources:
            return self._sources[value.name]
        if value.name in self._transposed:
            return self._transposed[value.name]
        result = self.op("Transpose", value, perm=perm, channels_first=not value.channels_first)
        if not is_image(value.shape):
            self._transposed[value.name] = result
            self._transposed[result.name] = Value(value.name, value.shape, channels_first=value.channels_first)
        return result


@cache
def require_operator(kind: str, opset: int) -> None:
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
