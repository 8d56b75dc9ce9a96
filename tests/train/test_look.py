"""`graphc data stats` and `graphc data preview`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from graphc.cli import cli
from graphc.data.preview import TILE, color, tile
from graphc.data.sample import sample_of
from graphc.data.sources import Npz
from graphc.errors import DataError
from graphc.report.look import _label

RECIPE = """\
recipe: 1
model: net.yaml
data:
  train: {image_folder: {path: train, size: [8, 8]}}
  test: {image_folder: {path: test, size: [8, 8]}}
  augment: [flip_horizontal]
loss: softmax_cross_entropy
optimizer: adam
learning_rate: 0.1
epochs: 1
"""


@pytest.fixture
def project(tmp_path):
    """Three cats, of which two are the same, a dog that is also in the test set, and a file that is no image."""
    rng = np.random.default_rng(0)
    images = {name: rng.integers(0, 256, (8, 8, 3), dtype=np.uint8) for name in "abc"}
    for path, name in (("train/cat/0", "a"), ("train/cat/1", "b"), ("train/cat/2", "a"), ("train/dog/0", "c"),
                       ("test/cat/0", "c")):  # fmt: skip
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[name]).save(tmp_path / f"{path}.png")
    (tmp_path / "train" / "dog" / "bad.png").write_bytes(b"no image")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path


def _pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def _run(*arguments):
    cli.main(["data", *map(str, arguments)], standalone_mode=False)


def test_stats_count_what_is_there(project, capsys):
    _run("stats", project / "recipe.yaml", "--format", "json", "-o", project / "chart.png")
    rows = json.loads(capsys.readouterr().out)
    found = {(row["set"], row["what"]): row["value"] for row in rows}
    assert found["train", "examples"] == 4
    assert found["train", "class cat"] == 3
    assert found["train", "largest class / smallest"] == "3.00"
    assert found["train", "unreadable files"] == 1
    assert "bad.png" in found["train", "unreadable 1"]
    assert found["train", "duplicates"].startswith("1 (")
    assert found["train", "also in test"] == 1
    pixels = np.concatenate([_pixels(path).reshape(-1, 3) for path in project.glob("train/*/[0-9].png")])
    means = [float(part) for part in found["train", "channel means"].split(",")]
    np.testing.assert_allclose(means, pixels.mean(axis=0), atol=1e-3)
    assert all(abs(float(part)) < 1e-3 for part in found["train", "after whitening"].split(","))
    assert _pixels(project / "chart.png").shape[1] > 300


def test_stats_say_which_classes_sets_do_not_share_and_what_was_left_out(project, capsys):
    (project / "test" / "cat").rename(project / "test" / "bird")
    (project / "train" / "dog" / "0.png").write_bytes((project / "train" / "cat" / "0.png").read_bytes())
    (project / "train" / "dog" / ".DS_Store").write_bytes(b"x")
    _run("stats", project / "recipe.yaml", "--format", "json")
    rows = json.loads(capsys.readouterr().out)
    found = {(row["set"], row["what"]): row["value"] for row in rows}
    assert found["test", "classes that train does not have"] == "1 (bird)"
    assert found["test", "classes of train that are not there"] == "2 (cat, dog)"
    assert found["train", "note 1"] == "left out: 1 hidden file (.DS_Store)"
    assert found["train", "duplicates with other labels"].startswith("1 (")
    assert ("train", "classes that train does not have") not in found


def test_a_sheet_shows_originals_and_augmented_forms(project, capsys):
    settings = [
        "--set",
        "data.train={shapes: {count: 9}}",
        "--set",
        "data.augment=[{flip_horizontal: {probability: 1}}]",
    ]
    _run("preview", project / "recipe.yaml", *settings, "-o", project / "sheet.png", "--count", 2, "--columns", 3)
    assert "2 examples, epochs 0 to 2: flip_horizontal" in capsys.readouterr().err
    sheet = _pixels(project / "sheet.png")
    assert sheet.shape[1] > 4 * TILE
    original, augmented = sheet[40:180, 6 : 6 + TILE], sheet[40:180, 18 + TILE : 18 + 2 * TILE]
    agreement = (original[:, ::-1] == augmented).all(axis=2).mean()
    assert agreement > 0.9  # all but the frames of boxes, which are drawn afterwards


def test_annotations_are_drawn_where_they_are():
    sample = sample_of(
        np.zeros((16, 16, 3), np.uint8),
        {"boxes": np.array([[2, 4, 10, 12]]), "points": np.array([[8, 8]]), "mask": np.eye(16, dtype=int) * 2},
    )
    drawn = np.asarray(tile(sample, np.array([5])))
    factor = TILE // 16
    assert tuple(drawn[4 * factor, 6 * factor]) == color(5)
    assert tuple(drawn[8 * factor, 8 * factor]) == color(3)
    assert drawn[15 * factor + 2, 15 * factor + 2].any()
    assert not drawn[15 * factor + 2, 2].any()


LABELS = {
    "unlabeled": ([-1, 0, 1, 1], {"class -1": 1, "class cat": 1, "class dog": 2}, ": -1"),
    "far": ([0, 1, 1, 2**32], {"class cat": 1, "class dog": 2, "class 4294967296": 1}, ": 4294967296"),
    "values": ([0.5, 1.25, 3.75, 1.0], {}, ": 3.75"),
    "not finite": ([0.5, np.nan, np.inf, 1.0], {}, ": nan"),
}


@pytest.mark.parametrize(("labels", "classes", "caption"), LABELS.values(), ids=LABELS)
def test_odd_labels_are_shown_as_they_are(project, capsys, labels, classes, caption):
    np.savez(project / "odd.npz", x=np.zeros((4, 8, 8, 3), np.uint8), y=np.array(labels))
    settings = ["--set", "data.train={npz: {path: odd.npz, classes: [cat, dog]}}", "--set", "data.test="]
    _run("stats", project / "recipe.yaml", *settings, "--format", "json")
    rows = json.loads(capsys.readouterr().out)
    assert {row["what"]: row["value"] for row in rows if row["what"].startswith("class ")} == classes
    examples = Npz(path="odd.npz", classes=("cat", "dog")).load(project, 10**9)
    assert any(_label(examples, row).endswith(caption) for row in range(4))
    _run("preview", project / "recipe.yaml", *settings, "-o", project / "sheet.png")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_counted(project, capsys, bad):
    images = np.random.default_rng(0).random((6, 8, 8, 3)).astype(np.float32)
    images[2, 0, 0, 0] = images[2, 0, 1, 0] = bad
    np.savez(project / "odd.npz", x=images, y=np.zeros(6, int))
    _run("stats", project / "recipe.yaml", "--set", "data.train={npz: {path: odd.npz}}", "--format", "json")
    found = {row["what"]: row["value"] for row in json.loads(capsys.readouterr().out) if row["set"] == "train"}
    assert found["values"] == "float32, 2 of them not finite, in 1 examples"


def test_images_of_two_values(project, capsys):
    np.savez(project / "odd.npz", x=np.eye(8, dtype=bool)[None].repeat(3, axis=0), y=np.zeros(3, int))
    _run("stats", project / "recipe.yaml", "--set", "data.train={npz: {path: odd.npz}}")
    assert "0 to 1" in capsys.readouterr().out


def test_more_memory_can_be_asked_for(project):
    settings = ["--set", "data.train={shapes: {count: 200, size: [64, 64]}}", "--max-memory", "0.001"]
    with pytest.raises(DataError, match=r"the limit is 1,073,741 \(--max-memory raises it\)"):
        _run("stats", project / "recipe.yaml", *settings)
    _run("stats", project / "recipe.yaml", *settings[:-1], "0.1")
