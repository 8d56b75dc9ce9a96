"""The picture as PDF or PNG, for papers and slides, by matplotlib (extra: plot), which brings its own fonts.

What is drawn is the SVG, element by element: its shapes are few and all ours. Colors are the light ones; text in a PDF
stays text.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphc.errors import SpecError
from graphc.graph import Plan
from graphc.report.families import ACCENTS
from graphc.report.figures import figure_bytes, new_figure
from graphc.report.picture.svg import LIGHT, draw_svg

POINTS = 72
"""Pixels of the SVG to an inch: one is a point."""
SHARP = 2
"""Pixels of a PNG for each one of the SVG."""
MOST_PIXELS = 30_000
"""Along an edge of a PNG."""
COLORS = dict(each.removeprefix("--").split(":") for each in LIGHT.split(";"))
COMMAND = re.compile(r"([MLQVvz])([^MLQVvz]*)")
FONT = "DejaVu Sans"
"""Comes with matplotlib."""


@dataclass(frozen=True, slots=True)
class Look:
    """How an element is drawn."""

    fill: str = "none"
    stroke: str = "none"
    width: float = 1.0
    size: float = 10.5
    bold: bool = False
    middle: bool = False


def print_pdf(plan: Plan) -> bytes:
    """One page of the picture's size."""
    return _printed(plan, "pdf", POINTS)


def print_png(plan: Plan) -> bytes:
    """Twice as many pixels as the SVG has, along each axis."""
    return _printed(plan, "png", POINTS * SHARP)


def _printed(plan: Plan, form: str, dpi: int) -> bytes:
    root = ET.fromstring(draw_svg(plan, style=False))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    if form == "png" and max(width, height) * SHARP > MOST_PIXELS:
        found = f"{width * SHARP:,.0f}×{height * SHARP:,.0f}"
        raise SpecError("G334", f"a PNG has at most {MOST_PIXELS:,} pixels along an edge, this has {found}: take .svg")
    figure = new_figure(width / POINTS, height / POINTS)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    for element, look in _elements(root, ""):
        _draw(axes, element, look)
    return figure_bytes(figure, form, dpi, {"font.family": FONT}, facecolor=COLORS["page"])


def _elements(group: ET.Element, around: str) -> Iterator[tuple[ET.Element, Look]]:
    """Every shape and text in its order, with its look; `around`: the classes of the groups that it is in."""
    for element in group:
        kind, classes = element.tag.rpartition("}")[2], element.attrib.get("class", "")
        if kind == "g":
            yield from _elements(element, f"{around} {classes}")
        elif kind != "title":
            yield element, _look(kind, classes, around.split())


def _look(kind: str, own: str, around: list[str]) -> Look:
    """What the style sheet (`svg.RULES`) says of an element."""
    family = next((name for name in around if name in ACCENTS), "")
    accent = ACCENTS[family].light if family else COLORS["edge"]
    if kind == "text":
        return _text_look(own, around)
    if kind == "path":
        stripe = Look(stroke=accent, width=3)
        return {"stripe": stripe, "tip": Look(fill=COLORS["edge"])}.get(own, Look(stroke=COLORS["edge"], width=1.2))
    looks: Mapping[str, Look] = {
        "page": Look(fill=COLORS["page"]),
        "swatch": Look(fill=accent),
        "pill": Look(fill=COLORS["ink"]),
    }
    inside = COLORS["frame"] if "f" in around else COLORS["paper"]
    return looks.get(own, Look(fill=inside, stroke=COLORS["rim"]))


def _text_look(own: str, around: list[str]) -> Look:
    looks: Mapping[str, Look] = {
        "name": Look(COLORS["ink"], size=15, bold=True),
        "n": Look(COLORS["ink"], bold=True),
        "m": Look(COLORS["muted"], size=9),
        "pilled": Look(COLORS["paper"], size=9.5, bold=True, middle=True),
    }
    of_frame = Look(COLORS["muted"], size=9.5, bold=True) if "f" in around else Look(COLORS["ink"])
    return looks.get(own, of_frame)


def _draw(axes: Any, element: ET.Element, look: Look) -> None:
    from matplotlib.patches import FancyBboxPatch, PathPatch  # noqa: PLC0415
    from matplotlib.path import Path  # noqa: PLC0415

    given = element.attrib
    kind = element.tag.rpartition("}")[2]
    if kind == "text":
        axes.text(
            float(given["x"]),
            float(given["y"]),
            (element.text or "").replace("$", r"\$"),
            color=look.fill,
            fontsize=look.size,
            fontweight="bold" if look.bold else "normal",
            ha="center" if look.middle else "left",
            va="baseline",
        )
        return
    style: dict[str, Any] = {"facecolor": look.fill, "edgecolor": look.stroke, "linewidth": look.width}
    if kind == "rect":
        x, y, width, height = (float(given.get(name, 0)) for name in ("x", "y", "width", "height"))
        corner = f"round,pad=0,rounding_size={float(given.get('rx', 0))}" if "rx" in given else "square,pad=0"
        axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=corner, **style))
        return
    points, codes = _path(given["d"])
    axes.add_patch(PathPatch(Path(points, codes), **style))


def _path(text: str) -> tuple[list[tuple[float, float]], list[int]]:
    """The points and matplotlib's codes of a path of the commands that `canvas` writes."""
    move, line, curve, close = 1, 2, 3, 79
    points: list[tuple[float, float]] = []
    codes: list[int] = []
    for command, numbers in COMMAND.findall(text):
        values = [float(each) for each in numbers.split()]
        if command == "z":
            points.append(points[0])
            codes.append(close)
        elif command in "Vv":
            x, y = points[-1]
            points.append((x, values[0] if command == "V" else y + values[0]))
            codes.append(line)
        else:
            points += zip(values[::2], values[1::2], strict=True)
            codes += {"M": [move], "L": [line], "Q": [curve, curve]}[command]
    return points, codes
