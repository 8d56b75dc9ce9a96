"""What `run` writes: one output as an array or a picture, or all as JSON; and what it does not."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from graphc.errors import SpecError
from graphc.outputs import write

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
    ],
)
def test_what_cannot_be_written_is_said_and_nothing_is(name, results, words, tmp_path):
    with pytest.raises(SpecError, match=words):
        write(str(tmp_path / name), results, LAYOUTS, None)
    assert not list(tmp_path.iterdir())
