"""ONNX files that somebody else may have made: looked at before they are used, and ours read back as variables."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, numpy_helper

from graphc.emit.builder import GraphBuilder, Value
from graphc.emit.external import check_tensors, external_size, read_external
from graphc.emit.model import emit_layers, readers_of_any_order
from graphc.errors import WeightsError
from graphc.files import read_limited, shown
from graphc.graph import Plan
from graphc.passes.simplify import drop_idle, inference
from graphc.types import Array

LARGEST = 2**31 - 1
"""Bytes of a protobuf."""


def open_model(path: str | Path) -> onnx.ModelProto:
    """The model without external data; a WeightsError where the file is none or points at other files than it may."""
    return _parse(read_limited(path, LARGEST, WeightsError, "G310"), Path(path))[0]


def self_contained(path: str | Path) -> bytes | str:
    """What a runtime may be given: the model with its external data inside, so that it opens no file by itself.

    The path instead, checked, of a model that would be larger than a protobuf may be.
    """
    path = Path(path)
    data = read_limited(path, LARGEST, WeightsError, "G310")
    model, external = _parse(data, path)
    if model.ByteSize() + sum(map(external_size, external)) > LARGEST:
        return str(path)
    for tensor in external:
        tensor.raw_data = read_external(tensor, path)
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
    model.DiscardUnknownFields()
    return data if not external and model.ByteSize() == len(data) else model.SerializeToString()


def _parse(data: bytes, path: Path) -> tuple[onnx.ModelProto, list[TensorProto]]:
    """The model, and those of its tensors whose data lie in other files; both are checked."""
    try:
        model = onnx.ModelProto.FromString(data)
        return model, check_tensors(model, path)
    except DecodeError:
        raise WeightsError("G310", f"{shown(path)}: expected an ONNX model, found something else") from None
    except UnicodeDecodeError:
        raise WeightsError("G310", f"{shown(path)}: expected an ONNX model, found names that are not UTF-8") from None


def read_variables(path: str | Path, plan: Plan, names: Collection[str] | None = None) -> dict[str, Array]:
    """The plan's variables (or those of them in `names`) from a file that graphc compiled with --no-fold.

    What the file does not have is left out.
    """
    path = Path(path)
    model = open_model(path)
    facts = {each.key: each.value for each in model.metadata_props}
    if facts.get("graphc.fold") != "false":
        raise WeightsError(
            "G313", f"{shown(path)}: its batch norms are folded into the weights: compile with --no-fold, or use .npz"
        )
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    found: dict[str, Array] = {}
    for name, places in where_numbers_go(plan).items():
        if name not in held or (names is not None and name not in names):
            continue
        values = values_of(held[name], path)
        if values.shape != places.shape:
            raise WeightsError("G313", f"{shown(path)}: {name}: expected {places.shape}, found {values.shape}")
        variable = np.empty(places.size, np.float32)
        variable[places.reshape(-1)] = values.reshape(-1)
        found[name] = variable.reshape(plan.variables[name].shape)
    return found


def where_numbers_go(plan: Plan) -> Mapping[str, Array]:
    """Initializer name -> for each of its numbers, its index in the variable of that name.

    The layers themselves say how they lay their weights out: they are emitted with indices for weights.
    """
    variables = plan.variables
    indices = {name: np.arange(int(np.prod(s.shape))).reshape(s.shape) for name, s in variables.items()}
    graph = drop_idle(inference(plan, indices))
    build = GraphBuilder(plan.graph, 17, set(graph.outputs), readers_of_any_order(graph))
    values = {given.name: Value(given.name, given.shape) for given in plan.graph.inputs}
    emit_layers(graph, build, values)
    return {
        name: array
        for name, array in build.tensors.items()
        if name in variables and array.size == indices[name].size and array.dtype.kind == "i"
    }


def values_of(tensor: TensorProto, path: Path) -> Array:
    """A tensor's float32 numbers, from the file itself or the one beside it."""
    if tensor.data_type != TensorProto.FLOAT:
        kind = TensorProto.DataType.Name(tensor.data_type)
        raise WeightsError("G313", f"{shown(path)}: {tensor.name}: expected float32, found {kind}")
    if tensor.data_location == TensorProto.EXTERNAL:
        return np.frombuffer(read_external(tensor, path), "<f4").reshape(tuple(tensor.dims))
    count = int(np.prod(tensor.dims, dtype=object))
    size = len(tensor.raw_data) if tensor.HasField("raw_data") else 4 * len(tensor.float_data)
    if size != 4 * count:
        raise WeightsError("G313", f"{shown(path)}: {tensor.name}: expected {4 * count:,} bytes, found {size:,}")
    array: Array = numpy_helper.to_array(tensor)
    return array
