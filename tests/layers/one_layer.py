"""A network of one layer in onnxruntime, with what `graphc.testing` has."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import helper

from graphc.testing.case import HERE, Case, initial_params, one_layer_plan, random_inputs
from graphc.testing.layer import channels_first, emitted, run_in_onnxruntime

__all__ = [
    "HERE",
    "channels_first",
    "emitted_nodes",
    "initial_params",
    "one_layer_plan",
    "random_inputs",
    "run_in_onnxruntime",
]


def emitted_nodes(case: Case) -> list[dict[str, Any]]:
    """Every node's op_type and attributes."""
    params = initial_params(case, np.random.default_rng(0), "float32")
    return [
        {"op_type": node.op_type} | {each.name: helper.get_attribute_value(each) for each in node.attribute}
        for node in emitted(case, params).body.graph.node
    ]
