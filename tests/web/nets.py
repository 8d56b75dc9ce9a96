"""Small files for pages, one for each way in which an output is shown, and a picture to give them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from PIL import Image

from graphc.compiler import Emission, compile_plan
from graphc.data.alphabet import Alphabet
from graphc.data.preprocess import Preprocess
from graphc.data.resizing import STRETCH, AnyResizing
from graphc.emit.model import write_model
from graphc.initializers import initial_values
from graphc.signature import CLASSES, InputSignature, OutputSignature, Signature
from tests.passes.specs import plan_of

HEIGHT, WIDTH = 12, 16
NAMES = ("a <b>cat</b>", 'a "dog" & co', "no one", "other")
BODIES = {
    "classes": "layers: [{conv2d: {filters: 4, kernel: 3}}, flatten, {fully_connected: {name: out, units: 4}}]",
    "mask": "layers: [{conv2d: {name: out, filters: 4, kernel: 3, padding: same}}]",
    "image": "layers: [{conv2d: {name: out, filters: 3, kernel: 3, padding: same, activation: sigmoid}}]",
    "values": "layers: [flatten, {fully_connected: {name: out, units: 30}}, {reshape: {name: shaped, shape: [3, 10]}}]",
    "text": "layers: [{global_avg_pool2d: }, {fully_connected: {name: out, units: 15}}, {reshape: {shape: [5, 3]}}]",
}
MEANINGS = {
    "classes": OutputSignature(says="probability", activation="softmax", classes=NAMES),
    "mask": OutputSignature(says="probability", activation="softmax", classes=NAMES),
    "boxes": OutputSignature(says="boxes", classes=NAMES),
    "text": OutputSignature(codes=Alphabet(characters="ab")),
}
PREPROCESS = Preprocess(scale=1 / 128, mean=(0.9, 1.0, 1.1), std=(0.5, 0.6, 0.7))


def write_net(path: Path, kind: str, resize: AnyResizing = STRETCH, channels: int = 3, seed: int = 1) -> Path:
    """A file whose output is shown in this way; random weights, preprocessing outside of the file."""
    if kind == "boxes":
        return write_boxes(path)
    return write_body(path, BODIES[kind], MEANINGS.get(kind), resize, channels, seed)


def write_body(
    path: Path,
    body: str,
    meaning: OutputSignature | None = None,
    resize: AnyResizing = STRETCH,
    channels: int = 3,
    seed: int = 1,
) -> Path:
    """A file with these layers."""
    plan = plan_of(f"inputs: {{image: [N, {HEIGHT}, {WIDTH}, {channels}]}}\n{body}")
    done = PREPROCESS if channels == 3 else Preprocess(scale=1 / 128, mean=(1.0,))
    given = InputSignature(shape=(HEIGHT, WIDTH, channels), preprocess=done, resize=resize)
    (name,) = plan.graph.outputs
    outputs = {} if meaning is None else {name: meaning}
    metadata = {CLASSES: json.dumps(NAMES), **Signature(inputs={"image": given}, outputs=outputs).metadata()}
    params = {key: 3 * value for key, value in initial_values(plan.variables, seed).items()}
    write_model(compile_plan(plan, params, Emission(), metadata), path)
    return path


def write_boxes(path: Path) -> Path:
    """Two boxes in the middle of what it reads, and a row that is none, whatever the picture; in the letterbox that it
    asks for the picture has edges above and below."""
    rows = [[4, 3, 12, 9, 0.9, 1], [0, 0, 2, 2, 0.1, 2], [0, 0, 0, 0, 0, -1]]
    ports = [
        helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", HEIGHT, WIDTH, 3]),
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["N", 3, 6]),
    ]
    constants = [
        helper.make_tensor("rows", TensorProto.FLOAT, [1, 3, 6], np.array(rows, np.float32).ravel()),
        helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0]),
        helper.make_tensor("shape", TensorProto.INT64, [3], [-1, 1, 1]),
    ]
    nodes = [
        helper.make_node("Cast", ["image"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["cast"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Reshape", ["mean", "shape"], ["each"]),
        helper.make_node("Mul", ["each", "zero"], ["nothing"]),
        helper.make_node("Add", ["rows", "nothing"], ["boxes"]),
    ]
    graph = helper.make_graph(nodes, "boxes", ports[:1], ports[1:], constants)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    given = InputSignature.model_validate({"shape": (HEIGHT, WIDTH, 3), "resize": "letterbox"})
    signature = Signature(inputs={"image": given}, outputs={"boxes": MEANINGS["boxes"]})
    helper.set_model_props(model, signature.metadata())
    onnx.save(model, path)
    return path


def write_photo(path: Path, height: int = 40, width: int = 30) -> Path:
    """A picture in color that EXIF turns by a quarter."""
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.random.default_rng(3).integers(0, 256, (height // 5, width // 5, 3), np.uint8)
    Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC).save(path, exif=exif)
    return path
