"""The README's example, as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphc.train.commands import evaluate_run, train

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_digits(tmp_path):
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    train(EXAMPLES / "digits" / "recipe.yaml", tmp_path / "run")
    assert evaluate_run(tmp_path / "run")["accuracy"] >= 0.985
