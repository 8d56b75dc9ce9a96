"""Images of any type in training, evaluation, prediction and ONNX files: the same network, the same answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from graphc.cli import cli
from graphc.errors import DataError, GraphcError
from graphc.runtime import Session
from graphc.train.commands import evaluate_run, predict, train
from tests.sampled import sampled

SPEC = """\
graphc: 1
name: tiny
inputs: {image: [N, 8, 8, 3]}
layers:
  - conv2d: {name: conv, filters: 4, kernel: 3, activation: relu}
  - flatten
  - fully_connected: {name: logits, units: 3}
outputs: {logits: logits}
"""
RECIPE = """\
recipe: 1
model: tiny.yaml
data:
  train: {npz: {path: train.npz}}
loss: softmax_cross_entropy
optimizer: adam
learning_rate: 0.01
batch: 8
epochs: 2
"""
BYTES = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 3), np.uint8)
LABELS = np.arange(24) % 3
KINDS = {
    "uint16": (BYTES.astype(np.uint16) * 257, None),
    "int16": ((BYTES.astype(np.int32) * 257 - 32768).astype(np.int16), None),
    "float32": (BYTES / np.float32(255), None),
    "float64": (BYTES / 255, None),
    "float 255": (BYTES.astype(np.float32), (0, 255)),
    "about 0": (BYTES / np.float32(127.5) - 1, (-1, 1)),
    "int64": (BYTES.astype(np.int64), (0, 255)),
    "12 bits": (np.rint(BYTES * (4095 / 255)).astype(np.uint16), (0, 4095)),
}
"""Name -> (the same images in another type, the range where it has to be said)."""
STEPS = "{steps: [rescale, {standardize: {per: pixel}}]}"


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(SPEC)
    Path("recipe.yaml").write_text(RECIPE)
    return tmp_path


def _source(images, said, name="train.npz"):
    np.savez(name, x=images, y=LABELS)
    more = "" if said is None else f", value_range: [{said[0]}, {said[1]}]"
    return f"{{npz: {{path: {name}{more}}}}}"


def _train(images, said, run, *settings):
    return train("recipe.yaml", run, [f"data.train={_source(images, said)}", *settings])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("preprocess", [STEPS, "{mean: fit, std: fit}"])
def test_every_type_trains_the_same_network(project, kind, preprocess):
    """Behind `rescale` or a fitted mean and deviation the images are the same ones, so everything is."""
    settings = [f"data.preprocess={preprocess}", "data.augment=[{brightness: {amount: 0.5}}, {pad_crop: {fill: 0.5}}]"]
    expected = _train(BYTES, None, "bytes", *settings)
    found = _train(*KINDS[kind], "other", *settings)
    assert found["loss"] == pytest.approx(expected["loss"], rel=0.01)
    photo = np.random.default_rng(1).integers(0, 256, (20, 16, 3), np.uint8)
    Image.fromarray(photo).save("photo.png")
    ours, theirs = ([each["probability"] for each in next(predict(run, ["photo.png"], top=3))["top"]]
                    for run in ("other", "bytes"))  # fmt: skip
    np.testing.assert_allclose(ours, theirs, atol=0.02)


@pytest.mark.parametrize("kind", sampled(["uint8", *KINDS], ["uint8", "uint16", "float32", "about 0", "12 bits"]))
@pytest.mark.parametrize("preprocess", ["{}", STEPS, "{mean: fit}"])
def test_run_says_what_predict_says(project, kind, preprocess):
    """On a photo of 8 bits, and on arrays of the training set's type and of bytes; for the run's own file and for
    those that preprocess themselves."""
    images, said = KINDS.get(kind, (BYTES, None))
    _train(images, said, "r", f"data.preprocess={preprocess}", "epochs=1")
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (20, 16, 3), np.uint8)).save("photo.png")
    np.savez("x.npz", x=images[:3])
    np.savez("b.npz", x=BYTES[:3])
    for name in ("x", "b"):
        np.save(f"{name}.npy", np.load(f"{name}.npz")["x"])
    files = ["r/best.onnx"]
    for raw in ([], ["--raw", "float32"], ["--raw", "uint8"], ["--raw", "uint16"]):
        files.append(f"{''.join(raw)[-6:] or 'default'}.onnx")
        _graphc("compile", "tiny.yaml", "--with-preprocess", "r", *raw, "-o", files[-1])
    for given in (["photo.png"], ["b.npz"], ["x.npz"]):
        wanted = [found["probability"] for found in predict("r", given)]
        for file in files:
            said_by_file = _graphc("run", file, given[0].replace(".npz", ".npy"))
            found = [json.loads(line)["probability"] for line in said_by_file.splitlines()]
            rounded = kind == "12 bits" or (given == ["x.npz"] and kind not in ("uint8", "int64", "float 255"))
            np.testing.assert_allclose(found, wanted, atol=1e-3 if rounded else 1e-5)


def _graphc(*arguments):
    done = CliRunner().invoke(cli, [*map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_file_takes_the_integers_of_training(project):
    _train(*KINDS["12 bits"], "r")
    _graphc("compile", "tiny.yaml", "--with-preprocess", "r", "-o", "a.onnx")
    session = Session("a.onnx")
    assert session.inputs[0].dtype == "uint16"
    shares = KINDS["12 bits"][0][:2] / np.float32(4095)
    expected = Session("r/best.onnx").run({"image": shares.transpose(0, 1, 2, 3)})["logits"]
    np.testing.assert_allclose(session.run({"image": KINDS["12 bits"][0][:2]})["logits"], expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["about 0", "int64"])
def test_what_is_not_known_is_asked_for_where_it_matters(project, kind):
    images = KINDS[kind][0]
    with pytest.raises(DataError, match="rescale needs to know which values are black and white"):
        _train(images, None, "a", f"data.preprocess={STEPS}")
    if kind == "int64":
        with pytest.raises(DataError, match=r"preprocessing needs to know .* found int64 from 0 to 255") as caught:
            _train(images, None, "b")
        assert "`scale` in `preprocess`" in str(caught.value)
        return
    _train(images, None, "b")
    Image.fromarray(BYTES[0]).save("photo.png")
    with pytest.raises(DataError, match="bringing images of uint8 to float32 needs to know"):
        list(predict("b", ["photo.png"]))
    np.savez("x.npz", x=images)
    assert len(list(predict("b", ["x.npz"]))) == 24
    with pytest.raises(GraphcError, match="--raw uint8 cannot stand for the images of this run"):
        _graphc("compile", "tiny.yaml", "--with-preprocess", "b", "--raw", "uint8", "-o", "a.onnx")
    _graphc("compile", "tiny.yaml", "--with-preprocess", "b", "-o", "a.onnx")
    assert Session("a.onnx").inputs[0].dtype == "float32"


def test_values_beyond_what_is_said_are_an_error(project):
    with pytest.raises(DataError, match=r"train.npz: error\[G412\]: expected values from 0 to 200, as `value_range`"):
        _train(BYTES.astype(np.float32), (0, 200), "a")


@pytest.mark.parametrize("preprocess", ["{}", STEPS, "{scale: 0.01}"])
@pytest.mark.parametrize("kind", ["uint16", "float32", "12 bits"])
def test_validation_and_test_in_another_type_are_as_training(project, kind, preprocess):
    """They are brought to the training set's type: the same images give the same loss."""
    images, said = KINDS[kind]
    settings = [f"data.preprocess={preprocess}", "epochs=1"]
    sets = {"same": _source(BYTES, None, "same.npz"), "other": _source(images, said, "other.npz")}
    losses = {}
    for name, source in sets.items():
        found = _train(BYTES, None, name, *settings, f"data.validation={source}", f"data.test={source}")
        losses[name] = [found["val_loss"] if "val_loss" in found else found["validation_loss"],
                        evaluate_run(name)["loss"]]  # fmt: skip
    np.testing.assert_allclose(losses["other"], losses["same"], rtol=1e-3)


def test_the_range_of_the_training_set_holds_for_validation_in_its_type(project):
    images, said = KINDS["12 bits"]
    np.savez("val.npz", x=images, y=LABELS)
    found = _train(images, said, "r", "data.validation={npz: {path: val.npz}}", "learning_rate=0")
    keys = [key for key in found if "loss" in key]
    assert len({round(found[key], 4) for key in keys}) == 1, found


def test_files_of_sixteen_bits_from_training_to_prediction(project):
    for number, image in enumerate(KINDS["12 bits"][0][:12, ..., 0]):
        path = Path("set") / "abc"[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    with pytest.raises(DataError, match="expected an image of 8 bits a value, found uint16"):
        train("recipe.yaml", "a", ["data.train={image_folder: {path: set, size: [8, 8]}}"])
    source = "{image_folder: {path: set, size: [8, 8], dtype: uint16, value_range: [0, 4095]}}"
    train("recipe.yaml", "r", [f"data.train={source}", "data.augment=[noise, {rotate: {fill: 1}}]"])
    facts = json.loads(Path("r/run.json").read_text())
    assert facts["values"]["image"]["black_to_white"] == [0, 4095]
    wanted = [found["probability"] for found in predict("r", ["set/a"])]
    found = _graphc("run", "r/best.onnx", *sorted(map(str, Path("set/a").iterdir())))
    by_name = {json.loads(line)["input"]: json.loads(line)["probability"] for line in found.splitlines()}
    np.testing.assert_allclose([by_name[each["input"]] for each in predict("r", ["set/a"])], wanted, atol=1e-5)
    _graphc("data", "preview", "recipe.yaml", "-o", "sheet.png", "--set", f"data.train={source}")
    told = _graphc("data", "stats", "recipe.yaml", "--format", "json", "--set", f"data.train={source}")
    assert {row["what"]: row["value"] for row in json.loads(told)}["black to white"] == "0 to 4095"


def test_runs_of_before_know_which_inputs_came_as_bytes(project):
    _train(BYTES, None, "r", "data.preprocess={mean: fit}")
    Image.fromarray(BYTES[0]).save("photo.png")
    expected = next(predict("r", ["photo.png"]))
    facts = json.loads(Path("r/run.json").read_text())
    del facts["values"]
    Path("r/run.json").write_text(json.dumps({**facts, "bytes": ["image"]}))
    assert next(predict("r", ["photo.png"])) == expected
