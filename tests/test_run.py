"""`graphc run`: a file of a training run says what `predict` says, others say what they do not know."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from graphc.cli import cli
from graphc.errors import GraphcError
from graphc.types import Array

SPEC = """\
graphc: 1
name: tiny
inputs: {{image: [N, 8, 10, {channels}]}}
layers:
  - conv2d: {{name: conv, filters: 4, kernel: 3, padding: same, activation: relu}}
  - flatten
  - fully_connected: {{name: logits, units: 3}}
outputs: {{logits: logits}}
"""
RECIPE = """\
recipe: 1
model: tiny.yaml
data:
  train: {{npz: {{path: train.npz, classes: [cat, dog, "no one"]}}}}
  preprocess: {preprocess}
loss: {loss}
optimizer: adam
learning_rate: 0.01
batch: 8
epochs: 1
seed: 7
"""
Run = Callable[..., Result]


@pytest.fixture
def graphc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(cli, arguments, catch_exceptions=False)


def trained(graphc: Run, preprocess: str, loss: str, kind: str = "uint8", channels: int = 3) -> None:
    """A run in `r`, and a photo that is turned by EXIF and larger than the input."""
    rng = np.random.default_rng(0)
    images: Array = rng.integers(0, 256, (24, 8, 10, channels), np.uint8)
    np.savez("train.npz", x=images if kind == "uint8" else (images / 255).astype(kind), y=np.arange(24) % 3)
    Path("tiny.yaml").write_text(SPEC.format(channels=channels))
    Path("recipe.yaml").write_text(RECIPE.format(preprocess=preprocess, loss=loss))
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = np.zeros((40, 30, 3), np.uint8)
    photo[:, 15:] = (200, 40, 90)
    photo[20:, :15, 1] = 160
    Image.fromarray(photo).save("photo.png", exif=exif)
    done = graphc("train", "recipe.yaml", "-o", "r", "-q")
    assert done.exit_code == 0, done.output


def same(found: str, expected: str) -> None:
    rows, wanted = ([json.loads(line) for line in text.splitlines()] for text in (found, expected))
    assert len(rows) == len(wanted)
    for row, want in zip(rows, wanted, strict=True):
        tops, best = row.get("top", [row]), want.get("top", [want])
        assert [each["class"] for each in tops] == [each["class"] for each in best]
        (key,) = {"probability", "score"} & set(best[0])
        np.testing.assert_allclose([each[key] for each in tops], [each[key] for each in best], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("preprocess", "loss", "kind", "channels"),
    [
        ("{mean: fit, std: fit}", "softmax_cross_entropy", "uint8", 3),
        ("{}", "sigmoid_cross_entropy", "float32", 3),
        ("{scale: 0.01, mean: [0.5]}", "hinge", "uint8", 3),
        ("{}", "softmax_cross_entropy", "float32", 1),
        ("{steps: [rescale, {standardise: {per: pixel}}]}", "softmax_focal", "uint8", 3),
        ("{steps: [{whiten: {over: pixels}}]}", "softmax_cross_entropy", "uint8", 3),
        ("{steps: [{rescale: {source: [0, 1]}}, {channels: {to: bgr}}]}", "softmax_cross_entropy", "float32", 3),
    ],
)
def test_a_file_of_a_run_says_what_predict_says(
    graphc: Run, preprocess: str, loss: str, kind: str, channels: int
) -> None:
    trained(graphc, preprocess, loss, kind, channels)
    wanted = graphc("predict", "r", "photo.png", "--top", "3").stdout
    assert '"class": "no one"' in wanted
    for raw in ("uint8", "float32"):
        done = graphc("compile", "tiny.yaml", "--with-preprocess", "r", "--raw", raw, "-o", f"{raw}.onnx")
        assert done.exit_code == 0, done.output
    for file in ("r/best.onnx", "uint8.onnx", "float32.onnx"):
        done = graphc("run", file, "photo.png", "--top", "3")
        assert (done.exit_code, done.stderr) == (0, "")
        same(done.stdout, wanted)


def test_arrays_are_examples_before_preprocessing_as_in_predict(graphc: Run) -> None:
    trained(graphc, "{mean: fit, std: fit}", "softmax_cross_entropy")
    x = np.random.default_rng(1).integers(0, 256, (3, 8, 10, 3), np.uint8)
    np.save("x.npy", x)
    np.savez("x.npz", x=x)
    done = graphc("run", "r/best.onnx", "x.npy")
    same(done.stdout, graphc("predict", "r", "x.npz").stdout)
    assert [json.loads(line)["input"] for line in done.stdout.splitlines()] == ["x.npy[0]", "x.npy[1]", "x.npy[2]"]
    np.save("small.npy", x[:, :4])
    done = graphc_error(graphc, "run", "r/best.onnx", "small.npy")
    assert "expected examples before preprocessing, [N, 8, 10, 3], found [3, 4, 10, 3]" in done


def graphc_error(graphc: Run, *arguments: str) -> str:
    with pytest.raises(GraphcError) as caught:
        graphc(*arguments)
    return str(caught.value)


def test_given_scaling_takes_the_place_of_what_the_file_says(graphc: Run) -> None:
    trained(graphc, "{mean: fit, std: fit}", "softmax_cross_entropy")
    Image.fromarray(np.full((8, 10, 3), 255, np.uint8)).save("white.png")
    np.save("ones.npy", np.ones((1, 8, 10, 3), np.float32))
    by_hand = ("--scale", str(1 / 255))
    same(
        graphc("run", "r/best.onnx", "white.png", *by_hand).stdout,
        graphc("run", "r/best.onnx", "ones.npy", *by_hand).stdout,
    )
    graphc("compile", "tiny.yaml", "--with-preprocess", "r", "-o", "raw.onnx")
    assert "preprocesses its images itself" in graphc_error(graphc, "run", "raw.onnx", "white.png", *by_hand)


def test_answers_as_files(graphc: Run) -> None:
    trained(graphc, "{}", "softmax_cross_entropy")
    assert graphc("run", "r/best.onnx", "photo.png", "-o", "run.csv").exit_code == 0
    graphc("predict", "r", "photo.png", "-o", "predict.csv")
    run, predict = (Path(name).read_text().splitlines() for name in ("run.csv", "predict.csv"))
    assert run[0] == predict[0] == "input,class,probability"
    assert run[1].split(",")[1] == predict[1].split(",")[1]
    assert graphc("run", "r/best.onnx", "photo.png", "-o", "run.npy").exit_code == 0
    assert np.load("run.npy").shape == (1, 3)


def test_a_file_that_says_nothing_says_so(graphc: Run) -> None:
    Path("tiny.yaml").write_text(SPEC.format(channels=3))
    Image.new("RGB", (10, 8)).save("x.png")
    np.save("x.npy", np.zeros((1, 8, 10, 3), np.float32))
    graphc("compile", "tiny.yaml", "-o", "tiny.onnx")
    told = "tiny.onnx does not say how images were preprocessed in training: bytes are divided by 255"
    assert told in graphc("run", "tiny.onnx", "x.png").stderr
    assert graphc("run", "tiny.onnx", "x.png", "--mean", "0.5").stderr == ""
    assert graphc("run", "tiny.onnx", "x.npy").stderr == ""


def test_a_signature_that_cannot_be_read_is_an_error(graphc: Run) -> None:
    trained(graphc, "{}", "softmax_cross_entropy")
    model = onnx.load("r/best.onnx")
    for entry in model.metadata_props:
        if entry.key == "graphc.signature":
            entry.value = '{"inputs": 3}'
    onnx.save(model, "bad.onnx")
    assert "expected a signature of inputs and outputs in graphc.signature" in graphc_error(
        graphc, "run", "bad.onnx", "photo.png"
    )
