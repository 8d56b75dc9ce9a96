"""The README's example, as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from graphc.train.commands import evaluate_run, train
from graphc.train.recipe import read_recipe_text

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_guides_recipe_is_one():
    blocks = re.findall(r"```yaml\n(.*?)```", (EXAMPLES / "TRAINING.md").read_text(), re.DOTALL)
    whole, heads = blocks
    assert read_recipe_text(whole).accumulate == 2
    without_loss = re.sub(r"(?m)^loss: .*\n", "", whole)
    assert len(read_recipe_text(without_loss + heads).heads) == 2


def test_digits(tmp_path):
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    train(EXAMPLES / "digits" / "recipe.yaml", tmp_path / "run")
    assert evaluate_run(tmp_path / "run")["accuracy"] >= 0.985
