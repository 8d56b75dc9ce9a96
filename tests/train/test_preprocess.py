"""Preprocessing: fitted once, kept with the run, and the same inside the ONNX file."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from PIL import Image

from graphc.cli import cli
from graphc.data.preprocess import Preprocess
from graphc.data.resizing import Letterbox as AsLetterbox
from graphc.data.sample import Sample
from graphc.data.steps import STEPS
from graphc.data.steps.sizes import Letterbox, Resize, resizing
from graphc.data.steps.values import Whiten
from graphc.errors import DataError
from graphc.runtime import Session
from graphc.train.batching import make_batches
from graphc.train.commands import evaluate_run, predict, train
from graphc.train.datasets import read_sets
from graphc.train.recipe import read_recipe
from graphc.train.task import task_of

SPEC = """\
graphc: 1
name: small
inputs: {{image: [N, 8, 8, {channels}]}}
layers:
  - conv2d: {{name: conv1, filters: 4, kernel: 3, padding: {padding}, activation: relu{more}}}
  - conv2d: {{name: conv2, filters: 4, kernel: 3, activation: relu}}
  - flatten
  - fully_connected: {{name: logits, units: 3}}
outputs: {{logits: logits}}
"""

RECIPE = """\
recipe: 1
model: small.yaml
data:
  train: {npz: {path: train.npz}}
loss: softmax_cross_entropy
optimizer: adam
learning_rate: 0.01
batch: 16
epochs: 1
metrics: [accuracy]
"""


def _run(folder, preprocess, padding="valid", size=(8, 8), channels=3, more=""):
    """A trained run on random colored images, their channels correlated."""
    rng = np.random.default_rng(0)
    base = rng.integers(40, 200, (64, *size, 1))
    images = np.clip(base + rng.integers(-40, 40, (64, *size, 3)), 0, 255).astype(np.uint8)
    np.savez(folder / "train.npz", x=images, y=rng.integers(0, 3, 64))
    (folder / "small.yaml").write_text(SPEC.format(padding=padding, channels=channels, more=more))
    (folder / "recipe.yaml").write_text(RECIPE)
    train(folder / "recipe.yaml", folder / "run", [f"data.preprocess={json.dumps(preprocess)}"])
    return images


def _compile(folder, *options):
    model = folder / "raw.onnx"
    arguments = ["compile", str(folder / "small.yaml"), "-o", str(model), "--with-preprocess", str(folder / "run")]
    cli.main([*arguments, *options], standalone_mode=False)
    return model


def _compare(folder, images, model):
    """`graphc predict` on images in files against the ONNX file on their bytes."""
    paths = []
    for number, image in enumerate(images[:6]):
        paths.append(str(folder / f"{number}.png"))
        Image.fromarray(image).save(paths[-1])
    expected = [found["top"] for found in predict(folder / "run", paths, top=3)]
    logits = Session(str(model)).run({"image": images[:6]})["logits"]
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
    probabilities = exponents / exponents.sum(axis=1, keepdims=True)
    for row, top in zip(probabilities, expected, strict=True):
        found = {each["class"]: each["probability"] for each in top}
        np.testing.assert_allclose([found[str(i)] for i in range(3)], row, atol=1e-5)


STEP_LISTS = {
    "short": ({"mean": "fit", "std": "fit"}, {}),
    "numbers": ({"mean": [0.4], "std": [0.2]}, {}),
    "rescale": ({"steps": [{"rescale": {"target": [-1, 1]}}]}, {}),
    "channels": ({"steps": ["rescale", {"center": {"per": "channel"}}]}, {}),
    "pixels": ({"steps": ["rescale", {"standardize": {"per": "pixel"}}]}, {}),
    "images": ({"steps": ["rescale", {"standardize": {"per": "image"}}]}, {}),
    "means": ({"steps": ["rescale", {"center": {"per": "image"}}]}, {}),
    "extremes": ({"steps": [{"min_max_scale": {"per": "pixel"}}]}, {}),
    "decorrelated": ({"steps": ["rescale", {"whiten": {"method": "pca"}}]}, {}),
    "zca": ({"steps": ["rescale", {"whiten": {"over": "pixels", "epsilon": 0.01}}]}, {}),
    "resized": ({"steps": [{"resize": {"size": [8, 8]}}, "standardize"]}, {"size": (13, 6)}),
    "cropped": ({"steps": [{"center_crop": {"size": [8, 8]}}, "rescale"]}, {"size": (9, 12)}),
    "shorter": ({"steps": [{"resize": {"shorter_side": 9}}, {"center_crop": {"size": [8, 8]}}]}, {"size": (14, 10)}),
    "letterboxed": ({"steps": [{"letterbox": {"size": [8, 8], "fill": 114}}, "rescale"]}, {"size": (13, 6)}),
    "edges": ({"steps": ["rescale", {"letterbox": {"size": [8, 8]}}]}, {"size": (5, 11)}),
    "gray": ({"steps": [{"channels": {"to": "gray"}}, "rescale"]}, {"channels": 1}),
    "bgr": ({"steps": [{"channels": {"to": "bgr"}}, "standardize"]}, {}),
}  # fmt: skip


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("name", STEP_LISTS)
def test_the_compiled_model_takes_raw_images(tmp_path, name, padding):
    preprocess, how = STEP_LISTS[name]
    images = _run(tmp_path, preprocess, padding, **how)
    model = _compile(tmp_path)
    assert Session(str(model)).inputs[0].dtype == "uint8"
    _compare(tmp_path, images, model)


def test_all_steps_are_tried_here():
    tried = {next(iter(step)) if isinstance(step, dict) else step
             for preprocess, _ in STEP_LISTS.values() for step in preprocess.get("steps", ())}  # fmt: skip
    assert tried == {step.kind for step in STEPS}


def _front(model):
    """Operators before the first convolution."""
    kinds = [node.op_type for node in onnx.load(model).graph.node]
    return kinds[: kinds.index("Conv")]


@pytest.mark.parametrize(
    ("padding", "preprocess", "expected"),
    [
        ("valid", {"mean": "fit", "std": "fit"}, ["Cast", "Transpose"]),
        ("same", {"std": [0.2]}, ["Cast", "Transpose"]),
        ("same", {"mean": "fit", "std": "fit"}, ["Cast", "Add", "Transpose"]),
        ("valid", {"steps": ["standardize", {"center": {"per": "image"}}]},
         ["Cast", "Mul", "Add", "ReduceMean", "Sub", "Transpose"]),
    ],
)  # fmt: skip
def test_a_factor_and_an_offset_cost_nothing_where_that_is_exact(tmp_path, padding, preprocess, expected):
    _run(tmp_path, preprocess, padding)
    assert _front(_compile(tmp_path)) == expected


def test_folding_works_beside_batch_norm_and_later_opsets(tmp_path):
    images = _run(tmp_path, {"steps": ["standardize"]}, more=", normalizer: {batch_norm: {decay: 0.5}}")
    _compare(tmp_path, images, _compile(tmp_path, "--opset", "20", "--ir-version", "9"))
    _compare(tmp_path, images, _compile(tmp_path, "--no-fold"))


def test_raw_values_in_floats(tmp_path):
    images = _run(tmp_path, {"mean": "fit"})
    model = Session(str(_compile(tmp_path, "--raw", "float32")))
    assert model.run({"image": images[:2].astype(np.float32)})["logits"].shape == (2, 3)


def test_raw_floats_are_those_that_were_trained_on(tmp_path):
    """Of a run on numbers between 0 and 1 nothing is divided by 255."""
    images = _run(tmp_path, {"mean": "fit"})
    shares = (images / np.float32(255)).astype(np.float32)
    np.savez(tmp_path / "train.npz", x=shares, y=np.zeros(len(shares), int))
    train(tmp_path / "recipe.yaml", tmp_path / "floats", ["data.preprocess={mean: fit}"])
    arguments = ["compile", str(tmp_path / "small.yaml"), "-o", str(tmp_path / "raw.onnx"), "--raw", "float32"]
    cli.main([*arguments, "--with-preprocess", str(tmp_path / "floats")], standalone_mode=False)
    logits = Session(str(tmp_path / "raw.onnx")).run({"image": shares[:6]})["logits"]
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    found = [row["probability"] for row in predict(tmp_path / "floats", [str(tmp_path / "train.npz")])][:6]
    np.testing.assert_allclose(found, (exponents / exponents.sum(axis=1, keepdims=True)).max(axis=1), atol=1e-5)


@pytest.mark.parametrize("value", [0, 3, 100, 255])
def test_a_constant_channel_is_only_centered(value):
    images = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3), dtype=np.uint8)
    images[..., 1] = value
    settings = Preprocess(mean="fit", std="fit").fitted(images)
    out = np.empty(images.shape, np.float32)
    settings.apply(images, out)
    assert np.abs(out[..., 1]).max() < 1e-6
    assert out[..., 0].std() == pytest.approx(1, abs=1e-3)


def test_a_run_keeps_what_was_fitted(tmp_path):
    _run(tmp_path, {"steps": ["rescale", {"whiten": {"over": "pixels"}}]})
    before = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    other = np.load(tmp_path / "train.npz")
    np.savez(tmp_path / "other.npz", x=255 - other["x"], y=other["y"])
    (tmp_path / "test.yaml").write_text(RECIPE.replace("train:", "test: {npz: {path: other.npz}}\n  train:"))
    assert evaluate_run(tmp_path / "run", tmp_path / "test.yaml")["loss"] != pytest.approx(before["loss"])
    assert (tmp_path / "run" / "preprocess.safetensors").stat().st_size > 4 * 192**2


def _whitened(**settings):
    rng = np.random.default_rng(0)
    a = rng.normal(0, 20, (500, 4, 4, 1))
    images = np.concatenate([100 + a, 50 + 0.9 * a + rng.normal(0, 4, a.shape), rng.normal(0, 9, a.shape)], axis=-1)
    preprocess = Preprocess(steps=(Whiten(epsilon=1e-9, **settings),)).fitted(images.astype(np.float32))
    out = np.empty(images.shape)
    preprocess.apply(images, out)
    return images, out, preprocess


@pytest.mark.parametrize("method", ["pca", "zca"])
@pytest.mark.parametrize("over", ["channels", "pixels"])
def test_whitened_values_have_no_correlation(method, over):
    _, out, _ = _whitened(method=method, over=over)
    values = out.reshape(-1, 3 if over == "channels" else 48)
    np.testing.assert_allclose(np.cov(values.T, bias=True), np.eye(values.shape[1]), atol=2e-3)
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-3)


def test_correlated_signals_become_sum_and_difference():
    """For A and B of equal variance the principal axes are (A + B) and (A - B)."""
    rng = np.random.default_rng(1)
    common, own = rng.normal(0, 2, (4000, 1, 1, 1)), rng.normal(0, 0.5, (4000, 1, 1, 2))
    images = (common + own).astype(np.float32)
    fitted = Preprocess(steps=(Whiten(method="pca"),)).fitted(images)
    axes = fitted.arrays["0/matrix"]
    axes = axes / np.linalg.norm(axes, axis=0)
    np.testing.assert_allclose(np.abs(axes), np.sqrt(0.5), atol=0.02)
    assert axes[0, 0] * axes[1, 0] > 0 > axes[0, 1] * axes[1, 1]


def test_zca_stays_near_the_image():
    images, zca, _ = _whitened(method="zca")
    _, pca, _ = _whitened(method="pca")
    likeness = [np.corrcoef(images[..., 0].ravel(), found[..., 0].ravel())[0, 1] for found in (zca, pca)]
    assert likeness[0] > 0.5


@pytest.mark.parametrize("size", [(4, 4), (7, 3), (12, 30)])
def test_resizing_is_pillows(size):
    image = np.random.default_rng(0).random((1, 12, 10, 1)).astype(np.float32)
    theirs = Image.fromarray(image[0, :, :, 0]).resize(size[::-1], Image.Resampling.BILINEAR)
    np.testing.assert_allclose(Resize(size=size).apply(image, {})[0, :, :, 0], theirs, atol=1e-5)
    np.testing.assert_allclose(resizing(12, size[0]).sum(axis=1), 1)


@pytest.mark.parametrize("raw", [(13, 6), (5, 11), (8, 8)])
def test_edges_are_where_an_image_in_a_file_has_them(raw):
    """The step does to arrays what `data.resize` does to files; this is to be seen but for rounding."""
    image = np.random.default_rng(0).integers(0, 256, (*raw, 3), dtype=np.uint8)
    for step, same in ((Letterbox(size=(8, 8), fill=51), AsLetterbox(fill=0.2)), (Resize(shorter_side=9), None)):
        found = step.apply(image[None].astype(np.float32), {})[0]
        expected = image if same is None else same.apply(Sample(image), (8, 8)).image
        if same is None:
            size = (9, 9 * raw[1] // raw[0]) if raw[0] <= raw[1] else (9 * raw[0] // raw[1], 9)
            expected = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
        np.testing.assert_allclose(found, expected, atol=1.01)


MOVES = {
    "resize": [{"resize": {"size": [16, 16]}}],
    "cropped": [{"center_crop": {"size": [16, 16]}}],
    "shorter": [{"resize": {"shorter_side": 18}}, "rescale", {"center_crop": {"size": [16, 16]}}],
    "letterbox": ["rescale", {"letterbox": {"size": [16, 16], "fill": 0.5}}],
}
PIXELS = """\
graphc: 1
name: pixels
inputs: {image: [N, 16, 16, 1]}
layers: [{conv2d: {name: logits, filters: 3, kernel: 1}}, {global_avg_pool2d: {name: pool}},
         {fully_connected: {name: box, units: 4}}, {fully_connected: {name: point, units: 2, inputs: pool}}]
outputs: {logits: logits, box: box, point: point}
"""


@pytest.mark.parametrize("coordinates", ["pixels", "relative"])
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("name", MOVES)
def test_annotations_are_where_the_steps_put_things(tmp_path, name, workers, coordinates):
    """A marked rectangle in arrays of 24×36: network, loss and metrics see masks, boxes and points beside it."""
    x = np.zeros((4, 24, 36, 1), np.uint8)
    for row in range(4):
        x[row, 6 + row : 15 + row, 12 : 21 + row] = 255
    box = np.array([[12, 6 + row, 21 + row, 15 + row] for row in range(4)])
    point = (box[:, :2] + box[:, 2:]) / 2
    np.savez(tmp_path / "train.npz", x=x, mask=(x[..., 0] > 0).astype(int), boxes=box, points=point)
    (tmp_path / "small.yaml").write_text(PIXELS)
    heads = [
        {"output": "logits", "target": "mask", "loss": {"softmax_cross_entropy": {"ignore": 2}}},
        {"output": "box", "target": "boxes", "loss": "mean_squared"},
        {"output": "point", "target": "points", "loss": "mean_squared"},
    ]
    source = {"npz": {"path": "train.npz", "targets": {each: each for each in ("mask", "boxes", "points")}}}
    data = {"train": source, "preprocess": {"steps": MOVES[name]}, "coordinates": coordinates, "workers": workers}
    text = {"recipe": 1, "model": "small.yaml", "data": data, "heads": heads, "optimizer": "sgd"}
    (tmp_path / "r.json").write_text(json.dumps({**text, "learning_rate": 0, "epochs": 1, "batch": 4}))
    train(tmp_path / "r.json", tmp_path / "run")
    recipe = read_recipe(tmp_path / "r.json")
    task = task_of(recipe, tmp_path)
    batches = make_batches(task, read_sets(task, tmp_path).train)
    with batches.ahead(iter([np.arange(4)])) as made:
        batch = next(iter(made))
    batches.close()
    bright, mask = batch.inputs["image"][..., 0], batch.targets["mask"]
    bright = bright / bright.max()
    assert (mask[bright == 1] == 1).all()
    assert set(np.unique(mask)) == ({0, 1, 2} if name == "letterbox" else {0, 1})
    bright = np.where(mask == 2, 0, bright)
    units = 16 if coordinates == "relative" else 1
    rows, columns = np.mgrid[:16, :16] + 0.5
    for row in range(4):
        total = bright[row].sum()
        middle = [(bright[row] * columns).sum() / total, (bright[row] * rows).sum() / total]
        np.testing.assert_allclose(batch.targets["points"][row] * units, middle, atol=0.2)
        left, top, right, bottom = batch.targets["boxes"][row] * units
        np.testing.assert_allclose([(left + right) / 2, (top + bottom) / 2], middle, atol=0.2)
        assert (right - left) * (bottom - top) == pytest.approx(total, rel=0.03)


def test_a_resize_step_takes_one_of_two():
    for keys in ({}, {"size": (2, 2), "shorter_side": 3}):
        with pytest.raises(ValueError, match="expected either `size` or `shorter_side`"):
            Resize(**keys)


def test_steps_or_numbers_but_not_both():
    with pytest.raises(ValueError, match="expected either `steps`"):
        Preprocess(steps=(Resize(size=(2, 2)),), mean=(0.0,))


def test_whitening_all_of_large_images_is_refused():
    with pytest.raises(DataError, match="expects small images, found 30,000 values"):
        Preprocess(steps=(Whiten(over="pixels"),)).fitted(np.zeros((2, 100, 100, 3), np.uint8))
