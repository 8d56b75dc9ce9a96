"""The gradient of one output by the inputs, in inference: what an output really reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from graphc.execution.plan import ExecutionPlan
from graphc.graph import Node, Plan
from graphc.parallel.communicator import whole_batch
from graphc.types import Array


def input_gradients(
    plan: Plan, params: Mapping[str, Array], inputs: Mapping[str, Array], seeds: Mapping[str, Callable[[Array], Array]]
) -> dict[str, dict[str, Array]]:
    """For each node in `seeds` the gradients [N, ...] of the inputs, by input name.

    A seed makes the gradient to begin with from the node's value, of that shape. One forward pass serves all of them.
    """
    execution = ExecutionPlan(frozen(plan), frozen=plan.variables, input_gradients=True)
    tape = execution.run(frozenset(seeds), whole_batch(), False, 0, params, inputs, record=True)
    found = {}
    for name, seed in seeds.items():
        tape.backward({name: seed(tape.values[name])}, retain=True)
        found[name] = {each: tape.input_gradients.get(each, np.zeros_like(array)) for each, array in inputs.items()}
    return found


def frozen(plan: Plan) -> Plan:
    """The plan without the gradients of its variables, which nobody asks for here."""
    graph = replace(plan.graph, nodes=tuple(map(_frozen, plan.graph.nodes)))
    return replace(plan, graph=graph, nodes=tuple(replace(each, node=_frozen(each.node)) for each in plan.nodes))


def _frozen(node: Node) -> Node:
    if not getattr(node.layer, "trainable", False):
        return node
    return replace(node, layer=node.layer.model_copy(update={"trainable": False}))


def at(row: int, column: int) -> Callable[[Array], Array]:
    """A seed on [N, H, W, C]: all channels of one place of the first example."""

    def seed(value: Array) -> Array:
        gradient = np.zeros_like(value)
        gradient[0, row, column] = 1
        return gradient

    return seed
