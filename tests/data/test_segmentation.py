"""Polygons and run lengths as arrays, held to pycocotools' pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.data.segmentation import BadAreaError, area_of, box_of

coco = pytest.importorskip("pycocotools.mask", reason="the reference for polygons and run lengths")

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools


def _polygon(rng, height, width, kind):
    corners = int(rng.integers(3, 13))
    if kind == "whole":
        points = rng.integers(-3, max(height, width) + 4, (corners, 2)).astype(float)
    elif kind == "tenths":
        points = np.round(rng.uniform(-5, max(height, width) + 5, (corners, 2)), 1)
    elif kind == "halves":
        points = rng.integers(0, 2 * max(height, width), (corners, 2)) / 2
    elif kind == "repeated":
        points = np.repeat(rng.uniform(0, [width, height], (corners, 2)), 2, axis=0)
    else:
        points = rng.uniform([-0.3 * width, -0.3 * height], [1.3 * width, 1.3 * height], (corners, 2))
    return points.ravel().tolist()


@pytest.mark.parametrize("kind", ["any", "whole", "tenths", "halves", "repeated"])
def test_polygons_are_drawn_as_by_pycocotools(kind):
    rng = np.random.default_rng(3)
    for _ in range(200):
        height, width = (int(side) for side in rng.integers(1, 60, 2))
        polygons = [_polygon(rng, height, width, kind) for _ in range(int(rng.integers(1, 4)))]
        wanted = coco.decode(coco.merge(coco.frPyObjects(polygons, height, width)))
        np.testing.assert_array_equal(area_of(polygons, height, width), wanted, str((height, width, polygons)))


@pytest.mark.parametrize("compressed", [False, True])
def test_run_lengths_are_read_as_by_pycocotools(compressed):
    rng = np.random.default_rng(4)
    for _ in range(200):
        height, width = (int(side) for side in rng.integers(1, 80, 2))
        mask = rng.random((height, width)) < rng.choice([0, 0.02, 0.5, 0.98, 1])
        text = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        if compressed:
            found = {"size": [height, width], "counts": text["counts"].decode()}
        else:
            flat = mask.T.ravel()
            changes = np.flatnonzero(np.diff(flat, prepend=False))
            found = {"size": [height, width], "counts": np.diff([0, *changes, flat.size]).tolist()}
        np.testing.assert_array_equal(area_of(found, height, width), mask)
        left, top, across, down = coco.toBbox(text)
        box = box_of(found, height, width)
        assert box == (None if not mask.any() else [left, top, left + across, top + down])


def test_large_run_lengths_in_text():
    mask = np.zeros((3000, 2000), bool)
    mask[10:2900, 7:1999] = True
    text = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    np.testing.assert_array_equal(area_of({"size": [3000, 2000], "counts": text}, 3000, 2000), mask)


def test_a_square_by_hand():
    found = area_of([[1, 1, 4, 1, 4, 3, 1, 3]], 5, 6)
    wanted = np.zeros((5, 6), bool)
    wanted[1:3, 1:4] = True
    np.testing.assert_array_equal(found, wanted)
    assert box_of([[1, 1, 4, 1, 4, 3, 1, 3]], 5, 6) == [1, 1, 4, 3]


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        ([], "expected polygons"),
        ("1 2 3", "expected polygons"),
        (None, "expected polygons"),
        ([[1, 1, 2, 2]], "three corners or more, found 4"),
        ([[1, 1, 2, 2, 3, 3, 4]], "found 7"),
        ([["a", 1, 2, 2, 3, 3]], "polygons of numbers"),
        ([[float("nan"), 1, 2, 2, 3, 3]], "far from it"),
        ([[1e9, 1, 2, 2, 3, 3]], "far from it"),
        ([1, 2, 3, 4, 5, 6], "found 1 numbers"),
        ({"size": [4, 4], "counts": [15]}, "16 pixels together, found 15"),
        ({"size": [4, 4], "counts": [20, -4]}, "list of whole numbers"),
        ({"size": [4, 5], "counts": [16]}, "of an image of"),
        ({"counts": [16]}, "of an image of"),
        ({"size": [4, 4], "counts": "\x1f"}, "damaged"),
        ({"size": [4, 4], "counts": "o" * 40}, "damaged"),
        ({"size": [4, 4], "counts": "o" * 13 + "1"}, "too large"),
        ({"size": [4, 4], "counts": ""}, "found 0"),
        ({"size": [4, 4], "counts": 16}, "as a list"),
    ],
)
def test_what_cannot_be_drawn(segmentation, words):
    with pytest.raises(BadAreaError, match=words):
        area_of(segmentation, 4, 4)
