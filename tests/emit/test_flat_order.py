"""A flattened image keeps C H W order through kinds that can take it, and is put in order for those that cannot."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.emit.model import emit
from graphc.errors import Place
from graphc.execution.network import evaluate
from graphc.graph import GraphInput, LayerGraph, Node
from graphc.layers import CATALOGUE
from graphc.passes.plan import plan

HERE = Place("case.yaml", 1, 1)
DENSE = ("fully_connected", {"units": 5})


@pytest.mark.parametrize(
    ("kinds", "transposes"),
    [
        ([DENSE], 0),
        ([("batch_norm", {"scale": True}), DENSE], 0),
        ([("prelu", {}), ("bias_add", {}), ("scale", {"factor": 2.0}), ("dropout", {}), DENSE], 0),
        ([("softmax", {}), DENSE], 1),
        ([("layer_norm", {}), DENSE], 1),
        ([("unit_norm", {}), DENSE], 1),
        ([("slice", {"start": 3}), DENSE], 1),
        ([("prelu", {}), ("slice", {"start": 3}), DENSE], 1),
        ([("prelu", {})], 1),
        ([("bias_add", {})], 1),
        ([("reshape", {"shape": (4, 3, 2)}), ("relu", {})], 2),
    ],
    ids=lambda value: "-".join(kind for kind, _ in value) if isinstance(value, list) else "",
)
def test_model_computes_what_numpy_does(kinds: list[tuple[str, dict]], transposes: int) -> None:
    ort = pytest.importorskip("onnxruntime")
    nodes, below = [], "x"
    for kind, arguments in [("relu", {}), ("flatten", {}), *kinds]:
        name = f"{len(nodes)}_{kind}"
        nodes.append(Node(name, CATALOGUE[kind](**arguments), (below,), HERE, name))
        below = name
    network = plan(LayerGraph("net", "N", (GraphInput("x", (2, 3, 4), HERE),), tuple(nodes), {"y": below}, {}))
    rng = np.random.default_rng(0)
    params = {name: rng.uniform(0.5, 1.5, spec.shape).astype(np.float32) for name, spec in network.variables.items()}
    model = emit(network, params, layout="nchw")
    x = rng.standard_normal((3, 2, 3, 4)).astype(np.float32)
    session = ort.InferenceSession(model.serialize(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": x.transpose(0, 3, 1, 2)})
    expected = evaluate(network, params, {"x": x}, [below])[below]
    if expected.ndim == 4:
        expected = expected.transpose(0, 3, 1, 2)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    onnx = pytest.importorskip("onnx")
    written = onnx.load_from_string(model.serialize()).graph.node
    assert [node.op_type for node in written].count("Transpose") == transposes
