"""The page put together: one file, nothing loaded from anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from graphc.errors import CONTROLS, DivergedError
from graphc.files import printable
from graphc.graph import Plan
from graphc.report.page.facts import facts
from graphc.report.picture.svg import css, draw_svg
from graphc.report.properties import drifts
from graphc.types import Array

ESCAPES = {number: f"\\u{number:04x}" for number in CONTROLS}
HERE = Path(__file__).parent


def page(plan: Plan, params: Mapping[str, Array] | None, more: Mapping[str, Any]) -> str:
    """The report of a plan as HTML.

    `params` are the weights (by full name, each in its own shape) with which it is measured how outputs move with the
    image; None measures nothing. `more` is what there is besides: `image`, `activity`, `runs`; with `live` the page
    asks its server for `runs` every so many milliseconds, and may ask nobody else.
    """
    data = {**facts(plan, drifts(plan, params) if params is not None else {}), **more}
    parts: dict[str, Iterable[str]] = {
        "title": [escape(printable(plan.graph.name))],
        "style": [css(on_page=True), (HERE / "page.css").read_text(encoding="utf-8")],
        "picture": [printable(draw_svg(plan, style=False))],
        "script": [(HERE / "page.js").read_text(encoding="utf-8")],
        "data": in_script(data),
        "connect": ["'self'" if "live" in more else "'none'"],
    }
    text = (HERE / "page.html").read_text(encoding="utf-8")
    pieces = text.split("{{")
    filled = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        filled.extend((*parts[name], rest))
    return "".join(filled)


def in_script(data: Mapping[str, Any]) -> Iterator[str]:
    """The pieces of JSON that no text in it can end early: `<` and `&` as escapes. What is an iterator becomes a list,
    of which no two items are there at once."""
    start = "{"
    for key, value in data.items():
        yield f"{start}{_escaped(key)}:"
        if isinstance(value, Iterator):
            yield "["
            for number, each in enumerate(value):
                yield f"{',' if number else ''}{_escaped(each)}"
            yield "]"
        else:
            yield _escaped(value)
        start = ","
    yield "}"


def _escaped(value: Any) -> str:
    try:
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except ValueError:
        message = "what the layers make of images is not finite: numbers of the weights are too large"
        raise DivergedError("G620", message) from None
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")  # half a surrogate pair is an escape in JSON too
    return text.replace("<", "\\u003c").replace("&", "\\u0026").translate(ESCAPES)
