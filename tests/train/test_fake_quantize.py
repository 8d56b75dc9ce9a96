"""Training with the rounding of the file: the rounding is ONNX's, and what was trained is what the file computes."""

from __future__ import annotations

import shutil

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from safetensors.numpy import load_file

from graphc.compiler import Emission, compile_spec
from graphc.data.batch import Batch
from graphc.errors import SpecError
from graphc.execution.network import Network
from graphc.initializers import initial_values
from graphc.kernels.context import RunContext
from graphc.quantization import Quantizer
from graphc.runtime import Session
from graphc.spec.model import read_spec_text
from graphc.train import task as task_module
from graphc.train.commands import resume, train
from graphc.train.fake_quantization import fake_quantized, rounded
from graphc.train.fake_quantize import FakeQuantize
from graphc.train.numpy_engine import NumpyEngine
from graphc.train.recipe import FakeQuantization, read_recipe_text
from graphc.train.run_folder import RunFolder
from graphc.train.setup import new_state
from graphc.train.task import Task
from graphc.train.trained import load_weights, task_of_run
from tests.passes.specs import plan_of
from tests.train.conftest import RECIPE, write_tiny_project

NET = """
inputs: {image: [N, 6, 6, 1]}
outputs: {logits: logits}
arg_scope: {conv2d: {kernel: 3, padding: same, normalizer: {batch_norm: {scale: true}}}}
layers:
  - conv2d: {name: stem, filters: 8, activation: relu}
  - residual:
      layers:
        - conv2d: {name: conv1, filters: 8, activation: relu}
        - depthwise_conv2d: {name: conv2, kernel: 3, padding: same, normalizer: batch_norm}
  - relu
  - max_pool2d: [2, 2]
  - global_avg_pool2d
  - fully_connected: {name: logits, units: 3}
"""
QAT = RECIPE + "fake_quantize: {decay: 0.9}\n"


@pytest.mark.parametrize("form", ["asymmetric", "symmetric"])
def test_values_are_rounded_as_onnx_rounds_them(form):
    x = np.random.default_rng(0).normal(0.5, 1, (2, 50)).astype(np.float32)
    layer = FakeQuantize(form=form)
    context = RunContext(training=True)
    step = layer.forward(context, {"min": np.zeros((), np.float32), "max": np.zeros((), np.float32)}, x)
    low, high = float(step.updates["min"]), float(step.updates["max"])
    assert (low, high) == (x.min(), x.max()), "the first batch gives the range"
    integer, least, most = (np.uint8, 0, 255) if form == "asymmetric" else (np.int8, -127, 127)
    scale = np.float32((high - low) / 255 if form == "asymmetric" else max(-low, high) / 127)
    zero = np.array(round(-low / scale) if form == "asymmetric" else 0, integer)
    np.testing.assert_allclose(step.output, by_onnx(x, scale, zero), rtol=1e-6, atol=1e-7)
    assert len(np.unique(np.rint(step.output / scale))) <= most - least + 1


def by_onnx(x, scale, zero):
    """QuantizeLinear and DequantizeLinear of onnxruntime."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["whole"]),
        helper.make_node("DequantizeLinear", ["whole", "scale", "zero"], ["y"]),
    ]
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in "xy"]
    constants = [
        onnx.numpy_helper.from_array(np.asarray(each), name) for name, each in (("scale", scale), ("zero", zero))
    ]
    graph = helper.make_graph(nodes, "pair", info[:1], info[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def test_gradients_go_through_within_the_range_and_stop_beyond_it():
    params = {"min": np.float32(-1), "max": np.float32(1)}
    x = np.array([[-3, -0.5, 0, 0.9, 3]], np.float32)
    step = FakeQuantize(frozen=True).forward(RunContext(training=True), params, x)
    np.testing.assert_array_equal(step.backward(np.full_like(x, 2)).inputs[0], [[0, 2, 2, 2, 0]])
    assert not step.updates


def test_the_range_is_that_of_the_whole_batch_whatever_the_shards():
    plan, _ = fake_quantized(plan_of(NET), FakeQuantization())
    params = initial_values(plan.variables, 0)
    images = np.random.default_rng(0).normal(size=(8, 6, 6, 1)).astype(np.float32)
    one, four = (Network(plan, shards=shards).forward(params, {"image": images}, True) for shards in (1, 4))
    name = "image/Transpose/FakeQuantize"
    for end, value in (("min", images.min()), ("max", images.max())):
        full = plan.graph.scoped(f"{name}/{end}")
        assert one.updates[full] == four.updates[full] == value


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run with rounding."""
    folder = write_tiny_project(tmp_path_factory.mktemp("qat"), spec=f"graphc: 1\n{NET}", recipe=QAT)
    train(folder / "recipe.yaml", folder / "run")
    return folder


def test_what_was_trained_is_what_the_file_computes(trained):
    """The fake-quantized network in NumPy, and the file of integers in onnxruntime: they differ by the rounding of
    biases and sums, less than by a hundredth of what integers cost."""
    folder = RunFolder(trained / "run")
    task, _ = task_of_run(folder, folder.read_facts())
    params = load_weights(task.plan, folder.best, "float32")
    with np.load(trained / "test.npz") as arrays:
        images = arrays["x"]
    ours = Network(task.plan).forward(task.as_computed(params), {"image": images}, False).outputs["logits"]
    quantizer = Quantizer([str(trained / "run")], weights=folder.best)
    compile_spec(trained / "tiny.yaml", trained / "q.onnx", weights_from=folder.best, how=Emission(passes=[quantizer]))
    theirs = Session(trained / "q.onnx").run({"image": images})["logits"]
    compile_spec(trained / "tiny.yaml", trained / "float.onnx", weights_from=folder.best)
    plain = Session(trained / "float.onnx").run({"image": images})["logits"]
    cost = np.square(plain - ours).mean()
    assert np.square(theirs - ours).mean() < 0.05 * cost, (np.square(theirs - ours).mean(), cost)
    assert (theirs.argmax(1) == ours.argmax(1)).all()


def test_a_run_that_was_stopped_ends_with_the_same_bytes(trained, tmp_path):
    """Ranges are variables, and lie in checkpoints."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    short = QAT.replace("epochs: 4", "epochs: 2")
    (tmp_path / "short.yaml").write_text(short.replace("schedule: cosine", "schedule: constant"))
    (tmp_path / "long.yaml").write_text(QAT.replace("schedule: cosine", "schedule: constant"))
    train(tmp_path / "long.yaml", tmp_path / "whole")
    train(tmp_path / "short.yaml", tmp_path / "parts")
    resume(tmp_path / "parts", epochs=4)
    one, other = (load_file(tmp_path / run / "best.safetensors") for run in ("whole", "parts"))
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_ranges_are_measured_though_all_else_is_frozen(trained, tmp_path):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    start = "init_from: {path: run/best.safetensors}\nfreeze: ['*/stem/*', '*/conv?/*']\n"
    (tmp_path / "frozen.yaml").write_text(QAT.replace("epochs: 4", "epochs: 1") + start)
    train(tmp_path / "frozen.yaml", tmp_path / "frozen")
    before, after = (load_file(tmp_path / run / "best.safetensors") for run in ("run", "frozen"))
    np.testing.assert_allclose(after["tiny/stem/weights"], before["tiny/stem/weights"], atol=1e-3)  # an average
    assert after["tiny/stem/Relu/FakeQuantize/max"] > 0.1


@pytest.mark.parametrize(
    ("layers", "named"),
    [
        ("  - conv2d: {name: a, filters: 4, kernel: 3, weight_standardization: true}\n", "a"),
        (
            "  - residual:\n      layers:\n        - conv2d: {name: a, filters: 8, kernel: 3, padding: same}\n"
            "      shortcut:\n        - conv2d: {name: b, filters: 8, kernel: 1}\n",
            "[ab]",
        ),
    ],
)
def test_weights_that_are_other_ones_in_the_file_are_an_error(layers, named):
    text = (
        f"inputs: {{image: [N, 6, 6, 1]}}\nlayers:\n{layers}  - flatten\n  - fully_connected: {{name: c, units: 2}}\n"
    )
    with pytest.raises(SpecError, match=rf"net.yaml:\d.*{named}: fake_quantize expects weights that only get a factor"):
        fake_quantized(plan_of(text), FakeQuantization())


def test_weights_are_rounded_once_a_step_however_many_batches_it_has(monkeypatch):
    """They stay as they are over the step, and rounding them is a pass over all of them."""
    spec = read_spec_text(f"graphc: 1\nname: tiny\n{NET}", "tiny.yaml")
    task = Task.of(read_recipe_text(f"{QAT}accumulate: 3\n", "recipe.yaml"), spec)
    calls = []
    monkeypatch.setattr(task_module, "rounded", lambda params, scales: (calls.append(None), rounded(params, scales))[1])
    engine, rng = NumpyEngine(task), np.random.default_rng(0)
    state = new_state(engine)
    batches = [
        Batch({"image": rng.normal(size=(4, 6, 6, 1)).astype(np.float32)}, {"label": rng.integers(0, 3, 4)})
        for _ in range(3)
    ]
    engine.compute(state, batches, 0.1).commit()
    engine.compute(state, batches, 0.1).commit()
    assert len(calls) == 2


def test_there_has_to_be_something_to_round():
    with pytest.raises(SpecError, match="no layer can be computed in 8-bit integers"):
        fake_quantized(plan_of("inputs: {image: [N, 6, 6, 1]}\nlayers:\n  - relu\n"), FakeQuantization())
