"""What a shell offers after TAB."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

from graphc.cli import cli
from graphc.layers import CATALOGUE
from graphc.spec.zoo import zoo_names


def offered(*words: str) -> list[str]:
    """The values that are offered for the last word; a kind of file in brackets."""
    *before, typed = words
    items = BashComplete(cli, {}, "graphc", "_GRAPHC_COMPLETE").get_completions(before, typed)
    return [item.value if item.type == "plain" else f"<{item.type}>" for item in items]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with a spec, a picture and two runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vgg_mine.yaml").write_text(
        "graphc: 1\ninputs: {image: [N, 8, 8, 3]}\nlayers: [conv2d: [4, 3], relu]\n"
    )
    (tmp_path / "broken.yaml").write_text("layers: [conv2d: {")
    (tmp_path / "photo.jpg").touch()
    for run in ("runs/one", "runs/two", "elsewhere/three"):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "run.json").touch()
    (tmp_path / "runs" / "no_run").mkdir()


@pytest.mark.parametrize("command", ["show", "check", "compile", "draw", "verify", "report", "explain"])
def test_specs_are_names_of_the_zoo_and_spec_files(command):
    assert offered(command, "vgg") == [*(name for name in zoo_names() if name.startswith("vgg")), "vgg_mine.yaml"]
    assert offered(command, "./vgg") == ["./vgg_mine.yaml"]


def test_both_specs_of_diff():
    assert "resnet_v1_50" in offered("diff", "resnet_v1")
    assert "resnet_v2_50" in offered("diff", "resnet_v1_50", "resnet_v2")


def test_where_no_spec_begins_so_the_shell_offers_files():
    assert offered("show", "pho") == ["<file>"]


def test_layers_of_the_spec_and_their_arguments():
    assert offered("explain", "vgg_16", "conv5/conv5_1") == ["conv5/conv5_1", "conv5/conv5_1/Relu"]
    assert offered("explain", "vgg_mine.yaml", "") == ["conv2d", "relu"]
    assert offered("explain", "vgg_mine.yaml", "conv2d.ker") == ["conv2d.kernel"]
    assert offered("explain", "--set", "steps1=1", "vgg_16", "conv1/") == ["conv1/conv1_1", "conv1/conv1_1/Relu"]
    assert "vgg_16/conv1" in offered("show", "vgg_16", "--until", "vgg_16/conv")


@pytest.mark.parametrize("spec", ["broken.yaml", "not_there", "photo.jpg"])
def test_of_a_spec_with_an_error_nothing_is_offered(spec):
    assert offered("explain", spec, "conv") == []


def test_explain_offers_words():
    words = offered("explain", "")
    assert {*CATALOGUE, "adam", "cosine", "random_crop", "image_folder", "xavier", "warm_up", "repeat"} <= {*words}
    assert len(words) == len(set(words))


def test_runs():
    assert offered("eval", "") == ["runs/one", "runs/two"]
    assert offered("resume", "elsewhere/t") == ["elsewhere/three"]
    assert offered("predict", "elsewhere/no") == ["<file>"]
    assert "runs/one" in offered("report", "runs/o")


@pytest.mark.parametrize(
    "words",
    [("train", "rec"), ("compile", "vgg_16", "-o", "x"), ("predict", "runs/one", "pho"), ("run", "x.onnx", "p")],
)
def test_everything_else_is_files(words):
    assert offered(*words) == ["<file>"]


@pytest.mark.parametrize("words", [("show", "vgg_16", "--columns", "p"), ("show", "vgg_16", "--set", "c")])
def test_what_is_no_file_is_not_offered_as_one(words):
    assert offered(*words) == []


def test_choices_and_commands_are_offered():
    assert offered("sho") == ["show"]
    assert offered("show", "vgg_16", "--format", "j") == ["json"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_itself(tmp_path):
    (tmp_path / "graphc").write_text(f'#!/bin/sh\nexec {sys.executable} -m graphc "$@"\n')
    (tmp_path / "graphc").chmod(0o755)
    script = (
        'eval "$(_GRAPHC_COMPLETE=bash_source graphc)"\n'
        "COMP_WORDS=(graphc show resnet_v1); COMP_CWORD=2\n"
        "_graphc_completion graphc; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    root = str(Path(__file__).parent.parent)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": root}
    ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert ended.stderr == ""
    assert ended.stdout.split() == [name for name in zoo_names() if name.startswith("resnet_v1")]
