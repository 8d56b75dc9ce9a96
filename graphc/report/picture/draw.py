"""`graphc draw`: the picture in the format that the file's name asks for."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path

from graphc.files import printable
from graphc.graph import Plan
from graphc.report.picture.printed import print_pdf, print_png
from graphc.report.picture.svg import css, draw_svg
from graphc.report.picture.text import draw_dot, draw_mermaid


def draw_html(plan: Plan) -> str:
    """A page with the picture, larger and smaller, light and dark, a card for what is under the pointer."""
    page = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
    parts = {"title": escape(plan.graph.name), "style": css(on_page=True), "picture": draw_svg(plan, style=False)}
    for name, text in parts.items():
        page = page.replace(f"{{{{{name}}}}}", text, 1)
    return page


def draw_as(plan: Plan, ending: str) -> bytes:
    """The picture in the form that a file's name ends in; a MachineError where that needs an extra."""
    if ending in PRINTED:
        return PRINTED[ending](plan)
    return printable(FORMATS[ending](plan)).encode()


FORMATS: dict[str, Callable[[Plan], str]] = {
    ".svg": draw_svg,
    ".html": draw_html,
    ".dot": draw_dot,
    ".mmd": draw_mermaid,
}
"""File name's end -> how the picture is made, as text."""
PRINTED: dict[str, Callable[[Plan], bytes]] = {".pdf": print_pdf, ".png": print_png}
ENDINGS = (*FORMATS, *PRINTED)
