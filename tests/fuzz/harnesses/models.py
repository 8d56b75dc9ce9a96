"""ONNX files of strangers: looked at, read back as variables, and run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import onnx
from onnx import TensorProto, helper

from graphc.compiler import Emission, compile_plan, plan_model
from graphc.emit.read import open_model, self_contained
from graphc.graph import Plan
from graphc.initializers import initial_values
from graphc.runtime import Session
from graphc.signature import KEY, read_signature
from graphc.spec.model import read_spec_text
from graphc.train.distill import named_classes
from graphc.weights import load_variables
from tests.fuzz.harness import Harness

from .runs import whole_run

NET = """\
graphc: 1
name: net
inputs: {image: [N, 6, 6, 2]}
layers:
  - conv2d: {filters: 3, kernel: 3, normalizer: batch_norm, activation: relu}
  - max_pool2d: [2, 2]
  - flatten
  - fully_connected: {name: logits, units: 3}
"""
WORDS = (
    b"Conv", b"Relu", b"Gemm", b"MaxPool", b"Loop", b"If", b"Reshape", b"graphc.fold", b"false", b"location", b"offset",
    b"length", b"data.bin", b"../data.bin", b"checksum", b"ai.onnx", b"image", b"logits", b"weights",
)  # fmt: skip


LARGEST = 100_000
"""Numbers of an example that is prepared."""


@cache
def plan() -> Plan:
    return plan_model(read_spec_text(NET, "net.yaml", ()))


@cache
def model(fold: bool = True) -> bytes:
    params = initial_values(plan().variables, 0)
    return compile_plan(plan(), params, Emission(fold=fold), {"graphc.spec": NET}).serialize()


class OnnxFile(Harness):
    """What every file goes through before it is used."""

    name = "model.onnx"
    suffix = ".onnx"

    def seeds(self) -> Sequence[bytes]:
        return [model(), model(fold=False)]

    def words(self) -> Sequence[bytes]:
        return WORDS

    def read(self) -> None:
        open_model(self.path)
        self_contained(self.path)


class External(OnnxFile):
    """Tensors whose data lie in a file beside the model."""

    name = "model.onnx, external data"

    def prepare(self) -> None:
        (self.folder / "data.bin").write_bytes(np.arange(64, dtype="<f4").tobytes())

    def seeds(self) -> Sequence[bytes]:
        return [external({"location": "data.bin", "offset": "16", "length": "48"}), external({"location": "data.bin"})]


def external(entries: dict[str, str]) -> bytes:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3, 4], data_location=TensorProto.EXTERNAL)
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [3, 4]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", ports[:1], ports[1:], [tensor])
    made = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    return bytes(onnx.ModelProto.SerializeToString(made))


class OnnxVariables(OnnxFile):
    """A file that graphc compiled, read back as variables."""

    name = "model.onnx, variables"

    def seeds(self) -> Sequence[bytes]:
        return [model(fold=False)]

    def read(self) -> None:
        load_variables(self.path, plan())


class OnnxRun(External):
    """Loaded by onnxruntime, behind the look at it, and run on zeros."""

    name = "model.onnx, run"
    mebibytes = 400
    """onnxruntime has memory of its own, in threads and arenas."""

    def seeds(self) -> Sequence[bytes]:
        return [model(), external({"location": "data.bin"})]

    def read(self) -> None:
        session = Session(self.path, threads=1, limit=20)
        feeds = {}
        for port in session.inputs:
            shape = [size if isinstance(size, int) and 0 < size < 100 else 1 for size in port.shape]
            if port.dtype in ("float32", "float64", "int64", "int32", "uint8"):
                feeds[port.name] = np.zeros(shape, port.dtype)
        session.run(feeds)


def signature() -> bytes:
    """Of a run's model."""
    facts = {each.key: each.value for each in open_model(whole_run() / "best.onnx").metadata_props}
    return facts[KEY].encode()


class SignatureText(Harness):
    """What a file says of its inputs, outputs and classes, and what is done with examples by it."""

    name = "signature"
    is_text = True

    def seeds(self) -> Sequence[bytes]:
        return [
            signature(),
            b'{"inputs": {}, "outputs": {}}',
            b'{"inputs": {"x": {"shape": [null]}}}',
        ]

    def words(self) -> Sequence[bytes]:
        return [
            b'"' + word.encode() + b'"'
            for word in ("shape", "preprocess", "arrays", "dtype", "data", "int64", "raw", "read")
        ]

    def read(self) -> None:
        text = self.path.read_text(errors="replace")
        named_classes({"graphc.classes": text})
        found = read_signature({KEY: text}, "model.onnx")
        for given in found.inputs.values():
            shape = [2, *(4 if size is None else size for size in given.shape)]
            if 0 < np.prod(shape, dtype=object) < LARGEST:
                given.prepared(
                    np.zeros(shape, np.float32 if given.values.black_to_white is None else np.uint8), "float32"
                )
        for output in found.outputs.values():
            output.described(np.zeros(3, np.float32), 2)
