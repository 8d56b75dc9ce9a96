"""Which layers run as one, and that it makes no difference."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.errors import Place
from graphc.execution.fusion import FUSIONS, fuse
from graphc.execution.network import Network
from graphc.graph import GraphInput, LayerGraph, Node, Plan
from graphc.initializers import initial_values
from graphc.layers.activation import Relu
from graphc.layers.batch_norm import BatchNorm
from graphc.layers.conv import Conv2d
from graphc.layers.dropout import Dropout
from graphc.layers.elementwise_merge import Add
from graphc.layers.pool import AvgPool2d, MaxPool2d
from graphc.passes.plan import plan

HERE = Place("net.yaml", 1, 1)
SAMPLES = {
    "conv2d": Conv2d(filters=6, kernel=3),
    "relu": Relu(),
    "max_pool2d": MaxPool2d(kernel=2),
    "batch_norm": BatchNorm(scale=True),
    "add": Add(),
    "avg_pool2d": AvgPool2d(kernel=2),
}
"""One layer of every kind in the table, and one that is in none."""


def chain(*kinds: str) -> Plan:
    """A convolution `stem`, then layers of these kinds, named `KIND_NUMBER`; sums read theirs twice."""
    nodes = [Node("stem", Conv2d(filters=6, kernel=1), ("x",), HERE, "stem")]
    for number, kind in enumerate(kinds):
        name = f"{kind}_{number}"
        inputs = (nodes[-1].name,) * 2 if kind == "add" else (nodes[-1].name,)
        nodes.append(Node(name, SAMPLES[kind], inputs, HERE, name))
    return plan(LayerGraph("net", "N", (GraphInput("x", (8, 8, 3), HERE),), tuple(nodes), {"y": nodes[-1].name}, {}))


def groups_of(planned: Plan, *wanted: str) -> list[tuple[str, ...]]:
    groups = fuse(planned.graph.nodes, {*planned.graph.outputs.values(), *wanted})
    return [tuple(node.layer.kind for node in group.nodes) for group in groups]


@pytest.mark.parametrize("fusion", FUSIONS, ids=lambda fusion: "+".join(fusion.kinds))
@pytest.mark.parametrize("training", [False, True])
def test_every_fusion_is_its_layers_one_after_the_other(fusion, training):
    planned = chain("avg_pool2d", *fusion.kinds)
    assert groups_of(planned) == [("conv2d",), ("avg_pool2d",), fusion.kinds]
    rng = np.random.default_rng(0)
    params = {
        name: value + rng.normal(size=value.shape) ** 2 for name, value in initial_values(planned.variables, 0).items()
    }
    x = rng.normal(size=(5, 8, 8, 3))
    every = [node.name for node in planned.graph.nodes]
    together, apart = (Network(planned).forward(params, {"x": x}, training, keep=keep) for keep in ((), every))
    (output,) = planned.graph.outputs.values()
    assert together.outputs["y"].shape == (5, *planned.shapes[output])
    np.testing.assert_allclose(together.outputs["y"], apart.outputs["y"], rtol=0, atol=1e-11)
    if training:
        dy = rng.normal(size=together.outputs["y"].shape)
        ours, theirs = together.backward({output: dy}), apart.backward({output: dy})
        assert ours.keys() == theirs.keys() == {name for name, spec in planned.variables.items() if spec.trainable}
        for name, gradient in theirs.items():
            np.testing.assert_allclose(ours[name], gradient, rtol=0, atol=1e-10, err_msg=name)


def test_longer_patterns_come_before_those_that_they_end_with():
    for index, fusion in enumerate(FUSIONS):
        for earlier in FUSIONS[:index]:
            assert fusion.kinds[-len(earlier.kinds) :] != earlier.kinds, f"{fusion.kinds} is never reached"


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (("batch_norm", "relu", "max_pool2d"), [("conv2d",), ("batch_norm",), ("relu", "max_pool2d")]),
        (("add", "relu", "relu"), [("conv2d",), ("add", "relu"), ("relu",)]),
        (("conv2d", "max_pool2d", "max_pool2d"), [("conv2d",), ("conv2d", "max_pool2d"), ("max_pool2d",)]),
        (("conv2d", "relu"), [("conv2d",), ("conv2d",), ("relu",)]),
        (("relu", "conv2d"), [("conv2d",), ("relu",), ("conv2d",)]),
    ],
)
def test_the_last_layers_choose_first(kinds, expected):
    assert groups_of(chain(*kinds)) == expected


def test_what_somebody_asks_for_has_a_value():
    planned = chain("conv2d", "relu", "max_pool2d")
    assert groups_of(planned) == [("conv2d",), ("conv2d", "relu", "max_pool2d")]
    assert groups_of(planned, "conv2d_0") == [("conv2d",), ("conv2d",), ("relu", "max_pool2d")]
    assert groups_of(planned, "relu_1") == [("conv2d",), ("conv2d",), ("relu",), ("max_pool2d",)]


def test_what_two_layers_read_has_a_value():
    nodes = (
        Node("bn", BatchNorm(), ("x",), HERE, "bn"),
        Node("relu", Relu(), ("bn",), HERE, "relu"),
        Node("sum", Add(), ("bn", "relu"), HERE, "sum"),
    )
    assert [group.output for group in fuse(nodes, {"sum"})] == ["bn", "relu", "sum"]


def test_an_error_in_a_group_is_the_first_layers():
    """One value a channel: batch norm complains, and not the ReLU behind it."""
    nodes = (Node("bn", BatchNorm(), ("x",), HERE, "bn"), Node("relu", Relu(), ("bn",), HERE, "relu"))
    planned = plan(LayerGraph("net", "N", (GraphInput("x", (1, 1, 3), HERE),), nodes, {"y": "relu"}, {}))
    with pytest.raises(Exception, match=r"bn: batch_norm expects at least 2 values"):
        Network(planned).forward(initial_values(planned.variables, 0), {"x": np.ones((1, 1, 1, 3))}, training=True)


def test_a_layer_that_is_in_no_pattern_runs_by_itself():
    node = Node("dropout", Dropout(rate=0.5), ("x",), HERE, "dropout")
    (group,) = fuse([node], set())
    assert group.operation is node.layer
