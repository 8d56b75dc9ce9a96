"""Losses, optimizers and whole steps as training graphs, beside NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.data.batch import Batch
from graphc.emit.training import TrainingGraph
from graphc.errors import SpecError
from graphc.graph import LayerGraph, Plan
from graphc.kernels.context import RunContext
from graphc.kernels.integers import rounded_weights
from graphc.spec.model import read_spec_text
from graphc.train.fake_quantize import FakeQuantize
from graphc.train.losses import LOSSES, Ctc
from graphc.train.losses.boxes import BoxIou
from graphc.train.numpy_engine import NumpyEngine
from graphc.train.optimizers import OPTIMIZERS
from graphc.train.recipe import read_recipe_text
from graphc.train.rounding_nodes import emit_rounded, emit_rounded_weights
from graphc.train.setup import new_state
from graphc.train.step_graph import emit_step, forms_of
from graphc.train.task import Task
from tests.train.test_losses import CASES, _target

ort = pytest.importorskip("onnxruntime")
EMPTY = Plan(LayerGraph("net", "N", (), (), {}, {}), ())


def run(model, feeds):
    session = ort.InferenceSession(model.serialize(), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    wanted = {each.name for each in session.get_inputs()}
    found = session.run(names, {name: value for name, value in feeds.items() if name in wanted})
    return dict(zip(names, found, strict=True))


def test_every_loss_has_nodes():
    apart = {"box_iou", "detection"}  # below, and in test_detection.py
    assert {case.values[0].kind for case in CASES} | apart == {loss.kind for loss in LOSSES}


@pytest.mark.parametrize("form", ["iou", "giou", "diou", "ciou"])
def test_boxes_overlap_as_in_numpy(form):
    """Also where they do not touch, are turned round, or are the same."""
    rng = np.random.default_rng(5)
    low = rng.uniform(0, 4, (2, 9, 2)).astype(np.float32)
    prediction, target = (np.concatenate([each, each + rng.uniform(0.5, 4, (9, 2))], 1) for each in low)
    prediction = np.stack([prediction, prediction[::-1]]).astype(np.float32)
    target = np.stack([target, target]).astype(np.float32)
    prediction[0, 0] = [20, 20, 22, 23]
    prediction[0, 1] = [3, 1, 2, 2]
    prediction[0, 2] = [3, 3, 2, 1]
    loss = BoxIou(form=form)
    value, gradient = loss(prediction, target)
    graph = TrainingGraph(EMPTY, 2)
    given = (graph.input(name, prediction.shape, "float32") for name in ("x", "target"))
    for name, tensor in zip(("value", "gradient"), loss.emit(*given, None), strict=True):
        graph.give(name, tensor)
    found = run(graph.finish({}), {"x": prediction, "target": target})
    assert found["value"] == pytest.approx(value, rel=1e-5)
    np.testing.assert_allclose(found["gradient"], gradient, atol=1e-5 * np.abs(gradient).max())


def test_a_sequence_that_does_not_fit_is_infinite_or_nothing():
    target = np.array([[1, 1, 1], [1, 2, -1]], np.float32)
    for loss, first in ((Ctc(), np.inf), (Ctc(zero_infinity=True), 0.0)):
        graph = TrainingGraph(EMPTY, 2)
        losses, gradient, _ = loss.emit_elements(
            graph.input("x", (2, 3, 4), "float32"), graph.input("target", (2, 3), "float32")
        )
        graph.give("losses", losses)
        graph.give("gradient", gradient)
        found = run(graph.finish({}), {"x": np.zeros((2, 3, 4), np.float32), "target": target})
        assert found["losses"][0] == first
        assert np.isfinite(found["losses"][1])
        assert not found["gradient"][0].any()


@pytest.mark.parametrize(("loss", "shape", "kind", "weights", "positive"), CASES)
def test_a_loss_is_as_in_numpy(loss, shape, kind, weights, positive):
    rng = np.random.default_rng(4)
    prediction = (rng.uniform(0.1, 0.9, shape) if positive else rng.normal(size=shape) * 2).astype(np.float32)
    target = _target(rng, kind, shape)
    reduced = shape if loss.kind in ("mean_squared",) else shape[:-1]
    w = {"example": [1.5, 0.0, *rng.uniform(0, 2, shape[0] - 2)], "element": rng.uniform(0, 2, reduced)}.get(weights)
    w = None if w is None else np.asarray(w, np.float32)
    value, gradient = loss(prediction, target, w)
    graph = TrainingGraph(EMPTY, shape[0])
    indices = kind == "indices"
    given = graph.input("target", target.shape, "int32" if indices else "float32")
    weight = None if w is None else graph.input("w", w.shape, "float32")
    for name, tensor in zip(
        ("value", "gradient"), loss.emit(graph.input("x", shape, "float32"), given, weight), strict=True
    ):
        graph.give(name, tensor)
    feeds = {"x": prediction, "target": target.astype(np.int32 if indices else np.float32), "w": w}
    found = run(graph.finish({}), feeds)
    assert found["value"] == pytest.approx(value, rel=1e-5)
    np.testing.assert_allclose(found["gradient"], gradient, atol=1e-5 * np.abs(gradient).max())


SPEC = """\
graphc: 1
name: net
inputs: {image: [N, 6, 5, 2]}
arg_scope:
  conv2d, depthwise_conv2d: {kernel: 3, padding: same, normalizer: {batch_norm: {scale: true}}, activation: tanh}
  conv2d, fully_connected: {weights_regularizer: {l2: 0.01, l1: 0.001}}
layers:
  - conv2d: {name: a, filters: 4, stride: 2}
  - depthwise_conv2d: {name: b}
  - dropout: {name: drop, rate: 0.25}
  - flatten
  - fully_connected: {name: logits, units: 3}
outputs: {logits: logits}
"""
RECIPE = """\
recipe: 1
model: net.yaml
data: {{train: digits}}
loss: {{softmax_cross_entropy: {{label_smoothing: 0.1, class_weights: [1, 2, 0.5]}}}}
optimizer: {optimizer}
learning_rate: {rate}
example_weights: weight
clip: {{global_norm: 1.0, variable_norm: 0.7}}
multipliers: {{"*/a/*": 0.5}}
freeze: "*/b/depthwise_weights"
epochs: 4
ema: {{decay: 0.9}}
shards: 1
"""
SETTINGS = {
    "sgd": ("{sgd: {weight_decay: 0.01}}", 0.05),
    "momentum": ("momentum", 0.05),
    "nesterov": ("nesterov", 0.05),
    "rmsprop": ("{rmsprop: {momentum: 0.9, centered: true}}", 0.0005),
    "adagrad": ("{adagrad: {rate_decay: 0.1, initial: 0.1}}", 0.01),
    "adam": ("{adam: {weight_decay: 0.01, decay_only_weights: true}}", 0.001),
    "adamw": ("adamw", 0.001),
    "lamb": ("lamb", 0.001),
}


def task_of(optimizer, rate, **changes):
    text = RECIPE.format(optimizer=optimizer, rate=rate)
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, new)
    return Task.of(read_recipe_text(text, "recipe.yaml"), read_spec_text(SPEC, "net.yaml"))


def batch(rng, rows=8):
    weight = rng.integers(0, 3, rows).astype(np.float32)
    targets = {"label": rng.integers(0, 3, rows), "weight": weight}
    return Batch({"image": rng.normal(size=(rows, 6, 5, 2)).astype(np.float32)}, targets)


def test_every_optimizer_has_its_settings():
    assert set(SETTINGS) == {optimizer.kind for optimizer in OPTIMIZERS}


@pytest.mark.parametrize("optimizer", SETTINGS)
def test_twenty_steps_are_as_in_numpy(optimizer):
    """Of a small smooth net, with all that a recipe can say of a step."""
    said, rate = SETTINGS[optimizer]
    task, rng = task_of(said, rate), np.random.default_rng(0)
    engine = NumpyEngine(task)
    state = new_state(engine)
    drawn = engine.network.execution.schedule(frozenset({"logits"})).operations
    (key,) = [each.key for each in drawn if each.output == "drop"]
    model = emit_step(task, engine.learning, 8, forms_of(batch(rng).targets))
    session = ort.InferenceSession(model.serialize(), providers=["CPUExecutionProvider"])
    inputs = {each.name: each.shape for each in session.get_inputs()}
    outputs = [each.name for each in session.get_outputs()]
    arrays = {name: value.copy() for name, value in state.arrays(task.recipe.optimizer).items()}
    before = dict(arrays)
    for step in range(20):
        given = batch(rng)
        feeds = {name: arrays[name] for name in inputs if name in arrays}
        feeds |= {"image": given.inputs["image"], "label/logits": given.targets["label"].astype(np.int32)}
        feeds |= {"weight/logits": given.targets["weight"], "learning_rate": np.asarray(rate, np.float32)}
        uniform = np.random.default_rng((task.recipe.seed, step, key, 0)).random(inputs["drop/uniform"], np.float32)
        feeds |= {"drop/uniform": uniform, "step": np.asarray(step, np.float32)}
        found = dict(zip(outputs, session.run(outputs, feeds), strict=True))
        computed = engine.compute(state, [given], rate)
        computed.commit()
        assert found["loss"] == pytest.approx(computed.loss, rel=1e-5)
        assert found["gradient_norm"] == pytest.approx(computed.gradient_norm, rel=1e-5)
        arrays |= {name.removeprefix("next/"): value for name, value in found.items() if name.startswith("next/")}
    ours = state.arrays(task.recipe.optimizer)
    for name, value in arrays.items():
        if name.startswith(("params/", "slots/", "average/")):
            largest = max(float(np.abs(ours[name]).max()), 1e-6)
            assert float(np.abs(ours[name] - value).max()) <= 1e-5 * largest, name
    assert not np.array_equal(arrays["params/net/a/weights"], before["params/net/a/weights"])
    np.testing.assert_array_equal(arrays["params/net/b/depthwise_weights"], before["params/net/b/depthwise_weights"])


def test_steps_in_a_row_are_those_one_by_one():
    """To the bit; and their state may be written over itself, since every reader of the old one comes before."""
    task, rng = task_of("adam", 0.01), np.random.default_rng(0)
    learning, batches = NumpyEngine(task).learning, [batch(rng) for _ in range(2)]
    forms = forms_of(batches[0].targets)
    state = new_state(NumpyEngine(task)).arrays(task.recipe.optimizer)

    def given(turn, end):
        one = batches[turn]
        found = {"image": one.inputs["image"], "label/logits": one.targets["label"].astype(np.int32)}
        found |= {"weight/logits": one.targets["weight"], "learning_rate": np.asarray(0.01 / (turn + 1), np.float32)}
        found |= {"drop/uniform": np.random.default_rng(turn).random((8, 3, 3, 4), np.float32)}
        return {f"{name}{end}": array for name, array in found.items()}

    single, now, losses = emit_step(task, learning, 8, forms), dict(state), []
    for turn in range(2):
        found = run(single, {**now, **given(turn, ""), "step": np.asarray(5 + turn, np.float32)})
        losses.append(found["loss"])
        now |= {name.removeprefix("next/"): array for name, array in found.items() if name.startswith("next/")}
    model = emit_step(task, learning, 8, forms, unroll=2)
    feeds = {**state, **given(0, "@0"), **given(1, "@1"), "step": np.asarray(5, np.float32)}
    found = run(model, feeds)
    assert [found["loss@0"], found["loss@1"]] == losses
    session = ort.InferenceSession(model.serialize(), providers=["CPUExecutionProvider"])
    binding, placed = session.io_binding(), {}
    names = {each.name for each in session.get_outputs()}
    for each in session.get_inputs():
        placed[each.name] = ort.OrtValue.ortvalue_from_numpy(np.array(feeds[each.name]))
        binding.bind_ortvalue_input(each.name, placed[each.name])
        if f"next/{each.name}" in names:
            binding.bind_ortvalue_output(f"next/{each.name}", placed[each.name])
    session.run_with_iobinding(binding)
    changed = [name.removeprefix("next/") for name in names if name.startswith("next/")]
    assert any(name.startswith("slots/") for name in changed)
    for name in changed:
        np.testing.assert_array_equal(found[f"next/{name}"], now[name], err_msg=name)
        np.testing.assert_array_equal(placed[name].numpy(), now[name], err_msg=name)


def test_names_of_a_step():
    task = task_of("momentum", 0.1)
    learning = NumpyEngine(task).learning
    forms = forms_of(batch(np.random.default_rng(0)).targets)
    graph = emit_step(task, learning, 8, forms).body.graph
    inputs, outputs = ({each.name for each in some} for some in (graph.input, graph.output))
    assert {"loss", "loss/logits", "logits", "penalty", "gradient_norm", "next/params/net/a/weights"} <= outputs
    assert {"image", "label/logits", "weight/logits", "learning_rate", "step", "drop/uniform"} <= inputs
    state = {name for name in inputs if f"next/{name}" in outputs}
    assert state == {name.removeprefix("next/") for name in outputs if name.startswith("next/")}
    assert "params/net/b/depthwise_weights" in inputs - state  # frozen
    assert {node.domain for node in graph.node} == {""}
    assert not any(attribute.g.node for node in graph.node for attribute in node.attribute), "no control flow"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("example_weights: weight", "dtype: float64"), "a training graph has float32, not float64"),
    ],
)
def test_what_a_step_has_not_is_refused_with_its_place(change, said):
    task = task_of("sgd", 0.1, change=change)
    with pytest.raises(SpecError, match=rf"recipe\.yaml:7:\d+: error\[G370\]: .*{said}"):
        emit_step(task, NumpyEngine(task).learning, 8, {})


@pytest.mark.parametrize("form", ["asymmetric", "symmetric"])
@pytest.mark.parametrize(("low", "high", "step"), [(0.0, 0.0, 0), (-0.7, 1.9, 40), (0.5, 2.0, 400), (0.0, 0.0, 400)])
def test_values_are_rounded_as_in_numpy(form, low, high, step):
    layer, rng = FakeQuantize(form=form, decay=0.9), np.random.default_rng(0)
    x, dy = (rng.normal(0.3, 1, (4, 25)).astype(np.float32) for _ in range(2))
    params = {"min": np.asarray(low, np.float32), "max": np.asarray(high, np.float32)}
    ours = layer.forward(RunContext(training=True, step=step), params, x.copy())
    graph = TrainingGraph(EMPTY, 4)
    emitted = layer.emit_training(
        graph, {name: graph.input(name, (), "float32") for name in params}, graph.input("x", x.shape, "float32")
    )
    (dx,) = emitted.backward(graph.input("dy", dy.shape, "float32")).inputs
    for name, tensor in {"y": emitted.output, "dx": dx, **{f"new {k}": v for k, v in emitted.updates.items()}}.items():
        graph.give(name, tensor)
    found = run(graph.finish({}), {**params, "x": x, "dy": dy, "step": np.asarray(step, np.float32)})
    np.testing.assert_allclose(found["y"], ours.output, atol=1e-5)
    (expected,) = ours.backward(dy).inputs
    np.testing.assert_array_equal(found["dx"], expected)
    for name, value in ours.updates.items():
        assert found[f"new {name}"] == pytest.approx(float(value), rel=1e-6)


def test_scales_next_to_nothing_are_those_of_the_kernels():
    """A channel, and a range, too small for a scale: the integers are those of scale 1, all 0."""
    weights = np.array([[1, 1e-37, 0, 1e-30], [-2, 3e-37, 0, 0]], np.float32)
    graph = TrainingGraph(EMPTY, 2)
    graph.give("y", emit_rounded_weights(graph.input("w", weights.shape, "float32"), [1]))
    found = run(graph.finish({}), {"w": weights})["y"]
    assert found.tolist() == rounded_weights(weights, [1]).tolist()
    assert (found[:, 1:3] == 0).all()
    assert found[0, 3] > 0
    graph = TrainingGraph(EMPTY, 2)
    low, high = (graph.input(name, (), "float32") for name in ("low", "high"))
    graph.give("y", emit_rounded(graph.input("x", (3,), "float32"), low, high, "asymmetric")[0])
    tiny = {
        "x": np.array([0, 1e-37, 1], np.float32),
        "low": np.array(0, np.float32),
        "high": np.array(1e-37, np.float32),
    }
    assert run(graph.finish({}), tiny)["y"].tolist() == [0, 0, 1]


def test_a_step_computes_with_rounded_weights_and_moves_the_others():
    """Quantization-aware: each weight is rounded once, however many layers read it."""
    text = RECIPE.format(optimizer="sgd", rate=0.05) + "fake_quantize: {decay: 0.9}\n"
    spec = SPEC.replace("  - dropout: {name: drop, rate: 0.25}\n", "").replace("activation: tanh", "activation: relu")
    task = Task.of(read_recipe_text(text, "recipe.yaml"), read_spec_text(spec, "net.yaml"))
    engine = NumpyEngine(task)
    state, given = new_state(engine), batch(np.random.default_rng(3))
    model = emit_step(task, engine.learning, 8, forms_of(given.targets))
    weights = [node.name for node in model.body.graph.node if node.op_type == "Round" and "weights" in node.name]
    assert len(weights) == len(task.scales) > 0
    feeds = {name: value.copy() for name, value in state.arrays(task.recipe.optimizer).items()}
    feeds |= {"image": given.inputs["image"], "label/logits": given.targets["label"].astype(np.int32)}
    feeds |= {"weight/logits": given.targets["weight"], "learning_rate": np.asarray(0.05, np.float32)}
    found = run(model, {**feeds, "step": np.asarray(0, np.float32)})
    computed = engine.compute(state, [given], 0.05)
    computed.commit()
    assert found["loss"] == pytest.approx(computed.loss, rel=1e-4)
    for name in task.scales.keys() - engine.learning.frozen:
        ours, largest = state.params[name], float(np.abs(state.params[name]).max())
        assert float(np.abs(found[f"next/params/{name}"] - ours).max()) <= 2e-3 * largest, name
    with pytest.raises(SpecError, match="needs the operator Round, which webgpu has no kernel for"):
        emit_step(task, engine.learning, 8, forms_of(given.targets), "webgpu")
