"""What is written replaces nothing that is read, and not what else is written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from graphc.cli import cli
from graphc.errors import SpecError

SPEC = "graphc: 1\ninputs: {x: [N, 4]}\nlayers:\n  - fully_connected: {name: logits, units: 3}\n"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What lies in the folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("net.yaml", "net.svg", "net.html", "r.png"):
        Path(name).write_text(SPEC, encoding="utf-8")
    np.save("x.npy", np.zeros((1, 4), "f4"))
    result = CliRunner().invoke(cli, ["compile", "net.yaml", "-o", "net.onnx", "--save-weights", "w.npz"])
    assert result.exit_code == 0
    Path("sub").mkdir()
    return contents()


def contents() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path().iterdir() if path.is_file()}


@pytest.mark.parametrize(
    "command",
    [
        "compile net.yaml -o net.yaml",
        "compile net.yaml -o sub/../net.yaml",
        "compile net.yaml -o w.npz --weights w.npz",
        "compile net.yaml -o a.npz --save-weights a.npz",
        "compile net.yaml -o a.onnx --weights w.npz --save-weights w.npz",
        "draw net.svg -o net.svg",
        "report net.html -o net.html",
        "run net.onnx x.npy -o x.npy",
        "run net.onnx --input x=x.npy -o x.npy",
        "run net.onnx x.npy -o net.onnx",
        "predict run x.npy -o x.npy",
        "data stats r.png -o r.png",
        "data preview r.png -o r.png",
        "new a.yaml --recipe a.yaml",
    ],
)
def test_inputs_are_kept(files: dict[str, bytes], command: str) -> None:
    error = CliRunner().invoke(cli, command.split()).exception
    assert isinstance(error, SpecError), error
    assert error.code == "G350"
    assert "name another file" in error.message
    assert contents() == files


@pytest.mark.posix
def test_a_link_to_an_input_is_the_input(files: dict[str, bytes]) -> None:
    os.symlink("net.yaml", "link.yaml")
    error = CliRunner().invoke(cli, ["compile", "net.yaml", "-o", "link.yaml"]).exception
    assert isinstance(error, SpecError)
    assert Path("net.yaml").read_bytes() == files["net.yaml"]


def test_a_model_of_the_zoo_is_no_file(files: dict[str, bytes]) -> None:
    assert CliRunner().invoke(cli, ["draw", "lenet5", "-o", "lenet5.svg"]).exit_code == 0


@pytest.mark.posix
def test_standard_output_that_is_full() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "graphc", "show", "lenet5"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 3
    assert done.stderr.decode().startswith("error[G502]: cannot write standard output: No space left on device\n")


@pytest.mark.posix
@pytest.mark.parametrize("command", ["check", "compile", "draw", "report"])
def test_names_that_are_not_utf_8(files: dict[str, bytes], command: str) -> None:
    spec = os.fsdecode(b"b\xff.yaml")
    try:
        Path(spec).write_text(SPEC, encoding="utf-8")
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    result = CliRunner().invoke(cli, [command, spec])
    assert result.exit_code == 0, result.exception
    assert "b\\udcff" in result.output


def test_an_output_that_the_model_lacks_is_said_with_the_nearest(files: dict[str, bytes]) -> None:
    result = CliRunner().invoke(cli, ["run", "net.onnx", "x.npy", "--name", "outputs"])
    assert isinstance(result.exception, SpecError)
    assert (
        result.exception.message == "expected an output of net.onnx (output), found 'outputs' (did you mean 'output'?)"
    )
    assert contents() == files
