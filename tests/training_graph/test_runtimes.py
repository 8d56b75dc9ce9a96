"""Small nets trained in other runtimes: ten steps, each from the state that the last one has left."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from graphc.spec.model import read_spec_text
from graphc.train.losses.detection import Detection
from graphc.train.numpy_engine import NumpyEngine
from graphc.train.recipe import read_recipe_text
from graphc.train.setup import new_state
from graphc.train.step_graph import emit_step, forms_of
from graphc.train.task import Task
from tests.training_graph.test_detection import FORMS, loss_graph, predicted, targets

STEPS, BATCH = 10, 4
BODY = {
    "plain": "  - conv2d: {filters: 4, kernel: 5, activation: relu}\n  - max_pool2d: [2, 2]\n",
    "batch norm": "  - conv2d: {filters: 4, kernel: 3, stride: 2, normalizer: {batch_norm: {scale: true}}}\n",
    "depthwise": "  - depthwise_conv2d: {kernel: 3, padding: same, activation: tanh}\n  - avg_pool2d: [2, 2]\n",
}
SPEC = """\
graphc: 1
name: net
inputs: {{image: [N, 8, 8, 3]}}
layers:
{body}  - flatten
  - fully_connected: {{name: logits, units: 3}}
outputs: {{logits: logits}}
"""
RECIPE = """\
recipe: 1
model: net.yaml
data: {train: digits}
loss: softmax_cross_entropy
optimizer: momentum
learning_rate: 0.05
steps: 10
"""


def onnxruntime(path, inputs):
    session = pytest.importorskip("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def reference(path, inputs):
    evaluator = pytest.importorskip("onnx.reference").ReferenceEvaluator(str(path))
    return dict(zip(evaluator.output_names, evaluator.run(None, inputs), strict=True))


def openvino(path, inputs):
    exact = {"INFERENCE_PRECISION_HINT": "f32"}  # the default is bf16 where the processor has it
    compiled = pytest.importorskip("openvino").Core().compile_model(str(path), "CPU", exact)
    result = compiled(inputs)
    return {name: result[output] for output in compiled.outputs for name in output.get_names()}


def tract(path, inputs):
    model = pytest.importorskip("tract").onnx().load(str(path))
    written = onnx.load(path).graph
    results = model.into_model().into_runnable().run([inputs[given.name] for given in written.input])
    return {output.name: result.to_numpy() for output, result in zip(written.output, results, strict=True)}


@pytest.fixture
def one_runtime(request):
    if not request.config.getoption("--runtimes"):
        pytest.skip("run by --runtimes")


def train(run, path, net):
    """The losses of ten steps, and the variables behind them, by NumPy and by a runtime."""
    task = Task.of(read_recipe_text(RECIPE), read_spec_text(SPEC.format(body=BODY[net]), "net.yaml"))
    engine = NumpyEngine(task)
    state, rng = new_state(engine), np.random.default_rng(0)
    images = rng.normal(size=(BATCH, 8, 8, 3)).astype(np.float32)
    labels = np.arange(BATCH) % 3
    model = emit_step(task, engine.learning, BATCH, forms_of({"label": labels}))
    path.write_bytes(model.serialize())
    wanted = {each.name for each in model.body.graph.input}
    given = {"image": images, "label/logits": labels.astype(np.int32), "learning_rate": np.asarray(0.05, np.float32)}
    arrays, losses = state.arrays(task.recipe.optimizer), []
    arrays = {name: value.copy() for name, value in arrays.items()}
    for step in range(STEPS):
        feeds = {**arrays, **given, "step": np.asarray(step, np.float32)}
        found = run(path, {name: value for name, value in feeds.items() if name in wanted})
        losses.append(float(found["loss"]))
        arrays |= {name.removeprefix("next/"): np.array(v) for name, v in found.items() if name.startswith("next/")}
    return losses, arrays


@pytest.mark.parametrize("net", BODY)
@pytest.mark.parametrize("runtime", [openvino, tract, reference])
@pytest.mark.usefixtures("one_runtime")
def test_it_trains_as_in_onnxruntime(tmp_path, runtime, net):
    theirs, arrays = train(runtime, tmp_path / "net.onnx", net)
    ours, expected = train(onnxruntime, tmp_path / "net.onnx", net)
    assert theirs == pytest.approx(ours, rel=1e-4)
    assert ours[-1] < ours[0]
    for name, value in expected.items():
        np.testing.assert_allclose(arrays[name], value, atol=1e-4 * max(np.abs(value).max(initial=0), 1e-3))


@pytest.mark.parametrize(("coder", "settings"), FORMS, ids=str)
@pytest.mark.parametrize("runtime", [openvino, tract, reference])
@pytest.mark.usefixtures("one_runtime")
def test_a_detectors_loss_is_numpys(tmp_path, runtime, coder, settings):
    rng, background = np.random.default_rng(0), settings.get("background", False)
    placed = Detection(**{k: v for k, v in settings.items() if k != "background"}).on(coder, background)
    rows, target = predicted(rng, coder, background), targets(rng)
    ours = placed.mean(rows.copy(), target)
    graph, feeds = loss_graph(placed, rows, target)
    path = tmp_path / "loss.onnx"
    path.write_bytes(graph.finish({}).serialize())
    found = runtime(path, feeds)
    assert float(found["value"]) == pytest.approx(ours.value, rel=1e-4)
    np.testing.assert_allclose(found["gradient"], ours.gradient, atol=1e-4 * np.abs(ours.gradient).max())
