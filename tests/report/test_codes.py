"""The table of codes has every code that the program has, and no other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import graphc
from graphc.errors import SpecError
from graphc.report.codes import CODE, codes, explain_code, group_of
from graphc.report.explain import explain_word

PACKAGE = Path(graphc.__file__).parent


def used() -> set[str]:
    """The codes that stand in the package, in texts such as error[G900] too."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if CODE.fullmatch(node.value):
                    found.add(node.value)
                elif "error[G" in node.value or "warning[G" in node.value:
                    found |= {f"G{part[:3]}" for part in node.value.split("[G")[1:] if part[:3].isdigit()}
    return found


def test_every_code_has_cause_and_cure() -> None:
    assert used() - set(codes()) == set(), "write their cause and cure in graphc/report/codes.yaml"
    assert set(codes()) - used() == set(), "the program has no such code"
    assert list(codes()) == sorted(codes())
    for code in codes().values():
        assert code.cause.endswith("."), code
        assert code.cure.endswith((".", "`.")), code
        assert group_of(code.code)


def test_explain() -> None:
    text = explain_word("g204", "table")
    assert text.startswith("G204: shapes\n")
    assert "  cure: Choose channels" in text
    assert '"code": "G204"' in explain_code("G204", "json")
    with pytest.raises(SpecError, match="no error or warning has the code G999"):
        explain_word("G999", "table")
