"""What new users do by mistake, and what they are told."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from graphc.cli import cli
from graphc.errors import SpecError
from graphc.train.progress import Bar

NET = "graphc: 1\nvars: {width: 4}\ninputs: {image: [N, 8, 8, 1]}\nlayers: [flatten, fully_connected: 3]\n"
RECIPE = (
    "recipe: 1\nmodel: net.yaml\ndata: {train: {digits: {}}}\nloss: {loss}\n"
    "optimizer: adam\nlearning_rate: 0.1\nepochs: 1\nmetrics: [accuracy]\n"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.yaml").write_text(NET, encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("{loss}", "softmax_cross_entropy"), encoding="utf-8")
    return tmp_path


def asked(*words: str) -> str:
    """What a command prints; of an error its words."""
    result = CliRunner().invoke(cli, words)
    return str(result.exception) if isinstance(result.exception, SpecError) else result.output


def test_columns_in_any_case(folder: Path) -> None:
    assert asked("show", "net.yaml", "--columns", "Layer,macs", "--format", "csv").startswith("layer,MACs\n")
    assert "no column 'mac'" in asked("show", "net.yaml", "--columns", "mac")


def test_diff_of_variants(folder: Path) -> None:
    text = NET.replace("fully_connected: 3", 'fully_connected: "${width}"')
    (folder / "net.yaml").write_text(text, encoding="utf-8")
    assert "260" in asked("diff", "net.yaml", "net.yaml", "--set-new", "width=8")
    assert "130" not in asked("diff", "net.yaml", "net.yaml", "--set", "width=2")
    assert "no variable 'depth'" in asked("diff", "net.yaml", "net.yaml", "--set", "depth=2")


def test_a_recipe_given_to_check(folder: Path) -> None:
    assert "recipe.yaml: 2 layers, no errors" in asked("check", "recipe.yaml")
    (folder / "recipe.yaml").write_text(RECIPE.replace("{loss}", "box_iou"), encoding="utf-8")
    assert "box_iou" in asked("check", "recipe.yaml")


def test_a_spec_given_to_train(folder: Path) -> None:
    assert "expected a recipe, found a spec: `graphc new --recipe`" in asked("train", "net.yaml", "-o", "run")
    assert "found lenet, a spec of the zoo" in asked("train", "lenet", "-o", "run")


@pytest.mark.parametrize("word", ["“relu”", "‘relu’", "«relu»"])
def test_quotes_of_word_processors(folder: Path, word: str) -> None:
    (folder / "net.yaml").write_text(f"{NET}end_points: [{word}]\n", encoding="utf-8")
    assert "expected straight quotes, found" in asked("check", "net.yaml")
    assert 'write "relu"' in asked("check", "net.yaml")


def test_words_in_such_quotes_may_stand_in_texts(folder: Path) -> None:
    text = NET.replace("layers:", "blocks: {unit: {description: “Deep” and wide, layers: [relu]}}\nlayers:")
    (folder / "net.yaml").write_text(text, encoding="utf-8")
    assert "no errors" in asked("check", "net.yaml")


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_bar_fits(columns: int) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=columns, color_system=None)
    bar = Bar(console)
    bar.begin(0, 100_000)
    bar.stepped(50_000, 12, 0.1234, 64)
    bar.end()
    last = [line for line in out.getvalue().replace("\r", "\n").split("\n") if "loss" in line][-1]
    assert "loss 0.1234" in last
    assert "epoch 12" in last
    assert "…" not in last
