"""Files in one runtime with an interface for Python: `python python.py RUNTIME FOLDER RESULTS`; the runtime's name may
end in a version (onnxruntime-1.15), for an environment that has it.

A line of JSON for each file of the manifest in RESULTS: the error, as a share of the largest value; or what the runtime
refuses with. A file at which the process ends, or that takes it too long, is noted, and the rest goes on in a new one.
NumPy and the runtime alone are needed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
PATIENCE = 600
"""Seconds for a file, after which the process is ended."""


def onnxruntime(path: str, inputs: Arrays, outputs: list[str]) -> list[np.ndarray]:
    try:
        return _onnxruntime(path, {"session.x64quantprecision": "1"}).run(outputs, inputs)
    except Exception as error:
        if "AddInitializedOrtValue" not in str(error):  # so it refuses weights in integers that nodes share
            raise
    return _onnxruntime(path, {}).run(outputs, inputs)


def _onnxruntime(path: str, config: dict[str, str]) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    for key, value in config.items():
        options.add_session_config_entry(key, value)
    options.log_severity_level = 4
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def reference(path: str, inputs: Arrays, outputs: list[str]) -> list[np.ndarray]:
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(path).run(outputs, inputs)


def openvino(path: str, inputs: Arrays, outputs: list[str]) -> list[np.ndarray]:
    import openvino as ov

    compiled = ov.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    result = compiled(inputs)
    return [result[name] for name in outputs]


def opencv(path: str, inputs: Arrays, outputs: list[str]) -> list[np.ndarray]:
    import cv2

    net = cv2.dnn.readNetFromONNX(path)
    for name, array in inputs.items():
        net.setInput(array, name)
    return list(net.forward(outputs))


def tract(path: str, inputs: Arrays, outputs: list[str]) -> list[np.ndarray]:
    import tract as package

    results = package.onnx().load(path).into_model().into_runnable().run(list(inputs.values()))
    return [result.to_numpy() for result in results]


def tinygrad(path: str, inputs: Arrays, outputs: list[str]) -> list[np.ndarray]:
    from tinygrad import Tensor  # on the processor it needs clang
    from tinygrad.nn.onnx import OnnxRunner

    found = OnnxRunner(path)({name: Tensor(array) for name, array in inputs.items()})
    return [found[name].numpy() for name in outputs]


def iree(path: str, inputs: Arrays, outputs: list[str]) -> list[np.ndarray]:
    from iree import compiler, runtime

    with tempfile.TemporaryDirectory() as folder:
        text = f"{folder}/net.mlir"
        command = [sys.executable, "-m", "iree.compiler.tools.import_onnx", path, "-o", text]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
        made = compiler.compile_file(text, target_backends=["llvm-cpu"], extra_args=["--iree-llvmcpu-target-cpu=host"])
    config = runtime.Config("local-task")
    module = runtime.load_vm_module(runtime.VmModule.copy_buffer(config.vm_instance, made), config)
    entry = next(name for name in module.vm_module.function_names if not name.startswith("__") and "$" not in name)
    found = module[entry](*inputs.values())
    return [each.to_host() for each in (found if isinstance(found, (list, tuple)) else [found])]


def mnn(path: str, inputs: Arrays, outputs: list[str]) -> list[np.ndarray]:
    import _tools
    import MNN

    with tempfile.TemporaryDirectory() as folder:
        _tools.mnnconvert(["", "-f", "ONNX", "--modelFile", path, "--MNNModel", f"{folder}/net.mnn", "--bizCode", "x"])
        manager = MNN.nn.create_runtime_manager(({"precision": "high", "backend": 0, "numThread": 1},))
        manager.set_mode(0)
        module = MNN.nn.load_module_from_file(f"{folder}/net.mnn", list(inputs), outputs, runtime_manager=manager)
        kinds = {"float32": MNN.expr.float, "uint8": MNN.expr.uint8}
        given = [
            MNN.expr.const(array, list(array.shape), MNN.expr.NCHW, kinds[str(array.dtype)])
            for array in map(np.ascontiguousarray, inputs.values())
        ]
        found = module.forward(given)
        return [np.array(MNN.expr.convert(each, MNN.expr.NCHW).read()) for each in found]


def ncnn(path: str, inputs: Arrays, outputs: list[str]) -> list[np.ndarray]:
    import ncnn as package
    import onnx

    converter = Path(find_spec("pnnx").submodule_search_locations[0]) / "pnnx"  # the package imports PyTorch
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder) / "net.onnx"
        copied.write_bytes(Path(path).read_bytes())
        shapes = ",".join(f"[{','.join(map(str, array.shape))}]" for array in inputs.values())
        command = [str(converter), str(copied), f"inputshape={shapes}", "fp16=0"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
        if not (Path(folder) / "net.ncnn.param").exists():
            raise RuntimeError(f"pnnx: {(done.stderr or done.stdout).strip()[-200:]}")
        net = package.Net()
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
        if net.load_param(f"{folder}/net.ncnn.param") or net.load_model(f"{folder}/net.ncnn.bin"):
            raise RuntimeError("ncnn does not load what pnnx writes")
        extractor = net.create_extractor()
        for number, array in enumerate(inputs.values()):
            extractor.input(f"in{number}", package.Mat(np.ascontiguousarray(array[0])))
        found = []
        for number, output in enumerate(onnx.load(path).graph.output):
            code, value = extractor.extract(f"out{number}")
            if code:
                raise RuntimeError(f"ncnn ends with {code}")
            array = np.array(value)
            has_batch = array.ndim == len(output.type.tensor_type.shape.dim)  # which pnnx leaves where it sees none
            found.append(array if has_batch else array[None])
        return found


def tvm(path: str, inputs: Arrays, outputs: list[str]) -> list[np.ndarray]:
    import onnx
    from tvm import relax, runtime
    from tvm.relax.frontend.onnx import from_onnx

    shapes = {name: list(array.shape) for name, array in inputs.items()}
    module = from_onnx(onnx.load(path), shapes, {name: str(array.dtype) for name, array in inputs.items()})
    machine = relax.VirtualMachine(relax.build(module, target="llvm"), runtime.cpu())
    found = machine["main"](*(runtime.tensor(array) for array in inputs.values()))
    return [each.numpy() for each in ([found] if hasattr(found, "numpy") else found)]


def litert(path: str, inputs: Arrays, outputs: list[str]) -> list[np.ndarray]:
    """What onnx2tf makes of the file, in LiteRT; it takes images N H W C, and gives them so."""
    from ai_edge_litert.interpreter import Interpreter

    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "onnx2tf", "-i", path, "-o", folder, "-n", "-kat", *inputs]
        command += ["-ois", *(f"{name}:{','.join(map(str, array.shape))}" for name, array in inputs.items())]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        written = sorted(Path(folder).glob("*_float32.tflite"))
        if not written:
            words = (done.stdout + done.stderr).strip().splitlines()
            raise RuntimeError(f"onnx2tf: {words[-1] if words else done.returncode}")
        interpreter = Interpreter(str(written[0]))
        if interpreter.get_signature_list():
            found = interpreter.get_signature_runner()(**inputs)
            return [found[name] for name in outputs]
        interpreter.allocate_tensors()
        for given, array in zip(interpreter.get_input_details(), inputs.values(), strict=True):
            interpreter.set_tensor(given["index"], array)
        interpreter.invoke()
        return [interpreter.get_tensor(each["index"]) for each in interpreter.get_output_details()]


def onnxslim(path: str, inputs: Arrays, outputs: list[str]) -> list[np.ndarray]:
    """What onnxslim makes of the file, in onnxruntime."""
    import onnxslim as package

    return _simplified(package.slim(path), inputs, outputs)


def onnxsim(path: str, inputs: Arrays, outputs: list[str]) -> list[np.ndarray]:
    """What onnxsim makes of the file, in onnxruntime."""
    import onnxsim as package

    return _simplified(package.simplify(path)[0], inputs, outputs)


def _simplified(model: Any, inputs: Arrays, outputs: list[str]) -> list[np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        path.write_bytes(model.SerializeToString())
        return onnxruntime(str(path), inputs, outputs)


OF_PROCESSORS = onnxruntime, reference, openvino, opencv, tract, tinygrad, iree, tvm, litert, mnn, ncnn
SIMPLIFIERS = onnxslim, onnxsim
RUNTIMES: dict[str, Callable[[str, Arrays, list[str]], list[np.ndarray]]] = {
    each.__name__: each for each in (*OF_PROCESSORS, *SIMPLIFIERS)
}


NAMES = {
    "onnxruntime": ("onnxruntime", "onnxruntime"),
    "reference": ("onnx.reference", "onnx"),
    "openvino": ("OpenVINO", "openvino"),
    "opencv": ("OpenCV", "opencv-python-headless"),
    "tract": ("tract", "tract"),
    "tinygrad": ("tinygrad", "tinygrad"),
    "iree": ("IREE", "iree-base-compiler"),
    "tvm": ("TVM", "apache-tvm"),
    "litert": ("LiteRT, by onnx2tf", "onnx2tf"),
    "mnn": ("MNN", "MNN"),
    "ncnn": ("ncnn, by pnnx", "ncnn"),
    "onnxslim": ("onnxslim, in onnxruntime,", "onnxslim"),
    "onnxsim": ("onnxsim, in onnxruntime,", "onnxsim"),
}
"""Runtime -> what the page calls it; the package whose version it names."""


def version_of(runtime: str) -> str:
    words, package = NAMES[runtime]
    return f"{words} {metadata.version(package)}"


def read(entry: dict, folder: Path) -> np.ndarray:
    return np.fromfile(folder / entry["file"], entry["dtype"]).reshape(entry["shape"])


def judged(case: dict, folder: Path, run: Callable[[str, Arrays, list[str]], list[np.ndarray]]) -> dict:
    """The line of one file."""
    inputs = {each["name"]: read(each, folder) for each in case["inputs"]}
    names = [each["name"] for each in case["outputs"]]
    found = run(str(folder / case["model"]), inputs, names)
    error = 0.0
    for wanted, theirs in zip(case["outputs"], found, strict=True):
        ours = read(wanted, folder)
        if theirs.shape != ours.shape:
            return {"refused": f"SHAPE {theirs.shape} for {ours.shape}"}
        off = np.abs(theirs.astype(np.float64) - ours).max(initial=0)
        error = max(error, float(off / (np.abs(ours).max(initial=0) or 1)) if np.isfinite(off) else 1e30)
    return {"error": error}


def work(runtime: str, folder: Path, results: Path, tried: set[str]) -> None:
    kind = runtime.partition("-")[0]
    note(results, {"id": "", "version": version_of(kind)})
    for case in json.loads((folder / "manifest.json").read_text()):
        if case["id"] in tried:
            continue
        note(results, {"id": case["id"], "started": True})
        try:
            line = judged(case, folder, RUNTIMES[kind])
        except BaseException as error:
            if isinstance(error, (KeyboardInterrupt, ImportError)):
                raise
            words = " ".join(str(error).split()) or type(error).__name__
            line = {"refused": words[:300]}
        note(results, {"id": case["id"], **line})


def note(results: Path, line: dict) -> None:
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def lines_of(results: Path) -> list[dict]:
    return [json.loads(line) for line in results.read_text("utf-8").splitlines()] if results.exists() else []


def main(runtime: str, folder: Path, results: Path) -> int:
    """Work in a process of its own, as long as there are files."""
    while True:
        child = subprocess.Popen(
            [sys.executable, __file__, runtime, str(folder), str(results)], env={**os.environ, "WORK": "1"}
        )
        last, why = time.time(), "the process ended"
        while child.poll() is None:
            time.sleep(0.1)
            last = max(last, results.stat().st_mtime if results.exists() else 0)
            if time.time() - last > PATIENCE:
                why = f"no answer in {PATIENCE} seconds"
                child.kill()
        if child.returncode in (0, 1, 2):
            return child.returncode
        lines = lines_of(results)
        done = {line["id"] for line in lines if "started" not in line}
        for each in {line["id"] for line in lines} - done:
            note(results, {"id": each, "refused": why})


if __name__ == "__main__":
    name, where, to = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if "WORK" in os.environ:
        work(name, where, to, {line["id"] for line in lines_of(to) if "started" not in line})
    else:
        sys.exit(main(name, where, to))
