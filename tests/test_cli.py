"""The commands as one types them: what they print, what they write, how they end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
from PIL import Image

from graphc.cli import cli, run_command
from graphc.compiler import plan_spec

SMALL = """\
graphc: 1
name: small
vars: {classes: 4}
inputs: {image: [N, 8, 8, 3]}
layers:
  - conv2d: {name: conv, filters: 8, kernel: 3, normalizer: batch_norm, activation: relu}
  - global_avg_pool2d: {name: pool}
  - fully_connected: {name: logits, units: "${classes}"}
outputs: {logits: logits}
"""


class Ended(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def graphc(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """`graphc("check", "small.yaml")` in a folder that holds small.yaml."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SMALL)

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["graphc", *arguments])
        code = run_command()
        printed = capsys.readouterr()
        return Ended(code, printed.out, printed.err)

    return run


Run = Callable[..., Ended]


def test_new_writes_a_spec_that_compiles(graphc: Run) -> None:
    assert graphc("new", "fresh.yaml").code == 0
    assert graphc("check", "fresh.yaml", "--strict").code == 0
    again = graphc("new", "fresh.yaml")
    assert (again.code, again.err) == (3, "error[G502]: fresh.yaml exists; --force overwrites it\n")


def test_check_prints_warnings_and_strict_refuses_them(graphc: Run) -> None:
    spec = Path("odd.yaml")
    spec.write_text(SMALL.replace("filters: 8", "filters: 7"))
    found = graphc("check", "odd.yaml")
    assert found.code == 0
    assert "odd.yaml:6:5: warning[G240]: conv: 7 channels" in found.err
    assert graphc("check", "odd.yaml", "--strict").code == 2


def test_show_kernels_and_its_options(graphc: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = graphc("show", "small.yaml", "--kernels", "--training", "--format", "csv")
    assert shown.code == 0
    assert shown.out.splitlines()[1].startswith('conv,conv2d,"output, weight gradient",few_channels,"27 numbers')
    assert graphc("show", "small.yaml", "--batch", "3").code == 2
    assert graphc("show", "small.yaml", "--kernels", "--tree").code == 2
    assert graphc("show", "small.yaml", "--by", "params", "--tree").code == 2
    assert graphc("show", "small.yaml", "--by", "params", "--columns", "layer").code == 2
    monkeypatch.setenv("GRAPHC_CONV_ALGORITHM", "unfoldd")
    refused = graphc("check", "small.yaml")
    assert refused.code == 2
    assert refused.err.startswith("error[G190]: GRAPHC_CONV_ALGORITHM=unfoldd: expected one of ")


def test_show_json_keeps_its_promise(graphc: Run) -> None:
    shown = json.loads(graphc("show", "small.yaml", "--format", "json").out)
    assert shown["name"] == "small"
    assert [layer["name"] for layer in shown["layers"]] == ["conv", "conv/BatchNorm", "conv/Relu", "pool", "logits"]
    first, norm = shown["layers"][:2]
    promised = {
        "name": "conv",
        "kind": "conv2d",
        "inputs": ["image"],
        "shape": [8, 8, 8],
        "params": 216,
        "trainable_params": 216,
        "macs": 13824,
        "flops": 27648,
        "receptive_field": {"size": [3, 3], "stride": [1, 1], "padding": [1, 1], "centre": [0, 0]},
        "variables": [{"name": "small/conv/weights", "shape": [3, 3, 3, 8], "trainable": True}],
    }
    assert {key: first[key] for key in promised} == promised
    assert [each["name"] for each in norm["variables"] if not each["trainable"]] == [
        "small/conv/BatchNorm/moving_mean",
        "small/conv/BatchNorm/moving_variance",
    ]
    assert shown["layers"][-1]["receptive_field"] is None
    assert shown["end_points"]["small/conv"] == "conv/Relu"
    totals = {key: sum(layer[key] for layer in shown["layers"]) for key in shown["totals"]}
    assert totals == shown["totals"]


def test_symbolic_sizes_are_formulas_in_table_and_file(graphc: Run) -> None:
    Path("any.yaml").write_text(
        "graphc: 1\nname: any\ninputs: {image: [N, H, W, 3]}\nlayers:\n"
        "  - conv2d: {name: conv, filters: 8, kernel: 3, stride: 2}\n"
        "  - max_pool2d: {name: pool, kernel: 2}\n"
    )
    assert "((H + 1)//4)×((W + 1)//4)×8" in graphc("show", "any.yaml").out
    assert graphc("compile", "any.yaml", "-o", "any.onnx").code == 0
    shape = onnx.load("any.onnx").graph.output[0].type.tensor_type.shape
    assert [dim.dim_param or dim.dim_value for dim in shape.dim] == ["N", "(H + 1)//4", "(W + 1)//4", 8]
    assert graphc("compile", "any.yaml", "--output-layout", "nchw", "-o", "any.onnx").code == 0
    shape = onnx.load("any.onnx").graph.output[0].type.tensor_type.shape
    assert [dim.dim_param or dim.dim_value for dim in shape.dim] == ["N", 8, "(H + 1)//4", "(W + 1)//4"]


def test_explain(graphc: Run) -> None:
    assert "filters    8" in graphc("explain", "small.yaml", "conv.filters").out
    (kernel,) = json.loads(graphc("explain", "small.yaml", "conv.kernel", "--format", "json").out)
    assert kernel["value"] == [3, 3]
    assert "Output channels." in graphc("explain", "conv2d").out
    wrong = graphc("explain", "small.yaml", "cov")
    assert (wrong.code, wrong.err) == (2, "error[G121]: no end point or layer is named 'cov' (did you mean 'conv'?)\n")


def test_compile_is_the_same_to_the_byte(graphc: Run) -> None:
    for name in ("one", "two"):
        ended = graphc("compile", "small.yaml", "-o", f"{name}.onnx", "--save-weights", f"{name}.safetensors")
        assert ended.code == 0
    assert Path("one.onnx").read_bytes() == Path("two.onnx").read_bytes()
    assert Path("one.safetensors").read_bytes() == Path("two.safetensors").read_bytes()
    model = onnx.load("one.onnx")
    assert (model.ir_version, model.opset_import[0].version) == (8, 17)
    assert SMALL in {entry.key: entry.value for entry in model.metadata_props}["graphc.spec"]


def test_weights_by_name(graphc: Run) -> None:
    graphc("compile", "small.yaml", "-o", "one.onnx", "--save-weights", "w.npz", "--seed", "3")
    graphc("compile", "small.yaml", "-o", "two.onnx", "--weights", "w.npz", "--seed", "3")
    assert Path("one.onnx").read_bytes() == Path("two.onnx").read_bytes()
    other = graphc("compile", "small.yaml", "-o", "three.onnx", "--weights", "w.npz", "--set", "classes=5")
    assert other.code == 2
    assert "small/logits/weights: expected 8×5, found 8×4" in other.err
    assert not Path("three.onnx").exists()
    partly = graphc(
        "compile", "small.yaml", "-o", "three.onnx", "--weights", "w.npz", "--set", "classes=5", "--partial"
    )
    assert partly.code == 0
    assert "2 mis-shaped: small/logits/weights, small/logits/biases" in partly.err


def test_verify_compares_every_end_point(graphc: Run) -> None:
    rows = json.loads(graphc("verify", "small.yaml", "--format", "json").out)
    assert [row["end point"] for row in rows] == ["small/conv", "small/pool", "small/logits"]
    assert all(row["verdict"] == "ok" for row in rows)
    strict = graphc("verify", "small.yaml", "--tolerance", "1e-12")
    assert strict.code == 2
    assert "onnxruntime and NumPy differ by more than 1e-12 at small/" in strict.err


def test_verify_takes_sizes(graphc: Run) -> None:
    Path("open.yaml").write_text(SMALL.replace("[N, 8, 8, 3]", "[N, H, 2*W, 3]"))
    ended = graphc("verify", "open.yaml", "--size", "H=9")
    assert ended.code == 0
    assert ended.err == "sizes that the spec leaves open: H = 9, W = 64\n"
    ended = graphc("verify", "open.yaml", "--size", "X=9")
    assert (ended.code, ended.err) == (2, "error[G347]: the spec has no size X: its open sizes are H, W\n")


def test_compile_fixes_the_batch(graphc: Run) -> None:
    def sizes(path: str) -> list[int | str]:
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        ports = (*model.graph.input, *model.graph.output)
        return [
            port.type.tensor_type.shape.dim[0].dim_param or port.type.tensor_type.shape.dim[0].dim_value
            for port in ports
        ]

    assert graphc("compile", "small.yaml").code == 0
    assert sizes("small.onnx") == ["N", "N"]
    assert graphc("compile", "small.yaml", "--batch", "3").code == 0
    assert sizes("small.onnx") == [3, 3]
    np.save("x.npy", np.ones((3, 8, 8, 3), np.float32))
    assert graphc("run", "small.onnx", "x.npy").code == 0
    np.save("x.npy", np.ones((2, 8, 8, 3), np.float32))
    assert "expects the shape [3, 8, 8, 3], found [2, 8, 8, 3]" in graphc("run", "small.onnx", "x.npy").err
    Path("fixed.yaml").write_text(SMALL.replace("[N, 8", "[2, 8"))
    assert graphc("compile", "fixed.yaml", "--batch", "2").code == 0
    ended = graphc("compile", "fixed.yaml", "--batch", "3", "-o", "other.onnx")
    assert ended.err == "fixed.yaml:4:17: error[G348]: the spec fixes the batch at 2, it cannot be 3\n"
    assert not Path("other.onnx").exists()
    assert graphc("compile", "small.yaml", "--batch", "0").code == 2


def test_run_on_images_and_arrays(graphc: Run) -> None:
    graphc("compile", "small.yaml", "-o", "small.onnx")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save("picture.png")
    np.save("picture.npy", pixels[None].astype(np.float32) / 255)
    by_image = json.loads(graphc("run", "small.onnx", "picture.png").out)
    by_array = json.loads(graphc("run", "small.onnx", "picture.npy").out)
    np.testing.assert_allclose(by_image["logits"], by_array["logits"], atol=1e-6)
    top = json.loads(graphc("run", "small.onnx", "picture.png", "picture.png", "--top", "2").out)["logits"]
    assert [len(example) for example in top] == [2, 2]
    assert graphc("run", "small.onnx", "picture.png", "-o", "out.npy").code == 0
    assert np.load("out.npy").shape == (1, 4)


def test_run_until_an_image_comes_out(graphc: Run) -> None:
    graphc("compile", "small.yaml", "--until", "conv", "-o", "maps.onnx")
    np.save("x.npy", np.ones((1, 8, 8, 3), np.float32))
    assert graphc("run", "maps.onnx", "x.npy", "-o", "maps.png").code == 0
    with Image.open("maps.png") as maps:
        assert maps.size == (64, 8)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("check", "nowhere.yaml"), 2, "error[G101]: there is no file"),
        (("show", "vgg16"), 2, "did you mean 'vgg_16'?"),
        (
            ("check", "small.yaml", "--set", "clases=3"),
            2,
            "the spec has no variable 'clases' (did you mean 'classes'?)",
        ),
        (("compile", "small.yaml", "--opset", "99"), 2, "opset 99 is not supported"),
        (("compile", "small.yaml", "--ir-version", "3"), 2, "got 3"),
        (("compile", "small.yaml", "--until", "con"), 2, "did you mean 'conv'?"),
        (("compile", "small.yaml", "-o", "no/where.onnx"), 3, "error[G502]: cannot write no/where.onnx"),
        (("compile", "small.yaml", "--weights", "w.pkl"), 2, "there is no file w.pkl"),
        (("run", "small.yaml", "x.png"), 2, "error["),
        (("run", "nowhere.onnx", "x.png"), 2, "error["),
        (("show", "small.yaml", "--columns", "prams"), 2, "no column 'prams'"),
        (("explain", "conv2"), 2, "did you mean 'conv2d'?"),
        (("frobnicate",), 2, "No such command"),
        (("check", "small.yaml", "--max-layers", "2"), 2, "--max-layers"),
        (("check", "small.yaml", "--max-memory", "1e-7"), 2, "--max-memory"),
        (("check", "small.yaml", "--max-memory", "nan"), 2, "got nan"),
        (("check", "small.yaml", "--max-memory", "inf"), 2, "got inf"),
        (("check", "."), 2, "expected a file, found a folder"),
        (("check", "frobnicate"), 2, "no zoo spec 'frobnicate' (graphc list shows the zoo)"),
        (("compile", "small.yaml", "-o", "-"), 2, "name a file"),
    ],
)
def test_bad_input_is_one_sentence_and_an_exit_code(
    graphc: Run, arguments: tuple[str, ...], code: int, told: str
) -> None:
    before = sorted(Path().iterdir())
    ended = graphc(*arguments)
    assert ended.code == code
    assert told in ended.err
    assert "Traceback" not in ended.err
    assert sorted(Path().iterdir()) == before, "a failed command leaves the folder as it was"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\x93NUMPY\x01\x00\x0a\x00{'descr': [\n", "x.npy: error[G401]: the array's header cannot be read: EOF"),
        (np.array(["seven"]), "x.npy: error[G401]: expected numbers, found <U5"),
        (np.ones((8, 8, 3), complex), "x.npy: error[G401]: expected numbers, found complex128"),
        (b"PK\x05\x06" + bytes(18), "x.npy: error[G401]: expected a NumPy array, found something else"),
    ],
)
def test_arrays_that_are_no_numbers(graphc: Run, data: bytes | np.ndarray, told: str) -> None:
    graphc("compile", "small.yaml")
    if isinstance(data, bytes):
        Path("x.npy").write_bytes(data)
    else:
        np.save("x.npy", data)
    ended = graphc("run", "small.onnx", "x.npy")
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--mean", "1,2"), "--mean expects 1 or 3 numbers, got '1,2'"),
        (("--std", "1,0,1"), "--std expects 1 or 3 numbers, not 0, got '1,0,1'"),
        (("--std", "x"), "--std expects numbers with commas, got 'x'"),
    ],
)
def test_scaling_that_cannot_be(graphc: Run, options: tuple[str, ...], told: str) -> None:
    graphc("compile", "small.yaml")
    Image.new("RGB", (8, 8)).save("x.png")
    ended = graphc("run", "small.onnx", "x.png", *options)
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err


def test_a_bug_of_ours_says_so(graphc: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no idea")

    monkeypatch.setattr("graphc.compiler.expand", broken)
    ended = graphc("check", "small.yaml")
    assert ended.code == 1
    assert ended.err == "error[G900]: a bug in graphc: RuntimeError: no idea (GRAPHC_DEBUG=1 shows where)\n"


def test_diff(graphc: Run) -> None:
    Path("other.yaml").write_text(SMALL.replace("filters: 8", "filters: 16"))
    rows = json.loads(graphc("diff", "small.yaml", "other.yaml", "--format", "json").out)
    assert {"change": "changed", "layer": "conv", "what": "filters", "old": "8", "new": "16"} in rows
    assert graphc("diff", "small.yaml", "small.yaml").out == "no difference\n"


def test_schema_is_json(graphc: Run) -> None:
    assert json.loads(graphc("schema").out)["$schema"].startswith("https://json-schema.org/")


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    for arguments in ("show vgg_16 | head -1", "schema --recipe | true"):
        command = ["bash", "-o", "pipefail", "-c", f"{sys.executable} -m graphc {arguments}"]
        ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-"])
def test_closed_streams_are_no_error(closed: str, tmp_path: Path) -> None:
    command = f"{sys.executable} -m graphc list --help {closed}"
    ended = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_signal_to_end_leaves_nothing_half_written(tmp_path: Path) -> None:
    program = """
import os, signal, sys
from graphc.cli import main
os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGTERM)
sys.argv = ["graphc", "new", "net.yaml"]
main()
"""
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (143, "", "terminated\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("instruction", ["bash_source", "zsh_source", "fish_source", "bash_complete"])
def test_completion_says_nothing_besides(instruction: str) -> None:
    typed = {"_GRAPHC_COMPLETE": instruction, "COMP_WORDS": "graphc sho", "COMP_CWORD": "1"}
    command = [sys.executable, "-m", "graphc"]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **typed}, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "_GRAPHC_COMPLETE" in ended.stdout or ended.stdout == "plain,show\n"


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_has_help_that_ends_in_an_example(name: str, graphc: Run) -> None:
    ended = graphc(name, "--help")
    assert ended.code == 0
    assert re.search(rf"^ +graphc {name}\b", ended.out, re.MULTILINE)


def test_the_zoo_is_there_by_name() -> None:
    assert plan_spec("vgg_16").graph.name == "vgg_16"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "this needs more memory than there is"),
        (RuntimeError("can't start new thread"), "the system gives no more threads or processes"),
        (SystemError("error return without exception set"), "a library failed without a reason"),
    ],
)
def test_a_machine_that_has_nothing_more_to_give_is_no_bug_of_ours(
    graphc: Run, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("graphc.compiler.expand", fail)
    ended = graphc("check", "small.yaml")
    assert ended.code == 3
    assert ended.err.startswith(f"error[G503]: {said}")
