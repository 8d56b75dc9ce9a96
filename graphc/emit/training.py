"""A plan's training step as nodes: forward, and backward from the gradients that losses give.

    tensors in ─ forward → values of nodes ─ losses → their gradients ─ backward → gradients of variables

What is computed of these (losses, the optimizer) comes from whoever asks, as arithmetic on tensors; `finish` makes the
model, without what no output needs. The graph is flat: one domain, no control flow, fixed shapes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import onnx
from onnx import TensorProto, helper

import graphc
from graphc.dims import Shape, is_sequence
from graphc.emit import webgpu_convolution
from graphc.emit.at_layer import at_layer
from graphc.emit.blocked_layout import keep_in_blocks
from graphc.emit.builder import GraphBuilder, Value, lies_channels_first, require_operator
from graphc.emit.model import OnnxModel, check
from graphc.emit.training_targets import TRAINING_OPERATORS, Target
from graphc.emit.unused import needed_nodes, without_copies
from graphc.errors import SpecError
from graphc.graph import Node, Plan
from graphc.layers.base import Layer
from graphc.layers.protocols import EmitsTraining
from graphc.onnx_builder import Value as AnyValue
from graphc.training_graph import blocked
from graphc.training_graph.blocked import NCHWC
from graphc.training_graph.step import EmittedGradients, EmittedStep
from graphc.training_graph.tensor import Tensor, between_layers
from graphc.types import Array, Params

OPSET, IR_VERSION = 17, 8
STEP, UNIFORM = "step", "/uniform"
"""What an input is called that says how many steps were done, and one of random numbers behind its layer."""
ELEMENTS = {"float32": TensorProto.FLOAT, "int32": TensorProto.INT32}


def end_of(number: int, count: int) -> str:
    """What the names of inputs and outputs end in that are of one of several batches, or steps."""
    return f"@{number}" if count > 1 else ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A layer's step, to go back through."""

    node: Node
    inputs: tuple[Tensor, ...]
    step: EmittedStep


class TrainingGraph(GraphBuilder):
    """Collects the nodes of a training step; what layers see of it is `TrainingBuilder`."""

    def __init__(
        self, plan: Plan, batch: int, target: Target = "cpu", *, training: bool = True, block: int = 0
    ) -> None:
        """`training`: whether layers do what they do in training alone, such as dropout; of normalization the plan
        says it, by `frozen`. `block`: channels in a block of onnxruntime's own layout, 0 for standard operators
        alone."""
        super().__init__(plan.graph, OPSET, set(), {})
        self.block = block
        self.shapes: dict[str, tuple[int, ...]] = {}
        """Of all tensors so far, by name."""
        self.transposed: dict[str, tuple[Tensor, tuple[int, ...]]] = {}
        self.plan, self.batch, self.target, self.training = plan, batch, target, training
        self.inputs: dict[str, tuple[Tensor, str]] = {}
        """Inputs of the graph with their types, by name."""
        self.outputs: dict[str, Tensor] = {}
        """Outputs of the graph by name."""
        self.updates: dict[str, Tensor] = {}
        """New values of variables that back-propagation does not train, by full name."""
        self.variables: dict[str, Tensor] = {}
        """Variables by full name: inputs of the graph."""
        self.suffix = ""
        """What the names of a pass's inputs and outputs end in, where a step has several."""
        self._pass = 0, 1
        """(number of the pass, passes a step)."""
        self._turn, self._end = 0, ""
        """Which of the steps that the graph has in a row, and what the names of its inputs and outputs end in."""
        self.new_state: dict[str, Tensor] = {}
        """What the state has become so far, by the names of its inputs."""
        self._known: dict[Any, list[str]] = {}
        self._initializers: dict[Any, str] = {}
        self._tensors: dict[str, Tensor] = {}
        """Variables that `emit` has asked for, by name."""
        self._records: list[Recorded] = []
        self._label, self._doc = plan.graph.name, ""
        self._origin: dict[str, Node | None] = {}
        """Layer of each node, by the name of its first output."""

    # GraphWriter --------------------------------------------------------------------------------------------

    def node(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> list[str]:
        while inputs and not inputs[-1]:
            inputs = inputs[:-1]
        key = (kind, inputs, outputs, repr(sorted(attributes.items())))
        if key in self._known:
            return self._known[key]
        if "domain" not in attributes:
            require_operator(kind, self.opset)
        names = [self._value_names.unique(f"{self._label}/{kind}") for _ in range(outputs)]
        made = helper.make_node(kind, list(inputs), names, **attributes)
        made.name = self._node_names.unique(f"{self._label}/{kind}")
        made.doc_string = self._doc
        self.nodes.append(made)
        self._origin[names[0]] = self._node
        self._known[key] = names
        return names

    def initializer(self, array: Array) -> str:
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._initializers:
            name = self._value_names.unique(f"constant/{len(self._initializers)}")
            self.tensors[name] = array
            self._initializers[key] = name
        return self._initializers[key]

    def convolution(
        self, x: Tensor, weights: Tensor, biases: Tensor | None, attributes: Mapping[str, Any], shape: Sequence[int]
    ) -> Tensor:
        if blocked.fits(x, weights, attributes):
            return blocked.convolution(x, weights, biases, attributes, shape)
        form = webgpu_convolution.convolution if self.target == "webgpu" else webgpu_convolution.plain_convolution
        return form(x, weights, biases, attributes, shape)

    # GraphBuilder, for `emit` of layers ---------------------------------------------------------------------

    def _add_node(
        self, kind: str, inputs: Sequence[AnyValue | str | None], outputs: int, attributes: Mapping[str, Any]
    ) -> list[str]:
        names = ["" if value is None else value if isinstance(value, str) else value.name for value in inputs]
        return list(self.node(kind, *names, outputs=outputs, **attributes))

    def op(
        self,
        kind: str,
        *inputs: AnyValue | str | None,
        shape: Shape | None = None,
        channels_first: bool | None = None,
        **attributes: Any,
    ) -> Value:
        """As of any builder; convolutions by `convolution`."""
        if kind != "Conv":
            return super().op(kind, *inputs, shape=shape, channels_first=channels_first, **attributes)
        x, *named = inputs
        assert shape is not None
        assert isinstance(x, Value)
        weights, biases = (*(self._named(name) for name in named if isinstance(name, str)), None)[:2]
        assert weights is not None
        given = Tensor(self, x.name, (self.batch, *x.inner_shape))  # type: ignore[arg-type]
        lying: Any = (self.batch, shape[-1], *shape[:-1])
        made = self.convolution(given, weights, biases, attributes, lying)
        return Value(made.name, shape, channels_first=True)

    def _named(self, name: str) -> Tensor:
        """What `constant` has given this name."""
        return self._tensors[name] if name in self._tensors else Tensor(self, name, self.tensors[name].shape)

    def constant(self, name: str, array: Array) -> str:
        """Variables are tensors, on which `emit` has done what it does with arrays; all else are initializers."""
        given: Any = array
        if isinstance(given, Tensor):
            self._tensors[given.name] = given
            return given.name
        return self.initializer(array.astype(np.float32 if array.dtype.kind == "f" else np.int64))

    # TrainingBuilder ----------------------------------------------------------------------------------------

    @property
    def steps_done(self) -> Tensor:
        number, passes = self._pass
        return (self.input(STEP, (), "float32") + self._turn) * passes + number

    def tensor(self, array: Array) -> Tensor:
        made = np.asarray(array, np.float32)
        return Tensor(self, self.initializer(made), made.shape)

    def emitted(self, layer: Layer, inputs: Sequence[Tensor], params: Mapping[str, Tensor] | None = None) -> Tensor:
        values = [_value(each) for each in inputs]
        result = layer.emit(self, values, cast(Params, params or {}))
        if is_sequence(result.shape):
            result = self.channels_last(result)
        lying = result.shape
        if result.channels_first:
            lying = (lying[-1], *lying[:-1])
        return Tensor(self, result.name, (self.batch, *(int(size) for size in lying)))  # type: ignore[arg-type]

    def uniform(self, *shape: int) -> Tensor:
        assert self._node is not None
        return between_layers(self.input(f"{self._node.name}{UNIFORM}{self.suffix}", shape, "float32"))

    # the step -----------------------------------------------------------------------------------------------

    def input(self, name: str, shape: tuple[int, ...], dtype: str) -> Tensor:
        """An input of the graph, made when it is first asked for; a SpecError where two have one name."""
        tensor = Tensor(self, name, shape)
        known, _ = self.inputs.setdefault(name, (tensor, dtype))
        if known.shape != shape:
            raise SpecError("G371", f"two inputs of the training graph would be called {name!r}: rename a layer")
        return known

    def about(self, label: str) -> None:
        """What follows is no layer's, and is called this."""
        self._node, self._label, self._doc = None, label, label

    def _about_layer(self, node: Node, way: str) -> None:
        self.begin(node)
        place = f"{node.place.path.replace(chr(92), '/').rpartition('/')[2]}:{node.place.line}"
        self._label = f"{node.name}/{way}" if way else node.name
        self._doc = f"{node.name} {place} {way}".rstrip()

    def begin_step(self, turn: int, turns: int) -> None:
        """What follows is of this step, of so many in a row, with inputs and outputs of its own."""
        self._turn, self._end = turn, end_of(turn, turns)
        self.updates.clear()
        self.end_passes()

    def begin_pass(self, number: int, passes: int, batch: int) -> None:
        """What follows is of another batch, of so many examples, with inputs and outputs of its own; passes count as
        steps for layers."""
        self._pass, self.batch = (number, passes), batch
        self.suffix = end_of(number, passes) or self._end
        self._records.clear()

    def end_passes(self) -> None:
        """What follows is of the whole step."""
        self._pass, self.suffix = (0, 1), self._end

    def state(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """A part of the state as it is at this point of the step: an input, or what an earlier step made of it."""
        return self.new_state[name] if name in self.new_state else self.input(name, shape, "float32")

    def forward(self, wanted: Collection[str]) -> dict[str, Tensor]:
        """The values of these nodes, by name; the layers on the way to them are kept for `backward`."""
        check_layers(self.plan, wanted)
        needed = needed_for(self.plan, wanted)
        found = {
            each.name: between_layers(
                self.input(f"{each.name}{self.suffix}", (self.batch, *self._static(each.shape)), "float32")
            )
            for each in self.plan.graph.inputs
            if each.name in needed
        }
        for planned in self.plan.nodes:
            if planned.node.name in needed:
                found[planned.node.name] = self._emit_layer(planned.node, [found[name] for name in planned.node.inputs])
        return {name: found[name] for name in wanted}

    def _static(self, shape: Sequence[object]) -> tuple[int, ...]:
        sizes = tuple(size for size in shape if isinstance(size, int))
        if len(sizes) < len(shape):
            raise SpecError("G607", f"training needs fixed sizes, an input has {'×'.join(map(str, shape))}")
        return sizes

    def _emit_layer(self, node: Node, inputs: list[Tensor]) -> Tensor:
        if not self.training and node.layer.does_nothing(*self.plan.input_shapes(node)):
            return inputs[0]
        self._about_layer(node, "")
        layer = node.layer
        assert isinstance(layer, EmitsTraining), "check_layers() comes first"
        names = self.plan.variable_names[node.name]
        params = {local: self.updates.get(name, self.variables[name]) for local, name in names.items()}
        with at_layer(node):
            step = layer.emit_training(self, params, *inputs)
        self.updates.update({names[local]: value for local, value in step.updates.items()})
        self._records.append(Recorded(node, tuple(inputs), step))
        return step.output

    def backward(self, gradients: Mapping[str, Tensor], learning: Collection[str]) -> dict[str, Tensor]:
        """Gradients of the variables in `learning`, by full name, from gradients of values by node name; a variable
        that no gradient reaches is left out."""
        reached = self.plan.at_or_above(learning)
        arrived, found = dict(gradients), dict[str, Tensor]()
        for record in reversed(self._records):
            node = record.node
            dy = arrived.pop(node.name, None)
            if dy is None or node.name not in reached:
                continue
            self._about_layer(node, "backward")
            with at_layer(node):
                answer = record.step.backward(dy)
            self._collect(record, answer, learning, reached, arrived, found)
        return found

    def _collect(
        self,
        record: Recorded,
        answer: EmittedGradients,
        learning: Collection[str],
        reached: Collection[str],
        arrived: dict[str, Tensor],
        found: dict[str, Tensor],
    ) -> None:
        """What a layer's backward gives, added to what is there."""
        node = record.node
        names = self.plan.variable_names[node.name]
        for local, gradient in answer.params.items():
            name = names[local]
            assert gradient.shape == self.variables[name].shape, f"{name}: {gradient.shape}"
            if name in learning:
                found[name] = found[name] + gradient if name in found else gradient
        for name, source, given in zip(node.inputs, record.inputs, answer.inputs, strict=True):
            if given is not None and name in reached:
                assert given.shape == source.shape, f"{node.name}: {given.shape} is not {source.shape}"
                arrived[name] = arrived[name] + given if name in arrived else given

    # the model ----------------------------------------------------------------------------------------------

    def give(self, name: str, value: Tensor) -> None:
        """Make a value an output of the graph; a SpecError where its name is taken."""
        if name in self.outputs or name in self.inputs:
            raise SpecError("G371", f"two values of the training graph would be called {name!r}: rename an output")
        (given,) = self.node_named(name, "Identity", value)
        self.outputs[name] = Tensor(self, given, value.shape)

    def node_named(self, name: str, kind: str, value: Tensor) -> list[str]:
        """A node whose output has this very name."""
        made = helper.make_node(kind, [value.name], [name], name=self._node_names.unique(f"{name}/{kind}"))
        self.nodes.append(made)
        self._origin[name] = None
        return [name]

    def finish(self, metadata: Mapping[str, str]) -> OnnxModel:
        """The checked model, of what its outputs need."""
        nodes = needed_nodes(self.nodes, self.outputs)
        if self.block:
            nodes = keep_in_blocks(nodes, self, self.outputs)
        nodes = without_copies(nodes, set(self.inputs), set(self.tensors))
        self._check_operators(nodes)
        read = {name for node in nodes for name in node.input}
        inputs = [
            helper.make_tensor_value_info(name, ELEMENTS[dtype], tensor.shape)
            for name, (tensor, dtype) in self.inputs.items()
            if name in read
        ]
        outputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, tensor.shape)
            for name, tensor in self.outputs.items()
        ]
        body = helper.make_model(
            helper.make_graph(nodes, f"{self.plan.graph.name}_training", inputs, outputs),
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET), *([helper.make_opsetid(NCHWC, 1)] if self.block else [])],
            producer_name="graphc",
            producer_version=graphc.__version__,
        )
        facts = {"graphc.version": graphc.__version__, "graphc.training": self.target}
        helper.set_model_props(body, dict(sorted({**facts, **metadata}.items())))
        model = OnnxModel(body, {name: array for name, array in self.tensors.items() if name in read})
        check(model)
        return model

    def _check_operators(self, nodes: Sequence[onnx.NodeProto]) -> None:
        allowed = TRAINING_OPERATORS[self.target]
        for node in nodes:
            if node.domain == "" and node.op_type not in allowed:
                origin = self._origin.get(node.output[0])
                where = f"{origin.name}: {origin.layer.kind}" if origin is not None else "the training step"
                message = f"{where} needs the operator {node.op_type}, which {self.target} has no kernel for"
                raise SpecError("G370", message, None if origin is None else origin.place)


def needed_for(plan: Plan, wanted: Collection[str]) -> set[str]:
    """The names of these nodes, and of all nodes and inputs on the way to them."""
    needed = set(wanted)
    for planned in reversed(plan.nodes):
        if planned.node.name in needed:
            needed.update(planned.node.inputs)
    return needed


def check_layers(plan: Plan, wanted: Collection[str]) -> None:
    """A SpecError with the place of the first layer on the way to these nodes that has no nodes for training."""
    needed = needed_for(plan, wanted)
    for planned in plan.nodes:
        node = planned.node
        if node.name in needed and not isinstance(node.layer, EmitsTraining):
            raise SpecError("G370", f"{node.name}: {node.layer.kind} has no training graph yet", node.place)


def _value(tensor: Tensor) -> Value:
    """A tensor as `emit` of layers sees it."""
    sizes = tensor.shape[1:]
    if tensor.rank in (4, 5):
        shape = (*sizes[1:], sizes[0])
        return Value(tensor.name, shape, channels_first=lies_channels_first(shape))
    return Value(tensor.name, sizes)


__all__ = ["TrainingGraph"]
