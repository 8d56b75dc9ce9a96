"""The same model in one runtime after the other: path and inputs in, outputs by name out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

Arrays = dict[str, np.ndarray]


def onnxruntime(path: Path, inputs: Arrays) -> Arrays:
    ort = pytest.importorskip("onnxruntime")
    options = ort.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")  # no sums cut off where there is no VNNI
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def reference(path: Path, inputs: Arrays) -> Arrays:
    evaluator = pytest.importorskip("onnx.reference").ReferenceEvaluator(str(path))
    return dict(zip(evaluator.output_names, evaluator.run(None, inputs), strict=True))


def openvino(path: Path, inputs: Arrays) -> Arrays:
    ov = pytest.importorskip("openvino")
    exact = {"INFERENCE_PRECISION_HINT": "f32"}  # the default is bf16 where the processor has it
    compiled = ov.Core().compile_model(str(path), "CPU", exact)
    result = compiled(inputs)
    return {name: result[output] for output in compiled.outputs for name in output.get_names()}


def opencv(path: Path, inputs: Arrays) -> Arrays:
    cv2 = pytest.importorskip("cv2")
    net = cv2.dnn.readNetFromONNX(str(path))
    for name, array in inputs.items():
        net.setInput(array, name)
    names = [output.name for output in onnx.load(path, load_external_data=False).graph.output]
    return dict(zip(names, net.forward(names), strict=True))


def tract(path: Path, inputs: Arrays) -> Arrays:
    package = pytest.importorskip("tract")
    written = onnx.load(path, load_external_data=False).graph
    model = package.onnx().load(str(path))
    results = model.into_model().into_runnable().run([inputs[given.name] for given in written.input])
    return {output.name: result.to_numpy() for output, result in zip(written.output, results, strict=True)}


RUNTIMES = {each.__name__: each for each in (onnxruntime, reference, openvino, opencv, tract)}
