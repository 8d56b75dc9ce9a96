"""Losses of boxes and of detectors: finite differences, plain loops, and torchvision where it is installed."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from graphc.errors import SpecError
from graphc.kernels.box_coding import DeltaCoder, DistanceCoder, anchors_at, cells
from graphc.kernels.boxes import pairwise_iou
from graphc.train.losses import BoxIou, Detection, SigmoidFocal
from graphc.train.losses import boxes as box_module
from graphc.train.losses.assign import BACKGROUND, UNDECIDED, Assignment, IouThresholds, TaskAligned
from graphc.train.losses.boxes import box_losses
from graphc.train.losses.detection import distribution_focal

SIZES, STRIDES = [(4, 4), (2, 2)], (8, 16)
FREE = DistanceCoder(*cells(SIZES, STRIDES, (1, 1)), bins=5)
ANCHORED = DeltaCoder(
    anchors_at(SIZES, STRIDES, [np.array([[10.0, 8.0]]), np.array([[20.0, 24.0]])]), (0.1, 0.1, 0.2, 0.2)
)


def random_boxes(rng, count, extent=32.0):
    low = rng.uniform(0, extent * 0.7, (count, 2))
    return np.concatenate([low, low + rng.uniform(3, extent * 0.5, (count, 2))], axis=1)


def slope_along(function, at, direction, step=1e-6):
    return (function(at + step * direction) - function(at - step * direction)) / (2 * step)


@pytest.mark.parametrize("part", ["iou", "unfilled", "distance", "aspects"])
def test_gradients_of_pairs_are_difference_quotients(part):
    rng = np.random.default_rng(1)
    boxes, others = random_boxes(rng, 60), random_boxes(rng, 60)
    value, gradient = getattr(box_module._Pair(boxes, others), part)()
    direction = rng.standard_normal(boxes.shape)
    numeric = slope_along(lambda at: getattr(box_module._Pair(at, others), part)()[0], boxes, direction)
    np.testing.assert_allclose((gradient * direction).sum(axis=1), numeric, rtol=1e-7, atol=1e-9)
    assert value.shape == (60,)
    if part == "iou":
        np.testing.assert_allclose(value, np.diag(pairwise_iou(boxes, others)), atol=1e-12)


@pytest.mark.parametrize("form", ["iou", "giou", "diou", "ciou"])
def test_box_losses_are_torchvisions(form):
    ops = pytest.importorskip("torchvision.ops", reason="compared with torchvision where it is installed")
    import torch

    theirs_of = {
        "iou": lambda a, b: 1 - torch.diagonal(ops.box_iou(a, b)),
        "giou": ops.generalized_box_iou_loss,
        "diou": ops.distance_box_iou_loss,
        "ciou": ops.complete_box_iou_loss,
    }[form]
    rng = np.random.default_rng(2)
    boxes, others = random_boxes(rng, 50, 200.0), random_boxes(rng, 50, 200.0)
    given = torch.tensor(boxes, requires_grad=True)
    theirs = theirs_of(given, torch.tensor(others))
    theirs.sum().backward()
    ours, gradient = box_losses(form, boxes, others)
    np.testing.assert_allclose(ours, theirs.detach().numpy(), atol=1e-7)
    np.testing.assert_allclose(gradient, given.grad.numpy(), atol=1e-7)


def test_equal_boxes_lose_nothing_and_boxes_without_area_are_numbers():
    boxes = np.array([[1.0, 2.0, 5.0, 9.0], [3.0, 3.0, 3.0, 3.0], [8.0, 8.0, 2.0, 2.0]])
    for form in ("iou", "giou", "diou", "ciou"):
        losses, gradient = box_losses(form, boxes, np.array([[1.0, 2.0, 5.0, 9.0]] * 3))
        assert losses[0] == 0
        assert np.isfinite(losses).all()
        assert np.isfinite(gradient).all()


def test_box_iou_is_a_loss_of_heads_with_boxes():
    rng = np.random.default_rng(3)
    boxes, others = random_boxes(rng, 6).reshape(3, 2, 4), random_boxes(rng, 6).reshape(3, 2, 4)
    value, gradient = BoxIou(form="diou")(boxes, others, np.array([1.0, 0.0, 2.0]))
    each = box_losses("diou", boxes.reshape(-1, 4), others.reshape(-1, 4))[0].reshape(3, 2)
    assert value == pytest.approx((each[0].sum() + 2 * each[2].sum()) / 4)
    assert not gradient[1].any()
    with pytest.raises(SpecError, match="box_iou expects left, top, right, bottom of each box, box gives 3"):
        BoxIou().check((3,), "box")


def test_distribution_focal_is_its_formula():
    rng = np.random.default_rng(4)
    logits, distances = rng.standard_normal((3, 4, 6)), rng.uniform(0, 4.9, (3, 4))
    losses, gradient = distribution_focal(logits, distances)
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    low = np.floor(distances).astype(int)
    by_hand = [
        np.mean([-(i + 1 - d) * p[i] - (d - i) * p[i + 1] for i, d, p in zip(*row, strict=True)])
        for row in zip(low, distances, log_p, strict=True)
    ]
    np.testing.assert_allclose(losses, by_hand, atol=1e-12)
    direction = rng.standard_normal(logits.shape)
    numeric = slope_along(lambda at: distribution_focal(at, distances)[0], logits, direction)
    np.testing.assert_allclose((gradient * direction).sum(axis=(1, 2)), numeric, rtol=1e-7, atol=1e-9)


def test_classes_are_the_focal_loss_where_targets_are_whole():
    rng = np.random.default_rng(5)
    logits, wanted = rng.standard_normal((7, 3)) * 3, rng.integers(0, 2, (7, 3)).astype(float)
    ours, gradient = Detection(gamma=2.0, alpha=0.25).classes(logits, wanted)
    theirs, slope, _ = SigmoidFocal(gamma=2.0, alpha=0.25).elements(logits, wanted)
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
    np.testing.assert_allclose(gradient, slope, atol=1e-12)


@pytest.mark.parametrize(
    ("coder", "settings"),
    [
        (FREE, {"boxes": "giou"}),
        (FREE, {"boxes": "diou", "gamma": 2.0}),
        (ANCHORED, {"boxes": "smooth_l1", "gamma": 1.5, "alpha": 0.25}),
        (ANCHORED, {"boxes": "iou", "assign": IouThresholds()}),
        (FREE, {"boxes": "giou", "background": True}),
        (ANCHORED, {"boxes": "smooth_l1", "beta": 1.0, "negatives": 3.0, "background": True}),
        (ANCHORED, {"boxes": "giou", "negatives": 2.0}),
    ],
    ids=str,
)
def test_gradient_is_the_difference_quotient_of_what_is_assigned(coder, settings, monkeypatch):
    background = settings.get("background", False)
    settings = {key: value for key, value in settings.items() if key != "background"}
    rng = np.random.default_rng(6)
    target = np.full((3, 4, 5), -1.0)
    for image, count in enumerate((3, 1, 0)):
        target[image, :count, :4] = random_boxes(rng, count)
        target[image, :count, 4] = rng.integers(0, 2, count)
    rows = rng.standard_normal((3, len(coder.centers), coder.width + 2 + background)) * 0.5
    placed = Detection(**settings).on(coder, background)
    boxes = coder.decode(rows[..., : coder.width])[0]
    objects = [each[each[:, 4] >= 0] for each in target]
    kept = list(map(placed._assigned, boxes, rows[..., coder.width :], objects))
    assert (kept[0].which >= 0).sum() > 2
    weights = np.array([1.0, 0.5, 2.0])

    def loss(at):
        waiting = iter(kept)
        monkeypatch.setattr(type(placed), "_assigned", lambda *_: next(waiting))
        return placed.mean(at, target, weights)

    direction = rng.standard_normal(rows.shape)
    found = loss(rows)
    assert found.count == 3
    numeric = slope_along(lambda at: loss(at).value, rows, direction)
    assert np.vdot(found.gradient, direction) == pytest.approx(numeric, rel=1e-7, abs=2e-9)


def test_ssd_loses_what_torchvisions_does():
    """Softmax with a background and hard negative mining, of one image (torchvision divides by the batch's objects)."""
    ssd = pytest.importorskip("torchvision.models.detection.ssd", reason="compared with torchvision where it is there")
    import torch
    from torchvision.models.detection._utils import BoxCoder, SSDMatcher

    rng = np.random.default_rng(9)
    rows = rng.standard_normal((1, len(ANCHORED.centers), 4 + 3))
    boxes, labels = random_boxes(rng, 3), rng.integers(0, 2, 3)
    target = np.concatenate([boxes, labels[:, None]], axis=1)[None]
    rule = IouThresholds(background=0.5)
    placed = Detection(assign=rule, boxes="smooth_l1", beta=1, negatives=3, box_weight=1, class_weight=1).on(
        ANCHORED, True
    )
    anchors, given = torch.tensor(ANCHORED.anchors), torch.tensor(rows, requires_grad=True)
    model = SimpleNamespace(box_coder=BoxCoder((10.0, 10.0, 5.0, 5.0)), neg_to_pos_ratio=3)
    which = SSDMatcher(0.5)(torch.tensor(pairwise_iou(boxes, ANCHORED.anchors)))
    targets = [{"boxes": torch.tensor(boxes), "labels": torch.tensor(labels) + 1}]
    heads = {"bbox_regression": given[..., :4], "cls_logits": given[..., 4:]}
    losses = ssd.SSD.compute_loss(model, targets, heads, [anchors], [which])
    theirs = losses["bbox_regression"] + losses["classification"]
    theirs.backward()
    found = placed.mean(rows, target)
    assert found.value == pytest.approx(theirs.item(), abs=1e-9)
    np.testing.assert_allclose(found.gradient, given.grad.numpy(), atol=1e-9)


def test_focal_loss_and_softmax_are_not_both():
    with pytest.raises(SpecError, match="gamma and alpha are of classes each for itself"):
        Detection(gamma=2.0).on(ANCHORED, True)


def by_loops(rule, coder, boxes, scores, objects, labels):
    """Task-aligned assignment, one pair after the other."""
    which, overlap, aligned = {}, {}, {}
    for number, (thing, label) in enumerate(zip(objects, labels, strict=True)):
        inside = [a for a, (x, y) in enumerate(coder.centers) if thing[0] < x < thing[2] and thing[1] < y < thing[3]]
        if not inside:
            middle = (thing[:2] + thing[2:]) / 2
            inside = [int(np.square(coder.centers - middle).sum(axis=1).argmin())]
        iou = pairwise_iou(thing[None], boxes)[0]
        merit = {a: scores[a, label] ** rule.alpha * iou[a] ** rule.beta for a in inside}
        for a in sorted(merit, key=lambda a: -merit[a])[: rule.top_k]:
            if a not in which or iou[a] > overlap[a]:
                which[a], overlap[a], aligned[a] = number, iou[a], merit[a]
    share = {}
    for a, number in which.items():
        mine = [b for b in which if which[b] == number]
        best = max(aligned[b] for b in mine)
        share[a] = max(aligned[a] / best * max(overlap[b] for b in mine) if best else 0, 0.01)
    return which, share


@pytest.mark.parametrize("at_once", [2, 64])
def test_task_aligned_is_what_loops_say(at_once, monkeypatch):
    monkeypatch.setattr("graphc.train.losses.assign.AT_ONCE", at_once)
    rng = np.random.default_rng(7)
    rule = TaskAligned(top_k=3)
    around = rng.uniform(4, 20, (len(FREE.centers), 4)) * [-1, -1, 1, 1]
    boxes = np.tile(FREE.centers, 2) + around
    scores = rng.uniform(0.1, 0.9, (len(boxes), 3))
    objects = np.concatenate([random_boxes(rng, 6), [[1.0, 1.0, 2.0, 2.0]]])
    labels = rng.integers(0, 3, 7)
    found = rule.assign(FREE, boxes, scores, objects, labels)
    which, share = by_loops(rule, FREE, boxes, scores, objects, labels)
    assert {a: int(n) for a, n in enumerate(found.which) if n != BACKGROUND} == which
    np.testing.assert_allclose([found.share[a] for a in which], list(share.values()), rtol=1e-12)
    assert not found.share[found.which == BACKGROUND].any()


def test_ties_go_to_the_first():
    """Of places that are equally good the first learn an object, of objects that overlap a place alike the first."""
    rule, rng = TaskAligned(top_k=2), np.random.default_rng(11)
    objects = np.array([[0.0, 0, 32, 32], [0, 0, 32, 32], [4, 4, 28, 28]])
    nowhere, scores = np.zeros((len(FREE.centers), 4)), rng.uniform(0.1, 0.9, (len(FREE.centers), 1))
    around = np.tile(FREE.centers, 2) + np.array([-4, -4, 4, 4])
    for boxes in (nowhere, around):
        found = rule.assign(FREE, boxes, scores, objects, np.zeros(3, int))
        which, _ = by_loops(rule, FREE, boxes, scores, objects, np.zeros(3, int))
        assert {a: int(n) for a, n in enumerate(found.which) if n != BACKGROUND} == which
    assert list(rule.assign(FREE, nowhere, scores, objects[:1], np.zeros(1, int)).which[:3]) == [0, 0, BACKGROUND]


def test_an_object_that_no_anchor_touches_is_nobodys():
    objects = np.array([[0.0, 0, 9, 9], [40, 40, 44, 44]])
    assert not pairwise_iou(objects[1:], ANCHORED.anchors).any()
    found = IouThresholds().assign(ANCHORED, *[np.zeros((20, 4))] * 2, objects, np.zeros(2, int))
    assert set(found.which[found.which >= 0]) == {0}


def test_no_objects_are_background():
    nothing = np.zeros((0, 4)), np.zeros(0, int)
    for rule, coder in ((TaskAligned(), FREE), (IouThresholds(), ANCHORED)):
        places = len(coder.centers)
        found = rule.assign(coder, np.zeros((places, 4)), np.zeros((places, 1)), *nothing)
        assert isinstance(found, Assignment)
        assert (found.which == BACKGROUND).all()


def test_anchors_between_the_thresholds_learn_nothing():
    anchor = ANCHORED.anchors[5]
    objects = np.stack([anchor, anchor + np.array([2.5, 0, 2.5, 0])])  # an overlap of 0.6 with the anchor
    iou = pairwise_iou(objects, ANCHORED.anchors)
    found = IouThresholds(foreground=0.7, background=0.1).assign(ANCHORED, *[np.zeros((20, 4))] * 2, objects, [0, 0])
    assert found.which[5] in (0, 1)
    between = (iou.max(axis=0) < 0.7) & (iou.max(axis=0) >= 0.1) & (found.which < 0)
    assert between.any()
    assert (found.which[between] == UNDECIDED).all()
    assert (found.which[iou.max(axis=0) < 0.1] == BACKGROUND).all()


def test_what_a_detector_lacks_is_said():
    with pytest.raises(SpecError, match="smooth_l1 expects anchors"):
        Detection(boxes="smooth_l1").on(FREE)
    with pytest.raises(SpecError, match="iou_thresholds expects anchors"):
        Detection(assign=IouThresholds()).on(FREE)


def test_a_thousand_objects_are_assigned_some_at_a_time():
    rng = np.random.default_rng(8)
    coder = DistanceCoder(*cells([(40, 40)], (8,), (1,)), bins=1)
    objects = random_boxes(rng, 1000, 320.0)
    boxes = random_boxes(rng, 1600, 320.0)
    found = TaskAligned().assign(coder, boxes, rng.uniform(0.1, 1, (1600, 4)), objects, rng.integers(0, 4, 1000))
    assert math.isfinite(found.share.sum())
    assert len(np.unique(found.which)) > 300
