"""Metrics of boxes with classes, counted as pycocotools counts them.

Detections are taken best first, each the object of its class that it overlaps most among those that are not taken yet,
for every threshold of the overlap by itself. Each detection is kept until the result is asked for, in 16 bytes and 4 a
threshold; there are at most `max_detections` a class and image.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from graphc.data.target_kind import TargetKind
from graphc.kernels.boxes import areas, intersections
from graphc.lazy import np
from graphc.settings import LIST
from graphc.train.metrics.base import Head, PerClass, Result, Totals
from graphc.train.metrics.ranking import FIRST, with_room
from graphc.types import Array

IOU_THRESHOLDS = tuple(0.5 + 0.05 * step for step in range(10))
"""COCO's: 0.5, 0.55, … 0.95."""
RECALLS = 101
"""At which precision is looked up: 0, 0.01, … 1."""
AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Square pixels, of the network's input."""
HIT, MISS, IGNORED = 1, 0, -1


class _Detections(PerClass):
    """What is known of every detection: its score, and at which thresholds it is an object."""

    judges = frozenset({TargetKind.BOXES})

    iou: Annotated[float | tuple[float, ...] | None, LIST] = None
    """Overlap from which a detection is an object: a number, or several, over which the mean is taken; default: COCO's
    ten, 0.5 to 0.95."""
    area: Literal["all", "small", "medium", "large"] = "all"
    """Objects that count: all, or those of COCO's areas (below 32², to 96², above), in pixels of the network's
    input."""
    max_detections: int = Field(default=100, gt=0)
    """The best of each class and image that count."""

    @property
    def thresholds(self) -> Array:
        """[T]."""
        given = IOU_THRESHOLDS if self.iou is None else self.iou if isinstance(self.iou, tuple) else (self.iou,)
        return np.array(given, np.float64)

    @property
    def name(self) -> str:
        at = "" if not isinstance(self.iou, float) else f"{self.iou * 100:g}"
        area = "" if self.area == "all" else f"_{self.area}"
        return f"{self.kind}{at}{area}{'_per_class' if self.per_class else ''}"

    def start(self, head: Head) -> Totals:
        return {
            "count": np.zeros((), np.int64),
            "objects": np.zeros(head.box_classes, np.int64),
            "scores": np.zeros(FIRST, np.float64),
            "classes": np.zeros(FIRST, np.int64),
            "hits": np.zeros((FIRST, len(self.thresholds)), np.float32),
        }

    def add(self, totals: Totals, prediction: Array, target: Array, head: Head) -> None:
        """`prediction` [N, D, 6]: left, top, right, bottom, score, class (-1: nothing); `target` [N, M, 5 or 6]: box,
        class (-1: nothing), whether it is a crowd."""
        for found, objects in zip(prediction.astype(np.float64), target.astype(np.float64), strict=True):
            for kind in range(head.box_classes):
                mine, true = found[found[:, 5] == kind], objects[objects[:, 4] == kind]
                if len(mine) or len(true):
                    self._add_image(totals, mine, true, kind)

    def _add_image(self, totals: Totals, found: Array, objects: Array, kind: int) -> None:
        best = np.argsort(-found[:, 4], kind="stable")[: self.max_detections]
        found = found[best]
        crowd = objects[:, 5] > 0 if objects.shape[1] > 5 else np.zeros(len(objects), bool)
        least, most = AREAS[self.area]
        size = areas(objects[:, :4])
        ignored = crowd | (size < least) | (size > most)
        hits = matches(found[:, :4], objects[:, :4], crowd, ignored, self.thresholds)
        outside = (areas(found[:, :4]) < least) | (areas(found[:, :4]) > most)
        hits[(hits == MISS) & outside[:, None]] = IGNORED
        start = int(totals["count"])
        for name, values in (("scores", found[:, 4]), ("hits", hits), ("classes", np.full(len(found), kind))):
            totals[name] = with_room(totals[name], start + len(found))
            totals[name][start : start + len(found)] = values
        totals["count"] += len(found)
        totals["objects"][kind] += np.count_nonzero(~ignored)

    def result(self, totals: Totals, head: Head) -> Result:
        count = int(totals["count"])
        scores, hits, classes = totals["scores"][:count], totals["hits"][:count], totals["classes"][:count]
        each = np.full(head.box_classes, np.nan)
        for kind in np.flatnonzero(totals["objects"]).tolist():
            mine = np.flatnonzero(classes == kind)
            mine = mine[np.argsort(-scores[mine], kind="stable")]
            each[kind] = self.of_class(hits[mine], int(totals["objects"][kind]))
        if self.per_class:
            return head.named(each)
        seen = each[np.isfinite(each)]
        return float(seen.mean()) if len(seen) else None

    def of_class(self, hits: Array, objects: int) -> float:
        """The number of one class, of `hits` [D, T] of its detections, best first, and how many objects there are."""
        raise NotImplementedError(self.kind)


class MeanAveragePrecision(_Detections):
    """Mean over classes and thresholds of the average precision of boxes, at 101 recalls: COCO's AP.

    Classes of which there is no object do not count. `iou: 0.5` is known as mAP50.
    """

    kind: ClassVar[str] = "map"

    def of_class(self, hits: Array, objects: int) -> float:
        right, wrong = (np.cumsum(hits == what, axis=0, dtype=np.float64) for what in (HIT, MISS))
        recall = right / objects
        precision = right / (right + wrong + np.spacing(1.0))
        precision = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        levels = np.linspace(0, 1, RECALLS)
        found = np.zeros((hits.shape[1], RECALLS))
        for threshold in range(hits.shape[1]):
            at = np.searchsorted(recall[:, threshold], levels, side="left")
            reached = at < len(hits)
            found[threshold, reached] = precision[at[reached], threshold]
        return float(found.mean())


class MeanAverageRecall(_Detections):
    """Mean over classes and thresholds of the share of objects that are found: COCO's AR."""

    kind: ClassVar[str] = "mar"

    def of_class(self, hits: Array, objects: int) -> float:
        return float((hits == HIT).sum(axis=0).mean() / objects)


def matches(found: Array, objects: Array, crowd: Array, ignored: Array, thresholds: Array) -> Array:
    """HIT, MISS or IGNORED, int8 [D, T], of detections [D, 4], best first, at each threshold [T]: of objects [G, 4]
    those that are `ignored` [G] are taken where no other is left, and a crowd [G] any number of times."""
    order = np.argsort(ignored, kind="stable")
    objects, crowd, ignored = objects[order], crowd[order], ignored[order]
    hits = np.full((len(found), len(thresholds)), MISS, np.int8)
    if not len(objects):
        return hits
    shared = intersections(found[:, None], objects)
    own = np.broadcast_to(areas(found)[:, None], shared.shape)
    whole = np.where(crowd, own, own + areas(objects) - shared)
    iou = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
    taken = np.zeros((len(thresholds), len(objects)), bool)
    rows = np.arange(len(thresholds))
    enough = np.minimum(thresholds, 1 - 1e-10)[:, None]
    for number, overlap in enumerate(iou):
        free = (overlap >= enough) & (~taken | crowd)
        counting = free & ~ignored
        free = np.where(counting.any(axis=1, keepdims=True), counting, free)
        best = len(objects) - 1 - np.where(free, overlap, -1.0)[:, ::-1].argmax(axis=1)  # of equal ones the last
        there = free.any(axis=1)
        taken[rows[there], best[there]] = True
        hits[number, there] = np.where(ignored[best[there]], IGNORED, HIT)
    return hits
