"""Random graphs, by the execution plan and by a loop that fuses, drops and writes over nothing: the same numbers."""

from __future__ import annotations

import random

import numpy as np
import pytest

from graphc.errors import Place
from graphc.execution.plan import ExecutionPlan
from graphc.graph import GraphInput, LayerGraph, Node, Plan
from graphc.initializers import initial_values
from graphc.kernels.context import RunContext
from graphc.layers.activation import HardSwish, LeakyRelu, Relu
from graphc.layers.batch_norm import BatchNorm
from graphc.layers.bias_add import BiasAdd
from graphc.layers.conv import Conv2d
from graphc.layers.elementwise_merge import Add, Multiply
from graphc.layers.layer_norm import LayerNorm
from graphc.layers.layer_scale import LayerScale
from graphc.layers.pool import AvgPool2d, MaxPool2d
from graphc.parallel.communicator import whole_batch
from graphc.passes.plan import plan

HERE = Place("net.yaml", 1, 1)
CHANNELS = 3
KINDS = (
    Conv2d(filters=CHANNELS, kernel=3),
    Conv2d(filters=CHANNELS, kernel=1),
    BatchNorm(scale=True),
    Relu(),
    Relu(),
    LeakyRelu(),
    HardSwish(),
    BiasAdd(),
    LayerScale(),
    LayerNorm(),
    MaxPool2d(kernel=2),
    MaxPool2d(kernel=3, stride=1, padding="same"),
    AvgPool2d(kernel=2, stride=1, padding="same"),
    Add(),
    Add(),
    Multiply(),
)


def random_plan(draw: random.Random) -> tuple[Plan, frozenset[str]]:
    """A graph of up to 14 layers over two inputs, and values that somebody asks for."""
    sizes = {"x": 8, "z": 8}
    nodes: list[Node] = []
    owners: dict[str, str] = {}
    for number in range(draw.randint(1, 14)):
        name, layer = f"node{number}", draw.choice(KINDS)
        recent = draw.choice(list(sizes)[-3:])
        reads = [recent]
        if layer.kind in ("add", "multiply"):
            reads += draw.choices(
                [other for other, size in sizes.items() if size == sizes[recent]], k=draw.randint(1, 2)
            )
        pooled = layer.kind == "max_pool2d" and layer.kernel == (2, 2)
        if pooled and sizes[recent] == 1:
            continue
        owner = owners.get(repr(layer), name) if draw.random() < 0.3 else name
        owners[repr(layer)] = owner
        nodes.append(Node(name, layer, tuple(reads), HERE, owner))
        sizes[name] = sizes[recent] // 2 if pooled else sizes[recent]
    given = tuple(GraphInput(name, (8, 8, CHANNELS), HERE) for name in ("x", "z"))
    outputs = {"y": nodes[-1].name}
    wanted = {nodes[-1].name, *draw.sample([node.name for node in nodes], draw.randint(0, min(3, len(nodes))))}
    return plan(LayerGraph("net", "N", given, tuple(nodes), outputs, {})), frozenset(wanted)


def one_by_one(planned: Plan, params, inputs, given, training):
    """(values, gradients of variables and inputs, updates) by a loop over the layers and back."""
    values, updates, backwards = dict(inputs), {}, {}
    for each in planned.nodes:
        node, names = each.node, planned.variable_names[each.node.name]
        own = {local: updates.get(name, params[name]) for local, name in names.items()}
        step = node.layer.forward(RunContext(training=training), own, *(values[name] for name in node.inputs))
        values[node.name], backwards[node.name] = step.output.copy(), step.backward
        if training:
            updates.update({names[local]: new for local, new in step.updates.items()})
    arrived, gradients = {name: dy.copy() for name, dy in given.items()}, {}
    for each in reversed(planned.nodes):
        node = each.node
        if node.name in arrived:
            answer = backwards[node.name](arrived[node.name])
            for local, gradient in answer.params.items():
                name = planned.variable_names[node.name][local]
                gradients[name] = gradients.get(name, 0) + gradient
            for name, gradient in zip(node.inputs, answer.inputs, strict=True):
                arrived[name] = arrived.get(name, 0) + gradient
    return values, {**gradients, **{name: arrived[name] for name in inputs if name in arrived}}, updates


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("training", [False, True])
def test_values_gradients_and_updates(seed, training):
    draw = random.Random(seed)
    planned, wanted = random_plan(draw)
    rng = np.random.default_rng(seed)
    params = initial_values(planned.variables, seed)
    params = {name: value + 0.1 * rng.random(value.shape) for name, value in params.items()}
    inputs = {name: rng.normal(size=(3, 8, 8, CHANNELS)) for name in ("x", "z")}
    before = {name: array.copy() for name, array in {**params, **inputs}.items()}
    given = {name: rng.normal(size=(3, *planned.shapes[name])) for name in wanted}
    values, gradients, updates = one_by_one(planned, params, inputs, given, training)

    execution = ExecutionPlan(planned, input_gradients=True)
    for _ in range(2):  # memory of the first batch is used again in the second
        tape = execution.run(wanted, whole_batch(), training, 0, params, inputs, record=True)
        assert tape.values.keys() == wanted
        for name in wanted:
            np.testing.assert_allclose(tape.values[name], values[name], rtol=0, atol=1e-9, err_msg=name)
        found = {**tape.backward(given), **tape.input_gradients}
        assert found.keys() == gradients.keys()
        for name, gradient in gradients.items():
            scale = max(1.0, float(np.abs(gradient).max()))
            np.testing.assert_allclose(found[name], gradient, rtol=0, atol=1e-8 * scale, err_msg=name)
        assert tape.updates.keys() == updates.keys()
        for name, new in updates.items():
            np.testing.assert_allclose(tape.updates[name], new, rtol=0, atol=1e-9, err_msg=name)
    for name, array in {**params, **inputs}.items():
        np.testing.assert_array_equal(array, before[name], err_msg=f"{name} was written over")
