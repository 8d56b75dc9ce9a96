"""Conventions of boxes: onnxruntime's suppression of equal scores, torchvision's and YOLOv8's decoding; errors."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.compiler import compile_plan, plan_spec
from graphc.dims import Formula, format_shape
from graphc.errors import RuleError
from graphc.execution.network import evaluate
from graphc.initializers import initial_values
from graphc.kernels.box_coding import class_probabilities
from graphc.kernels.boxes import non_max_suppression, pairwise_iou
from graphc.kernels.context import RunContext
from graphc.layers.decode_boxes import DecodeDeltas, DecodeDistances
from graphc.layers.non_max_suppression import NonMaxSuppression
from tests.layers.cases import Case
from tests.layers.one_layer import run_in_onnxruntime


def clustered(rng, batch, count, classes):
    """Boxes around a few places, and scores of which many are equal, [N, A, 4 + K]."""
    middle = np.round(rng.uniform(0, 4, (batch, count, 2))) * 20 + rng.normal(0, 2, (batch, count, 2))
    half = rng.uniform(5, 15, (batch, count, 2))
    scores = np.round(rng.uniform(0, 1, (batch, count, classes)), 1)
    return np.concatenate([middle - half, middle + half, scores], axis=-1).astype(np.float32)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"class_agnostic": True}, {"score_threshold": 0.0, "iou_threshold": 0.9}, {"score_threshold": 0.95}],
    ids=str,
)
def test_suppression_is_onnxruntimes_also_of_equal_scores(arguments):
    layer = NonMaxSuppression(detections=40, **arguments)
    x = clustered(np.random.default_rng(3), 3, 120, 3)
    ours = layer.forward(RunContext(), {}, x).output
    np.testing.assert_array_equal(ours, run_in_onnxruntime(Case(layer, (x.shape[1:],)), {}, [x]))
    counts = (ours[..., 5] >= 0).sum(axis=1)
    assert (counts > 0).all()
    assert (np.diff(ours[..., 4], axis=1) <= 0).all()
    assert (ours[ours[..., 5] < 0] == [0, 0, 0, 0, 0, -1]).all()


def test_suppression_in_training_says_nothing_and_gives_no_gradient():
    x = clustered(np.random.default_rng(3), 2, 30, 2)
    step = NonMaxSuppression(detections=5).forward(RunContext(training=True), {}, x)
    assert (step.output == [0, 0, 0, 0, 0, -1]).all()
    assert not step.backward(np.ones_like(step.output)).inputs[0].any()


def test_what_remains_overlaps_no_better_box_of_its_class():
    (x,) = clustered(np.random.default_rng(5), 1, 500, 2)
    classes, places = non_max_suppression(x[:, :4], x[:, 4:].T, 0.1, 0.3, 1000)
    iou = pairwise_iou(x[places, :4], x[places, :4])
    same = (classes[:, None] == classes) & ~np.eye(len(classes), dtype=bool)
    assert len(classes) > 20
    assert iou[same].max() <= 0.3


OPEN = """graphc: 1
name: boxes
inputs: {image: [N, H, W, 4]}
layers:
  - conv2d: {name: small, filters: 2*NUMBERS, kernel: 8, stride: 8, padding: same}
  - conv2d: {name: large, filters: NUMBERS, kernel: 3, stride: 2, padding: 1}
  - DECODE
  - non_max_suppression: {detections: 20, score_threshold: 0.01, class_agnostic: AGNOSTIC}
"""


@pytest.mark.parametrize("agnostic", ["true", "false"])
@pytest.mark.parametrize(
    ("decode", "small", "large"),
    [
        ("decode_distances: {classes: 3, strides: [8, 16], bins: 4, inputs: [small, large]}", 19, 19),
        ("decode_distances: {classes: 3, strides: [8, 16], background: true, inputs: [small, large]}", 8, 8),
        (
            "decode_deltas: {classes: 2, strides: [8, 16], anchors: [[[9, 9], [16, 8]], [[32, 24]]],"
            " inputs: [small, large]}",
            12,
            6,
        ),
    ],
)
def test_boxes_of_an_image_of_open_size(decode, small, large, agnostic, tmp_path):
    """One file for every size gives what NumPy does; also for images with fewer boxes than rows."""
    ort = pytest.importorskip("onnxruntime")
    path, text = tmp_path / "net.yaml", OPEN.replace("2*NUMBERS", str(small)).replace("NUMBERS", str(large))
    path.write_text(text.replace("DECODE", decode).replace("AGNOSTIC", agnostic))
    plan = plan_spec(path)
    assert format_shape(plan.shapes[plan.graph.nodes[-1].name]) == "20×6"
    params = initial_values(plan.variables, 0)
    session = ort.InferenceSession(compile_plan(plan, params).serialize(), providers=["CPUExecutionProvider"])
    for height, width in ((40, 56), (16, 8), (33, 17)):
        x = np.random.default_rng(height).standard_normal((2, height, width, 4)).astype(np.float32)
        (theirs,) = session.run(None, {"image": x})
        ours = evaluate(plan, params, {"image": x})[plan.graph.nodes[-1].name]
        np.testing.assert_allclose(theirs, ours, atol=1e-3)


def test_maps_of_open_sizes_that_may_be_of_several_images():
    h, w = Formula.symbol("H"), Formula.symbol("W")
    layer = DecodeDistances(classes=1, strides=(8, 16))
    assert layer.infer_shape((h * 2, w * 2, 5), (h, w, 5)) == (h * w * 5, 5)
    with pytest.raises(RuleError, match="expects maps of one image: height is H and W pixels at strides 8 and 16") as e:
        layer.infer_shape((h, w, 5), (w, h, 5))
    assert e.value.code == "G205"


def test_distances_are_those_of_yolov8():
    """left, top, right, bottom from the middle of each cell, in strides, as means of softmaxes: `dist2bbox` by hand."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 2, 3, 4 * 16 + 2))
    y = DecodeDistances(classes=2, strides=(8,), bins=16).forward(RunContext(), {}, x).output[0]
    row, column = 1, 2
    shares = np.exp(x[0, row, column, :64].reshape(4, 16))
    left, top, right, bottom = (shares / shares.sum(axis=1, keepdims=True)) @ np.arange(16)
    middle_x, middle_y = (column + 0.5) * 8, (row + 0.5) * 8
    by_hand = [middle_x - 8 * left, middle_y - 8 * top, middle_x + 8 * right, middle_y + 8 * bottom]
    np.testing.assert_allclose(y[row * 3 + column, :4], by_hand, atol=1e-12)
    np.testing.assert_allclose(y[row * 3 + column, 4:], 1 / (1 + np.exp(-x[0, row, column, 64:])), atol=1e-12)


def test_deltas_are_torchvisions():
    pytest.importorskip("torchvision", reason="compared with torchvision where it is installed")
    import torch
    from torchvision.models.detection._utils import BoxCoder
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.image_list import ImageList

    sizes, strides = [(4, 6), (2, 3)], (8, 16)
    generator = AnchorGenerator(((16, 20), (32,)), ((0.5, 1.0), (2.0,)))
    x = [
        np.random.default_rng(1).standard_normal((1, *size, each * 6)) for size, each in zip(sizes, (4, 1), strict=True)
    ]
    cells = [anchors.numpy() for anchors in generator.cell_anchors]
    sides = tuple(tuple(map(tuple, (each[:, 2:] - each[:, :2]).tolist())) for each in cells)
    layer = DecodeDeltas(classes=2, strides=strides, anchors=sides, variances=(0.1, 0.1, 0.2, 0.2))
    ours = layer.forward(RunContext(), {}, *x).output[0]
    maps = [torch.zeros(1, 1, *size) for size in sizes]
    (anchors,) = generator(ImageList(torch.zeros(1, 3, 32, 48), [(32, 48)]), maps)
    rows = torch.tensor(layer.rows(*x)[0, :, :4])
    # torchvision's anchors stand at the cells' upper left corners
    shift = torch.tensor(np.repeat([4.0, 8.0], [4 * 24, 6]))[:, None]
    theirs = BoxCoder((10.0, 10.0, 5.0, 5.0)).decode_single(rows, anchors.double() + shift)
    np.testing.assert_allclose(ours[:, :4], theirs.numpy(), atol=1e-9)


def test_ssd_has_torchvisions_anchors_and_probabilities():
    """Of the zoo's spec, whose anchors are written as numbers."""
    utils = pytest.importorskip("torchvision.models.detection.anchor_utils", reason="compared with torchvision")
    import torch
    from torchvision.models.detection.image_list import ImageList

    layer = plan_spec("ssd_boxes").by_name["candidates"].node.layer
    generator = utils.DefaultBoxGenerator(
        [[2], [2, 3], [2, 3], [2, 3], [2], [2]], scales=[0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05], steps=layer.strides
    )
    sizes = [(38, 38), (19, 19), (10, 10), (5, 5), (3, 3), (1, 1)]
    (anchors,) = generator(ImageList(torch.zeros(1, 3, 300, 300), [(300, 300)]), [torch.zeros(1, 1, *s) for s in sizes])
    np.testing.assert_allclose(layer.coder(sizes).anchors, anchors.numpy(), atol=2e-3)
    scores = np.random.default_rng(3).standard_normal((5, 91))
    theirs = torch.softmax(torch.tensor(scores), -1)[:, 1:].numpy()
    np.testing.assert_allclose(class_probabilities(scores, True)[0], theirs, atol=1e-12)


def test_suppression_is_torchvisions():
    ops = pytest.importorskip("torchvision.ops", reason="compared with torchvision where it is installed")
    import torch

    (x,) = clustered(np.random.default_rng(8), 1, 300, 3)
    x[:, 4:] = np.random.default_rng(9).uniform(0, 1, x[:, 4:].shape)
    classes, places = non_max_suppression(x[:, :4], x[:, 4:].T, 0.2, 0.5, 10000)
    kinds, at = np.nonzero(np.float32(0.2) < x[:, 4:].T)
    kept = ops.batched_nms(torch.tensor(x[at, :4]), torch.tensor(x[at, 4 + kinds]), torch.tensor(kinds), 0.5).numpy()
    np.testing.assert_array_equal(np.stack([classes, places]), np.stack([kinds[kept], at[kept]]))


@pytest.mark.parametrize(
    ("layer", "shapes", "message"),
    [
        (
            DecodeDistances(classes=3, strides=(8,), bins=16),
            ((4, 4, 64),),
            r"decode_distances expects 67 channels in map 1, 1 × \(64 numbers of a box \+ 3 classes\), got 64",
        ),
        (DecodeDistances(classes=1, strides=(8, 16)), ((4, 4, 5),), "a number for each map, got 2 for 1 maps"),
        (
            DecodeDistances(classes=1, strides=(16, 8)),
            ((4, 4, 5), (2, 2, 5)),
            "expects maps of one image: height is 4 and 2 pixels at strides 16 and 8",
        ),
        (DecodeDistances(classes=1, strides=(8,)), ((16, 5),), "decode_distances expects an image"),
        (
            DecodeDeltas(classes=1, strides=(8, 16), anchors=(((8, 8),),)),
            ((4, 4, 5), (2, 2, 5)),
            "anchors expects a list for each map, got 1 for 2 strides",
        ),
        (DecodeDeltas(classes=1, strides=(8,), anchors=((),)), ((4, 4, 5),), "one or more for each map, got none"),
        (NonMaxSuppression(), ((4, 4, 5),), "expects rows of a box and its scores, such as decode_distances gives"),
        (NonMaxSuppression(), ((10, 4),), "expects 4 numbers of a box and a score a class, got 4"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_together_is_said(layer, shapes, message):
    with pytest.raises(RuleError, match=message):
        layer.infer_shape(*shapes)
