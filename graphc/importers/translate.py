"""OnnxGraph -> FlatNet: every node asks its handler for layers, and what none can say is collected.

ONNX's tensors are N C H W, layers' images H W C. Which axis of a tensor is which is kept beside it (`Value.axes`), so
that a Transpose is a matter of bookkeeping; a handler that needs an order asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from graphc.dims import format_shape, is_image
from graphc.errors import RuleError
from graphc.importers.flat import IMAGE_AXES, LETTERS, VECTOR_AXES, FlatLayer, FlatNet, Value
from graphc.importers.onnx_graph import OnnxGraph, OnnxInput, OnnxNode, RefusedError
from graphc.importers.operators import HANDLERS
from graphc.layers import CATALOGUE
from graphc.layers.base import static
from graphc.types import Array

LAST = "nhwc"
NUMBERED = "node_"
"""What PyTorch's newer exporter calls nodes by."""
WEIGHTS = (".weight", ".bias")
ODD = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""What handlers raise of attributes that ONNX's checker lets pass and no exporter writes."""


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

    # what handlers ask -------------------------------------------------------------------------------------

    def value(self, index: int = 0) -> Value:
        """What the node reads as its input of this number, which is no constant."""
        name = self.node.inputs[index] if index < len(self.node.inputs) else ""
        if name in self.values:
            return self.values[name]
        raise RefusedError("it computes on constants alone" if name in self.graph.constants else "an input is missing")

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
        value = self.value(index)
        if value.axes == VECTOR_AXES:
            raise RefusedError(f"it reads a vector of {format_shape(value.shape)} as an image")
        if value.axes != IMAGE_AXES and value.shape[:2] != (1, 1):
            raise RefusedError(f"it reads an image whose axes are {' '.join(value.axes.upper())}, not N C H W")
        return replace(value, axes=IMAGE_AXES)

    def letters(self, value: Value, axes: Sequence[int]) -> list[str]:
        """The letters of axes, which may count from the end."""
        return [value.axes[axis] for axis in axes]

    def output_shape(self, index: int = 0) -> tuple[int, ...]:
        """The shape of the node's output with the batch, as ONNX infers it."""
        found = self.graph.shapes.get(self.node.outputs[index])
        if found is None:
            raise RefusedError("its output's shape depends on what it computes")
        return found

    def in_order(self, vector: Array, value: Value) -> Array:
        """[…, C] of the tensor's channels as the layer's channels lie: those of a flattened image are exchanged."""
        if value.flat is None or vector.ndim == 0 or vector.shape[-1] == 1:
            return vector
        height, width, channels = value.flat
        lead = vector.shape[:-1]
        spread = vector.reshape(*lead, channels, height, width)
        return np.ascontiguousarray(np.moveaxis(spread, -3, -1)).reshape(*lead, -1)

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
        try:
            shape = static(CATALOGUE[kind](**given).fitted(*shapes).infer_shape(*shapes), kind)
        except RuleError as error:
            raise RefusedError(error.message) from None
        except ValueError as error:
            raise RefusedError(str(error).splitlines()[-2].strip()) from None
        name = f"{len(self.layers)}:{kind}"
        layer = FlatLayer(name, kind, given, tuple(v.source for v in inputs), dict(params or {}), shape, self.hint())
        self.layers.append(layer)
        self.by_name[name] = layer
        same = inputs[0].axes if len(shape) == len(inputs[0].shape) else IMAGE_AXES if is_image(shape) else VECTOR_AXES
        flat = inputs[0].flat if CATALOGUE[kind].elementwise else None
        return Value(name, shape, axes or same, flat)

    def give(self, value: Value, index: int = 0) -> None:
        """The node's output, whose shape has to be the file's."""
        name = self.node.outputs[index]
        expected = self.graph.shapes.get(name)
        batch = self.graph.inputs[0].shape[:1]
        found = batch + tuple(size for _, size in sorted(zip(_positions(value), value.shape, strict=True)))
        if expected is not None and found != expected:
            shapes = f"{format_shape(found)}, in the file {format_shape(expected)}"
            raise RefusedError(f"its output would be {shapes}")
        self.values[name] = value


def _positions(value: Value) -> list[int]:
    """Of each size of a layer's shape, its axis in the tensor."""
    return [value.axes.index(letter) for letter in LETTERS[len(value.shape)]]


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
            handler = HANDLERS.get(node.op)
            if handler is None:
                raise RefusedError("no layer says what it does")
            handler(made, node)
        except RefusedError as refused:
            found.refusals.append(Refusal(node, str(refused)))
            lost.update(node.outputs)
        except ODD:
            found.refusals.append(Refusal(node, "its attributes do not fit what it reads"))
            lost.update(node.outputs)
    _connect(made, found, lost)
    return found


def _read_input(made: Translator, given: OnnxInput, found: Translation, lost: set[str]) -> None:
    node = OnnxNode("input", given.name, (), (given.name,))
    ranks = {2: VECTOR_AXES, 4: IMAGE_AXES}
    if len(given.shape) not in ranks or not given.is_float:
        kind = "float32" if given.is_float else "another type than float32"
        found.refusals.append(
            Refusal(node, f"expected float32 of rank 2 or 4, found rank {len(given.shape)} of {kind}")
        )
        lost.add(given.name)
        return
    axes = ranks[len(given.shape)]
    if axes == IMAGE_AXES and _is_channels_last(made, given.name):
        axes = LAST
    letters = "hwc" if len(axes) == 4 else "c"
    order = [axes.index(letter) for letter in letters]
    shape = tuple(given.shape[axis] for axis in order)
    batch = given.written[0] if isinstance(given.written[0], int) else "N"
    found.net.inputs[given.name] = (batch, *(given.shape[axis] for axis in order))
    made.values[given.name] = Value(given.name, shape, axes)


def _is_channels_last(made: Translator, name: str) -> bool:
    """Whether an image input is N H W C: before anything asks for windows, a Transpose makes it N C H W."""
    waiting, seen = [name], {name}
    while waiting:
        for node in made.readers.get(waiting.pop(0), ()):
            if node.op == "Transpose":
                return bool(node.get("perm") == [0, 3, 1, 2])
            if node.op in ("Add", "Mul", "Sub", "Div", "Identity", "Cast", "Relu", "Sigmoid", "Tanh", "Pad"):
                waiting += [each for each in node.outputs if each not in seen]
                seen.update(node.outputs)
    return False


def _connect(made: Translator, found: Translation, lost: set[str]) -> None:
    """Outputs that were reached; of those that were not, the last values before them."""
    for name in made.graph.outputs:
        value = made.values.get(name)
        why = ""
        if name in made.graph.constants:
            why = "it is a constant"
        elif value is not None and value.source not in made.by_name:
            why = "it is an input"
        elif value is not None and value.flat is not None:
            why = "it is a flattened image in the order channels, height, width; flatten gives height, width, channels"
        if why:
            found.refusals.append(Refusal(OnnxNode("output", name, (), (name,)), why))
        elif value is not None:
            found.net.outputs[name] = value.source
    if found.refusals:
        edge = {name for node in made.graph.nodes if lost.intersection(node.outputs) for name in node.inputs}
        order = [output for node in made.graph.nodes for output in node.outputs]
        usable = {n for n, v in made.values.items() if v.source in made.by_name and v.flat is None}
        reached = [name for name in order if name in usable and (name in edge or name in made.graph.outputs)]
        found.reached = reached[::-1]
