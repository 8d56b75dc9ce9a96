"""How images get their size: as Pillow, torchvision and YOLO do it, the same in training, evaluation and serving."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from PIL import Image

from graphc.cli import cli
from graphc.data.augment.base import augment, generator
from graphc.data.augment.geometry import FlipHorizontal, RandomResizedCrop
from graphc.data.images import Decoding, read_image
from graphc.data.resizing import CenterCrop, Letterbox, Stretch
from graphc.data.sample import Sample, resize, sample_of
from graphc.errors import DataError, GraphcError, SpecError
from graphc.train.batching import make_batches
from graphc.train.commands import evaluate_run, train
from graphc.train.datasets import read_sets
from graphc.train.recipe import read_recipe
from graphc.train.task import task_of

SIZES = [(90, 140), (140, 90), (64, 64), (31, 200), (33, 47)]


def _photo(height, width, seed=0):
    rng = np.random.default_rng([seed, height, width])
    small = rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def _by_pillow(image, height, width):
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize(("side", "size"), [(48, (40, 40)), (40, (40, 40)), (47, (40, 32)), (None, (40, 40))])
def test_center_crop_is_torchvisions_resize_and_center_crop(shape, side, size):
    """`transforms.Resize(side)` and `transforms.CenterCrop(size)`, written out."""
    image, short = _photo(*shape), side or max(size)
    height, width = shape
    scaled = (short, int(short * width / height)) if height <= width else (int(short * height / width), short)
    top, left = (round((have - want) / 2.0) for have, want in zip(scaled, size, strict=True))
    expected = _by_pillow(image, *scaled)[top : top + size[0], left : left + size[1]]
    found = CenterCrop(shorter_side=side).apply(Sample(image), size)
    np.testing.assert_array_equal(found.image, expected)


@pytest.mark.parametrize("shape", SIZES)
def test_a_middle_that_is_no_square_covers_its_size(shape):
    found = CenterCrop().apply(Sample(_photo(*shape)), (20, 50))
    assert found.size == (20, 50)
    height, width = shape
    factor = max(20 / height, 50 / width)
    kept = 20 / (height * factor), 50 / (width * factor)
    assert max(kept) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("size", [(48, 48), (30, 64)])
def test_letterbox_is_yolos(shape, size):
    """ultralytics' `LetterBox`: ratio, rounded size, the larger half of an odd edge behind."""
    image = _photo(*shape)
    ratio = min(size[0] / shape[0], size[1] / shape[1])
    inner = round(shape[0] * ratio), round(shape[1] * ratio)
    expected = np.full((*size, 3), 114, np.uint8)
    top, left = (round((want - have) / 2 - 0.1) for have, want in zip(inner, size, strict=True))
    expected[top : top + inner[0], left : left + inner[1]] = _by_pillow(image, *inner)
    found = Letterbox(fill=114 / 255).apply(Sample(image), size)
    np.testing.assert_array_equal(found.image, expected)


@pytest.mark.parametrize("how", [Stretch(), CenterCrop(), CenterCrop(shorter_side=40), Letterbox()], ids=repr)
@pytest.mark.parametrize("shape", [(60, 96), (96, 60), (64, 64)])
def test_annotations_go_where_the_image_goes(how, shape):
    image = np.zeros((*shape, 3), np.uint8)
    top, left = shape[0] // 2 - 8, shape[1] // 2 - 4
    image[top : top + 16, left : left + 12] = 255
    mask = (image[..., 0] > 0).astype(int)
    box, point = [left, top, left + 12, top + 16], [left + 6, top + 8]
    found = how.apply(
        sample_of(image, {"mask": mask, "boxes": np.array([box]), "points": np.array([point])}, mask_fill=9), (32, 32)
    )
    bright = found.image[..., 0].astype(float)
    rows, columns = np.mgrid[:32, :32] + 0.5
    middle = [(bright * columns).sum() / bright.sum(), (bright * rows).sum() / bright.sum()]
    np.testing.assert_allclose(found.points[0], middle, atol=0.3)
    np.testing.assert_allclose((found.boxes[0, :2] + found.boxes[0, 2:]) / 2, middle, atol=0.3)
    area = (found.boxes[0, 2:] - found.boxes[0, :2]).prod()
    assert area == pytest.approx(bright.sum() / 255, rel=0.05)
    assert (found.mask[bright == 255] == 1).all()
    edges = how.kind == "letterbox" and shape[0] != shape[1]
    assert set(np.unique(found.mask)) == ({0, 1, 9} if edges else {0, 1})


def test_what_augmentation_has_cut_is_not_cut_again():
    sample = Sample(_photo(50, 70))
    cut = augment(sample, [RandomResizedCrop()], generator(0, 0, 0), (32, 32), 0, CenterCrop(shorter_side=64), True)
    np.testing.assert_array_equal(cut.image, RandomResizedCrop().apply(sample, generator(0, 0, 0), (32, 32)).image)
    square, how = Sample(_photo(32, 32)), CenterCrop(shorter_side=40)
    whole = augment(square, [FlipHorizontal(probability=1)], generator(0, 0, 0), (32, 32), 0, how, from_file=True)
    np.testing.assert_array_equal(whole.image, how.apply(Sample(square.image[:, ::-1]), (32, 32)).image)
    array = augment(square, [], generator(0, 0, 0), (32, 32), 0, how)
    np.testing.assert_array_equal(array.image, square.image)


def test_an_image_that_is_a_line_does_not_grow_without_bound(tmp_path):
    Image.fromarray(np.zeros((1, 60_000, 3), np.uint8)).save(tmp_path / "line.png")
    message = r"line.png: error\[G406\]: expected a size of at most 100,000,000 numbers, found 9,031,680,000"
    with pytest.raises(DataError, match=message):
        read_image(tmp_path / "line.png", Decoding(3, (224, 224), resizing=CenterCrop()))
    with pytest.raises(DataError, match="expected a size of at most"):
        resize(Sample(np.zeros((1, 60_000, 3), np.uint8)), 224, 224 * 60_000)
    assert read_image(tmp_path / "line.png", Decoding(3, (224, 224), resizing=Letterbox(fill=1))).min() == 0


SPEC = """\
graphc: 1
name: tiny
inputs: {image: [N, 12, 16, 3]}
layers:
  - conv2d: {name: conv, filters: 4, kernel: 3, padding: same, activation: relu}
  - flatten
  - fully_connected: {name: logits, units: 2}
outputs: {logits: logits}
"""
RECIPE = """\
recipe: 1
model: tiny.yaml
data:
  train: {image_folder: {path: photos, size: [12, 16]}}
  test: {image_folder: {path: photos, size: [12, 16]}}
  resize: stretch
loss: softmax_cross_entropy
optimizer: adam
learning_rate: 0.01
batch: 4
epochs: 1
metrics: [accuracy]
"""
WAYS = ["stretch", "center_crop", "{center_crop: {shorter_side: 20}}", "{letterbox: {fill: 0.5}}"]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Photos of many shapes in two classes."""
    for number, shape in enumerate(SIZES):
        for name in "ab":
            (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(_photo(*shape, ord(name))).save(tmp_path / "photos" / name / f"{number}.png")
    (tmp_path / "tiny.yaml").write_text(SPEC)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _graphc(*arguments):
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("way", WAYS)
def test_training_evaluation_prediction_and_run_see_the_same_image(photos, way):
    """The loss of `eval` is the one that the probabilities of `predict` and `run` say."""
    train("recipe.yaml", "r", [f"data.resize={way}"])
    files = sorted(str(path) for path in (photos / "photos").rglob("*.png"))
    said = [json.loads(line) for line in _graphc("predict", "r", *files, "--top", "2").splitlines()]
    _graphc("compile", "tiny.yaml", "--with-preprocess", "r", "-o", "raw.onnx")
    for model in ("r/best.onnx", "raw.onnx"):
        run = [json.loads(line) for line in _graphc("run", model, *files, "--top", "2").splitlines()]
        for one, other in zip(said, run, strict=True):
            assert one["class"] == other["class"]
            assert one["probability"] == pytest.approx(other["probability"], abs=1e-5)
    true = [{each["class"]: each["probability"] for each in row["top"]}[row["input"].split("/")[-2]] for row in said]
    assert evaluate_run("r")["loss"] == pytest.approx(-np.log(true).mean(), rel=1e-4)


def test_another_recipes_data_are_read_as_the_run_was_trained(photos):
    train("recipe.yaml", "r", ["data.resize={letterbox: {fill: 0.5}}"])
    (photos / "other.yaml").write_text(RECIPE.replace("stretch", "center_crop"))
    assert evaluate_run("r", "other.yaml")["loss"] == evaluate_run("r")["loss"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("keep", ["memory", "files"])
def test_batches_hold_what_was_asked_for(photos, way, keep):
    recipe = read_recipe("recipe.yaml", [f"data.resize={way}", f"data.train.image_folder.keep={keep}", "batch=10"])
    task = task_of(recipe, photos)
    examples = read_sets(task, photos).train
    batch = make_batches(task, examples).make(np.arange(10))
    for row, (name, number) in enumerate((name, number) for name in "ab" for number in range(5)):
        expected = recipe.data.resize.apply(Sample(_photo(*SIZES[number], ord(name))), (12, 16)).image
        np.testing.assert_allclose(batch.inputs["image"][row], expected / 255, atol=1e-6)
    np.testing.assert_array_equal(examples.inputs["image"][np.arange(2)][1], np.rint(batch.inputs["image"][1] * 255))


def test_a_shorter_side_that_cannot_be_cut_is_an_error_of_the_recipe(photos):
    message = "center_crop expects a shorter side of 16 or more, found 12×16 from a shorter side of 12"
    with pytest.raises(SpecError, match=message):
        read_recipe("recipe.yaml", ["data.resize={center_crop: {shorter_side: 12}}"])
    with pytest.raises(SpecError, match="expected one of stretch, center_crop, letterbox, found 'crop'"):
        read_recipe("recipe.yaml", ["data.resize=crop"])


def test_a_signature_that_does_not_fit_is_an_error(photos):
    train("recipe.yaml", "r", ["data.resize={center_crop: {shorter_side: 20}}"])
    model = onnx.load("r/best.onnx")
    for each in model.metadata_props:
        each.value = each.value.replace('"shorter_side":20', '"shorter_side":3')
    onnx.save(model, "other.onnx")
    with pytest.raises(GraphcError, match="shorter side of 16 or more"):
        _graphc("run", "other.onnx", "photos/a/0.png")
