"""Signal-to-noise of a converted model's tensors, the worst first: as a table and as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from graphc.files import printable
from graphc.quantization.cost import Noise
from graphc.report.picture.canvas import number, text_width
from graphc.report.picture.svg import css
from graphc.report.tables import render

MOST = 60
"""Tensors in the picture: the worst ones."""
ROW, BAR, MARGIN, TOP = 16, 320, 16, 56
STEP = 20
"""Decibels from one line of the picture to the next: ten times as much noise."""


def worst_first(noise: Sequence[Noise]) -> list[Noise]:
    return sorted(noise, key=lambda each: each.decibels)


def noise_table(noise: Sequence[Noise], form: str) -> str:
    """`form` is table, json, csv or md."""
    rows = [[each.name, round(each.decibels, 2)] for each in worst_first(noise)]
    return render(("layer", "signal-to-noise, dB"), rows, form)


def noise_picture(noise: Sequence[Noise]) -> str:
    """An SVG of bars, whose lengths are decibels from 0."""
    shown = worst_first(noise)[:MOST]
    left = MARGIN + max((text_width(each.name, 10.5) for each in shown), default=0) + 8
    ends = [each.decibels for each in shown if math.isfinite(each.decibels)]
    most = max(STEP, math.ceil(max(ends, default=0) / STEP) * STEP)
    width, height = left + BAR + 64, TOP + ROW * len(shown) + MARGIN
    parts = [
        f'<rect class="page" width="{number(width)}" height="{number(height)}"/>',
        _heading(len(shown), len(noise)),
    ]
    for mark in range(0, most + 1, STEP):
        x = number(left + BAR * mark / most)
        parts.append(f'<g class="l"><path d="M{x} {TOP - 6}V{number(height - MARGIN)}"/></g>')
        parts.append(f'<text class="m" x="{x}" y="{TOP - 10}" text-anchor="middle">{mark} dB</text>')
    for index, each in enumerate(shown):
        parts.append(_bar(each, left, TOP + ROW * index, most))
    body = printable("".join(parts))
    return (
        f'<svg class="graphc" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="signal-to-noise by layer" '
        f'width="{number(width)}" height="{number(height)}" viewBox="0 0 {number(width)} {number(height)}">'
        f"<style>{css()}</style>{body}</svg>\n"
    )


def _heading(shown: int, there: int) -> str:
    cut_off = f", the worst {shown} of {there}" if shown < there else ""
    return f'<text class="name" x="{MARGIN}" y="26">Signal-to-noise by layer{cut_off}</text>'


def _bar(each: Noise, left: float, y: float, most: float) -> str:
    length = BAR * min(max(each.decibels, 0.0), most) / most
    height, name = ROW - 5, escape(each.name)
    value = f"{each.decibels:.1f}" if math.isfinite(each.decibels) else ("exact" if each.decibels > 0 else "no signal")
    return (
        f'<g class="convolution"><title>{name}: {value} dB</title>'
        f'<text x="{number(left - 8)}" y="{number(y + 11)}" text-anchor="end">{name}</text>'
        f'<rect class="swatch" x="{number(left)}" y="{number(y + 2)}" width="{number(length)}" height="{height}"/>'
        f'<text class="m" x="{number(left + length + 5)}" y="{number(y + 11)}">{value}</text></g>'
    )
