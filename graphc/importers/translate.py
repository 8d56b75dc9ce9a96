"""OnnxGraph -> FlatNet: every node asks its handler for layers, and what none can say is collected.

ONNX's tensors are N C H W, layers' images H W C. Which axis of a tensor is which is kept beside it (`Value.axes`), so
that a Transpose is a matter of bookkeeping; a handler that needs an order asks for it. Of tensors that are reshaped in
other ways a `View` is kept (`views.py`), and layers are made of it where an operator needs the numbers themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from graphc.dims import format_shape, is_image
from graphc.importers.arguments import shape_of
from graphc.importers.flat import IMAGE_AXES, LETTERS, VECTOR_AXES, FlatLayer, FlatNet, Value
from graphc.importers.onnx_graph import ODD, OnnxGraph, OnnxInput, OnnxNode, RefusedError
from graphc.importers.operators import HANDLERS
from graphc.importers.views import as_plain, lay_out, renamed, view_of
from graphc.layers import CATALOGUE
from graphc.types import Array

MOST_AXES = 5
"""Of an input, the batch among them: those of a volume."""
CHANNELS_FIRST = frozenset(
    {"Conv", "ConvTranspose", "BatchNormalization", "InstanceNormalization", "MaxPool", "AveragePool", "LpPool",
     "GlobalAveragePool", "GlobalMaxPool"}
)  # fmt: skip
"""Operators that say which axis is the channels."""
MOST_SPREAD = 2**22
"""Numbers of all constants that were fewer in the file."""
NEAR = 30
"""Values behind an input among which a Transpose is looked for that says how its axes lie."""
FROM_THE_END = 11
"""The opset from which on Squeeze and Unsqueeze count axes from the end, too."""
SWITCHES = frozenset(
    {"allowzero", "antialias", "ceil_mode", "count_include_pad", "exclude_outside", "input_forget", "keepdims",
     "layout", "linear_before_reset", "noop_with_empty_axes", "training_mode", "transA", "transB"}
)  # fmt: skip
"""Attributes that are true or false."""
NUMBERED = "node_"
"""What PyTorch's newer exporter calls nodes by."""
WEIGHTS = (".weight", ".bias")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A node that no layer says."""

    node: OnnxNode
    why: str


@dataclass(slots=True)
class Translation:
    """What came of a graph."""

    net: FlatNet
    values: Mapping[str, Value]
    """By the file's names."""
    refusals: list[Refusal] = field(default_factory=list)
    behind: int = 0
    """Nodes that need what was refused."""
    reached: list[str] = field(default_factory=list)
    """The last values of layers before what was refused, the nearest to the outputs first."""


class Translator:
    """What handlers may ask, and where they put layers."""

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph
        self.readers = graph.readers()
        self.values: dict[str, Value] = {}
        self.layers: list[FlatLayer] = []
        self.by_name: dict[str, FlatLayer] = {}
        self.node = OnnxNode("", "", (), ())
        self.batch = graph.inputs[0].shape[0] if graph.inputs and graph.inputs[0].shape else 1
        self.made = 0
        self.pooled: dict[str, tuple[Value, Mapping[str, Any]]] = {}

    # what handlers ask -------------------------------------------------------------------------------------

    def viewed(self, index: int = 0) -> Value:
        """What the node reads as its input of this number, which is no constant; its axes may be those of a view."""
        name = self.node.inputs[index] if index < len(self.node.inputs) else ""
        if name in self.values:
            return self.values[name]
        raise RefusedError("it computes on constants alone" if name in self.graph.constants else "an input is missing")

    def value(self, index: int = 0) -> Value:
        """The same with a letter for every axis: what has a view is laid out as it stands in the file."""
        found = self.viewed(index)
        if found.view is None:
            return found
        plain = as_plain(found) or lay_out(self, found)
        self.values[self.node.inputs[index]] = plain
        return plain

    def ordered(self, axes: str, index: int = 0) -> Value:
        """An input of as many axes as these, in an order that has these letters: laid out anew where it has another."""
        found = self.viewed(index)
        plain = as_plain(found)
        if plain is not None and plain.axes == axes:
            return plain
        if len(found.axes) != len(axes):
            raise RefusedError(f"it reads a tensor of rank {len(found.axes)}: expected {len(axes)}")
        rank = len(axes) - 1
        return lay_out(self, found, [axes.index(letter) for letter in LETTERS[rank]])

    def is_constant(self, index: int) -> bool:
        return index < len(self.node.inputs) and self.node.inputs[index] in self.graph.constants

    def constant(self, index: int, what: str) -> Array:
        """A constant input of float32."""
        if not self.is_constant(index):
            raise RefusedError(f"its {what} are computed, not constants")
        array = self.graph.constants[self.node.inputs[index]]
        if array.dtype.kind != "f":
            raise RefusedError(f"its {what} are {array.dtype}, not floating-point numbers")
        return np.asarray(array, np.float32)

    def image(self, index: int = 0) -> Value:
        """An input that is an image N C H W."""
        value = as_plain(self.viewed(index)) or self.viewed(index)
        if value.view is None and len(value.axes) == 4 and value.axes[0] == "n" and value.shape[:2] == (1, 1):
            return replace(value, axes=IMAGE_AXES)
        return self.ordered(IMAGE_AXES, index)

    def letters(self, value: Value, axes: Sequence[int]) -> list[str]:
        """The letters of axes, which may count from the end."""
        return [value.axes[axis] for axis in axes]

    def output_shape(self, index: int = 0) -> tuple[int, ...]:
        """The shape of the node's output with the batch, as ONNX infers it."""
        found = self.graph.shapes.get(self.node.outputs[index])
        if found is None:
            raise RefusedError("its output's shape depends on what it computes")
        return found

    def spread(self, array: Array, shape: Sequence[int]) -> Array:
        """A constant of any shape as it is spread to this one; a RefusedError where too many numbers come of few."""
        count = math.prod(shape)
        self.made += count if count > array.size else 0
        if self.made > MOST_SPREAD:
            raise RefusedError(f"its constant is spread to {count:,} numbers: expected {MOST_SPREAD:,} of all nodes")
        return np.broadcast_to(array, tuple(shape)).copy()

    def in_order(self, vector: Array, value: Value) -> Array:
        """[…, C] of the tensor's channels as the layer's channels lie: those of a flattened image are exchanged."""
        if value.flat is None or vector.ndim == 0 or vector.shape[-1] == 1:
            return vector
        *positions, channels = value.flat
        lead = vector.shape[:-1]
        spread = vector.reshape(*lead, channels, *positions)
        return np.ascontiguousarray(np.moveaxis(spread, len(lead), -1)).reshape(*lead, -1)

    def hint(self) -> str:
        """What the file calls the node: its name, or its weights' where an exporter numbered the nodes."""
        name = self.node.name
        if name and not name.startswith(NUMBERED):
            return name
        weights = [each for each in self.node.inputs if each in self.graph.constants and each.endswith(WEIGHTS)]
        return weights[0].rpartition(".")[0] if weights else ""

    # what handlers make ------------------------------------------------------------------------------------

    def layer(
        self,
        kind: str,
        inputs: Sequence[Value],
        arguments: Mapping[str, Any] | None = None,
        params: Mapping[str, Array] | None = None,
        axes: str | None = None,
    ) -> Value:
        """A new layer of this node, with variables of any shape; its value in the order of the first input's axes."""
        given = {name: value for name, value in (arguments or {}).items() if value is not None}
        shapes = [value.shape for value in inputs]
        shape = shape_of(kind, given, shapes, params or {})
        name = f"{len(self.layers)}:{kind}"
        layer = FlatLayer(name, kind, given, tuple(v.source for v in inputs), dict(params or {}), shape, self.hint())
        self.layers.append(layer)
        self.by_name[name] = layer
        first = inputs[0]
        if first.view is not None and first.shape == shape:
            return Value(name, shape, first.axes, view=first.view)
        same = first.axes if len(shape) == len(first.shape) else IMAGE_AXES if is_image(shape) else VECTOR_AXES
        flat = first.flat if CATALOGUE[kind].elementwise else None
        return Value(name, shape, axes or same, flat)

    def give(self, value: Value, index: int = 0) -> None:
        """The node's output, whose shape has to be the file's."""
        name = self.node.outputs[index]
        value = renamed(value)
        expected = self.graph.shapes.get(name)
        found = view_of(value, self.batch).shape if value.view or value.flat else self._shape_of(value)
        if expected is not None and found != expected:
            shapes = f"{format_shape(found)}, in the file {format_shape(expected)}"
            raise RefusedError(f"its output would be {shapes}")
        self.values[name] = value

    def _shape_of(self, value: Value) -> tuple[Any, ...]:
        """The tensor's shape."""
        sizes = dict(zip(LETTERS[len(value.shape)], value.shape, strict=True))
        return tuple(self.batch if letter == "n" else sizes[letter] for letter in value.axes)


def translate(graph: OnnxGraph) -> Translation:
    """Layers of all nodes that have them, and the others with what is in their way."""
    made = Translator(graph)
    found = Translation(FlatNet(graph.name, {}, made.layers, {}), made.values)
    lost: set[str] = set()
    for given in graph.inputs:
        _read_input(made, given, found, lost)
    for node in graph.nodes:
        if lost.intersection(node.inputs):
            found.behind += 1
            lost.update(node.outputs)
            continue
        made.node = node
        try:
            whole = node.outputs[0] if node.op == "Unsqueeze" else next(iter(node.inputs), "")
            if graph.opset < FROM_THE_END and node.op in ("Squeeze", "Unsqueeze") and min(node.get("axes") or [0]) < 0:
                raise RefusedError(
                    f"its axes are {node.get('axes')}: expected none below 0 before opset {FROM_THE_END}"
                )
            if (odd := _odd_attribute(node, len(graph.shapes.get(whole, ())))) is not None:
                raise RefusedError(odd)
            handler = HANDLERS.get(node.op)
            if handler is None:
                raise RefusedError("no layer says what it does")
            if wrong := next((made.graph.wrong[name] for name in node.outputs if name in made.graph.wrong), ""):
                raise RefusedError(wrong)
            handler(made, node)
        except RefusedError as refused:
            found.refusals.append(Refusal(node, str(refused)))
            lost.update(node.outputs)
        except ODD:
            found.refusals.append(Refusal(node, "its attributes do not fit what it reads"))
            lost.update(node.outputs)
    _connect(made, found, lost)
    return found


def _odd_attribute(node: OnnxNode, rank: int) -> str | None:
    """What is said of an attribute that runtimes read in different ways: a switch that is neither 0 nor 1, an axis
    that is named twice. `rank`: of the tensor whose axes they are, 0 where it is not known."""
    for name, value in node.attributes.items():
        if name in SWITCHES and value not in (0, 1):
            return f"its {name} is {value}: expected 0 or 1"
    axes = node.get("axes")
    if isinstance(axes, list) and len({axis % rank for axis in axes} if rank else set(axes)) < len(axes):
        return f"its axes {axes} name one twice"
    return None


def _read_input(made: Translator, given: OnnxInput, found: Translation, lost: set[str]) -> None:
    node = OnnxNode("input", given.name, (), (given.name,))
    rank = len(given.shape)
    if not 2 <= rank <= MOST_AXES or not given.is_float:
        kind = "float32" if given.is_float else "another type than float32"
        found.refusals.append(Refusal(node, f"expected float32 of rank 2 to {MOST_AXES}, found rank {rank} of {kind}"))
        lost.add(given.name)
        return
    letters = LETTERS[rank - 1]
    first = rank == 4 or any(reader.op in CHANNELS_FIRST for reader in made.readers.get(given.name, ()))
    axes = f"nc{letters[:-1]}" if first and not _is_channels_last(made, given.name) else f"n{letters}"
    order = [axes.index(letter) for letter in letters]
    shape = tuple(given.shape[axis] for axis in order)
    batch = given.written[0] if isinstance(given.written[0], int) else "N"
    found.net.inputs[given.name] = (batch, *(given.shape[axis] for axis in order))
    made.values[given.name] = Value(given.name, shape, axes)


def _is_channels_last(made: Translator, name: str) -> bool:
    """Whether an image input is N H W C: before anything asks for windows, a Transpose makes it N C H W."""
    waiting, seen = [name], {name}
    for value in waiting:
        if len(waiting) > NEAR:
            return False
        for node in made.readers.get(value, ()):
            if node.op == "Transpose":
                perm = node.get("perm") or [0]
                return bool(len(perm) > 2 and perm == [0, len(perm) - 1, *range(1, len(perm) - 1)])
            if node.op in ("Add", "Mul", "Sub", "Div", "Identity", "Cast", "Relu", "Sigmoid", "Tanh", "Pad"):
                waiting += [each for each in node.outputs if each not in seen]
                seen.update(node.outputs)
    return False


def _connect(made: Translator, found: Translation, lost: set[str]) -> None:
    """Outputs that were reached; of those that were not, the last values before them."""
    for name in made.graph.outputs:
        value = made.values.get(name)
        why = ""
        if value is not None and (value.view is not None or value.flat is not None):
            made.node = OnnxNode("output", "", (name,), (name,))
            try:
                value = made.values[name] = lay_out(made, value)
            except RefusedError as refused:
                why = str(refused)
            except ODD:
                why = f"no layer gives it {len(value.axes)} axes"
        if name in made.graph.constants:
            why = "it is a constant"
        elif value is None and name not in lost:
            why = "it is more than the layer of its node gives"
        elif value is not None and value.source not in made.by_name:
            why = "it is an input"
        if why:
            found.refusals.append(Refusal(OnnxNode("output", name, (), (name,)), why))
        elif value is not None:
            found.net.outputs[name] = value.source
    if found.refusals:
        edge = {name for node in made.graph.nodes if lost.intersection(node.outputs) for name in node.inputs}
        order = [output for node in made.graph.nodes for output in node.outputs]
        usable = {n for n, v in made.values.items() if v.source in made.by_name and v.flat is None}
        reached = [name for name in order if name in usable and (name in edge or name in made.graph.kept)]
        found.reached = reached[::-1]
