"""Key points in a mirror: a left eye is a left eye there too."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from graphc.data.augment.base import augment, generator
from graphc.data.augment.geometry import FlipHorizontal, FlipVertical, PadCrop
from graphc.data.point_pairs import mirrored_order
from graphc.data.sample import sample_of
from graphc.errors import Place, SpecError
from graphc.report.look import preview
from graphc.train.batching import augmenting, make_batches
from graphc.train.commands import train
from graphc.train.datasets import read_sets
from graphc.train.progress import Silent
from graphc.train.recipe import read_recipe
from graphc.train.task import task_of

PARTS = ["eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"]
COCO_NAMES = ["nose", *(f"{side}_{part}" for part in PARTS for side in ("left", "right"))]
COCO_FLIP = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
"""`flip_idx` of ultralytics' coco-pose.yaml, `flip_indices` of mmpose."""


def test_the_pairs_of_coco_are_known_by_name():
    assert mirrored_order(None, COCO_NAMES, 17) == COCO_FLIP
    assert mirrored_order(None, ["Right Paw", "tail", "bright", "Left Paw", "left_fin"], 5) == (3, 1, 2, 0, 4)
    assert mirrored_order(None, (), 3) == (0, 1, 2)
    assert mirrored_order((), COCO_NAMES, 17) == tuple(range(17))


@pytest.mark.parametrize(
    "step", [FlipHorizontal(probability=1), FlipVertical(probability=1)], ids=lambda step: step.kind
)
def test_a_pair_changes_places_in_a_mirror(step):
    """Eyes at (2, 3) and (7, 3), of which the right is not in the picture's annotation; a nose stays a nose."""
    points = np.array([[5.0, 5], [2, 3], [7, 3], [3, 6], [np.nan, np.nan]])
    sample = sample_of(np.zeros((8, 10, 3), np.uint8), {"points": points}, mirrored=(0, 2, 1, 4, 3))
    found = augment(sample, [step], generator(0, 0, 0), (8, 10), 0)
    x, y = points.T
    moved = np.stack([10 - x, y] if step.kind == "flip_horizontal" else [x, 8 - y], axis=1)[[0, 2, 1, 4, 3]]
    np.testing.assert_array_equal(found.points, moved)
    assert found.points_there.tolist() == [True, True, True, False, True]
    twice = step.apply(found, generator(0, 0, 0), (8, 10))
    np.testing.assert_array_equal(twice.points, points)
    shifted = augment(sample, [PadCrop(pad=1)], generator(0, 0, 0), (8, 10), 0)
    assert (shifted.points[1, 0] < shifted.points[2, 0]) == (points[1, 0] < points[2, 0])


SPEC = """\
graphc: 1
name: points
inputs: {image: [N, 8, 10, 3]}
layers:
  - global_avg_pool2d: {name: pool}
  - fully_connected: {name: points, units: 6}
  - reshape: {name: xy, shape: [3, 2]}
outputs: {points: xy}
"""
RECIPE = """\
recipe: 1
model: net.yaml
data:
  train: {coco: {path: coco.json, size: [8, 10]}}
  coordinates: pixels
  augment: [{flip_horizontal: {probability: 1}}]
heads: [{output: points, target: points, loss: mean_squared}]
optimizer: sgd
learning_rate: 0.1
epochs: 1
"""


@pytest.fixture
def people(tmp_path):
    """A COCO file with one image and a face: nose, left eye, right eye."""
    Image.new("RGB", (10, 8), (90, 30, 60)).save(tmp_path / "0.png")
    tree = {
        "images": [{"id": 1, "file_name": "0.png", "height": 8, "width": 10}],
        "categories": [{"id": 1, "name": "person", "keypoints": ["nose", "left_eye", "right_eye"]}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 7], "keypoints": [4, 4, 2, 2, 3, 2, 7, 3, 1]}
        ],
    }
    (tmp_path / "coco.json").write_text(json.dumps(tree))
    (tmp_path / "net.yaml").write_text(SPEC)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path


def _points(folder, *overrides):
    recipe = read_recipe(folder / "recipe.yaml", overrides)
    task = task_of(recipe, folder)
    examples = read_sets(task, folder).train
    batches = make_batches(task, examples, augmenting(task, examples))
    return batches.make(np.arange(1), epoch=0).targets["points"][0].tolist()


def test_a_coco_file_names_its_pairs(people):
    assert _points(people) == [[6, 4], [3, 3], [8, 3]]
    assert preview(people / "recipe.yaml", (), str(people / "sheet.png")).startswith("1 examples")


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [("[]", [[6, 4], [8, 3], [3, 3]]), ("[[1, 2]]", [[6, 4], [3, 3], [8, 3]]),
     ("[[nose, 2]]", [[3, 3], [8, 3], [6, 4]]), ("[[right_eye, left_eye]]", [[6, 4], [3, 3], [8, 3]])],
)  # fmt: skip
def test_or_the_recipe_does(people, pairs, expected):
    assert _points(people, f"data.flip_pairs={pairs}") == expected


class _Said(Silent):
    def __init__(self):
        self.lines = []

    def say(self, message):
        self.lines.append(message)


@pytest.mark.parametrize(
    ("overrides", "warned"),
    [([], True), (["data.flip_pairs=[]"], False), (["data.flip_pairs=[[1, 2]]"], False), (["data.augment=[]"], False)],
)
def test_points_of_which_nobody_said_which_are_left_and_right(people, overrides, warned):
    tree = json.loads((people / "coco.json").read_text())
    del tree["categories"][0]["keypoints"]
    (people / "coco.json").write_text(json.dumps(tree))
    said = _Said()
    train(people / "recipe.yaml", people / "run", overrides, said)
    found = [line for line in said.lines if "G625" in line]
    assert len(found) == warned
    if warned:
        assert "recipe.yaml:6:13: warning[G625]: flip_horizontal leaves each of 3 key points its number" in found[0]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [("[[1, 3]]", "expected key points from 0 to 2, found 3"), ("[[-1, 0]]", "points from 0 to 2, found -1"),
     ("[[1, 1]]", r"each point in one pair, found \[1, 1\]"), ("[[0, 1], [1, 2]]", r"found \[1, 2\]"),
     ("[[nose, mouth]]", r"expected key points of the data \(nose, left_eye, right_eye\), found 'mouth'")],
)  # fmt: skip
def test_pairs_that_cannot_be_are_an_error_at_their_line(people, pairs, message):
    text = RECIPE.replace("  coordinates", f"  flip_pairs: {pairs}\n  coordinates")
    (people / "recipe.yaml").write_text(text)
    with pytest.raises(SpecError, match=message) as caught:
        _points(people)
    assert caught.value.place == Place(str(people / "recipe.yaml"), 5, 15)


def test_names_of_points_that_have_none(people):
    tree = json.loads((people / "coco.json").read_text())
    del tree["categories"][0]["keypoints"]
    (people / "coco.json").write_text(json.dumps(tree))
    assert _points(people) == [[6, 4], [8, 3], [3, 3]]
    with pytest.raises(SpecError, match="no names: say numbers, counted from 0"):
        _points(people, "data.flip_pairs=[[left_eye, right_eye]]")
