"""The one table of what runtimes cannot do, or do wrong, of what graphc writes.

A row says which nodes meet it, what happens, what was tried, and the form that works. `tests/runtimes` holds the rows
to the runtimes: what no row explains has to be right there, and what a row explains has to be wrong, or to be refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from graphc.emit.targets.converters import OF_CONVERTERS
from graphc.emit.targets.runtimes import OF_RUNTIMES
from graphc.emit.targets.trouble import Trouble

TARGETS: Mapping[str, str] = {
    "onnxruntime": "onnxruntime on the processor, from 1.15",
    "onnxruntime-1.15": "onnxruntime 1.15, of 2023",
    "reference": "onnx.reference, ONNX's own evaluator",
    "wasm": "onnxruntime-web's WebAssembly, in browsers and Node",
    "webgpu": "onnxruntime-web's WebGPU, and onnxruntime's own",
    "openvino": "OpenVINO",
    "opencv": "OpenCV's dnn, from 5.0",
    "opencv-4.10": "OpenCV 4.10, of 2024",
    "tract": "tract, in Rust",
    "tinygrad": "tinygrad",
    "iree": "IREE's compiler, for processors",
    "tvm": "Apache TVM",
    "mnn": "MNN, by its converter",
    "ncnn": "ncnn, by pnnx",
    "litert": "LiteRT, by onnx2tf",
    "tensorrt": "TensorRT: from its documentation, nothing was run",
    "coreml": "onnxruntime's CoreML provider, on Apple's machines: from its documentation, nothing was run",
}
"""Name -> what it stands for."""

TROUBLES: tuple[Trouble, ...] = (*OF_RUNTIMES, *OF_CONVERTERS)
