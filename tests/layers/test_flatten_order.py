"""A flattened image keeps the spec's order of numbers, with no transpose where the next weights can take it."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.emit.model import emit
from graphc.execution.network import evaluate
from graphc.graph import GraphInput, LayerGraph, Node
from graphc.layers.activation import Relu
from graphc.layers.base import Layer
from graphc.layers.bias_add import BiasAdd
from graphc.layers.conv import Conv2d
from graphc.layers.fully_connected import FullyConnected
from graphc.layers.maxout import Maxout
from graphc.layers.prelu import PRelu
from graphc.layers.reshape import Flatten
from graphc.layers.softmax import Softmax
from graphc.passes.plan import plan
from tests.layers.one_layer import HERE, channels_first


def chain(*layers: Layer) -> LayerGraph:
    """One layer after the other, named by their place."""
    nodes = [
        Node(f"layer{i}", layer, (f"layer{i - 1}" if i else "x",), HERE, f"layer{i}") for i, layer in enumerate(layers)
    ]
    outputs = {"y": nodes[-1].name}
    return LayerGraph("net", "N", (GraphInput("x", (4, 3, 2), HERE),), tuple(nodes), outputs, {})


@pytest.mark.parametrize(
    ("middle", "absorbed"),
    [
        ([], True),
        ([Relu()], True),
        ([PRelu()], True),
        ([BiasAdd(), Relu()], True),
        ([Maxout(units=6)], False),
        ([Softmax()], False),
    ],
    ids=lambda value: "+".join(layer.kind for layer in value) or "nothing" if isinstance(value, list) else "",
)
def test_flatten_before_fully_connected(middle, absorbed):
    ort = pytest.importorskip("onnxruntime")
    planned = plan(chain(Conv2d(filters=3, kernel=3), Flatten(), *middle, FullyConnected(units=4)))
    rng = np.random.default_rng(0)
    params = {name: rng.standard_normal(spec.shape).astype("float32") for name, spec in planned.variables.items()}
    x = rng.standard_normal((2, 4, 3, 2)).astype("float32")
    model = emit(planned, params, layout="nchw")
    session = ort.InferenceSession(model.serialize(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": channels_first(x)})
    expected = evaluate(planned, params, {"x": x})[planned.graph.outputs["y"]]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    transposes = sum(node.op_type == "Transpose" for node in model.body.graph.node)
    assert transposes == (0 if absorbed else 1)
