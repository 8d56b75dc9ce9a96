"""`graphc compile --float16` and `--int8 weights`: what is written, said, compared and refused; pictures of noise."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import numpy as np
import onnx
import onnxruntime
import pytest

from graphc.quantization.cost import Noise
from graphc.report.noise import noise_picture
from tests.quantization.test_int8 import graphc, trained  # noqa: F401

COMPILE = "compile", "tiny.yaml", "-o", "small.onnx", "--weights", "run/best.safetensors"


def answers(path, array):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: array})[0]


@pytest.mark.parametrize(
    ("how", "said_first", "tolerance"),
    [(("--float16",), "float16: ", 2e-3), (("--int8", "weights"), "int8 weights: 2 arrays", 0.04)],
    ids=["float16", "weights"],
)
def test_a_file_is_smaller_and_compared_on_a_runs_data(graphc, tmp_path, how, said_first, tolerance):  # noqa: F811
    whole = graphc("compile", "tiny.yaml", "-o", "whole.onnx", "--weights", "run/best.safetensors")
    assert whole[0] == 0, whole[1]
    code, said = graphc(*COMPILE, *how, "--compare", "run", "--noise-report", "noise.json")
    assert code == 0, said
    assert said_first in said
    assert "of 40 examples" in said
    assert "  accuracy: " in said
    assert json.loads((tmp_path / "noise.json").read_text())[0]["signal-to-noise, dB"] > 25
    assert (tmp_path / "small.onnx").stat().st_size != (tmp_path / "whole.onnx").stat().st_size
    array = np.random.default_rng(0).normal(size=(5, 6, 6, 1)).astype(np.float32)
    expected, found = (answers(tmp_path / name, array) for name in ("whole.onnx", "small.onnx"))
    np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max())
    assert not np.array_equal(found, expected)


def test_weights_are_integers_and_activations_are_not(graphc, tmp_path):  # noqa: F811
    code, said = graphc(*COMPILE, "--int8", "weights", "--in-float", "last")
    assert code == 0, said
    model = onnx.load(tmp_path / "small.onnx")
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("DequantizeLinear") == 1
    assert "QuantizeLinear" not in kinds
    metadata = {each.key: each.value for each in model.metadata_props}
    assert metadata["graphc.int8"] == "weights"


def test_float16_inputs_are_run_and_judged(graphc, tmp_path):  # noqa: F811
    code, said = graphc(*COMPILE, "--float16", "all", "--compare", "run")
    assert code == 0, said
    assert "  accuracy: " in said
    np.save(tmp_path / "x.npy", np.zeros((1, 6, 6, 1), np.float32))
    code, said = graphc("run", "small.onnx", "x.npy")
    assert code == 0, said


def test_values_beyond_float16_are_an_error_that_names_the_layer(graphc, tmp_path):  # noqa: F811
    np.save(tmp_path / "large.npy", np.full((2, 6, 6, 1), 1e6, np.float32))
    code, said = graphc(*COMPILE, "--float16", "--compare", "large.npy")
    assert code == 2
    assert "error[G352]: " in said
    assert "no finite number is left of its values" in said
    assert not (tmp_path / "small.onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--float16", "--int8"), "--int8 and --float16 are two forms of a file"),
        (("--float16", "--calibrate", "run"), "--calibrate: goes with --int8"),
        (("--int8", "weights", "--calibrate", "run"), "--calibrate: goes with --int8 or --int8 symmetric"),
        (("--int8", "--calibrate", "run", "--compare", "run"), "--compare: goes with --float16 or --int8 weights"),
        (("--float16", "--in-float", "nolayer"), "no layer is called nolayer"),
        (("--float16", "--noise-report", "noise.svg"), "goes with --compare DATA"),
        (("--float16", "--compare", "run", "--noise-report", "noise.pdf"), "expected a file that ends in .svg"),
        (("--int8", "weights", "--in-float", "*"), "no layer has weights that can be 8-bit integers"),
    ],
)
def test_what_is_refused_before_anything_is_written(graphc, tmp_path, arguments, words):  # noqa: F811
    code, said = graphc(*COMPILE, *arguments)
    assert code == 2
    assert words in said
    assert not (tmp_path / "small.onnx").exists()


def test_the_picture_has_a_bar_a_tensor_the_worst_first():
    noise = [Noise("a<b", 40.0), Noise("conv", 12.5), Noise("same", float("inf")), Noise("silent", float("-inf"))]
    root = ElementTree.fromstring(noise_picture(noise))
    words = ["".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert [word for word in words if word in ("a<b", "conv", "same", "silent")] == ["silent", "conv", "a<b", "same"]
    assert {"no signal", "12.5", "40.0", "exact"} <= set(words)
    lengths = [float(each.get("width")) for each in root.iter("{http://www.w3.org/2000/svg}rect")][1:]
    assert lengths == sorted(lengths)
    assert lengths[1] == pytest.approx(12.5 / 40 * lengths[2], rel=0.01)
