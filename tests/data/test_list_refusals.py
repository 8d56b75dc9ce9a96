"""What lists say that nothing can hold, or that is no one thing."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from graphc.data.sources import ImageList
from graphc.errors import DataError


def _read(folder, text):
    name = "a.csv" if isinstance(text, str) else "a.json"
    Image.new("RGB", (8, 8)).save(folder / "0.png")
    (folder / name).write_text(text if isinstance(text, str) else json.dumps(text))
    return ImageList(path=name, size=(8, 8)).load(folder, 100_000_000)


@pytest.mark.parametrize("label", [["x"], {"a": 1}, float("inf")])
def test_the_class_of_a_box_is_a_name_or_a_number(tmp_path, label):
    with pytest.raises(DataError, match="expected the name of a class for each box, found"):
        _read(tmp_path, [{"image": "0.png", "boxes": [[0, 0, 3, 3]], "box_labels": [label]}])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "image,left,top,right,bottom\n0.png,0,0,1e39,7\n",
            "a.csv:2:1: .*box: expected numbers below .*, found 1e.39",
        ),
        ("image,x1,y1\n0.png,3,-1e39\n", "a.csv:2:1: .*x1: expected numbers below"),
        ("image,left,top,right,bottom\n0.png,16777216,0,16777217,7\n", "a.csv:2:1: .*with left < right"),
    ],
)
def test_coordinates_that_arrays_do_not_hold(tmp_path, text, words):
    with pytest.raises(DataError, match=words):
        _read(tmp_path, text)


def test_a_header_that_two_delimiters_split(tmp_path):
    with pytest.raises(DataError, match="expected a header with one delimiter, found 'image;label,image'"):
        _read(tmp_path, "image;label,image\n0.png;1,0.png\n")


BOX = {"image": "0.png", "boxes": [[0, 0, 3, 3]]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ([{"image": "0.png", "label": float("inf")}], "label: expected a name or a number, found inf"),
        ([{**BOX, "box_labels": 0}], "expected a label for each of 1 boxes, found 0"),
        ([{**BOX, "box_labels": False}], "expected a label for each of 1 boxes, found False"),
        (
            [{**BOX, "height": "5" * 1_000 + "x", "width": 5}],
            "expected height and width in pixels, found '5{59} and 5$",
        ),
    ],
)
def test_values_that_are_no_labels_or_sizes(tmp_path, text, words):
    with pytest.raises(DataError, match=words):
        _read(tmp_path, text)


def test_a_column_without_a_name_is_one(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png")
    (tmp_path / "a.csv").write_text("image,,\n0.png,1,2\n")
    with pytest.raises(DataError, match="expected one column '' for label, found 2"):
        ImageList(path="a.csv", size=(8, 8), columns={"label": [""]}).load(tmp_path, 100_000_000)
