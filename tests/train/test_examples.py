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
    whole, *parts = blocks
    assert read_recipe_text(whole).accumulate == 2
    heads = [len(read_recipe_text(_with(whole, part)).heads) for part in parts]
    assert [count for count in heads if count][:2] == [2, 3]


def _with(whole, part):
    """The recipe with these keys instead of its own; `heads` are instead of `loss`."""
    for key in (*re.findall(r"(?m)^(\w+):", part), *(["loss"] if "heads:" in part else [])):
        whole = re.sub(rf"(?m)^{key}:.*\n(?:[ -].*\n)*", "", whole)
    return whole + part


@pytest.mark.parametrize(
    ("settings", "least"), [(["epochs=3"], 0.9), pytest.param([], 0.985, marks=pytest.mark.exhaustive)]
)
def test_digits(tmp_path, settings, least):
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    train(EXAMPLES / "digits" / "recipe.yaml", tmp_path / "run", settings)
    assert evaluate_run(tmp_path / "run")["accuracy"] >= least
