"""Run a Plan on arrays, forward and backward.

Layers answer with a `Step`: an output and its backward as a closure. A walk takes one part of the batch through
them: it wires outputs to inputs, drops each value after its last reader, adds gradients where paths meet, and keeps
away from what nobody needs (images, frozen variables and all below them). The network sends a team of walks, puts
their outputs together and adds their gradients in order.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from graphc.dims import Shape
from graphc.graph import Node, Plan
from graphc.kernels.context import RunContext
from graphc.kernels.team import Member, Team
from graphc.kernels.workspace import Workspace
from graphc.passes.infer_shapes import check_sizes
from graphc.types import Array, Gradients, Params

Backward = Callable[[Array], Gradients]


class Network:
    """A Plan with threads and memory to run it."""

    def __init__(
        self,
        plan: Plan,
        threads: int | None = None,
        seed: int = 0,
        frozen: Collection[str] = (),
        parts: int | None = None,
    ) -> None:
        """`frozen`: full names of variables that need no gradient. The results depend on the seed and on the number
        of `parts` of a batch (default: `team.PARTS`), not on the number of threads (default: the processor's)."""
        self.graph = plan.graph
        self.seed = seed
        self.workspace = Workspace()
        self.trainable = {name for name, spec in plan.variables.items() if spec.trainable} - set(frozen)
        self.locals = {planned.node.variables: tuple(planned.params) for planned in plan.nodes if planned.params}
        """Names of the variables under each owner: nodes that share have none of their own."""
        self.learning = self._nodes_with_gradients()
        self._wirings: dict[frozenset[str], Wiring] = {}
        self._fitting = {tuple(each.shape for each in self.graph.inputs)}
        """Shapes of the inputs, in order, that all layers can take."""
        self._team = Team(parts, threads)
        self._blas = ThreadpoolController()

    def forward(
        self,
        params: Mapping[str, Array],
        inputs: Mapping[str, Array],
        training: bool,
        step: int = 0,
        keep: Iterable[str] = (),
    ) -> Run:
        """Outputs, and with `training` the way back; `keep` names more nodes whose values are wanted."""
        wanted = frozenset({*self.graph.outputs.values(), *keep})
        if wanted not in self._wirings:
            self._wirings[wanted] = Wiring.of(self.graph.nodes, wanted)
        wiring = self._wirings[wanted]
        count = len(next(iter(inputs.values())))
        self._check_sizes(inputs)

        def work(member: Member) -> Walk:
            walk = Walk(self, wiring, member, training, step)
            walk.forward(params, {name: array[member.examples] for name, array in inputs.items()})
            return walk

        with self.single_threaded_blas():
            return Run(self, self._team.run(work, count), count)

    def backward(self, walks: list[Walk], gradients: Mapping[str, Array], count: int) -> dict[str, Array]:
        """The sum of the parts' gradients of variables."""

        def work(member: Member) -> dict[str, Array]:
            walk = walks[member.part]
            walk.member = member
            return walk.backward({name: array[member.examples] for name, array in gradients.items()})

        with self.single_threaded_blas():
            total, *others = self._team.run(work, count)
            names = [name for name in total if name in others[0]] if others else []

            def add(member: Member) -> None:
                for name in names[member.examples]:
                    for part in others:
                        total[name] += part[name]

            if names:
                self._team.run(add, len(names))
        return total

    @contextmanager
    def single_threaded_blas(self) -> Iterator[None]:
        """The network's own threads share the batch; a second layer of threads under them would only fight."""
        with self._blas.limit(limits=1, user_api="blas"):
            yield

    def _check_sizes(self, inputs: Mapping[str, Array]) -> None:
        """An error with a layer and its place where images, whose size the spec leaves open, are too small for it."""
        shapes: tuple[Shape, ...] = tuple(inputs[each.name].shape[1:] for each in self.graph.inputs)
        if shapes not in self._fitting:
            check_sizes(self.graph, {name: array.shape[1:] for name, array in inputs.items()})
            self._fitting.add(shapes)

    def _nodes_with_gradients(self) -> set[str]:
        """Nodes at or above a variable that learns."""
        learning: set[str] = set()
        for node in self.graph.nodes:
            own = (self.graph.variable(node, local) for local in self.locals.get(node.variables, ()))
            if any(name in self.trainable for name in own) or learning.intersection(node.inputs):
                learning.add(node.name)
        return learning


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


def _joined(nodes: tuple[Node, ...], wanted: Collection[str]) -> Iterator[Node]:
    """The nodes, where a layer can take its only reader in as one; the joined node has the reader's name."""
    readers = Counter(name for node in nodes for name in node.inputs)
    followers = {node.inputs[0]: node for node in nodes if len(node.inputs) == 1 and readers[node.inputs[0]] == 1}
    taken: set[str] = set()
    for node in nodes:
        following = followers.get(node.name)
        layer = node.layer.joined(following.layer) if following and node.name not in wanted else None
        if following and layer:
            taken.add(following.name)
            yield replace(node, name=following.name, layer=layer)
        elif node.name not in taken:
            yield node


class Run:
    """One forward pass and the way back, which can be gone once."""

    def __init__(self, network: Network, walks: list[Walk], count: int) -> None:
        self._network = network
        self._walks = walks
        self._count = count
        self.values = {name: np.concatenate([walk.values[name] for walk in walks]) for name in walks[0].values}
        """Outputs and kept nodes by node name."""
        self.outputs = {name: self.values[node] for name, node in network.graph.outputs.items()}
        """By output name."""
        self.updates = walks[0].updates
        """New values of variables that back-propagation does not train, by full name."""

    def value(self, node: str) -> Array:
        """The value of an output or kept node, by node name."""
        return self.values[node]

    def backward(self, gradients: Mapping[str, Array]) -> dict[str, Array]:
        """Gradients of the trainable variables, by full name, from gradients of outputs and kept nodes.

        A variable that no gradient reaches is left out. Closures are dropped on the way, and with them what
        they hold: a second call finds nothing.
        """
        walks, self._walks = self._walks, []
        return self._network.backward(walks, gradients, self._count) if walks else {}


class Walk:
    """One part of a batch on its way through the layers and back."""

    def __init__(self, network: Network, wiring: Wiring, member: Member, training: bool, step: int) -> None:
        self.network = network
        self.wiring = wiring
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
            context = self._context(node)
            answer = node.layer.forward(context, self._params_of(node, params), *arrays)
            del arrays
            if self.training:
                graph = self.network.graph
                self.updates.update({graph.variable(node, local): new for local, new in answer.updates.items()})
                if node.name in self.network.learning:
                    self._backwards[node.name] = answer.backward
            if readers[node.name] or node.name in wanted:
                self.values[node.name] = answer.output
            del answer
        self._drop([name for name in self.values if name not in wanted])

    def backward(self, gradients: dict[str, Array]) -> dict[str, Array]:
        """Against the order of the layers, dropping closures on the way."""
        graph, found = self.network.graph, dict[str, Array]()
        for node in reversed(self.wiring.nodes):
            backward = self._backwards.pop(node.name, None)
            dy = gradients.pop(node.name, None)
            if backward is None or dy is None:
                continue
            answer = backward(dy)
            del backward, dy
            for local, gradient in answer.params.items():
                name = graph.variable(node, local)
                if name in self.network.trainable:
                    found[name] = found[name] + gradient if name in found else gradient
            for name, arrived in zip(node.inputs, answer.inputs, strict=True):
                if arrived is not None and name in self.network.learning:
                    gradients[name] = self._sum(gradients[name], arrived) if name in gradients else arrived
            del answer
        return found

    def _drop(self, names: Iterable[str]) -> None:
        for name in names:
            self.values.pop(name, None)

    def _sum(self, a: Array, b: Array) -> Array:
        """a + b in a new array: both may be seen by others."""
        total: Array = np.add(a, b, out=self.network.workspace.empty(a.shape, a.dtype))
        return total

    def _gather(self, value: Any) -> list[Any]:
        return self.member.gather(value)  # of the run under way: forward and backward have one each

    def _context(self, node: Node) -> RunContext:
        network = self.network
        return RunContext(
            training=self.training,
            workspace=network.workspace,
            key=(network.seed, self.step, zlib.crc32(node.name.encode()), self.member.part),
            input_gradient=any(name in network.learning for name in node.inputs),
            overwrite=node.inputs[0] in self.wiring.givers,
            part=self.member.part,
            gather=self._gather,
        )

    def _params_of(self, node: Node, params: Mapping[str, Array]) -> Params:
        """A node's variables by local name; a shared moving average goes on from its first reader's update."""
        graph = self.network.graph
        names = {local: graph.variable(node, local) for local in self.network.locals.get(node.variables, ())}
        return {local: self.updates.get(name, params[name]) for local, name in names.items()}


def evaluate(
    plan: Plan, params: Mapping[str, Array], inputs: Mapping[str, Array], keep: Iterable[str] = ()
) -> dict[str, Array]:
    """Inference on one batch: the value of every output's node and of the nodes in `keep`, by node name."""
    run = Network(plan).forward(params, inputs, training=False, keep=keep)
    return run.values
