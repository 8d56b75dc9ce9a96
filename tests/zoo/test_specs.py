"""The specs themselves: short, explained, with budgets that hold, and each name to be had by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphc.compiler import plan_spec
from graphc.spec.model import read_spec
from graphc.spec.zoo import zoo_folder, zoo_names

FILES = sorted(zoo_folder().rglob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_spec_is_short_and_says_what_it_is(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert max(len(line) for line in lines) <= 120
    assert lines[0].startswith("# ")


@pytest.mark.parametrize("name", zoo_names())
def test_budgets_hold(name: str) -> None:
    assert {"params", "receptive_field"} & set(read_spec(name).expect)
    planned = plan_spec(name)
    assert planned.graph.name == name
    assert planned.graph.outputs
