"""`graphc compile --int8`: a run's network, photos and arrays it is calibrated on, and what is refused."""

from __future__ import annotations

import json
import shutil
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from graphc.cli import run_command
from graphc.emit.quantize import quantized_tensors
from graphc.errors import SpecError
from graphc.kernels.integers import Range
from graphc.quantization.ranges import find_ranges, read_ranges, write_ranges
from graphc.quantization.source import cut, evenly
from graphc.train.commands import train
from tests.emit.test_quantize import NET, made
from tests.train.conftest import RECIPE, SPEC, write_tiny_project

INT8 = "compile", "tiny.yaml", "-o", "small.onnx", "--int8"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a tiny network, its data, and a run of it."""
    recipe = RECIPE.replace("epochs: 4", "epochs: 8").replace(".npz}", ".npz, value_range: [-3, 3]}")
    folder = write_tiny_project(tmp_path_factory.mktemp("int8"), recipe=recipe)
    train(folder / "recipe.yaml", folder / "run")
    return folder


@pytest.fixture
def graphc(monkeypatch, capsys, tmp_path, trained):
    """`graphc("compile", …)` in a copy of that folder: (exit code, what was said)."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["graphc", *arguments])
        return run_command(), capsys.readouterr().err

    return run


def test_a_run_is_calibrated_on_its_own_data_and_judged_by_its_metrics(graphc, tmp_path):
    how = ("--with-preprocess", "run", "--calibrate", "run", "--noise-report", "noise.json", "--save-ranges", "r.json")
    code, said = graphc(*INT8, *how)
    assert code == 0, said
    assert "int8: 2 of 2 layers with weights, calibrated on 40 examples" in said
    assert "  accuracy: " in said
    noise = json.loads((tmp_path / "noise.json").read_text())
    assert [each["layer"] for each in noise] == [
        each["layer"] for each in sorted(noise, key=lambda each: each["signal-to-noise, dB"])
    ]
    assert min(each["signal-to-noise, dB"] for each in noise) > 20
    first = (tmp_path / "small.onnx").read_bytes()
    code, said = graphc(*INT8, "--with-preprocess", "run", "--calibrate", "r.json")
    assert code == 0, said
    assert (tmp_path / "small.onnx").read_bytes() == first, "ranges that were kept make the same file"
    metadata = {each.key: each.value for each in onnx.load(tmp_path / "small.onnx").metadata_props}
    assert (metadata["graphc.int8"], metadata["graphc.int8_largest_weight"]) == ("asymmetric", "127")
    code, said = graphc(*INT8, "--with-preprocess", "run", "--calibrate", "r.json", "--reduce-range")
    assert code == 0, said
    metadata = {each.key: each.value for each in onnx.load(tmp_path / "small.onnx").metadata_props}
    assert metadata["graphc.int8_largest_weight"] == "63"


def test_sums_are_written_as_openvino_computes_them(graphc, tmp_path):
    (tmp_path / "sum.yaml").write_text(
        """
graphc: 1
name: sum
inputs: {image: [N, 8, 8, 4]}
layers:
  - conv2d: {name: stem, filters: 4, kernel: 3}
  - residual: {name: r, layers: [conv2d: {name: a, filters: 4, kernel: 3}, conv2d: {name: b, filters: 4, kernel: 3}]}
  - conv2d: {name: end, filters: 4, kernel: 3}
"""
    )
    np.save(tmp_path / "images.npy", np.random.default_rng(0).normal(size=(20, 8, 8, 4)).astype(np.float32))
    said, pairs = {}, {}
    for targets in ((), ("--target", "openvino"), ("--target", "tract")):
        code, said[targets] = graphc(
            "compile", "sum.yaml", "-o", "s.onnx", "--int8", "--calibrate", "images.npy", *targets
        )
        assert code == 0, said[targets]
        pairs[targets] = {node.name for node in onnx.load(tmp_path / "s.onnx").graph.node}
    assert pairs["--target", "tract"] == pairs[()]
    assert pairs[()] - pairs["--target", "openvino"] == {"r/b/QuantizeLinear", "r/b/DequantizeLinear"}
    assert "computes both at once" not in said["--target", "openvino"]


def test_the_accuracy_said_is_that_of_the_file_in_onnxruntime(graphc, tmp_path):
    code, said = graphc(*INT8, "--weights", "run/best.safetensors", "--calibrate", "run")
    assert code == 0, said
    with np.load(tmp_path / "test.npz") as arrays:
        session = onnxruntime.InferenceSession(tmp_path / "small.onnx", providers=["CPUExecutionProvider"])
        (values,) = session.run(None, {"image": arrays["x"] / 3})  # by `value_range`
        share = np.mean(values.argmax(1) == arrays["y"])
    assert f"float32, {share:.6g} in int8" in said


def test_a_file_of_a_fixed_number_of_examples_is_calibrated_and_judged_alike(graphc, tmp_path):
    how = ("--weights", "run/best.safetensors", "--calibrate", "run", "--save-ranges", "r.json")
    said, ranges = [], []
    for batch in ((), ("--batch", "1"), ("--batch", "7")):
        code, words = graphc(*INT8, *how, *batch)
        assert code == 0, words
        said.append(next(line for line in words.splitlines() if "accuracy" in line))
        ranges.append(json.loads((tmp_path / "r.json").read_text()))
    assert said[0] == said[1] == said[2]
    for others in ranges[1:]:
        for name, (low, high) in ranges[0].items():
            assert others[name] == pytest.approx([low, high], rel=1e-5)


def test_a_budget_of_points_is_checked(graphc, tmp_path):
    (tmp_path / "tiny.yaml").write_text(SPEC + "expect: {int8_drop: -200}\n")
    code, said = graphc(*INT8, "--weights", "run/best.safetensors", "--calibrate", "run")
    assert code == 2
    assert "error[G221]: int8_drop: expected at most -200 points, got" in said
    assert not (tmp_path / "small.onnx").exists()
    code, said = graphc(*INT8, "--weights", "run/best.safetensors", "--calibrate", "arrays.npy")
    (tmp_path / "tiny.yaml").write_text(SPEC + "expect: {int8_drop: 0.5}\n")
    np.save(tmp_path / "arrays.npy", np.zeros((4, 6, 6, 1), np.float32))
    code, said = graphc(*INT8, "--weights", "run/best.safetensors", "--calibrate", "arrays.npy")
    assert "int8_drop: expected the accuracy of a run, which has not been judged" in said


def test_images_calibrate_a_file_that_says_how_they_are_prepared(graphc, tmp_path):
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 256, (9, 7), np.uint8)
        Image.fromarray(pixels, "L").save(tmp_path / "photos" / "deep" / f"{number}.png")
    code, said = graphc(*INT8, "--with-preprocess", "run", "--raw", "float32", "--calibrate", "photos")
    assert code == 0, said
    assert "calibrated on 5 examples" in said
    assert "largest output the same in 100.0% of 5 examples" in said
    code, said = graphc(*INT8, "--calibrate", "photos")
    assert code == 2
    assert "error[G351]: images calibrate a model that says how they are prepared (--with-preprocess)" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "goes with --calibrate DATA"),
        (("--calibrate", "run", "--no-fold"), "does not go with --no-fold"),
        (("--calibrate", "run", "--in-float", "convv*"), "no layer is called convv*"),
        (("--calibrate", "run", "--in-float", "*"), "no layer can be computed in 8-bit integers"),
        (("--calibrate", "there_is_none"), "expected images, .npz files or folders, found there_is_none"),
        (("--calibrate", "nan.npy"), "calibration expects finite values, found others in"),
        (("--calibrate", "recipe.yaml"), "a recipe has learned nothing yet"),
        (("--calibrate", "run", "--save-ranges", "ranges.txt"), "expected a file that ends in .json"),
    ],
)
def test_what_is_refused_before_anything_is_written(graphc, tmp_path, arguments, words):
    np.save(tmp_path / "nan.npy", np.full((2, 6, 6, 1), np.nan, np.float32))
    code, said = graphc(*INT8, *arguments)
    assert code == 2
    assert words in said
    assert not (tmp_path / "small.onnx").exists()


def test_options_of_integers_go_with_int8(graphc):
    code, said = graphc("compile", "tiny.yaml", "--calibrate", "run")
    assert code == 2
    assert "--calibrate: goes with --int8 or --int8 symmetric" in said


# -- ranges --------------------------------------------------------------------------------------------------


def test_ranges_are_those_of_all_batches_and_a_percentile_leaves_out_the_farthest():
    model, feeds = made(NET)
    names = quantized_tensors(model)
    (image,) = feeds.values()
    parts = [{"image": image[:1]}, {"image": image[1:]}]
    found = find_ranges(model, names, lambda: parts)
    assert found == find_ranges(model, names, lambda: [feeds])
    assert (found["image/Transpose"].low, found["image/Transpose"].high) == (image.min(), image.max())
    assert found["stem/Relu"].low == 0
    most = find_ranges(model, names, lambda: parts, 90.0)["image/Transpose"]
    beyond = np.mean((image < most.low) | (image > most.high))
    assert 0.08 < beyond <= 0.1
    assert most.low == pytest.approx(-most.high)


def test_what_is_no_number_in_the_first_batch_is_not_forgotten():
    model, feeds = made(NET)
    (image,) = feeds.values()
    parts = [{"image": image[:1] * np.float32(np.nan)}, {"image": image[1:]}]
    with pytest.raises(SpecError, match=r"calibration expects finite values, found others in \d+ tensors"):
        find_ranges(model, quantized_tensors(model), lambda: parts)


def test_ranges_in_a_file(tmp_path):
    path = tmp_path / "ranges.json"
    ranges = {"a": Range(-0.1, 3.0), "b/ü": Range(0.0, 1e-7)}
    write_ranges(path, ranges)
    assert read_ranges(path, ["a", "b/ü"]) == ranges
    assert read_ranges(path, ["a"]) == {"a": ranges["a"]}
    with pytest.raises(SpecError, match=r"ranges.json: expected the range of c, found none"):
        read_ranges(path, ["a", "c"])


@pytest.mark.parametrize("text", ['{"a": [1, 0]}', '{"a": [0, NaN]}', '{"a": [0]}', '{"a": "x"}', '{"a": [true, 2]}'])
def test_bad_ranges_are_refused(tmp_path, text):
    (tmp_path / "ranges.json").write_text(text)
    with pytest.raises(SpecError, match=r"ranges.json: a: expected \[least, largest\], two numbers, found"):
        read_ranges(tmp_path / "ranges.json", ["a"])


@pytest.mark.parametrize("text", ["", "[1]", "{", "[" * 100_000, "\xff", '{"a": [0, 1], "a": [0, 2]}'])
def test_what_is_no_file_of_ranges_is_refused(tmp_path, text):
    (tmp_path / "ranges.json").write_text(text, "latin-1")
    with pytest.raises(SpecError, match=r"ranges.json: expected"):
        read_ranges(tmp_path / "ranges.json", ["a"])


def test_examples_are_taken_evenly():
    assert evenly(3, 5).tolist() == [0, 1, 2]
    assert evenly(10, 4).tolist() == [0, 2, 5, 7]
    assert [part.tolist() for part in cut(evenly(5, 5), 2)] == [[0, 1], [2, 3], [4]]
