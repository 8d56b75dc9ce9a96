"""The training graph in onnxruntime's own layout for convolutions on a CPU computes what NumPy does."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from graphc.data.batch import Batch
from graphc.layers.batch_norm import BatchNorm
from graphc.layers.conv import Conv2d
from graphc.layers.conv_transpose import Conv2dTranspose
from graphc.layers.pool import MaxPool2d
from graphc.runtime import channel_block
from graphc.spec.model import read_spec_text
from graphc.train.loss_term import TargetForm
from graphc.train.numpy_engine import NumpyEngine
from graphc.train.onnxruntime_engine import OnnxruntimeEngine
from graphc.train.param_groups import ParamGroups
from graphc.train.recipe import read_recipe_text
from graphc.train.setup import new_state
from graphc.train.step_graph import emit_step
from graphc.train.task import Task
from graphc.training_graph.blocked import NCHWC
from tests.layers.cases import Case
from tests.layers.one_layer import initial_params, random_inputs
from tests.training_graph.one_layer import emitted, in_numpy, in_onnxruntime

BATCH = 16
"""A multiple of every processor's block, as the channels are."""

pytest.importorskip("onnxruntime")
BLOCK = channel_block()
pytestmark = pytest.mark.skipif(not BLOCK, reason="onnxruntime has no blocks on this processor")

CASES = [
    Case(Conv2d(filters=16, kernel=3), ((8, 8, 32),)),
    Case(Conv2d(filters=32, kernel=3, stride=2), ((8, 8, 16),)),
    Case(Conv2d(filters=32, kernel=3, stride=2, padding="same_fixed"), ((9, 7, 16),)),
    Case(Conv2d(filters=16, kernel=1, stride=2), ((8, 7, 16),)),
    Case(Conv2d(filters=16, kernel=1), ((5, 4, 32),)),
    Case(Conv2d(filters=16, kernel=5, stride=3), ((11, 13, 16),)),
    Case(Conv2d(filters=16, kernel=3, dilation=2), ((9, 9, 16),)),
    Case(Conv2d(filters=16, kernel=[3, 5], stride=[2, 1], padding="valid", bias=False), ((9, 9, 16),)),
    Case(Conv2d(filters=16, kernel=3, padding=[[2, 2], [0, 1]]), ((9, 9, 16),)),
    Case(Conv2d(filters=16, kernel=2, padding=[[3, 2], [0, 1]]), ((9, 9, 16),)),
    Case(Conv2d(filters=16, kernel=5), ((9, 9, 3),)),
    Case(Conv2d(filters=16, kernel=3, dilation=2, stride=2), ((9, 9, 16),)),
    Case(Conv2d(filters=16, kernel=3, weight_standardization=True), ((6, 6, 16),)),
    Case(Conv2d(filters=16, kernel=3, padding_mode="reflect"), ((6, 6, 16),)),
    Case(Conv2d(filters=16, kernel=3), ((6, 6, 24),)),
    Case(Conv2d(filters=24, kernel=3), ((6, 6, 16),)),
    Case(Conv2d(filters=32, kernel=3, groups=2), ((6, 6, 32),)),
    Case(Conv2dTranspose(filters=16, kernel=3, stride=2), ((5, 6, 32),)),
    Case(MaxPool2d(kernel=2), ((9, 7, 16),)),
    Case(MaxPool2d(kernel=[2, 3], ceil_mode=True), ((9, 7, 32),)),
    Case(MaxPool2d(kernel=3, stride=2, padding="same"), ((9, 7, 16),)),
    Case(BatchNorm(), ((5, 6, 16),)),
]


def random_case(case, batch):
    rng = np.random.default_rng(1)
    params, inputs = initial_params(case, rng, "float32"), random_inputs(case, batch, rng, "float32")
    dy = rng.standard_normal((batch, *case.layer.infer_shape(*case.input_shapes))).astype(np.float32)
    return params, inputs, dy


@pytest.mark.parametrize("batch", [BATCH, 3, 21])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_is_as_in_numpy(case, batch):
    params, inputs, dy = random_case(case, batch)
    theirs = dict(in_onnxruntime(case, params, inputs, dy, block=BLOCK).named())
    for name, ours in in_numpy(case, params, inputs, dy).named():
        assert theirs[name].shape == ours.shape, name
        largest = max(1e-20, float(np.abs(ours).max()))
        assert float(np.abs(theirs[name] - ours).max()) <= 1e-5 * largest, name


@pytest.mark.parametrize(
    "case",
    [
        Case(Conv2d(filters=16, kernel=3), ((70, 150, 3),)),
        Case(Conv2d(filters=16, kernel=3, stride=2), ((133, 140, 3),)),
        Case(BatchNorm(scale=True), ((70, 65, 16),)),
    ],
    ids=str,
)
def test_large_images_are_added_up_in_parts(case):
    params, inputs, dy = random_case(case, BATCH)
    theirs = dict(in_onnxruntime(case, params, inputs, dy, block=BLOCK).named())
    for name, ours in in_numpy(case, params, inputs, dy).named():
        assert float(np.abs(theirs[name] - ours).max()) <= 1e-5 * float(np.abs(ours).max()), name


def kinds_of(model):
    return Counter((node.domain, node.op_type) for node in model.body.graph.node)


@pytest.mark.parametrize("case", CASES[:9], ids=str)
def test_all_three_products_are_convolutions_in_blocks(case):
    kinds = kinds_of(emitted(case, BATCH, block=BLOCK))
    assert kinds[NCHWC, "Conv"] == 3
    assert not kinds["", "Conv"] + kinds["", "ConvTranspose"] + kinds["", "MatMul"]


def test_without_blocks_there_are_standard_operators_alone():
    assert {domain for domain, _ in kinds_of(emitted(CASES[0], BATCH))} == {""}


@pytest.mark.parametrize("kernel", [2, [3, 2]])
def test_equal_values_share_the_gradient_as_in_numpy(kernel):
    case, rng = Case(MaxPool2d(kernel=kernel), ((6, 7, 16),)), np.random.default_rng(2)
    inputs = [rng.integers(0, 2, (BATCH, *shape)).astype(np.float32) for shape in case.input_shapes]
    dy = rng.integers(-8, 9, (BATCH, *case.layer.infer_shape(*case.input_shapes))).astype(np.float32)
    ours, theirs = in_numpy(case, {}, inputs, dy), in_onnxruntime(case, {}, inputs, dy, block=BLOCK)
    np.testing.assert_array_equal(ours.inputs[0], theirs.inputs[0])


NET = """
graphc: 1
name: net
inputs: {image: [N, 8, 8, 3]}
arg_scope:
  conv2d: {kernel: 3, normalizer: {batch_norm: {scale: true}}}
layers:
  - conv2d: {name: first, filters: 16, activation: relu}
  - residual:
      name: unit
      activation: relu
      layers:
        - conv2d: {name: conv1, filters: 16, activation: relu}
        - conv2d: {name: conv2, filters: 16}
  - max_pool2d: {name: pool, kernel: 2}
  - conv2d: {name: last, filters: 32, stride: 2, activation: relu}
  - dropout: {name: dropout, rate: 0.5}
  - flatten
  - fully_connected: {name: logits, units: 4}
outputs: {logits: logits}
"""
RECIPE = """
recipe: 1
model: net
data: {train: digits}
loss: softmax_cross_entropy
optimizer: sgd
learning_rate: 0.1
steps: 1
"""


AROUND = """
graphc: 1
name: net
inputs: {{image: [N, 8, 8, 3]}}
layers:
  - conv2d: {{name: first, filters: 16, kernel: 3}}
  - {between}
  - conv2d: {{name: last, filters: 16, kernel: 3}}
  - global_avg_pool2d
  - fully_connected: {{name: logits, units: 4}}
outputs: {{logits: logits}}
"""
GATE = (
    "{global_avg_pool2d: {name: g, keep_dims: true}}, {conv2d: {name: c, filters: 16, kernel: 1}}, {sigmoid: {name: s}}"
)
BETWEEN = {
    "gate": f"branches: {{name: b, merge: multiply, paths: {{l: [{{relu: {{name: k}}}}], r: [{GATE}]}}}}",
    "one channel": "branches: {name: b, merge: add, paths: {l: [{relu: {name: k}}], r: [{conv2d: [1, 1]}]}}",
    "concat": "branches: {name: b, merge: concat, paths: {l: [{relu: {name: k}}], r: [{conv2d: [32, 1]}]}}",
    "average": "branches: {name: b, merge: average, paths: {l: [{relu: {name: k}}], r: [{conv2d: [16, 1]}]}}",
    "depthwise": "separable_conv2d: {name: b, filters: 32, kernel: 3, stride: 2}",
    "frozen": "batch_norm: {name: b, frozen: true}",
    "transposed": "conv2d_transpose: {name: b, filters: 16, kernel: 3, stride: 2}",
    "scale": "layer_scale: {name: b}",
    "dropout": "dropout: {name: b, rate: 0.3}",
    "windows that overlap": "max_pool2d: {name: b, kernel: 3, stride: 2}",
    "average pool": "avg_pool2d: {name: b, kernel: 2}",
    "group norm": "group_norm: {name: b, groups: 4}",
    "softplus": "softplus: {name: b}",
}


def net_step(block, spec=NET):
    task = Task.of(read_recipe_text(RECIPE), read_spec_text(spec))
    learning = ParamGroups.of(task.plan.variables, task.recipe)
    return task, emit_step(task, learning, BATCH, {"label": TargetForm((), True)}, block=block)


def test_a_net_stays_in_blocks_from_its_first_convolution_to_its_last():
    _, model = net_step(BLOCK)
    kinds = kinds_of(model)
    forward = [node for node in model.body.graph.node if "backward" not in node.output[0]]
    brought_in = [node.input[0] for node in forward if (node.domain, node.op_type) == (NCHWC, "ReorderInput")]
    assert brought_in == ["dropout/Mul"], "the mask alone"
    assert kinds["", "Relu"] == 0, "the convolutions of one pixel end in them"
    assert kinds["", "Conv"] + kinds["", "ConvTranspose"] + kinds["", "MaxPool"] == 0


@pytest.mark.parametrize(
    "spec", [NET, *(AROUND.format(between=each) for each in BETWEEN.values())], ids=["net", *BETWEEN]
)
def test_a_step_of_a_net_is_that_of_the_standard_operators(spec):
    import onnxruntime

    found = []
    for block in (0, BLOCK):
        _, model = net_step(block, spec)
        session = onnxruntime.InferenceSession(model.serialize(), providers=["CPUExecutionProvider"])
        rng = np.random.default_rng(3)
        feeds = {}
        for each in sorted(session.get_inputs(), key=lambda each: each.name):
            whole, between = "int32" in each.type, each.name.endswith(("moving_variance", "/uniform"))
            drawn = rng.random(each.shape) if between or not each.shape else rng.standard_normal(each.shape) / 2
            feeds[each.name] = np.zeros(each.shape, np.int32) if whole else np.asarray(drawn, np.float32)
        names = [each.name for each in session.get_outputs()]
        found.append(dict(zip(names, session.run(names, feeds), strict=True)))
    for name, plain in found[0].items():
        np.testing.assert_allclose(found[1][name], plain, atol=1e-5 * max(1e-20, np.abs(plain).max()), err_msg=name)


SMOOTH = """
graphc: 1
name: net
inputs: {image: [N, 6, 6, 3]}
arg_scope:
  conv2d: {kernel: 3, normalizer: {batch_norm: {scale: true}}, activation: tanh}
layers:
  - conv2d: {name: a, filters: 16}
  - conv2d: {name: b, filters: 32, stride: 2}
  - conv2d: {name: c, filters: 16, kernel: 1}
  - global_avg_pool2d
  - fully_connected: {name: logits, units: 3}
outputs: {logits: logits}
"""


@pytest.mark.parametrize("optimizer", ["sgd", "momentum"])
def test_twenty_steps_of_the_engine_are_as_in_numpy(optimizer):
    task = Task.of(read_recipe_text(RECIPE.replace("sgd", optimizer)), read_spec_text(SMOOTH))
    numpys, engine = NumpyEngine(task, 1), OnnxruntimeEngine(task, 2)
    assert engine.bits()["block"] == BLOCK
    ours, theirs, rng = new_state(numpys), new_state(engine), np.random.default_rng(4)
    for _ in range(20):
        images = rng.standard_normal((BATCH, 6, 6, 3)).astype(np.float32)
        batch = Batch({"image": images}, {"label": rng.integers(0, 3, BATCH)})
        steps = numpys.compute(ours, [batch], 0.05), engine.compute(theirs, [batch], 0.05)
        assert steps[1].loss == pytest.approx(steps[0].loss, rel=1e-5)
        for step in steps:
            step.commit()
    engine.collect(theirs)
    for name, value in ours.params.items():
        assert float(np.abs(theirs.params[name] - value).max()) <= 1e-5 * max(float(np.abs(value).max()), 1e-6), name
