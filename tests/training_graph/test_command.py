"""`graphc compile --training` as one types it, and the page that says how its file is run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.numpy import load_file

from graphc.cli import run_command
from tests.train.conftest import RECIPE, SPEC, write_data, write_tiny_project

PAGE = Path(__file__).parents[2] / "docs" / "training_graph.md"


@pytest.fixture
def graphc(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    write_tiny_project(tmp_path, 20, 8)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["graphc", *arguments])
        code = run_command()
        return code, capsys.readouterr().err

    return run


def test_the_step_and_its_state_are_written(graphc):
    code, said = graphc("compile", "--training", "recipe.yaml", "--batch", "4", "-o", "tiny.train.onnx")
    assert code == 0, said
    assert re.search(r"wrote tiny\.train\.onnx: [\d,]+ nodes, [\d,]+ bytes\nwrote tiny\.state\.safetensors: ", said)
    model, state = onnx.load("tiny.train.onnx"), load_file("tiny.state.safetensors")
    onnx.checker.check_model(model, full_check=True)
    shapes = {each.name: [d.dim_value for d in each.type.tensor_type.shape.dim] for each in model.graph.input}
    assert shapes["image"] == [4, 6, 6, 1]
    assert {name: list(array.shape) for name, array in state.items()}.items() <= shapes.items()
    assert "slots/square/tiny/conv1/weights" in state


def test_accumulated_batches_are_inputs_of_their_own(graphc):
    code, said = graphc("compile", "--training", "recipe.yaml", "--batch", "4", "--set", "accumulate=2")
    assert code == 0, said
    (path,) = Path().glob("*.train.onnx")
    names = {each.name for each in onnx.load(path).graph.input}
    of_batches = {name for name in names if "@" in name}
    assert {name.rpartition("@")[0] for name in of_batches} > {"image", "label/logits", "share"}
    assert {name.rpartition("@")[2] for name in of_batches} == {"0", "1"}


def test_steps_in_a_row(graphc):
    code, said = graphc("compile", "--training", "recipe.yaml", "--batch", "4", "--unroll", "2", "-o", "two.onnx")
    assert code == 0, said
    graph = onnx.load("two.onnx").graph
    assert {"image@0", "image@1", "learning_rate@1", "step"} <= {each.name for each in graph.input}
    assert {"loss@0", "loss@1", "next/params/tiny/conv1/weights"} <= {each.name for each in graph.output}


def test_the_same_recipe_gives_the_same_bytes_in_another_process(graphc):
    """Whatever order sets of names have there."""
    found = []
    for seed in ("1", "2"):
        command = [sys.executable, "-m", "graphc", "compile", "--training", "recipe.yaml", "-o", f"{seed}.train.onnx"]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": seed})
        found.append(Path(f"{seed}.train.onnx").read_bytes())
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--training", "recipe.yaml", "tiny.yaml"), "leave out SPEC"),
        (("--training", "recipe.yaml", "--opset", "17"), "--opset does not go with --training"),
        (("--training", "recipe.yaml", "-o", "-"), "an ONNX file is not printed"),
        (("--training", "recipe.yaml", "--set", "freeze=[{pattern: '*', until_epoch: 2}]"), "learns after epoch 2"),
        (("--training", "recipe.yaml", "--set", "dtype=float64"), "a training graph has float32"),
        (("tiny.yaml", "--unroll", "2"), "--unroll goes with --training"),
        (("--training", "recipe.yaml", "--unroll", "2", "--set", "accumulate=2"), "several steps, not both"),
        ((), "Missing argument"),
    ],
)
def test_what_does_not_fit_is_refused(graphc, arguments, said):
    code, error = graphc("compile", *arguments)
    assert (code, said in error) == (2, True), error
    assert not list(Path().glob("*.onnx")) + list(Path().glob("*.state.safetensors"))


def test_the_page_trains(monkeypatch, tmp_path, capsys):
    """Its twenty lines, on a step with its inputs."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    spec = SPEC.replace("units: 3", "units: 10")
    (tmp_path / "tiny.yaml").write_text(spec)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    for name in ("train.npz", "test.npz"):
        write_data(tmp_path / name, 20, 0)
    monkeypatch.setattr(sys, "argv", ["graphc", "compile", "--training", "recipe.yaml", "-o", "digits.train.onnx"])
    assert run_command() == 0
    exec(compile(code, str(PAGE), "exec"), {})
    losses = [float(line.split()[1]) for line in capsys.readouterr().out.splitlines()]
    assert len(losses) == 20
    assert np.isfinite(losses).all()
    before, after = load_file("digits.state.safetensors"), load_file("digits.safetensors")
    assert before.keys() >= {f"params/{name}" for name in after}
    assert not np.array_equal(before["params/tiny/conv1/weights"], after["tiny/conv1/weights"])
