"""`graphc format`: white space in order, and nothing else."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphc.cli import cli
from graphc.errors import SpecError
from graphc.spec.layout import laid_out, plain
from graphc.spec.source import load_text

ROOT = Path(__file__).parent.parent.parent
FILES = sorted([*(ROOT / "specs").rglob("*.yaml"), *(ROOT / "examples").rglob("*.yaml")])

UGLY = """\
# head
graphc:   1
inputs: { image : [N,224,224,3] }
vars:
    a: "x,y: {z}"   # keep   this
    d: >-
       folded text
       more:  here
layers:
- conv2d:   {filters: 64,kernel: 3 ,  stride: 2}
# about relu
-   relu
-   group:
        name: g
        # inner
        layers:
        - conv2d: [ 3, 3 ]
        -   conv2d:
               filters: 3
               kernel:
                   [3,
                      3]
"""
NEAT = """\
# head
graphc: 1
inputs: {image: [N, 224, 224, 3]}
vars:
  a: "x,y: {z}"   # keep   this
  d: >-
     folded text
     more:  here
layers:
  - conv2d: {filters: 64, kernel: 3, stride: 2}
  # about relu
  - relu
  - group:
      name: g
      # inner
      layers:
        - conv2d: [3, 3]
        - conv2d:
            filters: 3
            kernel:
              [3,
                 3]
"""


def test_an_ugly_file() -> None:
    assert laid_out(UGLY, "net.yaml") == NEAT
    assert laid_out(NEAT, "net.yaml") == NEAT


def test_the_zoo_and_the_examples_are_laid_out() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert laid_out(text, str(path)) == text, path


def test_what_was_pushed_about_comes_back() -> None:
    """Other indentation, and spaces where they mean nothing: the values stay, and the comments."""
    rng = random.Random(0)
    for path in rng.sample(FILES, 30):
        text = path.read_text(encoding="utf-8")
        if any(sign in text for sign in ("|\n", ">\n", "|-\n", ">-\n")):
            continue
        wide = "\n".join(" " * (2 * (len(line) - len(line.lstrip()))) + line.lstrip() for line in text.split("\n"))
        lines = (line if line.lstrip().startswith("#") else line.replace(": {", ":   {") for line in wide.split("\n"))
        wide = "\n".join(lines).replace("]\n", "]  \n")
        try:
            before = load_text(wide, "wide", number_keys=True)
        except SpecError:
            continue
        found = laid_out(wide, "wide")
        assert plain(load_text(found, "found", number_keys=True)) == plain(before)
        assert [line for line in found.split("\n") if line.lstrip().startswith("#")] == [
            line for line in text.split("\n") if line.lstrip().startswith("#")
        ]


@pytest.mark.parametrize("text", ["a: [1,\n  2]\n", "a:\n- b: 1\n  c: 2\n", "- - a\n  - b\n", "a: 'it''s'\n"])
def test_odd_forms_keep_their_values(text: str) -> None:
    assert plain(load_text(laid_out(text, "odd"), "odd")) == plain(load_text(text, "odd"))


def test_the_command(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(UGLY, encoding="utf-8")
    result = CliRunner().invoke(cli, ["format", "--check", str(path)])
    assert isinstance(result.exception, SpecError)
    assert "1 file not laid out" in str(result.exception)
    assert path.read_text(encoding="utf-8") == UGLY
    assert CliRunner().invoke(cli, ["format", str(path)]).exit_code == 0
    assert path.read_text(encoding="utf-8") == NEAT
    assert CliRunner().invoke(cli, ["format", "--check", str(path)]).exit_code == 0
