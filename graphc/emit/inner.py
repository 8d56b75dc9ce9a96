"""The tensors inside a model: their sizes, and the model with them as outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx
from onnx import TensorProto, helper

from graphc.emit.model import OnnxModel


def with_outputs(model: OnnxModel, names: Sequence[str]) -> OnnxModel:
    """The model with these tensors as its outputs, all in float32."""
    body = onnx.ModelProto()
    body.CopyFrom(model.body)
    del body.graph.output[:]
    body.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    return OnnxModel(body, model.tensors)


def fixed_batch(model: OnnxModel) -> int | None:
    """How many examples the model takes; None: any number."""
    given = model.body.graph.input[0].type.tensor_type.shape.dim
    return int(given[0].dim_value) or None


def numbers_of(model: OnnxModel, names: Sequence[str]) -> int:
    """How many numbers these tensors have together for one example, sizes that are open being taken for 1."""
    graph = model.body.graph
    sizes = {each.name: each.type.tensor_type.shape.dim for each in (*graph.value_info, *graph.output, *graph.input)}
    return sum(math.prod(dim.dim_value or 1 for dim in sizes[name][1:]) for name in names if name in sizes)
