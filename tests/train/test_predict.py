"""`graphc predict` on folders, into tables, JSON and masks; files that cannot be read."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from graphc.cli import cli
from graphc.errors import DataError, GraphcError, SpecError
from graphc.train.commands import predict, train
from graphc.train.predict import predict_folder

NET = """\
graphc: 1
name: c
inputs: {image: [N, 12, 12, 3]}
layers:
  - flatten
  - fully_connected: {name: logits, units: 2}
outputs: {logits: logits}
"""
RECIPE = """\
recipe: 1
model: net.yaml
data:
  train: {image_folder: {path: d, size: [12, 12]}}
  preprocess: {mean: fit, std: fit}
loss: softmax_cross_entropy
optimizer: adam
learning_rate: 0.01
batch: 4
epochs: 3
metrics: [accuracy]
"""


def save(path: Path, level: int, size: tuple[int, int] = (12, 12)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level, level, level)).save(path)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A net that knows dark from light, and a folder `new` with an image in a folder of its own and other files."""
    monkeypatch.chdir(tmp_path)
    for index in range(8):
        save(tmp_path / "d" / "dark" / f"{index}.png", 20 + index)
        save(tmp_path / "d" / "light" / f"{index}.png", 220 + index)
    (tmp_path / "net.yaml").write_text(NET)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    save(tmp_path / "new" / "b.png", 30)
    save(tmp_path / "new" / "sub" / "a.JPG", 230)
    save(tmp_path / "new" / ".hidden.png", 30)
    save(tmp_path / "new" / "__MACOSX" / "._b.png", 30)
    (tmp_path / "new" / "notes.txt").write_text("no image")
    return tmp_path


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli, ["predict", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_a_folder_with_everything_below_it(project: Path) -> None:
    train("recipe.yaml", "run")
    said: list[str] = []
    rows = list(predict("run", ["new"], say=said.append))
    assert [(row["input"], row["class"]) for row in rows] == [("new/b.png", "dark"), ("new/sub/a.JPG", "light")]
    assert said == ["left out 1 file, the first: new/notes.txt: not an image by its name"]
    single = list(predict("run", ["new/sub/a.JPG"]))
    assert single == rows[1:]


def test_more_images_than_are_in_memory_together(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from graphc.train import predict as module

    train("recipe.yaml", "run")
    whole = list(predict("run", ["d", "new"]))
    monkeypatch.setattr(module, "AT_ONCE", 4)
    assert list(predict("run", ["d", "new"])) == whole
    assert len(whole) == 18


def test_a_table(project: Path) -> None:
    train("recipe.yaml", "run")
    assert run("run", "new", "-o", "out.csv")[0] == 0
    with open("out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["input"], row["class"]) for row in rows] == [("new/b.png", "dark"), ("new/sub/a.JPG", "light")]
    assert float(rows[0]["probability"]) == pytest.approx(next(predict("run", ["new"]))["probability"])
    _, _, said = run("run", "new", "-o", "two.csv", "--top", "2")
    assert "wrote two.csv: 2 predictions" in said
    with open("two.csv", newline="") as file:
        (first, _) = csv.DictReader(file)
    assert list(first) == ["input", "class_1", "probability_1", "class_2", "probability_2"]
    assert float(first["probability_1"]) + float(first["probability_2"]) == pytest.approx(1)


def test_json_and_json_lines(project: Path) -> None:
    train("recipe.yaml", "run")
    expected = list(predict("run", ["new"]))
    run("run", "new", "-o", "out.json")
    run("run", "new", "-o", "out.jsonl")
    assert json.loads(Path("out.json").read_text()) == expected
    assert [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()] == expected
    assert [json.loads(line) for line in run("run", "new")[1].splitlines()] == expected


@pytest.mark.parametrize("in_recipe", [False, True])
def test_bad_files(project: Path, in_recipe: bool) -> None:
    """An error, or skipped and counted: as the command line says, else as the recipe does."""
    if in_recipe:
        Path("recipe.yaml").write_text(RECIPE.replace("size: [12, 12]", "size: [12, 12], bad_files: skip"))
    train("recipe.yaml", "run")
    (project / "new" / "a.png").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match=r"new/a\.png: error\[G406\]") as caught:
        run("run", "new", "--bad-files", "error", "-o", "out.csv")
    assert caught.value.exit_code == 2
    assert not Path("out.csv").exists()
    how = () if in_recipe else ("--bad-files", "skip")
    code, out, said = run("run", "new", *how)
    assert (code, len(out.splitlines())) == (0, 2)
    assert "left out 2 files, the first: new/notes.txt" in said
    with pytest.raises(DataError, match="nothing is left to predict"):
        run("run", "new/a.png", "--bad-files", "skip")


def test_the_recipes_limit_of_pixels(project: Path) -> None:
    """Also where it is larger than the default of 25 million."""
    save(project / "big.png", 230, (5001, 5001))
    for limit, fits in ((100_000_000, True), (1_000, False)):
        Path("recipe.yaml").write_text(RECIPE.replace("size: [12, 12]", f"size: [12, 12], max_pixels: {limit}"))
        train("recipe.yaml", f"run{limit}")
        if fits:
            (row,) = predict(f"run{limit}", ["big.png"])
            assert row["class"] == "light"
        else:
            with pytest.raises(DataError, match="25,010,001 pixels, the limit is 1,000"):
                list(predict(f"run{limit}", ["big.png"]))


PIXELS = """\
graphc: 1
name: c
inputs: {image: [N, 8, 8, 1]}
layers:
  - conv2d: {name: logits, filters: 3, kernel: 1}
outputs: {logits: logits}
"""
PIXEL_RECIPE = """\
recipe: 1
model: net.yaml
data:
  train: {npz: {path: d.npz, targets: {mask: y}}}
heads: [{output: logits, loss: softmax_cross_entropy, target: mask}]
optimizer: adam
learning_rate: 0.3
batch: 8
epochs: 12
"""


def bands(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of three gray levels, and which level each pixel has."""
    classes = np.random.default_rng(seed).integers(0, 3, (count, 8, 8))
    return (classes * 100 + 20).astype(np.uint8)[..., None], classes


@pytest.fixture
def pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    images, masks = bands(64, 0)
    np.savez("d.npz", x=images, y=masks)
    Path("net.yaml").write_text(PIXELS)
    Path("recipe.yaml").write_text(PIXEL_RECIPE)
    return tmp_path


def test_masks(pixels: Path) -> None:
    train("recipe.yaml", "run")
    images, masks = bands(3, 1)
    for name, image in zip(("a/0.png", "a/b/1.png", "2.png"), images, strict=True):
        path = pixels / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(path)
    _, _, said = run("run", "photos", "-o", "out")
    assert "wrote out: 3 masks of 8×8 pixels, a class a pixel" in said
    for name, mask in zip(("a/0.png", "a/b/1.png", "2.png"), masks, strict=True):
        with Image.open(Path("out") / name) as written:
            assert written.mode == "P"
            np.testing.assert_array_equal(np.asarray(written), mask)
    np.savez("new.npz", x=images)
    predict_folder("run", ["new.npz"], "rows")
    with Image.open("rows/new[2].png") as written:
        np.testing.assert_array_equal(np.asarray(written), masks[2])
    with pytest.raises(SpecError, match="a CSV has no room for maps"):
        run("run", "photos", "-o", "out.csv")


def test_two_masks_of_one_name(pixels: Path) -> None:
    train("recipe.yaml", "run", ("epochs=1",))
    image = Image.fromarray(bands(1, 1)[0][0, ..., 0])
    (pixels / "photos").mkdir()
    image.save("photos/a.png")
    image.save("photos/a.bmp")
    with pytest.raises(SpecError, match=r"expected another name for each mask, found out/a\.png for photos/a\.bmp and"):
        run("run", "photos", "-o", "out")
    assert not Path("out").exists()


def test_one_output_a_pixel(pixels: Path) -> None:
    """Whether the class is more likely than not."""
    images, masks = bands(64, 0)
    np.savez("d.npz", x=images, y=(masks > 1)[..., None].astype(np.float32))
    Path("net.yaml").write_text(PIXELS.replace("filters: 3", "filters: 1"))
    Path("recipe.yaml").write_text(PIXEL_RECIPE.replace("softmax", "sigmoid"))
    train("recipe.yaml", "run", ("epochs=60",))
    images, masks = bands(3, 1)
    np.savez("new.npz", x=images)
    predict_folder("run", ["new.npz"], "out")
    with Image.open("out/new[1].png") as written:
        np.testing.assert_array_equal(np.asarray(written), masks[1] > 1)


def test_what_has_no_masks_and_endings_that_nobody_knows(project: Path) -> None:
    train("recipe.yaml", "run", ("epochs=1",))
    with pytest.raises(
        SpecError, match="masks expect up to 256 classes a pixel, logits with softmax_cross_entropy gives 2"
    ):
        run("run", "new", "-o", "out")
    with pytest.raises(SpecError, match=r"expected -o with an ending of \.csv, \.json, \.jsonl, or a folder for masks"):
        run("run", "new", "-o", "out.txt")
    (project / "empty").mkdir()
    for given, words in (
        ("empty", "expected images in the folder, found none"),
        ("x.doc", "expected images, .npz files"),
    ):
        with pytest.raises(GraphcError, match=words):
            run("run", given)


def test_an_image_for_a_network_of_vectors(project: Path) -> None:
    (project / "flat.yaml").write_text(
        "graphc: 1\nname: flat\ninputs: {x: [N, 6]}\nlayers: [{fully_connected: {name: logits, units: 2}}]\n"
        "outputs: {logits: logits}\n"
    )
    np.savez("flat.npz", x=np.ones((8, 6), np.float32), y=np.arange(8) % 2)
    (project / "flat_recipe.yaml").write_text(
        "recipe: 1\nmodel: flat.yaml\nloss: softmax_cross_entropy\noptimizer: adam\nlearning_rate: 0.01\nepochs: 1\n"
        "data: {train: {npz: {path: flat.npz}}}\n"
    )
    train("flat_recipe.yaml", "run", ())
    Image.new("RGB", (8, 8)).save("photo.png")
    with pytest.raises(DataError, match=r"photo\.png: error\[G422\]: the network reads 6, not an image; give an \.npz"):
        run("run", "photo.png")
