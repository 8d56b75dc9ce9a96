"""Boxes of a detector's maps, and the suppression of those that overlap a better one."""

from __future__ import annotations

from random import Random

from graphc.layers.decode_boxes import DecodeDeltas, DecodeDistances
from graphc.layers.non_max_suppression import NonMaxSuppression
from tests.layers.cases import Case

_ANCHORS = (((16, 16), (24, 12)), ((48, 32),))

CASES = [
    Case(DecodeDistances(classes=3, strides=(8, 16), bins=4), ((4, 6, 19), (2, 3, 19))),
    Case(DecodeDistances(classes=1, strides=(8,)), ((3, 4, 5),)),
    Case(DecodeDistances(classes=2, strides=(8, 100)), ((5, 3, 6), (1, 1, 6))),
    Case(DecodeDeltas(classes=2, strides=(8, 16), anchors=_ANCHORS), ((4, 6, 12), (2, 3, 6))),
    Case(DecodeDeltas(classes=1, strides=(8,), anchors=(((9, 9),),), variances=(0.1, 0.1, 0.2, 0.2)), ((2, 3, 5),)),
    Case(DecodeDeltas(classes=2, background=True, strides=(8, 16), anchors=_ANCHORS), ((4, 6, 14), (2, 3, 7))),
    Case(DecodeDistances(classes=1, background=True, strides=(8,)), ((3, 4, 6),)),
    Case(NonMaxSuppression(detections=6), ((20, 7),), reach="within"),
    Case(NonMaxSuppression(detections=60, score_threshold=0.5), ((20, 7),), id="more-than-there-are", reach="within"),
    Case(NonMaxSuppression(detections=8, iou_threshold=0.1, class_agnostic=True), ((30, 6),), reach="within"),
    Case(NonMaxSuppression(detections=41), ((20, 6),), id="more-rows-than-scores", reach="within"),
    Case(NonMaxSuppression(detections=5, iou_threshold=0.01), ((12, 5),), reach="within"),
]


def _decode_distances(rng: Random) -> Case:
    classes, bins, strides = rng.randint(1, 3), rng.randint(1, 5), rng.choice([(4,), (8, 16)])
    height, width = 2 * rng.randint(1, 3), 2 * rng.randint(1, 3)
    shapes = [(height // at, width // at, 4 * bins + classes) for at in (1, 2)]
    return Case(DecodeDistances(classes=classes, strides=strides, bins=bins), tuple(shapes[: len(strides)]))


def _decode_deltas(rng: Random) -> Case:
    classes, each = rng.randint(1, 3), rng.randint(1, 3)
    anchors = tuple((rng.uniform(4, 20), rng.uniform(4, 20)) for _ in range(each))
    shape = (rng.randint(1, 4), rng.randint(1, 4), each * (4 + classes))
    variances = tuple(rng.uniform(0.1, 1) for _ in range(4))
    return Case(DecodeDeltas(classes=classes, strides=(8,), anchors=(anchors,), variances=variances), (shape,))


SAMPLERS = {"decode_distances": _decode_distances, "decode_deltas": _decode_deltas}
