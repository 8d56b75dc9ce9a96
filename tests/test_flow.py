"""Values that are written into specs and recipes mean the same when they are read back."""

from __future__ import annotations

from typing import Any

import pytest

from graphc.documented import flow
from graphc.spec.source import load_text

TEXTS = (
    "null", "Null", "NULL", "true", "True", "false", "NaN", "Infinity", "~", "", "a ", " a", "a  b", "-", "- a", "a: b",
    "a #b", "#", "*a", "&a", "!a", "%a", "@a", "`a`", "'", '"', "\\", "{a}", "[a]", "a, b", "1e5", ".5", "-.inf", "0x1",
    "/a/b", "a<<", "<<", "=", "a=b", "é", "😋", "a\u3000b", "..", "conv2d, max_pool2d",
)  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_texts(text: str) -> None:
    value: dict[str, Any] = {"x": {text: [text, {text: text}]}}
    assert load_text(flow(value), "written") == value


@pytest.mark.parametrize("text", ["a\x85b", "a\u2028b", "a\nb", "a\x7f", "a\u202eb"])
def test_what_steers_is_escaped(text: str) -> None:
    assert flow(text).isprintable()
    assert load_text(flow({"x": text}), "written") == {"x": text}
