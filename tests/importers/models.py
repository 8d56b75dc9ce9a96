"""Small ONNX files, as texts of onnx's own parser with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper, parser

from graphc.compiler import plan_model
from graphc.importers.onnx_import import Request, import_onnx
from graphc.spec.model import read_spec_text


def write_model(
    folder: Path, body: str, shape: str = "N,4,8,6", out: str = "y", opset: int = 17, **arrays: Any
) -> Path:
    """A file with the input x and the output y, whose nodes are `body`; arrays are initializers: of numbers, or, from a
    list of sizes, random."""
    text = f'<ir_version: 8, opset_import: ["" : {opset}]>\n g (float[{shape}] x) => (float[] {out}) {{ {body} }}'
    model = parser.parse_model(text)
    for output in model.graph.output:
        output.type.Clear()
        output.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    rng = np.random.default_rng(0)
    for name, given in arrays.items():
        array = rng.uniform(0.5, 1.5, given).astype(np.float32) if isinstance(given, list) else given
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def numbers(*values: float) -> np.ndarray[Any, Any]:
    return np.asarray(values, np.float32)


def whole(*values: int) -> np.ndarray[Any, Any]:
    return np.asarray(values, np.int64)


def number(value: float) -> np.ndarray[Any, Any]:
    return np.asarray(value, np.float32)


def imported(path: Path, **request: Any) -> list[str]:
    """The kinds of the layers of a file's spec, which computes what the file does."""
    found = import_onnx(path, Request(**request))
    return [node.node.layer.kind for node in plan_model(read_spec_text(found.text)).nodes]
