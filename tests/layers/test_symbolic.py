"""A model emitted for symbolic heights and widths computes what NumPy does at a size that nobody told it."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.dims import Formula, is_spatial
from graphc.errors import Place, RuleError
from graphc.graph import GraphInput, LayerGraph, Node
from graphc.kernels.context import RunContext
from tests.layers.cases import Case, all_cases
from tests.layers.one_layer import channels_first, initial_params, random_inputs

HERE = Place("case.yaml", 1, 1)
CASES = [case for case in all_cases() if all(is_spatial(shape) for shape in case.input_shapes)]


def symbolic(case: Case) -> list[tuple]:
    sizes = {size for shape in case.input_shapes for size in shape[:-1] if size > 1}
    symbol = {1: 1} | {size: Formula.symbol(f"S{size}") for size in sizes}
    return [(*(symbol[size] for size in shape[:-1]), shape[-1]) for shape in case.input_shapes]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_symbolic_model_computes_what_numpy_does(case):
    ort = pytest.importorskip("onnxruntime")
    from graphc.emit.model import emit
    from graphc.passes.plan import plan

    shapes = symbolic(case)
    try:
        case.layer.infer_shape(*shapes)
    except RuleError as error:
        if error.code not in ("G205", "G207"):
            raise
        return  # the kind needs fixed sizes, or a size of -1, and says so
    inputs = tuple(GraphInput(f"x{i}", shape, HERE) for i, shape in enumerate(shapes))
    node = Node("layer", case.layer, tuple(each.name for each in inputs), HERE, "layer")
    rng = np.random.default_rng(5)
    params = initial_params(case, rng, "float32")
    variables = {f"net/layer/{name}": value for name, value in params.items()}
    model = emit(plan(LayerGraph("net", "N", inputs, (node,), {"y": "layer"}, {})), variables, layout="nchw")
    arrays = random_inputs(case, 2, rng, "float32")
    session = ort.InferenceSession(model.serialize(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {f"x{i}": channels_first(x) for i, x in enumerate(arrays)})
    expected = channels_first(case.layer.forward(RunContext(), params, *arrays).output)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * max(1.0, np.abs(expected).max()))
