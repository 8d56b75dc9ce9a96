"""The walk over a plan: wiring, sums where paths meet, sharing, freezing, freeing."""

from __future__ import annotations

import weakref
from typing import ClassVar

import numpy as np
import pytest

from graphc.errors import Place
from graphc.graph import GraphInput, LayerGraph, Node, Plan
from graphc.initializers import Initializer
from graphc.layers.base import Layer
from graphc.passes.plan import plan
from graphc.train.network import Network, evaluate
from graphc.types import Gradients, ParamSpec, Step

HERE = Place("net.yaml", 1, 1)


class Scale(Layer):
    """factor * x, counting its applications in `seen`."""

    kind: ClassVar[str] = "scale"
    family: ClassVar[str] = "test"

    def declare_params(self, *inputs):
        one = Initializer()
        return {"factor": ParamSpec((), one), "seen": ParamSpec((), one, trainable=False)}

    def forward(self, context, params, *inputs):
        (x,), factor = inputs, params["factor"]

        def backward(dy):
            dx = dy * factor if context.input_gradient else None
            return Gradients((dx,), {"factor": np.sum(dy * x)})

        return Step(x * factor, backward, {"seen": params["seen"] + 1})


class Plus(Layer):
    kind: ClassVar[str] = "plus"
    family: ClassVar[str] = "test"
    inputs_at_most: ClassVar[int | None] = None

    def forward(self, context, params, *inputs):
        return Step(sum(inputs), lambda dy: Gradients((dy,) * len(inputs)))


class Noise(Layer):
    kind: ClassVar[str] = "noise"
    family: ClassVar[str] = "test"

    def forward(self, context, params, *inputs):
        mask = context.random().random(inputs[0].shape)
        return Step(inputs[0] * mask, lambda dy: Gradients((dy * mask,)))


def net(*nodes: tuple[str, Layer, tuple[str, ...]], outputs=None, share=None) -> Plan:
    made = [Node(name, layer, inputs, HERE, (share or {}).get(name, name)) for name, layer, inputs in nodes]
    return plan(LayerGraph("net", "N", (GraphInput("x", (3,), HERE),), tuple(made), outputs or {"y": nodes[-1][0]}, {}))


def params_of(planned: Plan, value: float = 2.0) -> dict[str, np.ndarray]:
    return {name: np.float64(value) if spec.trainable else np.float64(0) for name, spec in planned.variables.items()}


X = np.arange(6.0).reshape(2, 3)


def test_gradients_add_up_where_paths_meet():
    planned = net(("a", Scale(), ("x",)), ("b", Scale(), ("a",)), ("sum", Plus(), ("a", "b", "a")))
    run = Network(planned).forward(params_of(planned), {"x": X}, training=True)
    np.testing.assert_array_equal(run.outputs["y"], 2 * X + 4 * X + 2 * X)
    np.testing.assert_array_equal(run.value("sum"), run.outputs["y"])
    gradients = run.backward({"sum": np.ones_like(X)})
    assert gradients == {"net/a/factor": 4 * X.sum(), "net/b/factor": 2 * X.sum()}


def test_shared_variables_add_their_gradients_and_chain_their_updates():
    planned = net(("a", Scale(), ("x",)), ("b", Scale(), ("a",)), share={"b": "a"})
    run = Network(planned).forward(params_of(planned), {"x": X}, training=True)
    assert run.updates == {"net/a/seen": 2}
    assert run.backward({"b": np.ones_like(X)}) == {"net/a/factor": 2 * 2 * X.sum()}


def test_several_heads_and_a_head_without_gradient():
    planned = net(
        ("a", Scale(), ("x",)), ("b", Scale(), ("a",)), ("c", Scale(), ("a",)), outputs={"main": "b", "aux": "c"}
    )
    network = Network(planned)
    both = network.forward(params_of(planned), {"x": X}, training=True)
    assert set(both.outputs) == {"main", "aux"}
    assert both.backward({"b": np.ones_like(X), "c": np.ones_like(X)})["net/a/factor"] == 4 * X.sum()
    one = network.forward(params_of(planned), {"x": X}, training=True)
    assert one.backward({"b": np.ones_like(X)}) == {"net/a/factor": 2 * X.sum(), "net/b/factor": 2 * X.sum()}


def test_nothing_is_computed_towards_frozen_variables_and_images():
    planned = net(("a", Scale(), ("x",)), ("b", Scale(), ("a",)), ("c", Scale(), ("b",)))
    run = Network(planned, frozen=["net/a/factor"]).forward(params_of(planned), {"x": X}, training=True)
    assert set(run._backwards) == {"b", "c"}
    assert set(run.backward({"c": np.ones_like(X)})) == {"net/b/factor", "net/c/factor"}


def test_values_are_dropped_after_their_last_reader():
    planned = net(("a", Plus(), ("x",)), ("b", Plus(), ("a", "x")), ("c", Plus(), ("b", "x")), ("d", Plus(), ("c",)))
    alive: list[int] = []
    seen: list[weakref.ref] = []

    class Watched(Plus):
        def forward(self, context, params, *inputs):
            step = super().forward(context, params, *inputs)
            alive.append(sum(ref() is not None for ref in seen))
            seen.append(weakref.ref(step.output))
            return step

    nodes = tuple(Node(each.node.name, Watched(), each.node.inputs, HERE, each.node.name) for each in planned.nodes)
    graph = LayerGraph("net", "N", planned.graph.inputs, nodes, {"y": "d"}, {})
    values = evaluate(plan(graph), {}, {"x": X})
    assert alive == [0, 1, 1, 1]
    assert set(values) == {"d"}


def test_evaluate_keeps_what_is_asked_and_changes_nothing():
    planned = net(("a", Scale(), ("x",)), ("b", Scale(), ("a",)))
    values = evaluate(planned, params_of(planned), {"x": X}, keep=["a"])
    np.testing.assert_array_equal(values["a"], 2 * X)
    np.testing.assert_array_equal(values["b"], 4 * X)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_random_numbers_depend_on_seed_step_and_layer_only(threads):
    planned = net(("a", Noise(), ("x",)), ("b", Noise(), ("x",)), outputs={"a": "a", "b": "b"})
    network = Network(planned, threads=threads, seed=7)
    first = network.forward({}, {"x": X}, training=True, step=5).outputs
    again = Network(planned, seed=7).forward({}, {"x": X}, training=True, step=5).outputs
    later = network.forward({}, {"x": X}, training=True, step=6).outputs
    np.testing.assert_array_equal(first["a"], again["a"])
    assert not np.array_equal(first["a"], first["b"])
    assert not np.array_equal(first["a"], later["a"])
