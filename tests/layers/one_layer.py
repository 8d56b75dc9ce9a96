"""A network of one layer: its arrays, its plan, and its ONNX model in onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper

from graphc.emit.model import OnnxModel, emit
from graphc.errors import Place
from graphc.graph import GraphInput, LayerGraph, Node, Plan
from graphc.passes.plan import plan
from tests.layers.cases import Case

HERE = Place("case.yaml", 1, 1)


def random_inputs(case: Case, batch: int, rng: np.random.Generator, dtype: str = "float64") -> list[np.ndarray]:
    drawn = [rng.standard_normal((batch, *shape)).astype(dtype) for shape in case.input_shapes]
    return [np.abs(x) + x.dtype.type(0.5) for x in drawn] if case.positive else drawn


def initial_params(case: Case, rng: np.random.Generator, dtype: str = "float64") -> dict[str, np.ndarray]:
    """Random values, whatever the initializers say; variances are positive."""
    values = {}
    for name, spec in case.layer.declare_params(*case.input_shapes).items():
        drawn = rng.uniform(0.5, 1.5, spec.shape) if "variance" in name else rng.standard_normal(spec.shape) * 0.5
        values[name] = drawn.astype(dtype)
    return values


def one_layer_plan(case: Case) -> Plan:
    inputs = tuple(GraphInput(f"x{i}", shape, HERE) for i, shape in enumerate(case.input_shapes))
    node = Node("layer", case.layer, tuple(each.name for each in inputs), HERE, "layer")
    return plan(LayerGraph("net", "N", inputs, (node,), {"y": "layer"}, {}))


def run_in_onnxruntime(case: Case, params: dict[str, np.ndarray], inputs: list[np.ndarray]) -> np.ndarray:
    """The output of the emitted model, channels last."""
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(emitted(case, params).serialize(), providers=["CPUExecutionProvider"])
    feeds = {f"x{i}": channels_first(x) for i, x in enumerate(inputs)}
    (y,) = session.run(None, feeds)
    return np.moveaxis(y, 1, -1) if y.ndim in (4, 5) else y


def emitted(case: Case, params: dict[str, np.ndarray]) -> OnnxModel:
    variables = {f"net/layer/{name}": value for name, value in params.items()}
    return emit(one_layer_plan(case), variables, layout="nchw")


def emitted_nodes(case: Case) -> list[dict[str, Any]]:
    """Every node's op_type and attributes."""
    params = initial_params(case, np.random.default_rng(0), "float32")
    return [
        {"op_type": node.op_type} | {each.name: helper.get_attribute_value(each) for each in node.attribute}
        for node in emitted(case, params).body.graph.node
    ]


def channels_first(x: np.ndarray) -> np.ndarray:
    """Images and volumes as the file takes them with layout nchw."""
    return np.moveaxis(x, -1, 1) if x.ndim in (4, 5) else x
