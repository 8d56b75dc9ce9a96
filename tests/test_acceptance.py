"""The table of acceptance points (acceptance.toml) names tests that are there, and docs/reliability.md shows it."""

from __future__ import annotations

import ast
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.test_bad_specs import SPECS

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "reliability.md"
BEGIN, END = "<!-- acceptance: made from tests/acceptance.toml -->\n", "<!-- end of acceptance -->\n"
POINTS: dict[str, dict[str, Any]] = tomllib.loads((TESTS / "acceptance.toml").read_text(encoding="utf-8"))
KEYS = {"asked", "tests", "otherwise"}


@cache
def functions_of(file: str) -> set[str]:
    """The names of a file's test functions."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def table() -> str:
    """The points as Markdown."""
    rows = ["| | asked for | held by | otherwise |", "|---|---|---|---|"]
    for number, point in POINTS.items():
        rows.append(f"| {number} | {point['asked']} | {named(point.get('tests', []))} | {point.get('otherwise', '')} |")
    return "\n".join(rows).replace("**", r"\*\*") + "\n"


def named(tests: list[str]) -> str:
    """Each file once, with its tests; of a case of `bad_specs` its name."""
    files: dict[str, list[str]] = {}
    for test in tests:
        file, _, name = test.partition("::")
        function, _, case = name.partition("[")
        files.setdefault(file, []).append(case.removesuffix("]") or function.removeprefix("test_"))
    return "; ".join(f"`{file}`: {', '.join(names)}" if any(names) else f"`{file}`" for file, names in files.items())


def test_every_point_is_there() -> None:
    assert list(POINTS) == [str(number) for number in range(1, 82)]


@pytest.mark.parametrize("number", POINTS)
def test_a_point_has_tests_or_a_reason(number: str) -> None:
    point = POINTS[number]
    assert set(point) <= KEYS
    assert point.get("tests") or point.get("otherwise")
    for test in point.get("tests", []):
        file, _, name = test.partition("::")
        function, _, case = name.partition("[")
        assert function in functions_of(file) if name else functions_of(file), test
        assert not case or case.removesuffix("]") in SPECS, test


def test_the_page_shows_the_table(request: pytest.FixtureRequest) -> None:
    text = PAGE.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin
    assert end
    expected = f"{before}{BEGIN}{table()}{END}{after}"
    if request.config.getoption("--update-golden"):
        PAGE.write_text(expected, encoding="utf-8")
    elif text != expected:
        pytest.fail("docs/reliability.md has another table: run pytest tests/test_acceptance.py --update-golden")
