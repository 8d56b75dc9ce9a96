"""Sequences, images and volumes between layers: where the channels lie, and that no value is turned twice."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from graphc.emit.model import emit
from graphc.execution.network import evaluate
from graphc.graph import GraphInput, LayerGraph, Node
from graphc.layers.activation import Relu
from graphc.layers.base import Layer
from graphc.layers.elementwise_merge import Add
from graphc.layers.fully_connected import FullyConnected
from graphc.layers.group_norm import GroupNorm
from graphc.layers.layer_norm import LayerNorm
from graphc.layers.merge import Concat
from graphc.layers.prelu import PRelu
from graphc.layers.reshape import Flatten, Reshape
from graphc.passes.plan import plan
from tests.layers.one_layer import HERE

SHAPES = ((6, 4), (3, 2, 4), (2, 3, 2, 4))


def net(shape: tuple[int, ...], nodes: dict[str, tuple[Layer, str]], outputs: tuple[str, ...]) -> LayerGraph:
    """Layers by name, each with what it reads."""
    made = tuple(Node(name, layer, tuple(reads.split()), HERE, name) for name, (layer, reads) in nodes.items())
    return LayerGraph("net", "N", (GraphInput("x", shape, HERE),), made, {f"out_{name}": name for name in outputs}, {})


def check(graph: LayerGraph) -> Counter[str]:
    """Every output against NumPy in onnxruntime, channels last; how many nodes of each operator the file has."""
    ort = pytest.importorskip("onnxruntime")
    planned = plan(graph)
    rng = np.random.default_rng(0)
    params = {name: rng.standard_normal(spec.shape).astype("float32") for name, spec in planned.variables.items()}
    x = rng.standard_normal((2, *graph.inputs[0].shape)).astype("float32")
    model = emit(planned, params, output_layout="nhwc")
    session = ort.InferenceSession(model.serialize(), providers=["CPUExecutionProvider"])
    found = dict(zip(graph.outputs, session.run(list(graph.outputs), {"x": x}), strict=True))
    expected = evaluate(planned, params, {"x": x}, list(graph.outputs.values()))
    for name, node in graph.outputs.items():
        assert found[name].shape == expected[node].shape
        np.testing.assert_allclose(found[name], expected[node], rtol=0, atol=2e-5 * np.abs(expected[node]).max())
    return Counter(node.op_type for node in model.body.graph.node)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"rank {len(shape)}")
def test_layers_of_both_tastes_meet(shape):
    graph = net(
        shape,
        {
            "first": (GroupNorm(groups=2), "x"),
            "relu": (Relu(), "first"),
            "sum": (Add(), "x relu"),
            "last": (LayerNorm(), "sum"),
            "slopes": (PRelu(), "last"),
            "all": (Concat(), "relu slopes x"),
            "normal": (GroupNorm(groups=4), "all"),
            "flat": (Flatten(), "normal"),
            "logits": (FullyConnected(units=3), "flat"),
        },
        ("logits", "all", "relu", "sum", "flat"),
    )
    check(graph)


def test_a_sequence_is_turned_once_for_all_that_ask():
    nodes = {"one": (GroupNorm(groups=2), "x"), "two": (GroupNorm(groups=4), "x"), "sum": (Add(), "one two")}
    assert check(net((6, 4), nodes, ("sum",)))["Transpose"] == 2  # the input, the output


def test_a_sequence_turned_there_and_back_is_the_one_that_was():
    nodes = {"first": (GroupNorm(groups=2), "x"), "last": (LayerNorm(), "first"), "sum": (Add(), "x last")}
    assert check(net((6, 4), nodes, ("sum", "last")))["Transpose"] == 2
    again = {"first": (GroupNorm(groups=2), "x"), "last": (LayerNorm(), "first"), "back": (Add(), "first last")}
    assert check(net((6, 4), again, ("back",)))["Transpose"] == 4  # x, into last, out of it, the output


def test_layers_that_take_channels_last_turn_nothing():
    nodes = {"norm": (LayerNorm(), "x"), "relu": (Relu(), "norm"), "sum": (Add(), "x relu")}
    assert check(net((6, 4), nodes, ("sum",)))["Transpose"] == 0


@pytest.mark.parametrize("shape", [(6, 4), (2, 3, 2, 4)], ids=str)
def test_weights_take_a_flattened_value_as_it_lies(shape):
    nodes = {
        "first": (GroupNorm(groups=2), "x"),
        "flat": (Flatten(), "first"),
        "logits": (FullyConnected(units=3), "flat"),
    }
    assert check(net(shape, nodes, ("logits",)))["Transpose"] == 1  # the input


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("new", [(-1,), (4, -1), (3, 2, -1), (2, 3, -1, 2), (1, 1, -1), (2, 1, 3, 2, -1)], ids=str)
def test_a_reshape_keeps_the_order_from_any_rank_to_any(shape, new):
    nodes = {"first": (GroupNorm(groups=2), "x"), "new": (Reshape(shape=new), "first")}
    check(net(shape, nodes, ("new",)))
