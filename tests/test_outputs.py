"""What `run` writes: one output as an array or a picture, or all as JSON; and what it does not."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from graphc.errors import SpecError
from graphc.outputs import describe, write

MAPS = np.arange(2 * 3 * 4 * 2, dtype=np.float32).reshape(2, 3, 4, 2)
LAYOUTS = {"maps": "nhwc", "logits": ""}


def test_all_outputs_go_into_one_json(tmp_path):
    path = str(tmp_path / "r.json")
    said = write(path, {"maps": MAPS, "logits": np.eye(2, dtype=np.float32)}, LAYOUTS, None)
    assert said.endswith("r.json: maps: 2×3×4×2, N H W C, float32; logits: 2×2, float32")
    found = json.loads((tmp_path / "r.json").read_text())
    assert found == {"maps": MAPS.tolist(), "logits": [[1, 0], [0, 1]]}


def test_one_output_is_an_array_or_a_picture(tmp_path):
    assert write(str(tmp_path / "r.npy"), {"maps": MAPS}, LAYOUTS, None).endswith("maps: 2×3×4×2, N H W C, float32")
    np.testing.assert_array_equal(np.load(tmp_path / "r.npy"), MAPS)
    assert write(str(tmp_path / "r.png"), {"maps": MAPS}, LAYOUTS, None).endswith("; the first of 2 examples")
    with Image.open(tmp_path / "r.png") as picture:
        assert picture.height == 3


@pytest.mark.parametrize(
    ("name", "results", "words"),
    [
        ("r.txt", {"maps": MAPS}, r"expected an output ending in \.npy, \.json or \.png, got '.*r\.txt'"),
        ("r.npy", {"maps": MAPS, "logits": MAPS}, "the model has the outputs maps, logits: choose one with --name"),
        ("r.png", {"logits": np.eye(2)}, r"expects an image output, with four axes, got shape \(2, 2\)"),
        ("r.png", {"maps": MAPS[:0]}, r"expects an image output, with four axes, got shape \(0, 3, 4, 2\)"),
        ("r.png", {"maps": np.full((1, 2, 2, 1), np.inf)}, "expects finite numbers, got NaN or infinity"),
        (
            "r.npy",
            {"logits": np.array([{1: 0.5}], object)},
            "a .npy expects numbers, logits has others",
        ),
        ("r.png", {"maps": np.full((1, 2, 2, 3), "a", object)}, "a .png expects numbers, maps has others"),
    ],
)
def test_what_cannot_be_written_is_said_and_nothing_is(name, results, words, tmp_path):
    with pytest.raises(SpecError, match=words):
        write(str(tmp_path / name), results, LAYOUTS, None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("dtype", "row", "best"),
    [
        ("uint8", [0, 7, 9, 7], [2, 1, 3, 0]),
        ("int8", [-128, 7, 127, -1], [2, 1, 3, 0]),
        ("int64", [2**53, 2**53 + 1, -(2**63), 0], [1, 0, 3, 2]),
        ("bool", [False, True, False, True], [1, 3, 0, 2]),
        ("float32", [0.5, np.nan, np.inf, 0.5], [2, 0, 3, 1]),
    ],
)
def test_the_largest_are_those_of_any_type_of_numbers(dtype, row, best):
    """Negating numbers without a sign, or the least with one, gives others."""
    (found,) = describe(np.array([row], dtype), 4)
    assert [each["index"] for each in found] == best
    values = np.array(row, dtype)[best].tolist()
    np.testing.assert_array_equal([each["value"] for each in found], values)
    assert all(type(each["value"]) is type(value) for each, value in zip(found, values, strict=True))


def test_what_is_no_number_has_no_largest():
    texts = np.array([["a", "b"]], object)
    assert describe(texts, 1) == [["a", "b"]]
