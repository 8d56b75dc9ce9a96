"""A float model as one of 8-bit integers, in the form QDQ: tensors between layers that are computed in integers go
through QuantizeLinear and DequantizeLinear, and runtimes make one integer operator of what stands between two such
pairs.

    real = scale * (integer - zero_point)

Weights are int8 with a scale for each output channel and zero point 0, biases int32 with the scale of input times
weights, so that integer sums need no other correction. Activations have one scale a tensor: uint8 with a zero point
(`asymmetric`: what processors with VNNI multiply fastest, and behind a ReLU all 256 steps are used), or int8 with zero
point 0 (`symmetric`: TensorRT; biases stay in float there).

What is done of each ONNX operator stands in `OPERATORS`; what is not there stays in float. Between a layer and the ReLU
that alone reads it there is no pair: the range behind it, which begins at 0, is all that the integers have to hold.
Between a convolution and the sum that alone reads it there is one, without which onnxruntime would compute both in
floats; OpenVINO computes them at once, without rounding in between, and `fused_sums` writes that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper

from graphc.emit.model import OnnxModel, check
from graphc.kernels.integers import LARGEST, Form, Range, integers_of, least_scales, weight_scales, whole_weights
from graphc.types import Array


@dataclass(frozen=True, slots=True)
class Operator:
    """How an ONNX operator is quantized."""

    weights: bool = False
    """Input 1 may be constant weights, and input 2 biases."""
    moves: bool = False
    """It moves or chooses numbers: done in integers only where all its inputs are there in integers."""
    same_scale: bool = False
    """Its output is on the scale of its input."""
    float_output: bool = False
    """Its sums may be given as floats, where nobody reads them as integers: more exact, and no slower."""


SAME = Operator(moves=True, same_scale=True)
OPERATORS: Mapping[str, Operator] = {
    "Conv": Operator(weights=True),
    "Gemm": Operator(weights=True, float_output=True),
    "MatMul": Operator(weights=True, float_output=True),
    "Add": Operator(),
    "Mul": Operator(),
    "Sigmoid": Operator(),
    "LeakyRelu": Operator(),
    "AveragePool": Operator(),
    "GlobalAveragePool": Operator(),
    "MaxPool": SAME,
    "Concat": Operator(moves=True),
    "Flatten": SAME,
    "Reshape": SAME,
    "Transpose": SAME,
}
CLAMPS = frozenset({"Relu", "Clip"})
"""What needs no pair before it where it alone reads a layer: quantizing clamps too."""


@dataclass(frozen=True, slots=True)
class Quantization:
    """How a model becomes one of integers."""

    ranges: Mapping[str, Range]
    """By the name of a tensor: of those in `quantized_tensors`."""
    form: Form = "asymmetric"
    in_float: Callable[[str], bool] = lambda layer: False
    """Layers, by name, that stay in float."""
    learned: Mapping[str, Range] = field(default_factory=dict)
    """Ranges that were trained with, which hold before others, also for what is on their scale."""
    most: int = LARGEST
    """Of the integers of weights."""
    fused_sums: bool = False
    """Whether a convolution goes into the sum that alone reads it as it is: the first of each sum."""


def layer_of(node: onnx.NodeProto) -> str:
    """The spec's layer that a node was made for."""
    return str(node.doc_string.rpartition(" ")[0])


@dataclass
class Choice:
    """Which nodes are computed in integers, and which tensors are quantized for it."""

    body: onnx.GraphProto
    tensors: Mapping[str, Array]
    in_float: Callable[[str], bool]
    fused_sums: bool = False
    integer: list[bool] = field(default_factory=list)
    """Of each node."""
    pairs: dict[str, None] = field(default_factory=dict)
    """Tensors with a pair behind them, in order."""

    def __post_init__(self) -> None:
        self.readers = Counter(name for node in self.body.node for name in node.input)
        self.readers.update(each.name for each in self.body.output)
        made: set[str] = set()
        for node in self.body.node:
            self.integer.append(self._can_be_integer(node, made))
            self._add_made(made, node, self.integer[-1])
        self._leave_what_nobody_needs()
        made.clear()
        for node, integer in zip(self.body.node, self.integer, strict=True):
            self._add_made(made, node, integer)
        self._choose_pairs(made)
        if self.fused_sums:
            self._leave_out_pairs_before_sums()

    def is_clamp(self, node: onnx.NodeProto) -> bool:
        """Whether a node only cuts off what the one before it gives, which nobody else reads."""
        return node.op_type in CLAMPS and self.readers[node.input[0]] == 1

    def _add_made(self, made: set[str], node: onnx.NodeProto, integer: bool) -> None:
        """Note what a node gives in integers: itself, or by cutting off what has been made so."""
        if integer or (self.is_clamp(node) and node.input[0] in made):
            made.update(node.output)

    def _can_be_integer(self, node: onnx.NodeProto, made: set[str]) -> bool:
        rule = OPERATORS.get(node.op_type)
        if rule is None or self.in_float(layer_of(node)):
            return False
        if rule.moves:
            return all(name in made for name in self.activations(node))
        if rule.weights:
            return all(name in self.tensors for name in node.input[1:])
        return not any(name in self.tensors for name in node.input)

    def _leave_what_nobody_needs(self) -> None:
        """What has no weights and only floats behind it stays in float: it would lose digits for nothing."""
        wanted: set[str] = set()
        for index, node in reversed(list(enumerate(self.body.node))):
            (name,) = node.output
            if self.integer[index] and not OPERATORS[node.op_type].weights and name not in wanted:
                self.integer[index] = False
            if self.integer[index] or (name in wanted and self.is_clamp(node)):
                wanted.update(self.activations(node))

    def _choose_pairs(self, made: set[str]) -> None:
        nodes = list(zip(self.body.node, self.integer, strict=True))
        read = {name for node, integer in nodes if integer for name in self.activations(node)}
        clamped = {node.input[0] for node in self.body.node if self.is_clamp(node)}
        self.pairs.update(dict.fromkeys(given.name for given in self.body.input if given.name in read))
        for node, integer in nodes:
            (name,) = node.output
            in_float = integer and OPERATORS[node.op_type].float_output and name not in read
            if name in read or (name in made and name not in clamped and not in_float):
                self.pairs[name] = None

    def _leave_out_pairs_before_sums(self) -> None:
        made_by: dict[str, str] = {}
        for node, integer in zip(self.body.node, self.integer, strict=True):
            if node.op_type == "Add" and integer:
                convolutions = (each for each in node.input if made_by.get(each) == "Conv" and self.readers[each] == 1)
                self.pairs.pop(next(convolutions, ""), None)
            made_by[node.output[0]] = made_by.get(node.input[0], "") if self.is_clamp(node) else node.op_type

    def activations(self, node: onnx.NodeProto) -> list[str]:
        """The inputs that are no constants."""
        return [name for name in node.input if name and name not in self.tensors]


def quantized_tensors(model: OnnxModel, in_float: Callable[[str], bool] = lambda layer: False) -> list[str]:
    """Names of the tensors whose ranges `quantize` needs, in the order of the graph."""
    return list(Choice(model.body.graph, model.tensors, in_float).pairs)


def rounded_tensors(model: OnnxModel, in_float: Callable[[str], bool] = lambda layer: False) -> list[str]:
    """Those of them that are rounded: what is on the scale of what it is made of has been."""
    choice = Choice(model.body.graph, model.tensors, in_float)
    moved = {
        node.output[0]
        for node, integer in zip(choice.body.node, choice.integer, strict=True)
        if integer and OPERATORS[node.op_type].same_scale
    }
    return [name for name in choice.pairs if name not in moved]


def quantize(model: OnnxModel, how: Quantization) -> OnnxModel:
    """The model in integers. Tensors keep their names: what a layer gives is what comes out of its pair."""
    choice = Choice(model.body.graph, model.tensors, how.in_float, how.fused_sums)
    ranges = _shared(choice, how)
    writer = _Writer(dict(model.tensors), how.form, how.most)
    renamed: dict[str, str] = {}
    for given in model.body.graph.input:
        if given.name in choice.pairs:
            renamed[given.name] = f"{given.name}/DequantizeLinear"
            writer.pair(given.name, given.name, renamed[given.name], ranges[given.name], f"input {given.name}")
    for node, integer in zip(model.body.graph.node, choice.integer, strict=True):
        new = onnx.NodeProto()
        new.CopyFrom(node)
        del new.input[:]
        new.input.extend(renamed.get(name, name) for name in node.input)
        (name,) = node.output
        if integer and OPERATORS[node.op_type].weights:
            writer.weights(new, ranges[node.input[0]], node.input[0])
        if name not in choice.pairs:
            writer.nodes.append(new)
            continue
        new.output[0] = f"{name}/float"
        writer.nodes.append(new)
        writer.pair(new.output[0], name, name, ranges[name], node.doc_string)
    return _with(model, writer, {"graphc.int8": how.form, "graphc.int8_largest_weight": str(how.most)})


def quantize_weights(model: OnnxModel, in_float: Callable[[str], bool] = lambda layer: False) -> OnnxModel:
    """The model with constant weights alone in int8: as they are read, they become floats, and all is computed in
    floats. A file of a quarter of the bytes, which needs no calibration."""
    writer = _Writer(dict(model.tensors))
    for node in model.body.graph.node:
        new = onnx.NodeProto()
        new.CopyFrom(node)
        if has_weights(node, model.tensors) and not in_float(layer_of(node)):
            name = node.input[1]
            axis = _output_axis(node, model.tensors[name].ndim)
            scales = weight_scales(model.tensors[name], [axis])
            whole = whole_weights(model.tensors[name], scales)
            new.input[1] = writer.dequantized(name, whole, scales.reshape(-1), axis, node.doc_string)
        writer.nodes.append(new)
    return _with(model, writer, {"graphc.int8": "weights"})


def has_weights(node: onnx.NodeProto, tensors: Mapping[str, Array]) -> bool:
    """Whether a node multiplies with constant weights, which are among these arrays of any shape."""
    rule = OPERATORS.get(node.op_type)
    return (node.op_type == "ConvTranspose" or (rule is not None and rule.weights)) and node.input[1] in tensors


def _with(model: OnnxModel, writer: _Writer, metadata: Mapping[str, str]) -> OnnxModel:
    body = onnx.ModelProto()
    body.CopyFrom(model.body)
    del body.graph.node[:]
    body.graph.node.extend(writer.nodes)
    known = {each.key: each.value for each in body.metadata_props}
    helper.set_model_props(body, dict(sorted({**known, **metadata}.items())))
    read = {name for node in writer.nodes for name in node.input}
    found = OnnxModel(body, {name: array for name, array in writer.tensors.items() if name in read})
    check(found)
    return found


def _shared(choice: Choice, how: Quantization) -> dict[str, Range]:
    """The ranges, where tensors that are on one scale have one that holds all of them, or the learned ones."""
    ranges = {**how.ranges, **how.learned}
    found = dict(ranges)
    groups = {name: {name} for name in choice.pairs}
    for node, integer in zip(choice.body.node, choice.integer, strict=True):
        if integer and OPERATORS[node.op_type].same_scale:
            together = set[str]().union(*(groups[name] for name in (*choice.activations(node), *node.output)))
            groups.update(dict.fromkeys(together, together))
    for name, together in groups.items():
        first, *others = sorted(together & how.learned.keys() or together)
        found[name] = ranges[first]
        for other in others:
            found[name] = found[name].joined(ranges[other])
    return found


@dataclass
class _Writer:
    """Collects nodes and initializers."""

    tensors: dict[str, Array]
    form: Form = "asymmetric"
    most: int = LARGEST
    nodes: list[onnx.NodeProto] = field(default_factory=list)

    def constant(self, name: str, value: Any, dtype: Any) -> str:
        self.tensors[name] = np.asarray(value, dtype)
        return name

    def pair(self, source: str, owner: str, result: str, over: Range, said: str) -> None:
        """`source` through integers to `result`."""
        scale, zero, dtype = integers_of(over, self.form)
        names = self.constant(f"{owner}/scale", scale, np.float32), self.constant(f"{owner}/zero_point", zero, dtype)
        whole = f"{owner}/QuantizeLinear"
        for kind, read, made in (("QuantizeLinear", source, whole), ("DequantizeLinear", whole, result)):
            node = helper.make_node(kind, [read, *names], [made], name=f"{owner}/{kind}")
            node.doc_string = said
            self.nodes.append(node)

    def weights(self, node: onnx.NodeProto, read: Range, owner: str) -> None:
        """Constant weights of a node, and its biases, in integers."""
        name = node.input[1]
        weights = self.tensors[name]
        axis = _output_axis(node, weights.ndim)
        biases = self.tensors[node.input[2]] if len(node.input) > 2 and self.form == "asymmetric" else np.zeros(1)
        of_input = integers_of(read, self.form)[0]
        least = least_scales(biases, of_input).reshape([-1 if at == axis else 1 for at in range(weights.ndim)])
        scales = weight_scales(weights, [axis], self.most, least)
        scale, whole = scales.reshape(-1), whole_weights(weights, scales, self.most)
        node.input[1] = self.dequantized(name, whole, scale, axis, node.doc_string)
        if len(node.input) > 2 and self.form == "asymmetric":
            unit = scale * np.float32(of_input)
            integers = np.round(biases / unit.astype(np.float64)).astype(np.int32)
            node.input[2] = self.dequantized(node.input[2], integers, unit, 0, node.doc_string)

    def dequantized(self, name: str, whole: Array, scale: Array, axis: int, said: str) -> str:
        """A constant in integers [...], with a scale [C] along an axis, read as floats: the name of these. Layers that
        share weights read inputs of several scales: only what is the same is there once."""
        known = self.tensors.get(f"{name}/int")
        number = sum(each.startswith(f"{name}/int") for each in self.tensors)
        if known is not None and np.array_equal(known, whole) and np.array_equal(self.tensors[f"{name}/scale"], scale):
            return f"{name}/DequantizeLinear"
        own = name if known is None else f"{name}_{number + 1}"
        names = [
            self.constant(f"{own}/int", whole, whole.dtype),
            self.constant(f"{own}/scale", scale, np.float32),
            self.constant(f"{own}/zero_point", np.zeros(scale.shape), whole.dtype),
        ]
        made = f"{own}/DequantizeLinear"
        node = helper.make_node("DequantizeLinear", names, [made], name=made, axis=axis)
        node.doc_string = said
        self.nodes.append(node)
        return made


def _output_axis(node: onnx.NodeProto, rank: int) -> int:
    """The axis of output channels in the weights of a node."""
    if node.op_type == "MatMul":
        return rank - 1
    if node.op_type == "ConvTranspose":  # [C, filters/groups, ...]: of a group's filters, those of all groups together
        return 1
    transposed = any(each.name == "transB" and each.i for each in node.attribute)
    return 1 if node.op_type == "Gemm" and not transposed else 0


def integer_layers(model: OnnxModel, in_float: Callable[[str], bool]) -> Iterator[tuple[str, str, bool]]:
    """(layer, operator, whether it is computed in integers) of each node that multiplies."""
    choice = Choice(model.body.graph, model.tensors, in_float)
    for node, integer in zip(model.body.graph.node, choice.integer, strict=True):
        if node.op_type in OPERATORS and OPERATORS[node.op_type].weights:
            yield layer_of(node), node.op_type, integer


def integer_weights(model: OnnxModel, in_float: Callable[[str], bool]) -> dict[str, Array]:
    """The int8 weights [...] of each layer that is computed in integers, by its name."""
    choice = Choice(model.body.graph, model.tensors, in_float)
    found = {}
    for node, integer in zip(model.body.graph.node, choice.integer, strict=True):
        if integer and OPERATORS[node.op_type].weights:
            weights = model.tensors[node.input[1]]
            found[layer_of(node)] = whole_weights(weights, weight_scales(weights, [_output_axis(node, weights.ndim)]))
    return found
