"""ONNX files that somebody else may have made, looked at before they are used."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from graphc.emit.external import check_tensors, external_size, read_external
from graphc.emit.functions import MOST_NODES, check_functions
from graphc.emit.nodes import check_nodes
from graphc.errors import WeightsError
from graphc.files import read_limited, shown

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


def precision_of(model: onnx.ModelProto) -> str:
    """What a model mainly computes in: float32, float16, or int8 where values are quantized."""
    if any(node.op_type in ("QuantizeLinear", "DynamicQuantizeLinear") for node in model.graph.node):
        return "int8"
    half = any(each.data_type == TensorProto.FLOAT16 for each in model.graph.initializer)
    return "float16" if half else "float32"


def _parse(data: bytes, path: Path) -> tuple[onnx.ModelProto, list[TensorProto]]:
    """The model, and those of its tensors whose data lie in other files; both are checked."""
    try:
        model = onnx.ModelProto.FromString(data)
        for what, parts in (("nodes", model.graph.node), ("initializers", model.graph.initializer)):
            if len(parts) > MOST_NODES:
                message = f"expected at most {MOST_NODES:,} {what}, found {len(parts):,}"
                raise WeightsError("G310", f"{shown(path)}: {message}")
        check_functions(model, path)
        check_nodes(model, path)
        return model, check_tensors(model, path)
    except DecodeError:
        raise WeightsError("G310", f"{shown(path)}: expected an ONNX model, found something else") from None
    except UnicodeDecodeError:
        raise WeightsError("G310", f"{shown(path)}: expected an ONNX model, found names that are not UTF-8") from None
