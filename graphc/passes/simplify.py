"""Rewrites for inference.

    conv2d conv1 -> batch_norm conv1/BatchNorm -> relu -> dropout -> fully_connected
    conv2d conv1 (with biases)                 -> relu            -> fully_connected

    x -> conv2d 3×3, x -> conv2d 1×1, x -> batch_norm, all added
    x -> conv2d 3×3 (with biases)

Outputs and end points keep their names: the value of `conv1/BatchNorm` is then the output of `conv1`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from graphc.dims import Shape
from graphc.graph import Node, Plan, readers_of
from graphc.layers.base import static
from graphc.layers.protocols import AbsorbsAffine, Affine, SplitsAffine, SumsWith
from graphc.lazy import np
from graphc.types import Array, Params


@dataclass(frozen=True, slots=True)
class Inference:
    """A graph with its weights, as it is emitted."""

    nodes: tuple[Node, ...]
    shapes: Mapping[str, Shape]
    """Of nodes and graph inputs, by name."""
    params: Mapping[str, Params]
    """Of nodes, by name."""
    outputs: Mapping[str, str]
    """Output name -> node."""
    end_points: Mapping[str, str]
    """End point name -> node; one that has no value any more is left out."""
    overwrite: frozenset[str] = frozenset()
    """Nodes whose weights may be written over: nobody else has them."""


Rewrite: TypeAlias = Callable[[Inference], Inference]


def inference(
    plan: Plan, params: Mapping[str, Array], outputs: Mapping[str, str] | None = None, *, overwrite: bool = False
) -> Inference:
    """What the outputs (name -> node; the graph's own where not given) need of the plan, with its weights (by
    full name, each in its own shape), which rewrites overwrite with `overwrite`, but for those that layers share."""
    graph = plan.graph
    local = {node.name: plan.params_of(node, params) for node in graph.nodes}
    outputs = graph.outputs if outputs is None else outputs
    users = Counter(node.variables for node in graph.nodes)
    own = frozenset(node.name for node in graph.nodes if overwrite and users[node.variables] == 1)
    return drop_unused(Inference(graph.nodes, plan.shapes, local, outputs, graph.end_points, own))


def simplify(graph: Inference) -> Inference:
    """The same outputs with fewer layers."""
    for rewrite in SIMPLIFICATIONS:
        graph = rewrite(graph)
    return graph


def drop_unused(graph: Inference) -> Inference:
    """Layers that reach no output go."""
    needed = set(graph.outputs.values())
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed.update(node.inputs)
    nodes = tuple(node for node in graph.nodes if node.name in needed)
    return replace(graph, nodes=nodes, end_points=_still_there(graph.end_points, nodes))


def drop_idle(graph: Inference) -> Inference:
    """Layers that do nothing in inference go; their readers read what they read."""
    instead: dict[str, str] = {}
    inputs = graph.shapes.keys() - {node.name for node in graph.nodes}
    outputs = set(graph.outputs.values())
    for node in graph.nodes:
        source = instead.get(node.inputs[0], node.inputs[0])
        is_copy_of_input = source in inputs and node.name in outputs  # an output needs a node
        if node.layer.does_nothing(*(graph.shapes[name] for name in node.inputs)) and not is_copy_of_input:
            instead[node.name] = source
    return _without(graph, instead)


def fold_affine(graph: Inference) -> Inference:
    """Batch norms (and whatever else is y*scale + offset a channel) go into the weights of the layer before, or of
    all layers that it concatenates, where nothing else reads those layers."""
    fold = _Folding(graph)
    for node in graph.nodes:
        if not isinstance(node.layer, Affine):
            continue
        affine = node.layer.as_affine(graph.params[node.name])
        source = fold.instead.get(node.inputs[0], node.inputs[0])
        channels = static(graph.shapes[node.name][-1:], node.layer.kind)
        if fold.can_absorb(node.inputs[0]):
            fold.absorb(node.inputs[0], *(np.broadcast_to(each, channels) for each in affine))
            fold.lost.add(node.inputs[0])
            fold.instead[node.name] = source
            fold.stand_ins.setdefault(source, []).append(node.name)
    return fold.result()


@dataclass
class _Folding:
    """Layers that have absorbed what followed them."""

    graph: Inference
    changed: dict[str, tuple[Node, Params]] = field(default_factory=dict)
    """By name: a layer that has absorbed an affine, with its variables."""
    instead: dict[str, str] = field(default_factory=dict)
    """Node that is gone -> the one that gives its value."""
    stand_ins: dict[str, list[str]] = field(default_factory=dict)
    """The other way round."""
    lost: set[str] = field(default_factory=set)
    """Nodes whose own value is no longer there."""

    def __post_init__(self) -> None:
        self.readers = readers_of(self.graph.nodes)
        self.kept = set(self.graph.outputs.values())
        self.nodes = {node.name: (node, self.graph.params[node.name]) for node in self.graph.nodes}

    def can_absorb(self, read: str) -> bool:
        """Whether the layers that give `read` can take in what its only reader does with it."""
        waiting = [read]
        while waiting:
            read = waiting.pop()
            name = self.instead.get(read, read)
            if name not in self.nodes or len(self.readers[read]) != 1 or read in self.kept:
                return False
            node, _ = self.nodes[name]
            if isinstance(node.layer, SplitsAffine):
                waiting.extend(node.inputs)
            elif not isinstance(node.layer, AbsorbsAffine):
                return False
        return True

    def absorb(self, read: str, scale: Array, offset: Array) -> None:
        """Have the layers that give `read`, which can, give `read`*scale + offset."""
        waiting = [(read, scale, offset)]
        while waiting:
            read, scale, offset = waiting.pop()
            name = self.instead.get(read, read)
            node, params = self.changed.get(name, self.nodes[name])
            if isinstance(node.layer, AbsorbsAffine):
                overwrite = name in self.graph.overwrite
                layer, params = node.layer.absorb_affine(params, scale, offset, overwrite=overwrite)
                self.changed[name] = replace(node, layer=layer), params
                self.lost.update([name, *self.stand_ins.get(name, ())])
            elif isinstance(node.layer, SplitsAffine):
                shares = node.layer.split_affine(scale, offset, *(self.graph.shapes[source] for source in node.inputs))
                waiting.extend((source, *share) for source, share in zip(node.inputs, shares, strict=True))

    def result(self) -> Inference:
        graph = self.graph
        nodes = tuple(self.changed.get(node.name, self.nodes[node.name])[0] for node in graph.nodes)
        params = {**graph.params, **{name: params for name, (_, params) in self.changed.items()}}
        end_points = {name: node for name, node in graph.end_points.items() if node not in self.lost}
        return _without(replace(graph, nodes=nodes, params=params, end_points=end_points), self.instead)


def merge_parallel(graph: Inference) -> Inference:
    """Layers of one input that are added go into one of them, where it can take the others in and nobody else reads
    any of them: the three paths of a RepVGG unit."""
    merging = _Merging(graph)
    for node in graph.nodes:
        if node.layer.is_sum:
            merging.merge_inputs(node)
    return merging.result()


@dataclass
class _Merging:
    """Layers that have taken in others beside them."""

    graph: Inference
    nodes: dict[str, Node] = field(init=False)
    """By name, as they are now."""
    params: dict[str, Params] = field(init=False)
    instead: dict[str, str] = field(default_factory=dict)
    """Sum that is gone -> the layer that gives its value."""
    taken: set[str] = field(default_factory=set)
    """Nodes that are in another."""
    lost: set[str] = field(default_factory=set)
    """Nodes whose own value is no longer there."""

    def __post_init__(self) -> None:
        self.readers = readers_of(self.graph.nodes)
        self.kept = set(self.graph.outputs.values())
        self.nodes = {node.name: node for node in self.graph.nodes}
        self.params = dict(self.graph.params)

    def merge_inputs(self, node: Node) -> None:
        """Have a sum add fewer layers."""
        left = [self.instead.get(read, read) for read in node.inputs]
        paths: dict[str, list[str]] = {}
        for read, name in zip(node.inputs, left, strict=True):
            if self._is_alone(read, name) and self.graph.shapes[name] == self.graph.shapes[node.name]:
                paths.setdefault(self.nodes[name].inputs[0], []).append(name)
        for source, names in paths.items():
            self._merge(names, self.graph.shapes[source])
        left = [name for name in left if name not in self.taken]
        self.nodes[node.name] = replace(node, inputs=tuple(left))
        if len(left) == 1 and len(node.inputs) > 1:
            self.instead[node.name] = left[0]

    def _is_alone(self, read: str, name: str) -> bool:
        """Whether a layer has one input, and nobody but the sum reads or wants its value."""
        once = len(self.readers[read]) == 1 and read not in self.kept
        return once and name in self.nodes and len(self.nodes[name].inputs) == 1

    def _merge(self, names: list[str], shape: Shape) -> None:
        """Have the largest of the layers, of one input of this shape, take in the others, as far as it can."""
        able = [name for name in names if isinstance(self.nodes[name].layer, SumsWith)]
        if len(names) == 1 or not able:
            return
        into = max(able, key=lambda name: sum(array.size for array in self.params[name].values()))
        for name in names:
            layer, other = self.nodes[into].layer, self.nodes[name].layer
            assert isinstance(layer, SumsWith)
            found = layer.sum_with(self.params[into], other, self.params[name], shape) if name != into else None
            if found is not None:
                self.nodes[into], self.params[into] = replace(self.nodes[into], layer=found[0]), found[1]
                self.lost.update((into, name))
                self.taken.add(name)

    def result(self) -> Inference:
        nodes = tuple(self.nodes[node.name] for node in self.graph.nodes if node.name not in self.taken)
        end_points = {name: node for name, node in self.graph.end_points.items() if node not in self.lost}
        return _without(replace(self.graph, nodes=nodes, params=self.params, end_points=end_points), self.instead)


SIMPLIFICATIONS: tuple[Rewrite, ...] = (drop_idle, fold_affine, merge_parallel)
"""What `simplify` does, in order."""


def _without(graph: Inference, instead: Mapping[str, str]) -> Inference:
    """The graph without the nodes in `instead`; whoever named one of them gets the node that stands for it."""
    nodes = tuple(
        replace(node, inputs=tuple(instead.get(name, name) for name in node.inputs))
        for node in graph.nodes
        if node.name not in instead
    )
    outputs = {name: instead.get(node, node) for name, node in graph.outputs.items()}
    end_points = {name: instead.get(node, node) for name, node in graph.end_points.items()}
    return replace(graph, nodes=nodes, outputs=outputs, end_points=_still_there(end_points, nodes))


def _still_there(end_points: Mapping[str, str], nodes: tuple[Node, ...]) -> dict[str, str]:
    names = {node.name for node in nodes}
    return {name: node for name, node in end_points.items() if node in names}
