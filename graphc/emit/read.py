"""ONNX files that somebody else may have made: looked at before they are used, and ours read back as variables."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, numpy_helper

from graphc.emit.builder import GraphBuilder, Value
from graphc.emit.model import emit_layers, readers_of_any_order
from graphc.errors import WeightsError
from graphc.files import machine_error, shown
from graphc.graph import Plan
from graphc.passes.simplify import drop_idle, inference
from graphc.types import Array

DATA_FIELDS = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data", "raw_data")
DATA_KEYS = {"location", "offset", "length", "checksum"}


def open_model(path: str | Path) -> onnx.ModelProto:
    """The model without external data; a WeightsError where the file is none or points at other files than it may."""
    path = Path(path)
    try:
        model = onnx.load(path, load_external_data=False)
    except FileNotFoundError:
        raise WeightsError("G310", f"there is no file {shown(path)}") from None
    except OSError as error:
        raise machine_error("read", path, error) from None
    except DecodeError:
        raise WeightsError("G310", f"{shown(path)}: expected an ONNX model, found something else") from None
    for tensor in tensors_of(model.graph):
        check_tensor(tensor, path)
    return model


def tensors_of(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    """Every tensor, in nodes and their subgraphs too."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("g"):
                yield from tensors_of(attribute.g)
            for inner in attribute.graphs:
                yield from tensors_of(inner)


def check_tensor(tensor: TensorProto, path: Path) -> None:
    """One place for the data: a tensor with two shows readers other numbers than runtimes use."""
    filled = [field for field in DATA_FIELDS if len(getattr(tensor, field))]
    is_external = tensor.data_location == TensorProto.EXTERNAL
    if len(filled) + is_external > 1:
        raise WeightsError("G311", f"{shown(path)}: {tensor.name}: its data are in more than one place")
    if is_external:
        external_data(tensor, path)


def external_data(tensor: TensorProto, path: Path) -> tuple[Path, int, int]:
    """(file, offset, length) of a tensor's data, which must lie in a plain file beside the model."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    name = entries.get("location", "")
    wrong = f"{shown(path)}: {tensor.name}: external data in {name!r}"
    if not entries.keys() <= DATA_KEYS:
        raise WeightsError("G312", f"{wrong}: unknown keys {', '.join(sorted(entries.keys() - DATA_KEYS))}")
    if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise WeightsError("G312", f"{wrong}: expected the name of a file beside the model")
    place = path.absolute().with_name(name)
    try:
        status = os.lstat(place)
    except OSError:
        raise WeightsError("G312", f"{wrong}: there is no such file") from None
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        raise WeightsError("G312", f"{wrong}: expected a plain file, found a link, a folder or a device")
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(status.st_size - offset)))
    except ValueError:
        raise WeightsError("G312", f"{wrong}: offset and length are not numbers") from None
    if offset < 0 or length < 0 or offset + length > status.st_size:
        raise WeightsError("G312", f"{wrong}: bytes {offset} to {offset + length} of {status.st_size}")
    return place, offset, length


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
    count = int(np.prod(tensor.dims, dtype=object))
    if tensor.data_location != TensorProto.EXTERNAL:
        size = len(tensor.raw_data) or 4 * len(tensor.float_data)
        if size != 4 * count:
            raise WeightsError("G313", f"{shown(path)}: {tensor.name}: expected {4 * count:,} bytes, found {size:,}")
        array: Array = numpy_helper.to_array(tensor)
        return array
    place, offset, length = external_data(tensor, path)
    if length != 4 * count:
        raise WeightsError("G313", f"{shown(path)}: {tensor.name}: expected {4 * count:,} bytes, found {length:,}")
    return np.fromfile(place, "<f4", count, offset=offset).reshape(tuple(tensor.dims))
