"""Detectors from the recipe to the log: targets in pixels, what is checked before training, and a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graphc.data.examples import of_crowds
from graphc.data.placement import marked, placement_of
from graphc.data.preview import color
from graphc.data.resizing import CenterCrop, Letterbox, Stretch
from graphc.data.sample import sample_of
from graphc.data.sources import Shapes
from graphc.errors import DataError, SpecError
from graphc.inference import run_files
from graphc.signature import OutputSignature, Signature
from graphc.spec.model import read_spec_text
from graphc.train.answers import coco_results, write_answers
from graphc.train.commands import evaluate_run, predict, train
from graphc.train.loss_terms import LossTerms
from graphc.train.predict import predict_folder
from graphc.train.recipe import read_recipe_text
from graphc.train.task import Task

NET = """\
graphc: 1
name: net
inputs: {image: [N, 32, 32, 3]}
arg_scope: {conv2d: {kernel: 3, padding: same, stride: 2, activation: relu}}
layers:
  - conv2d: {name: conv1, filters: 8}
  - conv2d: {name: conv2, filters: 12}
  - conv2d: {name: conv3, filters: 16}
  - conv2d: {name: fine, filters: HEAD, kernel: 1, stride: 1, activation: none}
  - conv2d: {name: conv4, filters: 16, inputs: conv3}
  - conv2d: {name: coarse, filters: HEAD, kernel: 1, stride: 1, activation: none}
  - DECODE
  - non_max_suppression: {name: detections, detections: 6}
outputs: {detections: detections}
"""
FREE = NET.replace("HEAD", "19").replace(
    "DECODE", "decode_distances: {name: boxes, inputs: [fine, coarse], classes: 3, strides: [8, 16], bins: 4}"
)
ANCHORED = NET.replace("HEAD", "14").replace(
    "DECODE",
    "decode_deltas: {name: boxes, inputs: [fine, coarse], classes: 3, strides: [8, 16], "
    "anchors: [[[8, 8], [12, 12]], [[16, 16], [24, 24]]]}",
)
WITH_BACKGROUND = ANCHORED.replace("filters: 14", "filters: 16").replace("classes: 3,", "classes: 3, background: true,")
IDS = (7, 18)
"""What a COCO file calls its classes."""
RECIPE = """\
recipe: 1
model: net.yaml
data:
  train: {shapes: {count: 24, size: [32, 32], most: 2, classes: 3, seed: 1}}
  validation: {shapes: {count: 9, size: [32, 32], most: 3, classes: 3, seed: 2}}
  augment: [flip_horizontal, {shift: {share: 0.3}}]
loss: detection
optimizer: adam
learning_rate: 0.01
batch: 8
epochs: 3
metrics: [{map: {iou: 0.5}}, {mar: {per_class: true}}]
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path


def logged(run):
    return [json.loads(line) for line in Path(run, "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("net", "settings"),
    [
        (FREE, ()),
        (ANCHORED, ("loss={detection: {boxes: smooth_l1, assign: iou_thresholds}}",)),
        (
            WITH_BACKGROUND,
            (
                "loss={detection: {assign: iou_thresholds, boxes: smooth_l1, beta: 1, negatives: 3,"
                " box_weight: 1, class_weight: 1}}",
                "epochs=5",
            ),
        ),
    ],
    ids=["distances", "deltas", "background"],
)
def test_a_run_learns_and_says_what_it_finds(project, net, settings):
    (project / "net.yaml").write_text(net)
    train("recipe.yaml", "run", settings)
    log = logged("run")
    assert log[-1]["loss"] < 0.9 * log[0]["loss"]
    assert log[-1]["map50"] is None  # nothing is suppressed in training
    assert 0 <= log[-1]["validation_map50"] <= 1
    assert set(log[-1]["validation_mar_per_class"]) == {"disk", "square", "triangle"}
    found = evaluate_run("run")
    best = max(log, key=lambda record: record["validation_map50"])
    assert found["loss"] == pytest.approx(best["validation_loss"], rel=1e-6)


def test_means_do_not_depend_on_the_batch(project):
    (project / "net.yaml").write_text(FREE)
    train("recipe.yaml", "run", ("batch=5", "epochs=1"))
    found = evaluate_run("run")
    log = logged("run")
    train("recipe.yaml", "other", ("batch=24", "epochs=1", "learning_rate=0", "init_from={path: run/best.safetensors}"))
    again = logged("other")
    assert again[-1]["validation_loss"] == pytest.approx(log[-1]["validation_loss"], rel=1e-5)
    assert again[-1]["validation_map50"] == pytest.approx(found["map50"], abs=1e-9)


def term(net=FREE, recipe=RECIPE):
    return Task.of(read_recipe_text(recipe), read_spec_text(net)).heads.first


def test_targets_are_in_pixels_and_what_is_not_there_has_no_class():
    boxes = np.array([[[0.25, 0.5, 0.5, 1.0], [0, 0, 0, 0]], [[0, 0, 0, 0], [0.1, 0.1, 0.1, 0.5]]], np.float32)
    there = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)  # the last has no width: augmentation has cut it off
    found = term().target_of({"boxes": boxes, "boxes_there": there, "box_label": np.array([[2, -1], [0, 1]])})
    np.testing.assert_array_equal(found[0], [[8, 16, 16, 32, 2], [0, 0, 0, 0, -1]])
    assert (found[1, :, 4] == -1).all()
    pixels = term(recipe=RECIPE.replace("  augment", "  coordinates: pixels\n  augment"))
    one = {"boxes": np.array([[8.0, 4, 9, 6]]), "boxes_there": np.ones(1), "box_label": np.zeros(1, int)}
    np.testing.assert_array_equal(pixels.target_of(one), [[[8, 4, 9, 6, 0]]])


@pytest.mark.parametrize(
    ("net", "recipe", "message"),
    [
        (
            FREE.replace("outputs: {detections: detections}", "outputs: {detections: boxes}"),
            RECIPE,
            "expects the output of non_max_suppression, found that detections is decode_distances",
        ),
        (
            "graphc: 1\nname: net\ninputs: {image: [N, 5, 7]}\nlayers: [non_max_suppression: {detections: 3}]\n",
            RECIPE,
            "expects decode_distances or decode_deltas before non_max_suppression, found image",
        ),
        (
            FREE.replace("strides: [8, 16]", "strides: [4, 8]"),
            RECIPE,
            "boxes: map 1 has 4×4 pixels, at a stride of 4 an input of 32×32 has 8×8: expected the stride of the map",
        ),
        (
            FREE,
            RECIPE.replace("loss: detection", "loss: mean_squared").replace("metrics: ", "metrics: [] #"),
            "no gradient goes through detections, the suppression of boxes: expected the loss detection, found mean_sq",
        ),
        (
            FREE,
            RECIPE.replace("loss: detection", "heads: [{output: detections, loss: detection}]"),
            "expects the target 'boxes', found 'label'",
        ),
        (
            FREE,
            RECIPE.replace("loss: detection", "loss: {detection: {assign: iou_thresholds}}"),
            "iou_thresholds expects anchors",
        ),
        (
            FREE,
            RECIPE.replace("[{map: {iou: 0.5}}, {mar: {per_class: true}}]", "[accuracy]"),
            "expected one of map, mar",
        ),
    ],
)
def test_what_does_not_fit_together_is_said_before_anything_is_read(net, recipe, message):
    with pytest.raises(SpecError, match=message):
        term(net, recipe)


def arrays(project, boxes, labels):
    images = np.zeros((len(boxes), 32, 32, 3), np.uint8)
    np.savez(project / "data.npz", x=images, boxes=np.array(boxes, np.float32), box_label=np.array(labels))
    (project / "net.yaml").write_text(FREE)
    source = "{npz: {path: data.npz, inputs: {image: x}, targets: {boxes: boxes, box_label: box_label}}}"
    train("recipe.yaml", "run", (f"data={{train: {source}}}", "metrics=[]", "epochs=1"))


NONE = [float("nan")] * 4


@pytest.mark.parametrize(
    ("boxes", "labels", "message"),
    [
        (
            [[[1, 2, 3, 4]], [[9, 2, 3, 4]]],
            [[0], [1]],
            r"left < right and top < bottom, found \[9, 2, 3, 4\], box 0 of",
        ),
        ([[[1, 2, 3, 4]], [[1, 2, float("nan"), 4]]], [[0], [1]], r"four numbers .*, found \[1, 2, nan, 4\]"),
        ([[[1, 2, 3, 4], NONE], [NONE, NONE]], [[3, -1], [-1, -1]], "classes of boxes from 0 to 2, found 3"),
        ([[NONE], [NONE]], [[-1], [-1]], "expected boxes, found none in any example"),
    ],
)
def test_malformed_boxes_are_named(project, boxes, labels, message):
    with pytest.raises(DataError, match=message):
        arrays(project, boxes, labels)


def test_images_without_boxes_and_of_many_are_learned_from(project):
    many = np.random.default_rng(0).uniform(0, 20, (1, 300, 2))
    boxes = np.concatenate([np.concatenate([many, many + 6], axis=2), np.full((1, 300, 4), np.nan)])
    arrays(project, boxes, np.concatenate([np.ones((1, 300), int), np.full((1, 300), -1)]))
    log = logged("run")
    assert np.isfinite(log[-1]["loss"])


def test_heads_beside_a_detector_have_their_own_losses():
    kind = "  - global_avg_pool2d: {inputs: conv4}\n  - fully_connected: {name: kind, units: 3}\noutputs: {kind: kind, "
    net = FREE.replace("outputs: {", kind)
    recipe = RECIPE.replace(
        "loss: detection",
        "heads: [{output: detections, loss: detection, target: boxes}, {output: kind, loss: softmax_cross_entropy}]",
    )
    task = Task.of(read_recipe_text(recipe), read_spec_text(net))
    assert isinstance(task.heads, LossTerms)
    assert task.heads.nodes == ("fine", "coarse", "detections", "kind")


# what a run finds in files -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found_in(tmp_path_factory):
    """A folder with a run, and images that are larger than what its network reads."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "net.yaml").write_text(FREE)
    (folder / "recipe.yaml").write_text(RECIPE.replace("  augment: [flip_horizontal, {shift: {share: 0.3}}]", ""))
    train(folder / "recipe.yaml", folder / "run", ("data.resize=letterbox", "epochs=6"))
    (folder / "photos").mkdir()
    for number, image in enumerate(Shapes(count=3, size=[40, 80], most=2, seed=5).load(Path(), 10**8).inputs["image"]):
        Image.fromarray(image).save(folder / "photos" / f"{number:03d}.png")
    return folder


def test_boxes_are_in_the_pixels_of_each_image(found_in, monkeypatch):
    monkeypatch.chdir(found_in)
    answers = list(predict("run", ["photos"]))
    boxes = [each for answer in answers for each in answer["boxes"]]
    assert boxes
    for each in boxes:
        left, top, right, bottom = each["box"]
        assert 0 <= left <= right <= 80
        assert 0 <= top <= bottom <= 40
        assert each["class"] == ("disk", "square", "triangle")[each["class_id"]]
    # the same by onnxruntime and NumPy alone: a letterbox of 32×32 with the image of 32×16 in its middle
    image = np.asarray(Image.open("photos/000.png").resize((32, 16), Image.Resampling.BILINEAR), np.float32) / 255
    framed = np.zeros((1, 32, 32, 3), np.float32)
    framed[0, 8:24] = image
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession("run/best.onnx", providers=["CPUExecutionProvider"])
    (rows,) = session.run(None, {"image": framed})
    there = rows[0][rows[0, :, 5] >= 0]
    corners = np.clip((there[:, :4].reshape(-1, 2, 2) - [0, 8]) / [32, 16] * [80, 40], 0, [80, 40]).reshape(-1, 4)
    ours = answers[0]["boxes"]
    assert [each["class_id"] for each in ours] == there[:, 5].tolist()
    np.testing.assert_allclose([each["score"] for each in ours], there[:, 4], atol=1e-5)
    np.testing.assert_allclose([each["box"] for each in ours], corners, atol=1e-3)


def test_run_says_what_predict_says_and_both_draw(found_in, tmp_path, monkeypatch):
    monkeypatch.chdir(found_in)
    monkeypatch.setattr("graphc.train.drawing.LEAST_SCORE", 0.0)
    photos = sorted(map(str, Path("photos").iterdir()))
    said: list[str] = []
    common = {
        "provider": "cpu",
        "name": None,
        "scale": None,
        "mean": None,
        "std": None,
        "top": None,
        "say": said.append,
    }
    printed = run_files("run/best.onnx", photos, output="-", **common)
    for ours, theirs in zip(predict("run", ["photos"]), map(json.loads, printed.splitlines()), strict=True):
        assert ours["input"] == theirs["input"]
        np.testing.assert_allclose(*[[each["box"] for each in one["boxes"]] for one in (ours, theirs)], atol=1e-3)
    predict_folder("run", ["photos"], tmp_path / "drawn")
    run_files("run/best.onnx", photos, output=str(tmp_path / "also"), **common)
    assert "3 images with" in said[-1]
    first = next(predict("run", ["photos/000.png"]))["boxes"][0]
    for folder in ("drawn", "also"):
        pixels = np.asarray(Image.open(tmp_path / folder / "000.png"))
        assert pixels.shape == (40, 80, 3)
        left, top, _, bottom = (round(side) for side in first["box"])
        ink = (
            np.abs(pixels[:, max(left - 1, 0) : left + 2].astype(int) - color(first["class_id"]))
            .sum(axis=2)
            .min(axis=1)
        )
        assert (ink[top + 15 : bottom - 1] == 0).all()


def test_tables_and_coco_results(found_in, tmp_path, monkeypatch):
    monkeypatch.chdir(found_in)
    answers = list(predict("run", ["photos"]))
    write_answers(answers, str(tmp_path / "found.csv"))
    write_answers(answers, str(tmp_path / "found.json"))
    lines = (tmp_path / "found.csv").read_text().splitlines()
    results = json.loads((tmp_path / "found.json").read_text())
    boxes = [(answer["input"], each) for answer in answers for each in answer["boxes"]]
    assert lines[0] == "input,class,score,left,top,right,bottom"
    assert len(lines) - 1 == len(results) == len(boxes)
    path, each = boxes[-1]
    left, top, right, bottom = each["box"]
    assert results[-1] == {
        "image_id": int(Path(path).stem),
        "category_id": each["class_id"] + 1,
        "bbox": [left, top, right - left, bottom - top],
        "score": each["score"],
        "category": each["class"],
    }


def test_a_placement_undoes_every_way_to_resize():
    rng = np.random.default_rng(0)
    boxes = np.array([[10.0, 8, 30, 20], [40, 5, 50, 35]])
    for resizing in (Stretch(), Letterbox(), CenterCrop(shorter_side=40)):
        image = rng.integers(0, 255, (40, 64, 3)).astype(np.uint8)
        moved = resizing.apply(marked(sample_of(image, {"boxes": boxes})), (24, 32))
        inside = placement_of(moved, (40, 64)).of_image(moved.boxes)
        whole = placement_of(moved, (40, 64)).of_image(moved.whole)
        np.testing.assert_allclose(whole, boxes, atol=1e-9)
        assert (inside >= boxes.min()).all()


def test_the_recipe_for_coco_files_learns_from_one(tmp_path):
    from shutil import copy

    shapes = Shapes(count=20, size=[48, 72], most=3, classes=2, seed=3).load(Path(), 10**8)
    annotations = []
    for number, (image, boxes, labels) in enumerate(
        zip(shapes.inputs["image"], shapes.targets["boxes"], shapes.targets["box_label"], strict=True)
    ):
        Image.fromarray(image).save(tmp_path / f"{number + 1:06d}.png")
        for (left, top, right, bottom), label in zip(boxes.tolist(), labels.tolist(), strict=True):
            if label >= 0:
                box = {
                    "image_id": number + 1,
                    "category_id": IDS[label],
                    "iscrowd": int(number == 3),
                    "bbox": [left, top, right - left, bottom - top],
                }
                annotations.append({"id": len(annotations) + 1, **box})
    images = [{"id": n + 1, "file_name": f"{n + 1:06d}.png", "height": 48, "width": 72} for n in range(20)]
    categories = [{"id": IDS[0], "name": "disk"}, {"id": IDS[1], "name": "square"}]
    (tmp_path / "train.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    for name in ("net.yaml", "coco.yaml"):
        copy(Path(__file__).parents[2] / "examples" / "detection" / name, tmp_path)
    train(tmp_path / "coco.yaml", tmp_path / "run", ("epochs=1", "batch=8", "data.train.coco.crowd=ignore"))
    answers = list(predict(tmp_path / "run", [str(tmp_path / "000001.png")]))
    named = {(each["class"], each["category_id"]) for each in answers[0]["boxes"]}
    assert named <= {("disk", IDS[0]), ("square", IDS[1])}
    assert {each["category_id"] for answer in answers for each in coco_results(answer)} <= set(IDS)
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["category_ids"] == list(IDS)


def test_results_have_the_ids_of_the_file():
    signature = OutputSignature(says="boxes", classes=("disk", "square"), category_ids=IDS)
    answer = {"input": "12.png", **signature.described(np.array([[0, 0, 4, 4, 0.5, 1], [0] * 5 + [-1]]), 1)}
    assert [(each["category_id"], each["image_id"]) for each in coco_results(answer)] == [(18, 12)]
    assert Signature(outputs={"y": signature}).metadata()["graphc.signature"].count("[7,18]") == 1


def test_crowds_are_in_no_loss_and_ignored_by_metrics():
    head = term(ANCHORED, RECIPE.replace("  augment", "  coordinates: pixels\n  augment"))
    boxes = np.array([[[4.0, 4, 12, 12], [0, 0, 32, 32], [1, 1, 2, 2]]])
    targets = {"boxes": boxes, "boxes_there": np.array([[1, 1, 0]]), "box_label": np.array([[2, of_crowds(1), -1]])}
    found = head.target_of(targets)[0]
    assert found.tolist() == [[4, 4, 12, 12, 2, 0], [0, 0, 32, 32, 1, 1], [0, 0, 0, 0, -1, 0]]
    maps = [np.random.default_rng(0).standard_normal((1, *shape)) for shape in head.shapes]
    rows, alone = head.decoder.rows(*maps), {name: each[:, :1] for name, each in targets.items()}
    with_crowd, without = (head.mean(rows, head.target_of(each), None) for each in (targets, alone))
    assert with_crowd.value == without.value
    np.testing.assert_array_equal(with_crowd.gradient, without.gradient)
