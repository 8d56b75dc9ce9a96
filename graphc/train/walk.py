"""One part of a batch on its way through the layers and back.

A walk wires outputs to inputs, drops each value after its last reader, adds gradients where paths meet, and keeps
away from what nobody needs (images, frozen variables and all below them).
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphc.graph import Node, Plan
from graphc.kernels.context import RunContext
from graphc.kernels.team import Member
from graphc.kernels.workspace import Workspace
from graphc.types import Array, Gradient, Gradients, Params

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
        self.learning = self._nodes_with_gradients()
        self._wirings: dict[frozenset[str], Wiring] = {}

    def wiring(self, wanted: frozenset[str]) -> Wiring:
        """Which layers run so that these nodes have values."""
        if wanted not in self._wirings:
            self._wirings[wanted] = Wiring.of(self.graph.nodes, wanted)
        return self._wirings[wanted]

    def walk(
        self,
        wanted: frozenset[str],
        member: Member,
        training: bool,
        step: int,
        params: Mapping[str, Array],
        inputs: Mapping[str, Array],
    ) -> Walk:
        """A walk that has gone forward with the member's part of the inputs."""
        walk = Walk(self, wanted, member, training, step)
        walk.forward(params, member.part_of(inputs))
        return walk

    def _nodes_with_gradients(self) -> set[str]:
        """Nodes at or above a variable that learns."""
        learning: set[str] = set()
        for node in self.graph.nodes:
            own = (self.graph.variable(node, local) for local in self.locals.get(node.variables, ()))
            if any(name in self.trainable for name in own) or learning.intersection(node.inputs):
                learning.add(node.name)
        return learning


class Walk:
    """One part of a batch on its way through the layers and back."""

    def __init__(self, course: Course, wanted: frozenset[str], member: Member, training: bool, step: int) -> None:
        self.course = course
        self.wiring = course.wiring(wanted)
        self.member = member
        self.training = training
        self.step = step
        self.values: dict[str, Array] = {}
        self.updates: dict[str, Array] = {}
        self._backwards: dict[str, Backward] = {}

    def forward(self, params: Mapping[str, Array], inputs: Mapping[str, Array]) -> None:
        """Through all layers; afterwards `values` holds what is wanted."""
        self.values.update(inputs)
        wanted, readers = self.wiring.wanted, self.wiring.readers.copy()
        for node in self.wiring.nodes:
            arrays = [self.values[name] for name in node.inputs]
            for name in node.inputs:
                readers[name] -= 1
            self._drop([name for name in node.inputs if not readers[name] and name not in wanted])
            names = self._names_of(node)
            context = self._context(node, names)
            answer = node.layer.forward(context, self._params_of(names, params), *arrays)
            del arrays
            if self.training:
                graph = self.course.graph
                self.updates.update({graph.variable(node, local): new for local, new in answer.updates.items()})
                if node.name in self.course.learning:
                    self._backwards[node.name] = answer.backward
            if readers[node.name] or node.name in wanted:
                self.values[node.name] = answer.output
            del answer
        self._drop([name for name in self.values if name not in wanted])

    def backward(self, member: Member, given: Mapping[str, Array]) -> dict[str, Gradient]:
        """Against the order of the layers with the member's part of what is given, dropping closures on the way."""
        self.member, gradients = member, member.part_of(given)
        graph, found = self.course.graph, dict[str, Gradient]()
        for node in reversed(self.wiring.nodes):
            backward = self._backwards.pop(node.name, None)
            dy = gradients.pop(node.name, None)
            if backward is None or dy is None:
                continue
            answer = backward(dy)
            del backward, dy
            for local, gradient in answer.params.items():
                name = graph.variable(node, local)
                if name in self.course.trainable:
                    found[name] = np.add(found[name], gradient) if name in found else gradient
            for name, arrived in zip(node.inputs, answer.inputs, strict=True):
                if arrived is not None and name in self.course.learning:
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

    def _gather(self, value: Any) -> list[Any]:
        return self.member.gather(value)  # of the run under way: forward and backward have one each

    def _common(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return self.member.common(shape, dtype, self.course.workspace)

    def _context(self, node: Node, names: Mapping[str, str]) -> RunContext:
        course = self.course
        return RunContext(
            training=self.training,
            workspace=course.workspace,
            key=(course.seed, self.step, zlib.crc32(node.name.encode()), self.member.part),
            input_gradient=any(name in course.learning for name in node.inputs),
            factors=names.get("weights") in self.course.factors,
            overwrite=node.inputs[0] in self.wiring.givers,
            part=self.member.part,
            gather=self._gather,
            shared_empty=self._common,
        )

    def _params_of(self, names: Mapping[str, str], params: Mapping[str, Array]) -> Params:
        """A node's variables by local name; a shared moving average goes on from its first reader's update."""
        return {local: self.updates.get(name, params[name]) for local, name in names.items()}

    def _names_of(self, node: Node) -> dict[str, str]:
        """A node's variables: full names by local name."""
        graph = self.course.graph
        return {local: graph.variable(node, local) for local in self.course.locals.get(node.variables, ())}
