"""The gradient of one output by the inputs, in inference: what an output really reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from graphc.graph import Plan
from graphc.kernels.context import RunContext
from graphc.layers.base import Layer
from graphc.types import Array, Gradients


def input_gradients(
    plan: Plan, params: Mapping[str, Array], inputs: Mapping[str, Array], seeds: Mapping[str, Callable[[Array], Array]]
) -> dict[str, dict[str, Array]]:
    """For each node in `seeds` the gradients of the inputs, by input name.

    A seed makes the gradient to begin with from the node's value. One forward pass serves all of them.
    """
    values: dict[str, Array] = dict(inputs)
    backwards: dict[str, Callable[[Array], Gradients]] = {}
    for each in plan.nodes:
        node = each.node
        own = plan.params_of(node, params)
        step = frozen(node.layer).forward(RunContext(training=False), own, *(values[source] for source in node.inputs))
        values[node.name], backwards[node.name] = step.output, step.backward
    return {name: walk_back(plan, backwards, values, name, seed(values[name])) for name, seed in seeds.items()}


def frozen(layer: Layer) -> Layer:
    """The layer without the gradients of its variables, which nobody asks for here."""
    return layer.model_copy(update={"trainable": False}) if getattr(layer, "trainable", False) else layer


def walk_back(
    plan: Plan,
    backwards: Mapping[str, Callable[[Array], Gradients]],
    values: Mapping[str, Array],
    start: str,
    seed: Array,
) -> dict[str, Array]:
    gradients: dict[str, Array] = {start: seed}
    for each in reversed(plan.nodes):
        node = each.node
        if node.name not in gradients:
            continue
        arrived = backwards[node.name](gradients.pop(node.name)).inputs
        for source, gradient in zip(node.inputs, arrived, strict=True):
            if gradient is not None:
                gradients[source] = gradients[source] + gradient if source in gradients else gradient
    return {given.name: gradients.get(given.name, np.zeros_like(values[given.name])) for given in plan.graph.inputs}


def at(row: int, column: int) -> Callable[[Array], Array]:
    """A seed: all channels of one place of the first example."""

    def seed(value: Array) -> Array:
        gradient = np.zeros_like(value)
        gradient[0, row, column] = 1
        return gradient

    return seed
