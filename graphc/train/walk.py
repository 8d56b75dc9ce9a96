"""One shard of a batch on its way through the layers and back.

A walk wires outputs to inputs, drops each value after its last reader, adds gradients where paths meet, and keeps
away from what nobody needs (images, frozen variables and all below them).
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace

import numpy as np

from graphc.errors import RuleError
from graphc.graph import Node, Plan
from graphc.kernels.context import RunContext
from graphc.parallel.communicator import Shard
from graphc.passes.infer_shapes import at_node
from graphc.types import Array, Gradient, Gradients
from graphc.workspace import Workspace

Backward = Callable[[Array], Gradients]


@dataclass(frozen=True, slots=True)
class Wiring:
    """Which layers run, and what becomes of their values."""

    nodes: tuple[Node, ...]
    readers: Counter[str]
    """How many layers read a value."""
    givers: frozenset[str]
    """Values that their only reader may write over."""
    wanted: frozenset[str]

    @staticmethod
    def of(nodes: tuple[Node, ...], wanted: frozenset[str]) -> Wiring:
        joined = tuple(_joined(nodes, wanted))
        readers = Counter(name for node in joined for name in node.inputs)
        given = (node.name for node in joined if node.layer.gives_output_away)
        return Wiring(joined, readers, frozenset(name for name in given if readers[name] == 1) - wanted, wanted)


def _joined(nodes: tuple[Node, ...], wanted: Set[str]) -> Iterator[Node]:
    """The nodes, where a layer can take its only reader in as one; the joined node has the reader's name.

    From the end on, so that what is joined may be joined again: a ReLU and a pooling, and both with a convolution.
    """
    readers = Counter(name for node in nodes for name in node.inputs)
    followers = {node.inputs[0]: node for node in nodes if len(node.inputs) == 1 and readers[node.inputs[0]] == 1}
    joined: dict[str, Node] = {}
    taken: set[str] = set()
    for node in reversed(nodes):
        following = followers.get(node.name)
        if following is None or node.name in wanted:
            continue
        rest = joined.get(following.name, following)
        layer = node.layer.joined(rest.layer)
        if layer:
            joined[node.name] = replace(node, name=rest.name, layer=layer)
            taken.add(following.name)
    return (joined.get(node.name, node) for node in nodes if node.name not in taken)


@dataclass(frozen=True, slots=True)
class Stop:
    """A layer on the way, and what is the same for it in every step."""

    node: Node
    names: Mapping[str, str]
    """Its variables: full names by local name."""
    key: int
    """Of its random numbers."""
    learns: bool
    """Whether it is at or above a variable that learns."""
    input_gradients: tuple[bool, ...]
    """Of each input, whether what made it wants a gradient."""
    factors: bool
    """Whether the gradient of its weights may come as an `OuterProduct`."""
    overwrite: bool
    """Whether it may write its output over its first input."""


class Course:
    """What all walks over a plan share."""

    def __init__(self, plan: Plan, seed: int = 0, frozen: Collection[str] = (), factors: Collection[str] = ()) -> None:
        """`frozen`: full names of variables that need no gradient; `factors`: of those whose gradient may come as an
        `OuterProduct`."""
        self.graph = plan.graph
        self.seed = seed
        self.workspace = Workspace()
        self.trainable = {name for name, spec in plan.variables.items() if spec.trainable} - set(frozen)
        self.factors = frozenset(factors)
        self.locals = {planned.node.variables: tuple(planned.params) for planned in plan.nodes if planned.params}
        """Names of the variables under each owner: nodes that share have none of their own."""
        self.learning = plan.at_or_above(self.trainable)
        """Nodes at or above a variable that learns."""
        self._ways: dict[frozenset[str], tuple[Wiring, tuple[Stop, ...]]] = {}

    def way(self, wanted: frozenset[str]) -> tuple[Wiring, tuple[Stop, ...]]:
        """Which layers run so that these nodes have values."""
        if wanted not in self._ways:
            wiring = Wiring.of(self.graph.nodes, wanted)
            self._ways[wanted] = wiring, tuple(self._stop(node, wiring) for node in wiring.nodes)
        return self._ways[wanted]

    def walk(
        self,
        wanted: frozenset[str],
        shard: Shard,
        training: bool,
        step: int,
        params: Mapping[str, Array],
        inputs: Mapping[str, Array],
    ) -> Walk:
        """A walk that has gone forward with the shard's part of the inputs."""
        walk = Walk(self, wanted, shard, training, step)
        walk.forward(params, shard.of(inputs))
        return walk

    def _stop(self, node: Node, wiring: Wiring) -> Stop:
        names = {local: self.graph.variable(node, local) for local in self.locals.get(node.variables, ())}
        return Stop(
            node,
            names,
            key=zlib.crc32(node.name.encode()),
            learns=node.name in self.learning,
            input_gradients=tuple(name in self.learning for name in node.inputs),
            factors=names.get("weights") in self.factors,
            overwrite=node.inputs[0] in wiring.givers,
        )


class Walk:
    """One shard of a batch on its way through the layers and back."""

    def __init__(self, course: Course, wanted: frozenset[str], shard: Shard, training: bool, step: int) -> None:
        self.course = course
        self.wiring, self.stops = course.way(wanted)
        self.shard = shard
        self.training = training
        self.step = step
        self.values: dict[str, Array] = {}
        self.updates: dict[str, Array] = {}
        self._backwards: dict[str, Backward] = {}

    def forward(self, params: Mapping[str, Array], inputs: Mapping[str, Array]) -> None:
        """Through all layers; afterwards `values` holds what is wanted."""
        self.values.update(inputs)
        wanted, readers = self.wiring.wanted, self.wiring.readers.copy()
        for stop in self.stops:
            node = stop.node
            arrays = [self.values[name] for name in node.inputs]
            for name in node.inputs:
                readers[name] -= 1
            self._drop([name for name in node.inputs if not readers[name] and name not in wanted])
            # A moving average that layers share goes on from its first reader's update.
            own = {local: self.updates.get(name, params[name]) for local, name in stop.names.items()}
            try:
                answer = node.layer.forward(self._context(stop), own, *arrays)
            except RuleError as error:
                raise at_node(node, error, [array.shape[1:] for array in arrays]) from None
            del arrays
            if self.training:
                self.updates.update({stop.names[local]: new for local, new in answer.updates.items()})
                if stop.learns:
                    self._backwards[node.name] = answer.backward
            if readers[node.name] or node.name in wanted:
                self.values[node.name] = answer.output
            del answer
        self._drop([name for name in self.values if name not in wanted])

    def backward(self, given: Mapping[str, Array]) -> dict[str, Gradient]:
        """Against the order of the layers with the shard's part of what is given, dropping closures on the way."""
        gradients = self.shard.of(given)
        found: dict[str, Gradient] = {}
        for stop in reversed(self.stops):
            node = stop.node
            backward = self._backwards.pop(node.name, None)
            dy = gradients.pop(node.name, None)
            if backward is None or dy is None:
                continue
            answer = backward(dy)
            del backward, dy
            for local, gradient in answer.params.items():
                name = stop.names[local]
                if name in self.course.trainable:
                    found[name] = np.add(found[name], gradient) if name in found else gradient
            for name, arrived, wanted in zip(node.inputs, answer.inputs, stop.input_gradients, strict=True):
                if arrived is not None and wanted:
                    gradients[name] = self._sum(gradients[name], arrived) if name in gradients else arrived
            del answer
        return found

    def _drop(self, names: Iterable[str]) -> None:
        for name in names:
            self.values.pop(name, None)

    def _sum(self, a: Array, b: Array) -> Array:
        """a + b in a new array: both may be seen by others."""
        total: Array = np.add(a, b, out=self.course.workspace.empty(a.shape, a.dtype))
        return total

    def _context(self, stop: Stop) -> RunContext:
        course = self.course
        return RunContext(
            training=self.training,
            step=self.step,
            workspace=course.workspace,
            key=(course.seed, self.step, stop.key, self.shard.rank),
            input_gradient=any(stop.input_gradients),
            factors=stop.factors,
            overwrite=stop.overwrite,
            communicator=self.shard.communicator,
        )
