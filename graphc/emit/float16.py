"""A float32 model in half precision: weights and activations in float16, but where that is not enough.

float16 has 11 binary digits and ends at 65504; below 6.1e-5 it has fewer digits, and below 3e-8 nothing. Which nodes
stay in float32 stands in `OPERATORS`, with the reason; so do squares (a node that multiplies a value with itself), the
preprocessing of raw images, layers that say so themselves (`Layer.full_precision`), nodes whose constants float16 does
not hold, and what ONNX has in float32 alone. What computes nothing but sums and products of float32 values, or only
moves them, stays there with them (`FOLLOWS`), so that a norm is in float32 from its squares to its quotient.

A value that is read in the other type goes through one Cast, which all of its readers there share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, defs, helper

from graphc.emit.inner import element_types
from graphc.emit.model import OnnxModel, check
from graphc.emit.quantize import layer_of
from graphc.types import Array

Form: TypeAlias = Literal["inside", "all"]
"""Whether inputs and outputs stay in float32, or are in float16 too."""

LARGEST = float(np.finfo(np.float16).max)
NORMAL = float(np.finfo(np.float16).tiny)
"""The least number with all digits."""
LIMIT = float(np.finfo(np.float32).max)
"""What stands for minus or plus infinity in a float32 model."""
MUCH = 0.01
"""Share of a variable's numbers."""
LARGE_PLANE = 1024
"""Positions of a plane whose mean is not taken in float16."""

SUMS = "a sum of many float16 numbers loses its last ones"
SQUARES = "a value above 255 has no square in float16"
GROWS = "e to the power of 12 is beyond float16"
OPERATORS: Mapping[str, str] = {
    "BatchNormalization": "variances may be too small or too large for float16",
    "Cast": "whole numbers beyond 2048 are not all in float16",
    "CumSum": SUMS,
    "Exp": GROWS,
    "InstanceNormalization": SQUARES,
    "LRN": SQUARES,
    "LayerNormalization": SQUARES,
    "Log": "small numbers, whose logarithms are large, have few digits in float16",
    "LogSoftmax": GROWS,
    "LpNormalization": SQUARES,
    "Pow": SQUARES,
    "ReduceMean": SUMS,
    "ReduceSum": SUMS,
    "Softmax": GROWS,
    "Softplus": GROWS,
    "Sqrt": "small numbers have few digits in float16",
}
"""ONNX operator -> why it stays in float32."""
FOLLOWS = frozenset(
    {
        *("Abs", "Add", "Clip", "Concat", "Div", "Expand", "Flatten", "Gather", "GatherND", "Identity", "Max", "Min"),
        *("Mul", "Neg", "Pad", "Reshape", "ScatterND", "Slice", "Split", "Squeeze", "Sub", "Tile", "Transpose"),
        *("Unsqueeze", "Where"),
    }
)
"""Operators that stay in float32 where all floats that they read are there."""


@dataclass(frozen=True, slots=True)
class HalfReport:
    """What became of a model."""

    float32: Mapping[str, int]
    """Reason -> how many nodes stay in float32 for it."""
    nodes: int
    """That compute with floats."""
    too_large: Mapping[str, tuple[str, float]]
    """Variables that float16 does not hold, whose nodes stay in float32: their layers, and the largest values."""
    numbers: int
    """Of weights in float16."""
    zeros: int
    """Of these, that were not 0 and are now."""
    lost: Mapping[str, float]
    """Variables of which MUCH or more has become 0, and the share that has."""
    subnormal: int
    """Of these, that have lost digits because they are small."""


@dataclass(frozen=True, slots=True)
class Half:
    """How a model becomes one of half precision."""

    form: Form = "inside"
    in_float: Callable[[str], bool] = lambda layer: False
    """Layers, by name, that stay in float32."""
    full_precision: Callable[[str], str] = lambda layer: ""
    """Why a layer, by name, stays in float32; empty where its operators decide."""


def to_float16(model: OnnxModel, how: Half = Half()) -> tuple[OnnxModel, HalfReport]:
    """The model in half precision. Tensors keep their names, end points are of the type that they have been computed
    in."""
    choice = _Choice(model, how)
    writer = _Writer(model, choice, how.form)
    body = onnx.ModelProto()
    body.CopyFrom(model.body)
    del body.graph.node[:]
    body.graph.node.extend(writer.written())
    for info in (*body.graph.input, *body.graph.output, *body.graph.value_info):
        if info.name in writer.declared:
            info.type.tensor_type.elem_type = writer.declared[info.name]
    known = {each.key: each.value for each in body.metadata_props}
    helper.set_model_props(body, dict(sorted({**known, "graphc.float16": how.form}.items())))
    found = OnnxModel(body, writer.tensors)
    check(found)
    return found, choice.report(found.tensors)


@dataclass
class _Choice:
    """Which nodes stay in float32, and why."""

    model: OnnxModel
    how: Half
    types: dict[str, int] = field(init=False)
    """Of each tensor of the float32 model."""
    reasons: list[str] = field(init=False)
    """Of each node; empty where it is computed in float16."""
    wide: dict[str, None] = field(init=False)
    """Tensors that are there in float32, in order."""
    too_large: dict[str, tuple[str, float]] = field(init=False)

    def __post_init__(self) -> None:
        self.types = element_types(self.model)
        self.reasons, self.too_large = [], {}
        graph = self.model.body.graph
        self.wide = dict.fromkeys(each.name for each in graph.input if self.keeps_type(each.name))
        self.planes = {each.name: _positions(each) for each in (*graph.value_info, *graph.input)}
        for node in graph.node:
            self.reasons.append(self._reason(node))
            if self.reasons[-1]:
                self.wide.update(dict.fromkeys(name for name in node.output if self.is_float(name)))

    def keeps_type(self, name: str) -> bool:
        """Whether an input stays as it is: all do with the form `inside`, and those with preprocessing."""
        readers = [node for node in self.model.body.graph.node if name in node.input]
        return self.how.form == "inside" or any(map(_prepares, readers))

    def is_float(self, name: str) -> bool:
        return self.types.get(name) == int(TensorProto.FLOAT)

    def _reason(self, node: onnx.NodeProto) -> str:
        layer = layer_of(node)
        if _prepares(node):
            return "raw images have larger numbers than what is made of them"
        if self.how.in_float(layer):
            return "as was asked for"
        said = self.how.full_precision(layer) or OPERATORS.get(node.op_type, "")
        if said:
            return said
        if node.op_type == "Mul" and node.input[0] == node.input[1]:
            return SQUARES
        if node.op_type == "GlobalAveragePool" and not 0 < self.planes.get(node.input[0], 0) <= LARGE_PLANE:
            return SUMS
        return self._of_types(node) or self._of_constants(node) or self._of_inputs(node)

    def _of_types(self, node: onnx.NodeProto) -> str:
        floats = [index for index, name in enumerate(node.input) if self.is_float(name)]
        gives = any(self.is_float(name) for name in node.output)
        if floats and not gives and not any(takes_float16(self.model, node, index) for index in floats):
            return "ONNX has it in float32 alone"
        return ""

    def _of_constants(self, node: onnx.NodeProto) -> str:
        for name in node.input:
            array = self.model.tensors.get(name)
            if array is None or array.dtype.kind != "f" or not array.size:
                continue
            sizes = np.abs(array[np.isfinite(array) & (np.abs(array) != LIMIT)])
            if sizes.size and sizes.max() > LARGEST:
                self.too_large[name] = layer_of(node), float(sizes.max())
                return "constants beyond float16"
            if array.size == 1 and 0 < array.item() < NORMAL:
                return "a constant is too small for float16"
        return ""

    def _of_inputs(self, node: onnx.NodeProto) -> str:
        read = [name for name in node.input if self.is_float(name) and name not in self.model.tensors]
        follows = node.op_type in FOLLOWS and bool(read) and all(name in self.wide for name in read)
        divides = node.op_type == "Div" and node.input[1] in self.wide
        return "what it reads is in float32" if follows or divides else ""

    def report(self, tensors: Mapping[str, Array]) -> HalfReport:
        """What has become of the model's weights [...] in `tensors`."""
        pairs = {
            name: (self.model.tensors[name], array)
            for name, array in tensors.items()
            if array.dtype == np.float16 and name in self.model.tensors
        }
        zeros = {name: int(np.count_nonzero((old != 0) & (new == 0))) for name, (old, new) in pairs.items()}
        graph = self.model.body.graph
        floats = [any(map(self.is_float, (*node.input, *node.output))) for node in graph.node]
        reasons = Counter(reason for reason, counts in zip(self.reasons, floats, strict=True) if reason and counts)
        return HalfReport(
            dict(reasons.most_common()),
            sum(floats),
            self.too_large,
            sum(new.size for _, new in pairs.values()),
            sum(zeros.values()),
            {
                name: count / pairs[name][1].size
                for name, count in zeros.items()
                if count >= MUCH * pairs[name][1].size > 0
            },
            sum(_subnormal(old, new) for old, new in pairs.values()),
        )


@dataclass
class _Writer:
    """Nodes and constants of the new model."""

    model: OnnxModel
    choice: _Choice
    form: Form
    tensors: dict[str, Array] = field(default_factory=dict)
    declared: dict[str, int] = field(default_factory=dict)
    """Tensors whose type is another than in the float32 model."""
    has: dict[tuple[str, int], str] = field(default_factory=dict)
    """(tensor, type) -> what it is called there."""

    def written(self) -> Iterator[onnx.NodeProto]:
        graph = self.model.body.graph
        for given in graph.input:
            if self.choice.is_float(given.name):
                kind = TensorProto.FLOAT if given.name in self.choice.wide else TensorProto.FLOAT16
                self._is_there(given.name, given.name, kind)
        outputs = {each.name for each in graph.output}
        for node, reason in zip(graph.node, self.choice.reasons, strict=True):
            new = onnx.NodeProto()
            new.CopyFrom(node)
            for index, name in enumerate(node.input):
                if not self.choice.is_float(name):
                    self._keep(name)
                    continue
                half = not reason and takes_float16(self.model, node, index)
                yield from self._cast(name, TensorProto.FLOAT16 if half else TensorProto.FLOAT, new)
                new.input[index] = self.has[name, TensorProto.FLOAT16 if half else TensorProto.FLOAT]
            made = TensorProto.FLOAT if reason else TensorProto.FLOAT16
            for index, name in enumerate(node.output):
                if self.choice.is_float(name):
                    is_other = name in outputs and made != self.of_outputs
                    new.output[index] = f"{name}/{_word(made)}" if is_other else name
                    self._is_there(name, new.output[index], made)
            yield new
            for name in node.output:
                if name in outputs and self.choice.is_float(name):
                    yield from self._cast(name, self.of_outputs, new, name)
                    self.declared[name] = self.of_outputs

    @property
    def of_outputs(self) -> int:
        return int(TensorProto.FLOAT if self.form == "inside" else TensorProto.FLOAT16)

    def _is_there(self, name: str, called: str, kind: int) -> None:
        self.has[name, kind] = called
        if name == called:
            self.declared[name] = kind

    def _keep(self, name: str) -> None:
        """What is no float stays as it is."""
        if name in self.model.tensors:
            self.tensors[name] = self.model.tensors[name]

    def _cast(
        self, name: str, kind: int, reader: onnx.NodeProto, called: str | None = None
    ) -> Iterator[onnx.NodeProto]:
        """What is needed so that a tensor is there in this type."""
        if (name, kind) in self.has:
            return
        array = self.model.tensors.get(name)
        other = TensorProto.FLOAT if kind == TensorProto.FLOAT16 else TensorProto.FLOAT16
        if array is not None:
            called = name if (name, other) not in self.has else f"{name}/{_word(kind)}"
            self.tensors[called] = array if kind == TensorProto.FLOAT else half(array)
            self.has[name, kind] = called
            return
        made = called or f"{name}/{_word(kind)}"
        node = helper.make_node("Cast", [self.has[name, other]], [made], name=f"{made}/Cast", to=kind)
        node.doc_string = reader.doc_string
        self.has[name, kind] = made
        yield node


def _subnormal(old: Array, new: Array) -> int:
    """How many numbers, of any shape, have lost digits because they are small, and are not 0."""
    return int(np.count_nonzero((np.abs(new) < NORMAL) & (new != 0) & (new != old)))


def _word(kind: int) -> str:
    return "float32" if kind == TensorProto.FLOAT else "float16"


def _prepares(node: onnx.NodeProto) -> bool:
    """Whether a node belongs to the preprocessing of an input."""
    return str(node.doc_string).startswith("preprocessing of ")


def half(array: Array) -> Array:
    """Floats [...] in half precision; what stands for infinity is the largest number."""
    return np.clip(array, -LARGEST, LARGEST, where=np.isfinite(array), out=array.copy()).astype(np.float16)


def _positions(info: onnx.ValueInfoProto) -> int:
    """Of a plane N C H W, a sequence or a volume; 0 where they are not known."""
    sizes = [dim.dim_value for dim in info.type.tensor_type.shape.dim[2:]]
    return int(np.prod(sizes)) if sizes else 0


def takes_float16(model: OnnxModel, node: onnx.NodeProto, index: int) -> bool:
    """Whether this input of a node may be float16."""
    return _operator_takes(node.op_type, model.body.opset_import[0].version, index)


@cache
def _operator_takes(kind: str, opset: int, index: int) -> bool:
    schema = defs.get_schema(kind, opset, "")
    formal = schema.inputs[min(index, len(schema.inputs) - 1)]
    for constraint in schema.type_constraints:
        if constraint.type_param_str == formal.type_str:
            return "tensor(float16)" in constraint.allowed_type_strs
    return bool(formal.type_str == "tensor(float16)")
