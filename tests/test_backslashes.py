"""Paths as Windows writes them, in messages: nothing takes a backslash for the beginning of an escape."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from graphc.errors import Place, SpecError
from graphc.files import shown

SPEC = """\
graphc: 1
name: net
inputs: {image: [N, 8, 8, 3]}
layers:
  - conv2d: {name: conv, filters: 4, kernel: 3}
  - global_avg_pool2d: {name: pool}
  - fully_connected: {name: logits, units: 5}
outputs: {logits: logits}
"""
RECIPE = r"""
recipe: 1
model: {spec: 'nets\new.yaml'}
data: {train: {shapes: {count: 8, size: [8, 8]}}}
loss: softmax_cross_entropy
optimizer: sgd
learning_rate: 0.1
epochs: 1
batch: 8
"""
COMMANDS = [
    r"check nets\new.yaml",
    r"check nets\none.yaml",
    r"check nets\tab.yaml",
    r"check escape.yaml",
    r"check users.yaml",
    r"check line.yaml",
    r"check include.yaml",
    r"compile nets\new.yaml -o out\net.onnx",
    r"compile nets\new.yaml --weights w\none.npz",
    r"train r\recipe.yaml -o runs\[new]",
    r"train r\recipe.yaml -o runs\[new]",
    r"train data.yaml -o runs\b",
    r"eval runs\none",
    r"run out\none.onnx x.npy",
]


def run(command: str, folder: Path) -> str:
    """What the command says, without times."""
    words = [sys.executable, "-m", "graphc", *command.split()]
    ended = subprocess.run(words, capture_output=True, text=True, cwd=folder, check=False)
    lines = [line.partition("  loss")[0].rstrip() for line in ended.stderr.splitlines()]
    return "\n".join([f"$ graphc {command}", *lines, f"{ended.returncode}", ""])


@pytest.mark.skipif(sys.platform == "win32", reason="there a backslash leads into a folder")
def test_messages_show_backslashes_as_they_are(tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    files = {
        r"nets\new.yaml": SPEC,
        r"nets\tab.yaml": SPEC.replace("kernel: 3", "kernel: x"),
        "escape.yaml": 'graphc: 1\ninclude: "C:\\parts\\x.yaml"\n',
        "users.yaml": 'graphc: 1\ninclude: "C:\\Users\\x.yaml"\n',
        "line.yaml": 'graphc: 1\ninclude: "nets\\new.yaml"\n',
        "include.yaml": "graphc: 1\ninclude: 'nets\\new.yaml'\n",
        r"r\recipe.yaml": RECIPE,
        "data.yaml": RECIPE.replace("shapes: {count: 8, size", 'image_folder: {path: "data\\new", size'),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    golden("backslashes.txt", "\n".join(run(command, tmp_path) for command in COMMANDS))


def test_places_and_paths() -> None:
    error = SpecError("G102", "wrong", Place("C:\\nets\\new.yaml", 3, 5))
    assert str(error) == "C:\\nets\\new.yaml:3:5: error[G102]: wrong"
    assert shown("C:\\nets\\new.yaml") == "C:\\nets\\new.yaml"
    assert shown("C:\nets\tab\x1b[31m") == "C:\\x0aets\\x09ab\\x1b[31m"
