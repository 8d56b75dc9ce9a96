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
        ("{steps: [rescale, {standardize: {per: pixel}}]}", "softmax_focal", "uint8", 3),
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


TWO = """\
graphc: 1
name: two
inputs: {left: [N, 4, 5, 3], right: [N, 4, 5, 3]}
layers:
  - concat: {name: both, inputs: [left, right]}
outputs: {both: both}
"""
COLORS = """\
graphc: 1
name: colors
inputs: {image: [N, 4, 5, 3]}
layers:
  - relu: {name: same}
outputs: {same: same}
"""


def pictures(count: int) -> list[Array]:
    rng = np.random.default_rng(3)
    found = [rng.integers(0, 256, (4, 5, 3), np.uint8) for _ in range(count)]
    for number, pixels in enumerate(found):
        Image.fromarray(pixels).save(f"{number}.png")
    return found


def test_several_inputs_by_name(graphc: Run) -> None:
    Path("two.yaml").write_text(TWO)
    assert graphc("compile", "two.yaml").exit_code == 0
    left, right = pictures(2)
    done = graphc("run", "two.onnx", "--input", "right=1.png", "--input", "left=0.png", "-o", "d.npy")
    assert "wrote d.npy: both: 1×4×5×6, N H W C, float32" in done.stderr
    np.testing.assert_allclose(np.load("d.npy")[0], np.concatenate([left, right], axis=-1) / 255, atol=1e-6)
    assert graphc("run", "two.onnx", "0.png", "--input", "right=1.png", "-o", "e.npy").exit_code == 0
    np.testing.assert_array_equal(np.load("e.npy"), np.load("d.npy"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("0.png",), "expects files for left, right: give each with --input NAME=FILE"),
        (("--input", "left=0.png"), "expects files for right"),
        (("--input", "letf=0.png"), "has no input 'letf' (did you mean 'left'?)"),
        (("--input", "left"), "--input expects NAME=FILE, got 'left'"),
        (("--input", "left=0.png", "--input", "right=1.png", "1.png"), "1.png is for none"),
        (
            ("--input", "left=0.png", "--input", "left=1.png", "--input", "right=1.png"),
            "expected as many examples for every input, got left 2, right 1",
        ),
    ],
)
def test_inputs_that_do_not_fit(graphc: Run, arguments: tuple[str, ...], told: str) -> None:
    Path("two.yaml").write_text(TWO)
    graphc("compile", "two.yaml")
    pictures(2)
    assert told in graphc_error(graphc, "run", "two.onnx", *arguments)


@pytest.mark.parametrize(
    "layouts", [(), ("--output-layout", "nchw"), ("--layout", "nchw"), ("--output-layout", "nhwc")]
)
@pytest.mark.parametrize(
    ("scale", "said"), [("0.00392156862745098", "values from 0 to 1"), ("1", "values from 0 to 255")]
)
def test_three_channels_are_a_picture_in_color(graphc: Run, layouts: tuple[str, ...], scale: str, said: str) -> None:
    Path("colors.yaml").write_text(COLORS)
    assert graphc("compile", "colors.yaml", *layouts).exit_code == 0
    (pixels,) = pictures(1)
    done = graphc("run", "colors.onnx", "0.png", "--scale", scale, "-o", "out.png")
    assert f"wrote out.png: same: RGB, {said}" in done.stderr
    with Image.open("out.png") as image:
        assert image.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(image), pixels)


def test_colors_of_another_range_are_stretched_and_nan_is_no_picture(graphc: Run) -> None:
    Path("colors.yaml").write_text(COLORS.replace("relu", "tanh"))
    graphc("compile", "colors.yaml")
    values = np.random.default_rng(4).normal(size=(2, 4, 5, 3)).astype(np.float32)
    np.save("x.npy", values)
    said = graphc("run", "colors.onnx", "x.npy", "-o", "out.png").stderr
    assert "stretched to 0 to 255, all channels alike; the first of 2 examples" in said
    with Image.open("out.png") as image:
        wanted = np.tanh(values[0])
        low, high = wanted.min(), wanted.max()
        np.testing.assert_allclose(np.asarray(image), (wanted - low) / (high - low) * 255, atol=0.51)
    values[0, 0, 0, 0] = np.nan
    np.save("x.npy", values)
    assert "expects finite numbers" in graphc_error(graphc, "run", "colors.onnx", "x.npy", "-o", "out.png")


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("output_layout", ["nhwc", "nchw", None])
def test_image_outputs_in_either_layout(graphc: Run, layout: str, output_layout: str | None) -> None:
    """By hand: relu of the input is the input, in the other order of axes where that is asked for."""
    Path("colors.yaml").write_text(COLORS)
    options = () if output_layout is None else ("--output-layout", output_layout)
    graphc("compile", "colors.yaml", "--layout", layout, *options)
    model = onnx.load("colors.onnx")
    wanted = output_layout or layout
    assert {each.key: each.value for each in model.metadata_props}["graphc.output_layout"] == wanted
    sizes = [each.dim_value for each in model.graph.output[0].type.tensor_type.shape.dim[1:]]
    assert sizes == ([4, 5, 3] if wanted == "nhwc" else [3, 4, 5])
    (pixels,) = pictures(1)
    said = graphc("run", "colors.onnx", "0.png", "--scale", "1", "-o", "x.npy").stderr
    assert ("N H W C" if wanted == "nhwc" else "N C H W") in said
    found = np.load("x.npy")[0]
    np.testing.assert_array_equal(found, pixels if wanted == "nhwc" else pixels.transpose(2, 0, 1))


def test_classifiers_have_no_output_layout(graphc: Run) -> None:
    Path("tiny.yaml").write_text(SPEC.format(channels=3))
    for layout in ("nhwc", "nchw"):
        graphc("compile", "tiny.yaml", "--output-layout", layout, "-o", f"{layout}.onnx")
    assert Path("nhwc.onnx").read_bytes() == Path("nchw.onnx").read_bytes()
    assert b"output_layout" not in Path("nhwc.onnx").read_bytes()
