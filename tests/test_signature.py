"""What an ONNX file of a stranger says of its inputs: numbers and arrays that do not go together are a sentence."""

from __future__ import annotations

import json

import numpy as np
import pytest

from graphc.errors import DataError, SpecError
from graphc.signature import KEY, StoredArray, read_signature

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
