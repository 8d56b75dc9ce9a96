"""The initializers of an ONNX file that somebody else may have made, for who wants to read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from graphc.emit.external import external_size, read_external
from graphc.emit.read import open_model
from graphc.errors import WeightsError
from graphc.files import shown
from graphc.types import Array

TYPES: Mapping[int, str] = {
    number: name.lower().replace("double", "float64") if name != "FLOAT" else "float32"
    for name, number in TensorProto.DataType.items()
}
STORED: Mapping[str, tuple[str, str, str]] = {
    "float32": ("<f4", "float_data", "f4"),
    "float64": ("<f8", "double_data", "f8"),
    "float16": ("<f2", "int32_data", "u2"),
    "bfloat16": ("<u2", "int32_data", "u2"),
}
"""Type -> (its bytes; the field that may hold its numbers instead, and as what)."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """An initializer."""

    tensor: TensorProto
    path: Path
    turned: bool
    """Whether a MatMul or a Gemm takes it as [in, out], where PyTorch and Gemm's usual form have [out, in]."""

    @property
    def shape(self) -> tuple[int, ...]:
        """With matrices as [out, in]."""
        sizes = tuple(self.tensor.dims)
        return sizes[::-1] if self.turned else sizes

    @property
    def dtype(self) -> str:
        """As NumPy calls it."""
        return TYPES.get(self.tensor.data_type, f"type {self.tensor.data_type}")

    def read(self) -> Array:
        """The numbers of an array of floating-point numbers, as they are stored: bfloat16 as uint16."""
        stored, field, plain = STORED[self.dtype]
        tensor, place = self.tensor, f"{shown(self.path)}: {shown(self.tensor.name)}"
        if tensor.data_location == TensorProto.EXTERNAL:
            data = read_external(tensor, self.path)
        elif tensor.HasField("raw_data"):
            data = tensor.raw_data
        else:
            data = np.asarray(getattr(tensor, field)).astype(plain).astype(f"<{plain}").tobytes()
        if len(data) != external_size(tensor):
            raise WeightsError("G313", f"{place}: expected {external_size(tensor):,} bytes, found {len(data):,}")
        array: Array = np.frombuffer(data, stored).reshape(tuple(tensor.dims))
        return array.T if self.turned else array


def initializers(path: Path) -> tuple[dict[str, StoredTensor], Mapping[str, str]]:
    """(a model's initializers by name, its producer and metadata); a WeightsError where there are two of a name."""
    model = open_model(path)
    turned = _turned(model)
    found: dict[str, StoredTensor] = {}
    for tensor in model.graph.initializer:
        if tensor.name in found:
            raise WeightsError("G313", f"{shown(path)}: expected one initializer {shown(tensor.name)}, found two")
        two = len(tensor.dims) == 2 and tensor.name in turned
        found[tensor.name] = StoredTensor(tensor, path, two)
    said = {each.key: each.value for each in model.metadata_props}
    if model.graph.sparse_initializer:
        said["sparse initializers that are left out"] = str(len(model.graph.sparse_initializer))
    said["producer"] = f"{model.producer_name} {model.producer_version}".strip()
    return found, said


def _turned(model: onnx.ModelProto) -> set[str]:
    """The names that every reader takes as [in, out]."""
    as_stored: set[str] = set()
    others: set[str] = set()
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            gemm = node.op_type == "Gemm" and not any(each.name == "transB" and each.i for each in node.attribute)
            matrix = place == 1 and (node.op_type == "MatMul" or gemm)
            (as_stored if matrix else others).add(name)
    return as_stored - others
