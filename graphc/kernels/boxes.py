"""Boxes on arrays: how far they overlap, and which of many remain when those that overlap a better one are dropped.

A box is left, top, right, bottom. What is here in NumPy is what ONNX's NonMaxSuppression does: corners may be given in
either order, a score has to be above its threshold, and an overlap above its threshold drops the box of lower score;
of equal scores the box that comes first is the better one.
"""

from __future__ import annotations

from graphc.lazy import np
from graphc.types import Array

AT_ONCE = 4096
"""Candidates that a suppression compares at a time with a box that is kept."""


def areas(boxes: Array) -> Array:
    """[...] of boxes [..., 4]; 0 where right is not above left, or bottom not above top."""
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    return np.asarray(sides[..., 0] * sides[..., 1])


def intersections(a: Array, b: Array) -> Array:
    """Areas [...] that boxes [..., 4] share, of shapes that broadcast."""
    least = np.maximum(a[..., :2], b[..., :2])
    sides = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - least, 0)
    return np.asarray(sides[..., 0] * sides[..., 1])


def pairwise_iou(a: Array, b: Array) -> Array:
    """Intersection over union [n, m] of boxes [n, 4] with boxes [m, 4]; 0 where neither has an area."""
    shared = intersections(a[:, None], b[None])
    union = areas(a)[:, None] + areas(b)[None] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def non_max_suppression(
    boxes: Array, scores: Array, score_threshold: float, iou_threshold: float, most: int
) -> tuple[Array, Array]:
    """(class [k], box [k]) of the best detections of one image, best first, k at most `most`: of boxes [A, 4] with
    scores [K, A], a class at a time; equal scores in the order of class, then box."""
    flat = scores.ravel()
    candidates = np.flatnonzero(flat > np.float32(score_threshold))
    candidates = candidates[np.argsort(-flat[candidates], kind="stable")]
    classes, places = np.divmod(candidates, scores.shape[1])
    corners = np.concatenate([np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], axis=1)
    there = corners[places]
    alive = np.ones(len(candidates), bool)
    kept: list[int] = []
    at = 0
    while at < len(candidates) and len(kept) < most:
        if alive[at]:
            kept.append(at)
            _drop_overlapping(alive, there, classes, at, np.float32(iou_threshold))
        at += 1
    return classes[kept], places[kept]


def _drop_overlapping(alive: Array, boxes: Array, classes: Array, best: int, threshold: np.float32) -> None:
    """Candidates [n] behind the best one, of its class, that overlap it by more are no longer alive, in place."""
    for start in range(best + 1, len(alive), AT_ONCE):
        some = (
            np.flatnonzero(alive[start : start + AT_ONCE] & (classes[start : start + AT_ONCE] == classes[best])) + start
        )
        alive[some[pairwise_iou(boxes[best : best + 1], boxes[some])[0] > threshold]] = False
