"""Mean average precision and recall of boxes, against pycocotools on random sets."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

from graphc.train.losses import Detection
from graphc.train.metrics import Head, MeanAveragePrecision, MeanAverageRecall

CLASSES = 3


def random_set(seed, images=10, whole=False):
    """(predictions [N, D, 6], targets [N, M, 6]): objects, some of them crowds, and detections near them or anywhere;
    `whole`: coordinates and scores of which many are equal."""
    rng = np.random.default_rng(seed)
    found, true = np.zeros((images, 130, 6)), np.full((images, 12, 6), -1.0)
    found[..., 5] = -1
    for image in range(images):
        objects, detections = int(rng.integers(0, 13)), int(rng.integers(0, 131))
        if image in (3, 4):
            objects, detections = (0, 5) if image == 3 else (4, 0)
        low = rng.uniform(0, 200, (objects, 2))
        boxes = np.concatenate([low, low + rng.uniform(4, 130, (objects, 2))], axis=1)
        labels = rng.integers(0, CLASSES, objects)
        true[image, :objects] = np.concatenate([boxes, labels[:, None], rng.random((objects, 1)) < 0.2], axis=1)
        near = rng.integers(0, max(objects, 1), detections)
        sides = rng.uniform(0, 200, (detections, 2))
        anywhere = np.concatenate([sides, sides + rng.uniform(4, 130, (detections, 2))], axis=1)
        drawn = boxes[near] + rng.normal(0, 6, (detections, 4)) if objects else anywhere
        drawn = np.where(rng.random((detections, 1)) < 0.3, anywhere, drawn)
        drawn[:, 2:] = np.maximum(drawn[:, 2:], drawn[:, :2] + 1)
        kinds = labels[near] if objects else rng.integers(0, CLASSES, detections)
        kinds = np.where(rng.random(detections) < 0.2, rng.integers(0, CLASSES, detections), kinds)
        found[image, :detections] = np.concatenate([drawn, rng.random((detections, 1)), kinds[:, None]], axis=1)
    if whole:
        found[..., :4], true[..., :4] = np.round(found[..., :4] / 4) * 4, np.round(true[..., :4] / 4) * 4
        found[..., 2:4] = np.maximum(found[..., 2:4], found[..., :2] + 4)
        true[..., 2:4] = np.maximum(true[..., 2:4], true[..., :2] + 4)
        found[..., 4] = np.round(found[..., 4], 1)
    return found, true


def by_pycocotools(found, true):
    """precision [T, R, K, A, M] and recall [T, K, A, M], areas all, small, medium, large, 1, 10 and 100 detections."""
    pytest.importorskip("pycocotools")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def boxes(rows):
        return [[float(x), float(y), float(right - x), float(bottom - y)] for x, y, right, bottom in rows[:, :4]]

    annotations, results = [], []
    for image in range(len(found)):
        objects, detections = true[image][true[image, :, 4] >= 0], found[image][found[image, :, 5] >= 0]
        for box, row in zip(boxes(objects), objects, strict=True):
            common = {"image_id": image + 1, "category_id": int(row[4]) + 1, "bbox": box, "area": box[2] * box[3]}
            annotations.append({"id": len(annotations) + 1, "iscrowd": int(row[5]), **common})
        for box, row in zip(boxes(detections), detections, strict=True):
            common = {"image_id": image + 1, "category_id": int(row[5]) + 1, "bbox": box}
            results.append({"score": float(row[4]), **common})
    coco = COCO()
    coco.dataset = {
        "images": [{"id": image + 1, "width": 400, "height": 400} for image in range(len(found))],
        "categories": [{"id": kind + 1, "name": str(kind)} for kind in range(CLASSES)],
        "annotations": annotations,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"], evaluation.eval["recall"]


def mean(values):
    return None if not (values > -1).any() else values[values > -1].mean()


def measured(metric, found, true, batch):
    head = Head((found.shape[1], 6), Detection(), ("a", "b", "c"), box_classes=CLASSES)
    totals = metric.start(head)
    for start in range(0, len(found), batch):
        metric.add(totals, found[start : start + batch], true[start : start + batch], head)
    return metric.result(totals, head)


@pytest.mark.parametrize(("seed", "whole"), [(0, False), (2, True)])
def test_precision_and_recall_are_pycocotools(seed, whole):
    found, true = random_set(seed, whole=whole)
    precision, recall = by_pycocotools(found, true)
    for number, area in enumerate(("all", "small", "medium", "large")):
        ours = measured(MeanAveragePrecision(area=area), found, true, 5)
        assert ours == pytest.approx(mean(precision[..., number, 2]), abs=1e-6)
        ours = measured(MeanAverageRecall(area=area), found, true, 3)
        assert ours == pytest.approx(mean(recall[..., number, 2]), abs=1e-6)
    for most, number in ((1, 0), (10, 1)):
        ours = measured(MeanAverageRecall(max_detections=most), found, true, 10)
        assert ours == pytest.approx(mean(recall[..., 0, number]), abs=1e-6)
    assert measured(MeanAveragePrecision(iou=0.5), found, true, 1) == pytest.approx(mean(precision[0, ..., 0, 2]))
    assert measured(MeanAveragePrecision(iou=0.75), found, true, 1) == pytest.approx(mean(precision[5, ..., 0, 2]))
    each = measured(MeanAveragePrecision(per_class=True), found, true, 14)
    assert each == pytest.approx({name: mean(precision[:, :, k, 0, 2]) for k, name in enumerate("abc")}, abs=1e-6)


def test_without_objects_there_is_no_number():
    found, true = random_set(0)
    assert measured(MeanAveragePrecision(), found, np.full_like(true, -1), 4) is None
    found[..., 5] = -1
    assert measured(MeanAveragePrecision(), found, true, 4) == 0
    true[true[..., 4] == 1] = -1
    assert measured(MeanAveragePrecision(per_class=True), found, true, 4) == {"a": 0.0, "b": None, "c": 0.0}


def test_names_say_what_was_measured():
    assert MeanAveragePrecision(iou=0.5).name == "map50"
    assert MeanAveragePrecision().name == "map"
    assert MeanAverageRecall(area="small", per_class=True).name == "mar_small_per_class"
