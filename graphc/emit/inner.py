"""The tensors inside a model: their types and sizes, and the model with them as outputs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx
from onnx import TensorProto, helper

from graphc.emit.model import OnnxModel, light


def with_outputs(model: OnnxModel, names: Sequence[str]) -> OnnxModel:
    """The model with these tensors as its outputs, of the types that are declared, else float32."""
    body = onnx.ModelProto()
    body.CopyFrom(model.body)
    types = {each.name: each.type.tensor_type.elem_type for each in (*body.graph.value_info, *body.graph.output)}
    del body.graph.output[:]
    body.graph.output.extend(
        helper.make_tensor_value_info(name, types.get(name, TensorProto.FLOAT), None) for name in names
    )
    return OnnxModel(body, model.tensors)


def float_tensors(model: OnnxModel) -> list[str]:
    """Names of the tensors in floats of any width that layers give, in the order of the graph."""
    graph = model.body.graph
    types = {each.name: each.type.tensor_type.elem_type for each in (*graph.value_info, *graph.output)}
    floats = (TensorProto.FLOAT, TensorProto.FLOAT16)
    return [name for node in graph.node for name in node.output if types.get(name) in floats]


def element_types(model: OnnxModel) -> dict[str, int]:
    """The type of every tensor, as ONNX numbers them."""
    inferred = onnx.shape_inference.infer_shapes(light(model), strict_mode=True).graph
    known = (*inferred.value_info, *inferred.output, *inferred.input)
    return {each.name: each.type.tensor_type.elem_type for each in known} | {
        each.name: each.data_type for each in inferred.initializer
    }


def fixed_batch(model: OnnxModel) -> int | None:
    """How many examples the model takes; None: any number."""
    given = model.body.graph.input[0].type.tensor_type.shape.dim
    return int(given[0].dim_value) or None


def numbers_of(model: OnnxModel, names: Sequence[str]) -> int:
    """How many numbers these tensors have together for one example, sizes that are open being taken for 1."""
    graph = model.body.graph
    sizes = {each.name: each.type.tensor_type.shape.dim for each in (*graph.value_info, *graph.output, *graph.input)}
    return sum(math.prod(dim.dim_value or 1 for dim in sizes[name][1:]) for name in names if name in sizes)
