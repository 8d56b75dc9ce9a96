"""A plan as one SVG picture: columns that fit a page, a title, a legend; light and dark."""

from __future__ import annotations

from xml.sax.saxutils import escape

from graphc.graph import Plan
from graphc.passes.expectations import totals
from graphc.report.families import ACCENTS
from graphc.report.picture.blocks import Block, blocks
from graphc.report.picture.canvas import Canvas, number, text_width
from graphc.report.picture.columns import MARGIN, best_columns, place
from graphc.report.picture.items import Frame, Series, drawn
from graphc.report.picture.layout import Style, measure
from graphc.report.picture.structure import structure
from graphc.report.tables import short

MOST_BLOCKS = 30_000
"""Blocks that are drawn; the heading says where there are more."""
NAMED_UP_TO = 36
"""More blocks than this show kinds alone."""
ALMOST_ALL = 0.6
"""Share of the blocks from which a group's frame says little."""


def draw_svg(plan: Plan, *, style: bool = True) -> str:
    """The picture; without `style` for a page that has the colours (`css`)."""
    found = blocks(plan)
    series = spread(structure(found[:MOST_BLOCKS]))
    shown = drawn(series)
    style_of = Style(names=len(shown) <= NAMED_UP_TO)
    columns = best_columns([measure(item, style_of) for item in series])
    canvas = Canvas()
    width, height = place(columns, canvas)
    cut_off = f", the first {MOST_BLOCKS:,} of {len(found):,} blocks" if len(found) > MOST_BLOCKS else ""
    head, wide = heading(plan, shown, cut_off)
    width = max(width, wide)
    background = f'<rect class="page" width="{number(width)}" height="{number(height)}"/>'
    return canvas.svg(width, height, plan.graph.name, css() if style else "", background + head)


def spread(series: Series) -> Series:
    """A frame around almost everything taken off, so that what is in it can stand in columns."""
    count = len(drawn(series))
    for index, item in enumerate(series):
        if isinstance(item, Frame) and not item.ends and len(drawn(item.items)) > ALMOST_ALL * count:
            return spread((*series[:index], *item.items, *series[index + 1 :]))
    return series


def heading(plan: Plan, found: list[Block], cut_off: str) -> tuple[str, float]:
    """Name, totals, what is cut off and a legend of the families that occur; its width."""
    sums = totals(plan)
    name = plan.graph.name
    figures = f"{short(sums['params'])} parameters"
    if sums["macs"] is not None:
        figures += f", {short(sums['macs'])} MACs"
    figures += cut_off
    parts = [
        f'<text class="name" x="{number(MARGIN)}" y="28">{escape(name)}</text>',
        f'<text class="m" x="{number(MARGIN + text_width(name, 15) + 12)}" y="28">{escape(figures)}</text>',
    ]
    width = MARGIN + text_width(name, 15) + 12 + text_width(figures, 9) + MARGIN
    x = MARGIN
    there = {block.family for block in found if block.members}
    for family in ACCENTS:
        if family in there:
            parts.append(
                f'<g class="{family}"><rect class="swatch" x="{number(x)}" y="38" width="8" height="8" rx="2"/>'
                f'<text class="m" x="{number(x + 12)}" y="45.5">{family}</text></g>'
            )
            x += 12 + text_width(family, 9) + 10
    return "".join(parts), max(width, x + MARGIN - 10)


def css(on_page: bool = False) -> str:
    """Colours, light and dark, as the reader's system says; on a page as its `data-theme` says where it has one."""
    picture = "svg.graphc"
    light, dark = colours(picture, LIGHT, "light"), colours(picture, DARK, "dark")
    if not on_page:
        return f"{light}{RULES}@media (prefers-color-scheme:dark){{{dark}}}"
    asked = colours(":root[data-theme=dark] svg.graphc", DARK, "dark")
    system = colours(":root:not([data-theme=light]) svg.graphc", DARK, "dark")
    return f"{light}{RULES}@media (prefers-color-scheme:dark){{{system}}}{asked}"


def colours(scope: str, paper: str, which: str) -> str:
    accents = (f"{scope} .{name}{{--accent:{getattr(accent, which)}}}" for name, accent in ACCENTS.items())
    return f"{scope}{{{paper}}}{''.join(accents)}"


LIGHT = "--page:#fcfcfd;--paper:#fff;--ink:#17202b;--muted:#586474;--edge:#8b96a5;--rim:#c5ccd6;--frame:#f0f3f7"
DARK = "--page:#12161c;--paper:#1c222b;--ink:#e8ecf2;--muted:#a3adba;--edge:#7d8997;--rim:#3a4452;--frame:#181d25"
RULES = (
    "svg.graphc{font-family:system-ui,'Segoe UI','Helvetica Neue',Arial,'DejaVu Sans',sans-serif}"
    "svg.graphc text{fill:var(--ink);font-size:10.5px}"
    "svg.graphc .page{fill:var(--page)}"
    "svg.graphc .name{font-size:15px;font-weight:600}"
    "svg.graphc .n{font-weight:600}"
    "svg.graphc .m{fill:var(--muted);font-size:9px}"
    "svg.graphc .f>rect{fill:var(--frame);stroke:var(--rim)}"
    "svg.graphc .f>text{fill:var(--muted);font-size:9.5px;font-weight:600}"
    "svg.graphc .b>rect{fill:var(--paper);stroke:var(--rim)}"
    "svg.graphc .b:hover>rect{stroke:var(--accent)}"
    "svg.graphc .b>.stripe{stroke:var(--accent);stroke-width:3;stroke-linecap:round}"
    "svg.graphc .swatch{fill:var(--accent)}"
    "svg.graphc .l path{fill:none;stroke:var(--edge);stroke-width:1.2}"
    "svg.graphc .l .tip{fill:var(--edge);stroke:none}"
    "svg.graphc .b>.pill{fill:var(--ink);stroke:none}"
    "svg.graphc .b>.pilled{fill:var(--paper);font-size:9.5px;font-weight:600;text-anchor:middle}"
)
