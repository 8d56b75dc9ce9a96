"""The loss of detectors as a training graph, beside NumPy: what is assigned, values and gradients, whole runs."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.emit.training import TrainingGraph
from graphc.errors import SpecError
from graphc.graph import LayerGraph, Plan
from graphc.kernels.box_coding import DeltaCoder, DistanceCoder, anchors_at, cells
from graphc.kernels.boxes import pairwise_iou
from graphc.train.commands import train
from graphc.train.losses.assign import ASSIGNERS, IouThresholds, TaskAligned
from graphc.train.losses.detection import Detection
from graphc.train.trained import Options
from graphc.training_graph.box_overlap import _arctan, emit_pairwise_iou
from graphc.training_graph.ranking import first_of, largest_of
from tests.train.test_detection import ANCHORED, FREE, RECIPE, WITH_BACKGROUND, logged, term

ort = pytest.importorskip("onnxruntime")
EMPTY = Plan(LayerGraph("net", "N", (), (), {}, {}), ())
SIZES, STRIDES = [(8, 8), (4, 4)], (8, 16)
SIDES = [np.array([[10.0, 8.0], [16.0, 20.0]]), np.array([[30.0, 24.0]])]
DELTAS = DeltaCoder(anchors_at(SIZES, STRIDES, SIDES), (0.1, 0.1, 0.2, 0.2))
PLACES = cells(SIZES, STRIDES, (1, 1))
DISTANCES, BINS = DistanceCoder(*PLACES, bins=1), DistanceCoder(*PLACES, bins=5)
OBJECTS, CLASSES = (5, 1, 0, 3), 3
"""How many an image has."""


def run(graph, feeds):
    session = ort.InferenceSession(graph.finish({}).serialize(), providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def computed(function, *arrays):
    """What a function of tensors gives, of these arrays."""
    graph, feeds = TrainingGraph(EMPTY, len(arrays[0])), {f"x{at}": each for at, each in enumerate(arrays)}
    graph.give("y", function(*(graph.input(name, each.shape, "float32") for name, each in feeds.items())))
    return run(graph, feeds)["y"]


def targets(rng, whole=False):
    """[N, M, 5], in no order, and with rows that hold nothing; `whole`: on whole pixels, so that much ties."""
    found = np.zeros((len(OBJECTS), 7, 5))
    found[..., 4] = -1
    for image, count in zip(found, OBJECTS, strict=True):
        low = rng.uniform(0, 40, (count, 2))
        boxes = np.concatenate([low, low + rng.uniform(3, 30, (count, 2))], axis=1)
        rows = rng.permutation(7)[:count]
        image[rows, :4] = np.round(boxes / 4) * 4 + [0, 0, 4, 4] if whole else boxes
        image[rows, 4] = rng.integers(0, CLASSES, count)
    return found.astype(np.float32)


def predicted(rng, coder, background=False):
    """[N, A, …]; distances are not below 0."""
    rows = rng.normal(size=(len(OBJECTS), len(coder.centers), coder.width + background + CLASSES)).astype(np.float32)
    if coder is DISTANCES:
        rows[..., :4] = np.abs(rows[..., :4])
    return rows


def loss_graph(placed, rows, target, weights=None):
    """(the graph of a loss, what it reads)."""
    feeds = {"rows": rows, "target": target} | ({} if weights is None else {"weights": weights})
    graph = TrainingGraph(EMPTY, len(rows))
    given = [graph.input(name, each.shape, "float32") for name, each in feeds.items()]
    for name, tensor in zip(("value", "gradient"), placed.emit(*given, *[None] * (3 - len(given))), strict=True):
        graph.give(name, tensor)
    return graph, feeds


FORMS = [
    (DISTANCES, {}),
    (BINS, {}),
    (BINS, {"boxes": "giou", "gamma": 1.5, "alpha": 0.25, "assign": TaskAligned(top_k=3, alpha=1, beta=2)}),
    (DISTANCES, {"boxes": "iou", "background": True}),
    (DELTAS, {"boxes": "diou", "negatives": 2.5}),
    (DELTAS, {"boxes": "smooth_l1", "assign": IouThresholds(), "gamma": 2, "alpha": 0.25}),
    (DELTAS, {"boxes": "ciou", "assign": IouThresholds(foreground=0.3, background=0.2), "negatives": 0.3}),
    (DELTAS, {"boxes": "smooth_l1", "assign": IouThresholds(background=0.5), "negatives": 3, "background": True}),
]


@pytest.mark.parametrize("weights", [None, (1.0, 0.0, 2.0, 0.5)], ids=["", "weighed"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("coder", "settings"), FORMS, ids=str)
def test_a_detectors_loss_is_as_in_numpy(coder, settings, seed, weights):
    rng = np.random.default_rng(seed)
    settings, background = {k: v for k, v in settings.items() if k != "background"}, settings.get("background", False)
    placed = Detection(**settings).on(coder, background)
    rows, target = predicted(rng, coder, background), targets(rng, whole=seed == 2)
    w = None if weights is None else np.array(weights, np.float32)
    ours = placed.mean(rows.copy(), target, w)
    graph, feeds = loss_graph(placed, rows, target, w)
    found = run(graph, feeds)
    assert found["value"] == pytest.approx(ours.value, rel=1e-5)
    np.testing.assert_allclose(found["gradient"], ours.gradient, atol=1e-5 * np.abs(ours.gradient).max())


def test_every_assigner_and_form_of_boxes_is_tried():
    tried = [Detection(**{k: v for k, v in settings.items() if k != "background"}) for _, settings in FORMS]
    assert {type(each.assign) for each in tried} == set(ASSIGNERS)
    assert {each.boxes for each in tried} == {"smooth_l1", "iou", "giou", "diou", "ciou"}


@pytest.mark.parametrize("equal", ["objects", "places", "both"])
def test_ties_are_broken_alike(equal):
    """The same object twice, places that predict the same: the first of them, in NumPy as in nodes."""
    rng = np.random.default_rng(3)
    placed = Detection(assign=TaskAligned(top_k=2)).on(DISTANCES)
    target = targets(rng)
    rows = np.abs(rng.normal(size=(len(OBJECTS), len(DISTANCES.centers), 4 + CLASSES))).astype(np.float32)
    if equal != "places":
        target[0, :4], target[0, 4:] = [8, 8, 40, 40, 1], [0, 0, 0, 0, -1]
    if equal != "objects":
        rows[:] = 0  # boxes without an area, which overlap nothing
    ours = placed.mean(rows.copy(), target)
    found = computed(lambda rows, target: placed.emit(rows, target, None)[1], rows, target)
    np.testing.assert_allclose(found, ours.gradient, atol=1e-5 * np.abs(ours.gradient).max())


def test_overlaps_have_numpys_bits():
    rng = np.random.default_rng(0)
    a, b = (rng.uniform(-5, 40, (2, count, 4)).astype(np.float32) for count in (6, 9))
    a[..., 2:], b[0, :, 2:] = a[..., :2] + np.abs(a[..., 2:]), b[0, :, :2] + np.abs(b[0, :, 2:])
    expected = np.stack([pairwise_iou(*pair) for pair in zip(a, b, strict=True)])
    assert expected.any()
    np.testing.assert_array_equal(computed(emit_pairwise_iou, a, b), expected)


def test_an_arctangent_of_multiplications_is_numpys():
    x = np.concatenate([np.linspace(-3, 3, 4001), np.geomspace(1e-30, 1e30, 200), [0.0]]).astype(np.float32)
    np.testing.assert_allclose(computed(_arctan, x), np.arctan(x.astype(np.float64)), rtol=3e-7, atol=1e-35)


def test_first_and_largest_are_those_of_a_stable_sort():
    rng = np.random.default_rng(1)
    values, masks = rng.integers(0, 5, (6, 4, 11)).astype(np.float32), rng.integers(0, 2, (6, 4, 11)).astype(np.float32)
    masks[0] = 0
    for axis in (0, 1, 2):
        expected = masks * (masks.cumsum(axis) == 1)
        np.testing.assert_array_equal(computed(lambda m, axis=axis: first_of(m, axis), masks), expected)
    places = np.argsort(np.argsort(-values, axis=-1, kind="stable"), axis=-1)
    for count in (1, 4, 11, 20):
        found = computed(lambda v, count=count: largest_of(v, count), values)
        np.testing.assert_array_equal(found, places < count)
    counts = np.arange(24, dtype=np.float32).reshape(6, 4, 1).clip(0, 11)
    np.testing.assert_array_equal(computed(largest_of, values, counts), places < counts)


def test_crowds_are_nobodys_in_a_label():
    found = term().label_of(
        {
            "boxes": np.array([[[0, 0, 0.5, 0.5], [0, 0, 1, 1], [0, 0, 0, 0]]], np.float32),
            "boxes_there": np.array([[1.0, 1.0, 0.0]], np.float32),
            "box_label": np.array([[1, -4, -1]]),  # the second is a crowd
        },
        None,
    )
    np.testing.assert_array_equal(found, [[[0, 0, 16, 16, 1], [0, 0, 32, 32, -1], [0, 0, 0, 0, -1]]])


SETTINGS = {
    "distances": (FREE, ()),
    "deltas": (ANCHORED, ("loss={detection: {boxes: smooth_l1, assign: iou_thresholds}}",)),
    "background": (
        WITH_BACKGROUND,
        ("loss={detection: {assign: iou_thresholds, boxes: smooth_l1, negatives: 3}}", "accumulate=2", "batch=4"),
    ),
}


@pytest.mark.parametrize("form", SETTINGS)
def test_a_detectors_run_is_numpys(tmp_path, monkeypatch, form):
    """In steps so small that rounding does not give an object to another place."""
    monkeypatch.chdir(tmp_path)
    net, settings = SETTINGS[form]
    (tmp_path / "net.yaml").write_text(net)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    for engine in ("numpy", "onnxruntime"):
        train("recipe.yaml", engine, ("learning_rate=0.001", *settings), options=Options(engine=engine, threads=1))
    ours, theirs = logged("numpy"), logged("onnxruntime")
    for one, other in zip(ours, theirs, strict=True):
        for key in ("loss", "validation_loss", "validation_map50"):
            assert other[key] == pytest.approx(one[key], rel=1e-4), key


def test_what_webgpu_lacks_is_said():
    placed = Detection().on(DISTANCES)
    graph = TrainingGraph(EMPTY, 2, "webgpu")
    shapes = {"rows": (2, len(DISTANCES.centers), 4 + CLASSES), "target": (2, 3, 5)}
    graph.give("loss", placed.emit(*(graph.input(name, shape, "float32") for name, shape in shapes.items()), None)[0])
    with pytest.raises(SpecError, match="the training step needs the operator TopK, which webgpu has no kernel for"):
        graph.finish({})
