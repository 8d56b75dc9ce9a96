"""`graphc bench`: any ONNX file, in turn with another, beside the machine's own product. No figure is a test."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper

from graphc.cli import cli
from graphc.errors import GraphcError
from graphc.runtime import Session

pytest.importorskip("onnxruntime")
QUICK = ("--seconds", "0.01", "--threads", "1")


def write(path: Path, shape: list[int | str | None], repeat: int = 1, element: int = TensorProto.FLOAT) -> None:
    """Products with a 64×64 matrix, one after the other, of an input of somebody else's making."""
    ports = [
        helper.make_tensor_value_info(name, kind, shape) for name, kind in (("x", element), ("y", TensorProto.FLOAT))
    ]
    weights = helper.make_tensor("w", TensorProto.FLOAT, [64, 64], np.full(64 * 64, 1 / 64, np.float32))
    nodes = [helper.make_node("Cast", ["x"], ["v0"], to=TensorProto.FLOAT)]
    nodes += [helper.make_node("MatMul", [f"v{step}", "w"], [f"v{step + 1}"]) for step in range(repeat)]
    nodes += [helper.make_node("Relu", [f"v{repeat}"], ["y"])]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], [weights])
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    path.write_bytes(model.SerializeToString())


def bench(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["bench", *map(str, arguments)], catch_exceptions=False)


def test_a_file_that_does_more_takes_longer(tmp_path: Path) -> None:
    write(tmp_path / "long.onnx", ["N", 64, 64], repeat=60)
    write(tmp_path / "short.onnx", ["N", 64, 64])
    done = bench(tmp_path / "long.onnx", "--vs", tmp_path / "short.onnx", *QUICK, "--batch", "1,2", "--format", "json")
    long, short, twice, _ = json.loads(done.stdout)
    assert (long["macs"], short["macs"], twice["macs"]) == (60 * 64**3, 64**3, 2 * 60 * 64**3)
    assert (long["ratio"], long["batch"], twice["batch"], short["threads"]) == (None, 1, 2, 1)
    assert short["ratio"] > 5, "sixty products against one"
    for row in (long, short):
        assert 0 < row["p5_ms"] <= row["median_ms"] <= row["p95_ms"]
        assert row["examples_per_s"] == pytest.approx(1e3 * row["batch"] / row["median_ms"])
        assert row["of_gemm"] == pytest.approx(row["macs"] / row["median_ms"] / 1e6 / row["gemm_gmacs_per_s"])
        assert row["runs"] >= 5


def test_the_table(tmp_path: Path) -> None:
    write(tmp_path / "net.onnx", [None, 64])
    done = bench(tmp_path / "net.onnx", *QUICK)
    assert [line.split()[0] for line in done.stdout.splitlines() if line.strip()][::2] == ["provider", "cpu"]
    assert "GEMM: NumPy's float32 product" in done.stdout
    assert "file" not in done.stdout


def test_open_sizes_are_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "net.onnx", [None, "rows", None, 64])
    net = tmp_path / "net.onnx"
    for given, message in (
        ((), "leaves rows open: give it with --size rows=NUMBER"),
        (("--size", "rows=2"), "leaves x.2 open: give it with --size x.2=NUMBER"),
        (("--size", "row=2"), "has no size row (did you mean 'rows'?): its open sizes are rows, x.0, x.2"),
    ):
        with pytest.raises(GraphcError) as caught:
            bench(net, *QUICK, *given)
        assert message in str(caught.value)
    done = bench(net, *QUICK, "--size", "rows=2", "--size", "x.2=3", "--batch", 5, "--format", "json")
    assert json.loads(done.stdout)[0]["macs"] == 5 * 2 * 3 * 64 * 64


def test_a_fixed_batch(tmp_path: Path) -> None:
    write(tmp_path / "net.onnx", [4, 64])
    row = json.loads(bench(tmp_path / "net.onnx", *QUICK, "--format", "json").stdout)[0]
    assert (row["batch"], row["macs"]) == (4, 4 * 64 * 64)
    with pytest.raises(GraphcError, match="fixes the first size of x at 4: no batch 2"):
        bench(tmp_path / "net.onnx", *QUICK, "--batch", 2)


def test_inputs_of_other_types(tmp_path: Path) -> None:
    write(tmp_path / "bytes.onnx", ["N", 64], element=TensorProto.UINT8)
    write(tmp_path / "whole.onnx", ["N", 64], element=TensorProto.INT64)
    assert "whole numbers" not in bench(tmp_path / "bytes.onnx", *QUICK).stderr
    assert "inputs of whole numbers are all 0" in bench(tmp_path / "whole.onnx", *QUICK).stderr


@pytest.mark.parametrize(("option", "text"), [("--threads", "0"), ("--threads", "1,,2"), ("--batch", "two")])
def test_wrong_numbers_are_usage(tmp_path: Path, option: str, text: str) -> None:
    write(tmp_path / "net.onnx", ["N", 64])
    done = bench(tmp_path / "net.onnx", option, text)
    assert done.exit_code == 2
    assert f"expected positive numbers with commas, got {text!r}" in done.output


def test_timed_runs_are_as_many_as_asked(tmp_path: Path) -> None:
    write(tmp_path / "net.onnx", ["N", 64])
    found = Session(tmp_path / "net.onnx", threads=1).time_runs({"x": np.zeros((1, 64), np.float32)}, 4)
    assert len(found) == 4
    assert min(found) > 0


@pytest.mark.parametrize("shape", [[1, 3, 16000, 16000], [1, 2**40, 64]])
def test_inputs_that_are_too_large_to_make_up(tmp_path: Path, shape: list[int]) -> None:
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ports[:1], ports[1:])
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(GraphcError, match="expected an input of at most 268,435,456 numbers, found x of 1×"):
        bench(tmp_path / "m.onnx", *QUICK)
