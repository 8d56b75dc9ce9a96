"""What an ONNX file of a stranger says of its inputs: numbers and arrays that do not go together are a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graphc.data.given_files import Given
from graphc.errors import DataError, SpecError
from graphc.inference import check_answer
from graphc.signature import KEY, OutputSignature, StoredArray, read_signature
from graphc.train.drawing import Drawing

MEAN = StoredArray.of(np.zeros(3, np.float32)).model_dump()
FIVE = StoredArray.of(np.ones(5, np.float32)).model_dump()


def signature_of(**given):
    return read_signature({KEY: json.dumps({"inputs": {"image": {"shape": [4, 4, 3], **given}}})}, "model.onnx")


def prepared(**given):
    return signature_of(**given).inputs["image"].prepared(np.full((2, 4, 4, 3), 7, np.uint8), "float32")


def test_one_that_goes_together():
    one = StoredArray.of(np.full(3, 2, np.float32)).model_dump()
    found = prepared(preprocess={"steps": ["standardize"]}, arrays={"0/mean": MEAN, "0/deviation": one})
    np.testing.assert_array_equal(found, np.full((2, 4, 4, 3), 3.5, np.float32))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"values": {"dtype": "float32,"}}, "expected a type of numbers, found 'float32,'"),
        ({"raw": {"dtype": "datetime64"}}, "expected a type of numbers, found 'datetime64'"),
        ({"read": {"in_files": [3, 3]}}, r"expected \[black, white\], found \[3.0, 3.0\]"),
        ({"preprocess": {"mean": "fit"}}, "expected every number, found `fit` or a `rescale` without its `source`"),
        ({"preprocess": {"steps": ["rescale"]}}, "expected every number"),
        ({"shape": [0, 4, 3]}, "expected images of 1 to 25,000,000 pixels, found"),
        ({"shape": [-4, -4, 3]}, "expected images of 1 to 25,000,000 pixels, found -4×-4"),
        ({"shape": [12000, 12000, 3]}, "expected images of 1 to 25,000,000 pixels, found 12,000×12,000"),
        ({"resize": {"center_crop": {"shorter_side": 12000}}}, "less than or equal to 5000"),
        ({"preprocess": {"steps": [{"resize": {"size": [12000, 12000]}}]}}, "found 12,000×12,000"),
        ({"arrays": {"0/mean": {**MEAN, "shape": [2**70]}}}, ""),
        ({"arrays": {"0/mean": {**MEAN, "shape": [1] * 100}}}, ""),
    ],
)
def test_what_is_said_is_refused(given, said):
    with pytest.raises(SpecError, match=f"model.onnx: expected a signature .*{said}"):
        signature_of(**given)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [({"0/mean": MEAN}, "'deviation'"), ({"0/mean": FIVE, "0/deviation": FIVE}, "could not be broadcast")],
)
def test_arrays_that_are_not_those_of_the_steps(arrays, said):
    with pytest.raises(
        DataError, match=f"expected what standardize learns of images of 4×4×3, found other arrays: .*{said}"
    ):
        prepared(preprocess={"steps": ["standardize"]}, arrays=arrays)


def test_arrays_of_another_rank():
    number = StoredArray.of(np.float32(0)[()] * np.ones((), np.float32)).model_dump()
    with pytest.raises(DataError, match="expected what whiten learns of images of 4×4×3"):
        prepared(preprocess={"steps": ["whiten"]}, arrays={"0/mean": number, "0/matrix": number})


@pytest.mark.parametrize(
    ("says", "values", "said"),
    [
        ("probability", np.ones(1, np.float32), r"numbers \[2, …\], as its signature says, found \[1\] of float32"),
        ("probability", np.float32(1), r"found \[\] of float32"),
        ("score", np.full((2, 3), "a", object), "found .2, 3. of object"),
        ("boxes", np.ones((2, 3, 5), np.float32), r"numbers \[2, D, 6\], as its signature says, found \[2, 3, 5\]"),
        ("boxes", np.ones((2, 6), np.float32), r"found \[2, 6\] of float32"),
    ],
)
def test_outputs_that_are_not_what_is_said_of_them(says, values, said):
    with pytest.raises(SpecError, match=f"model.onnx: expected y to be {said}" if "numbers" in said else said):
        check_answer("model.onnx", "y", np.asarray(values), OutputSignature(says=says), 2)


def test_rows_whose_class_is_no_number_hold_no_box():
    rows = np.array([[0, 0, 1, 1, 0.5, kind] for kind in (0, np.inf, np.nan, 1e30, -1)], np.float32)
    assert [each["class"] for each in OutputSignature(says="boxes").described(rows, 1)["boxes"]] == ["0"]


def test_classes_of_whole_numbers_and_truth_values():
    for row in (np.array([0, 9, 200], np.uint8), np.array([False, False, True])):
        found = OutputSignature(says="score").described(row, 1)
        assert found["class"] == "2"


def test_a_text_without_steps():
    assert OutputSignature(codes={"characters": "ab"}).described(np.zeros((0, 3), np.float32), 1) == {"text": ""}


def test_a_blank_is_a_label():
    text = json.dumps({"outputs": {"y": {"codes": {"characters": "ab", "blank": 3}}}})
    with pytest.raises(SpecError, match="expected a blank from 0 to 2, found 3"):
        read_signature({KEY: text}, "model.onnx")


def test_boxes_without_corners_are_not_drawn(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    boxes = [{"class": "a", "class_id": 0, "score": 0.9, "box": [corner, 0.0, 4.0, 4.0]} for corner in (0.0, np.nan)]
    drawing = Drawing(tmp_path / "drawn", 100)
    drawing.add(Given(tmp_path / "a.png", "a.png", Path("a.png")), boxes)
    assert "1 images with 1 boxes" in drawing.said()
