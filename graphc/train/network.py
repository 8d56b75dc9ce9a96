"""Run a Plan on arrays, forward and backward.

Layers answer with a `Step`: an output and its backward as a closure. The network only walks: it wires outputs to
inputs, drops each value after its last reader, adds gradients where paths meet, and keeps away from what nobody
needs (images, frozen variables and all below them).
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from threadpoolctl import ThreadpoolController

from graphc.graph import Node, Plan
from graphc.kernels.context import RunContext, Workers
from graphc.kernels.workspace import Workspace
from graphc.types import Array, Gradients, Params

Backward = Callable[[Array], Gradients]


@dataclass
class Run:
    """One forward pass and the way back, which can be gone once."""

    outputs: dict[str, Array]
    """By output name."""
    updates: dict[str, Array]
    """New values of variables that back-propagation does not train, by full name."""
    values: dict[str, Array]
    """Outputs and kept nodes by node name."""
    _network: Network
    _backwards: dict[str, Backward] = field(default_factory=dict)

    def value(self, node: str) -> Array:
        """The value of an output or kept node, by node name."""
        return self.values[node]

    def backward(self, gradients: Mapping[str, Array]) -> dict[str, Array]:
        """Gradients of the trainable variables, by full name, from gradients of node values.

        A variable that no gradient reaches is left out. Closures are dropped on the way, and with them what
        they hold: a second call is an error.
        """
        with self._network.single_threaded_blas():
            return self._network.walk_back(self._backwards, dict(gradients))


class Network:
    """A Plan with threads and memory to run it."""

    def __init__(self, plan: Plan, threads: int | None = None, seed: int = 0, frozen: Collection[str] = ()) -> None:
        """`frozen`: full names of variables that need no gradient."""
        self.plan = plan
        self.graph = plan.graph
        self.seed = seed
        self.workers = Workers(threads)
        self.workspace = Workspace()
        self._blas = ThreadpoolController()
        self._locals = {planned.node.variables: tuple(planned.params) for planned in plan.nodes if planned.params}
        """Names of the variables under each owner: nodes that share have none of their own."""
        self._trainable = {name for name, spec in plan.variables.items() if spec.trainable} - set(frozen)
        self._learning = self._nodes_with_gradients()
        self._readers = Counter(name for node in self._nodes() for name in node.inputs)
        self._givers = {node.name for node in self._nodes() if node.layer.gives_output_away}

    def forward(
        self,
        params: Mapping[str, Array],
        inputs: Mapping[str, Array],
        training: bool,
        step: int = 0,
        keep: Iterable[str] = (),
    ) -> Run:
        """Outputs, and with `training` the way back; `keep` names more nodes whose values are wanted."""
        wanted = {*self.graph.outputs.values(), *keep}
        values = dict(inputs)
        readers = self._readers.copy()
        updates: dict[str, Array] = {}
        backwards: dict[str, Backward] = {}
        with self.single_threaded_blas():
            for node in self._nodes():
                arrays = [values[name] for name in node.inputs]
                for name in node.inputs:
                    readers[name] -= 1
                    if not readers[name] and name not in wanted:
                        values.pop(name)
                context = self._context(node, training, step)
                context.overwrite = self._has_for_itself(node.inputs[0]) and node.inputs[0] not in wanted
                answer = node.layer.forward(context, self._params_of(node, params, updates), *arrays)
                del arrays
                values[node.name] = answer.output
                if training:
                    updates.update({self.graph.variable(node, local): new for local, new in answer.updates.items()})
                    if node.name in self._learning:
                        backwards[node.name] = answer.backward
                del answer
                if not readers[node.name] and node.name not in wanted:
                    del values[node.name]
        outputs = {name: values[node] for name, node in self.graph.outputs.items()}
        return Run(outputs, updates, {name: values[name] for name in wanted}, self, backwards)

    def walk_back(self, backwards: dict[str, Backward], gradients: dict[str, Array]) -> dict[str, Array]:
        """Layer by layer against the order, consuming `backwards`."""
        found: dict[str, Array] = {}
        for node in reversed(self._nodes()):
            backward = backwards.pop(node.name, None)
            dy = gradients.pop(node.name, None)
            if backward is None or dy is None:
                continue
            answer = backward(dy)
            del backward, dy
            for local, gradient in answer.params.items():
                name = self.graph.variable(node, local)
                if name in self._trainable:
                    found[name] = found[name] + gradient if name in found else gradient
            for name, arrived in zip(node.inputs, answer.inputs, strict=True):
                if arrived is not None and name in self._learning:
                    gradients[name] = self._sum(gradients[name], arrived) if name in gradients else arrived
            del answer
        return found

    @contextmanager
    def single_threaded_blas(self) -> Iterator[None]:
        """The network's own threads share the batch; a second layer of threads under them would only fight."""
        with self._blas.limit(limits=1, user_api="blas"):
            yield

    def _sum(self, a: Array, b: Array) -> Array:
        """a + b in a new array: both may be seen by others."""
        total = self.workspace.empty(a.shape, a.dtype)
        self.workers.each_slice(lambda part: np.add(a[part], b[part], out=total[part]), len(a))
        return total

    def _context(self, node: Node, training: bool, step: int) -> RunContext:
        return RunContext(
            training=training,
            workers=self.workers,
            workspace=self.workspace,
            key=(self.seed, step, zlib.crc32(node.name.encode())),
            input_gradient=any(name in self._learning for name in node.inputs),
        )

    def _has_for_itself(self, name: str) -> bool:
        """Whether a value's only reader may write over it."""
        return self._readers[name] == 1 and name in self._givers

    def _params_of(self, node: Node, params: Mapping[str, Array], updates: Mapping[str, Array]) -> Params:
        """A node's variables by local name; a shared moving average goes on from its first reader's update."""
        names = {local: self.graph.variable(node, local) for local in self._locals.get(node.variables, ())}
        return {local: updates.get(name, params[name]) for local, name in names.items()}

    def _nodes(self) -> tuple[Node, ...]:
        return self.graph.nodes

    def _nodes_with_gradients(self) -> set[str]:
        """Nodes at or above a variable that learns."""
        learning: set[str] = set()
        for node in self._nodes():
            own = (self.graph.variable(node, local) for local in self._locals.get(node.variables, ()))
            if any(name in self._trainable for name in own) or learning.intersection(node.inputs):
                learning.add(node.name)
        return learning


def evaluate(
    plan: Plan, params: Mapping[str, Array], inputs: Mapping[str, Array], keep: Iterable[str] = ()
) -> dict[str, Array]:
    """Inference on one batch: the value of every output's node and of the nodes in `keep`, by node name."""
    run = Network(plan).forward(params, inputs, training=False, keep=keep)
    return run.values
