"""The two stages after the spec: a `LayerGraph` of complete layers, and a `Plan` with every analysis."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from graphc.dims import Shape, is_static
from graphc.errors import Place, Warn
from graphc.layers.base import Layer, elements
from graphc.receptive_field import ReceptiveField
from graphc.spec.entry import Argument
from graphc.spec.pretrained import Pretrained
from graphc.types import Array
from graphc.variables import ParamSpec


@dataclass(frozen=True, slots=True)
class Node:
    """A layer in its place: complete, validated, wired by name."""

    name: str
    """Unique, scoped by groups: `conv3/conv3_2`; what a sugar argument made is below it: `conv3/conv3_2/Relu`."""
    layer: Layer
    inputs: tuple[str, ...]
    """Names of nodes or of graph inputs."""
    place: Place
    """Where the layer is written."""
    variables: str
    """Node name whose variables it uses: its own, or the shared one's."""
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    trail: tuple[str, ...] = ()
    """How it came to be, outermost first: `specs/resnet.yaml:40:5 repeat block1, 2 of 3`, …"""
    followed_by: Mapping[str, Argument] = field(default_factory=dict)
    """Its `normalizer` and `activation` as written: nodes of their own, below this one's name."""


@dataclass(frozen=True, slots=True)
class GraphInput:
    name: str
    shape: Shape
    place: Place


@dataclass(frozen=True)
class LayerGraph:
    """Nodes in topological order; no scopes, repeats, blocks or sugar left."""

    name: str
    batch: str | int
    """`N`, or a fixed number of examples."""
    inputs: tuple[GraphInput, ...]
    nodes: tuple[Node, ...]
    outputs: Mapping[str, str]
    """Output name -> node name."""
    end_points: Mapping[str, str]
    """End point name -> node name."""
    expect: Mapping[str, Any] = field(default_factory=dict)
    """Budgets as written, checked by `passes.expectations`."""
    warnings: tuple[Warn, ...] = ()
    scope: str | None = None
    """What every variable's name begins with; None: the graph's name, empty: nothing."""
    pretrained: Pretrained = field(default_factory=Pretrained)
    """Whose weights fit."""

    @cached_property
    def names(self) -> frozenset[str]:
        """Of all nodes."""
        return frozenset(node.name for node in self.nodes)

    def scoped(self, name: str) -> str:
        """A name below the scope: `vgg_16/conv1`."""
        scope = self.name if self.scope is None else self.scope
        return f"{scope}/{name}" if scope else name

    def variable(self, node: Node, local: str) -> str:
        """The full name of a variable: `vgg_16/conv1/conv1_1/weights`."""
        return self.scoped(f"{node.variables}/{local}")


def readers_of(nodes: Iterable[Node]) -> dict[str, list[Node]]:
    """The nodes that read a value, in order, by its name; twice where a node reads it twice."""
    readers: dict[str, list[Node]] = {}
    for node in nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    return readers


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """A node and all that is known of it before anything is allocated."""

    node: Node
    shape: Shape
    receptive_field: ReceptiveField | None
    """Of the first graph input that it sees; None where the whole input is seen."""
    params: Mapping[str, ParamSpec]
    """By local name; empty for a node that shares another's variables, so that sums count once."""
    macs: int | None
    """None where a size is a symbol."""
    flops: int | None

    @property
    def activation_bytes(self) -> int | None:
        """Memory of the output for one example, float32; None where a size is a symbol."""
        return 4 * elements(self.shape) if is_static(self.shape) else None

    @property
    def param_count(self) -> int:
        return sum(elements(spec.shape) for spec in self.params.values())

    @property
    def trainable_count(self) -> int:
        return sum(elements(spec.shape) for spec in self.params.values() if spec.trainable)


@dataclass(frozen=True)
class Plan:
    """A graph with every analysis. What follows from them is worked out once, when it is first asked for."""

    graph: LayerGraph
    nodes: tuple[PlannedNode, ...]
    warnings: tuple[Warn, ...] = ()

    @cached_property
    def by_name(self) -> Mapping[str, PlannedNode]:
        """Every node by its name, in the order of the layers."""
        return {planned.node.name: planned for planned in self.nodes}

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """One example's shape of every graph input and node, by name."""
        inputs = {each.name: each.shape for each in self.graph.inputs}
        return inputs | {planned.node.name: planned.shape for planned in self.nodes}

    def input_shapes(self, node: Node) -> list[Shape]:
        """The shapes of what a node reads."""
        return [self.shapes[name] for name in node.inputs]

    @cached_property
    def readers(self) -> Mapping[str, list[Node]]:
        """The nodes that read a value, in order, by its name."""
        return readers_of(planned.node for planned in self.nodes)

    @cached_property
    def variables(self) -> Mapping[str, ParamSpec]:
        """Every variable by full name, in the order of the layers."""
        return {
            self.graph.variable(planned.node, local): spec
            for planned in self.nodes
            for local, spec in planned.params.items()
        }

    @cached_property
    def variable_names(self) -> Mapping[str, Mapping[str, str]]:
        """The full names of every node's variables by local name, by node name: its own, or those that it shares."""
        owners = {planned.node.variables: planned.params for planned in self.nodes if planned.params}
        return {
            planned.node.name: {
                local: self.graph.variable(planned.node, local) for local in owners.get(planned.node.variables, ())
            }
            for planned in self.nodes
        }

    def at_or_above(self, variables: Collection[str], values: Collection[str] = ()) -> frozenset[str]:
        """The values (of nodes or inputs) and the nodes that have one of these variables, by full name, and all that
        depend on them."""
        wanted, found = set(variables), set(values)
        for planned in self.nodes:
            node = planned.node
            if found.intersection(node.inputs) or wanted.intersection(self.variable_names[node.name].values()):
                found.add(node.name)
        return frozenset(found)

    def params_of(self, node: Node, params: Mapping[str, Array]) -> dict[str, Array]:
        """A node's variables by local name, from all by full name, each in its own shape."""
        return {local: params[name] for local, name in self.variable_names[node.name].items()}
