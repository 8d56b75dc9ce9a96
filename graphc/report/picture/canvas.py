"""Shapes of a picture, collected in three sheets (frames below lines below blocks), then written as SVG text."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

WIDE_LETTERS = frozenset("mwMW@%")
NARROW_LETTERS = frozenset("iljtfrI.,:;|/()[] '·")
CORNER = 5.0


def text_width(text: str, size: float) -> float:
    """Pixels that a text takes at most in the sans-serif fonts of common systems."""
    ems = (0.98 if c in WIDE_LETTERS else 0.38 if c in NARROW_LETTERS else 0.64 for c in text)
    return sum(ems) * size


def number(value: float) -> str:
    """At most one decimal, so that pictures are equal everywhere."""
    return f"{value:.1f}".removesuffix(".0")


class Canvas:
    def __init__(self) -> None:
        self.frames: list[str] = []
        self.lines: list[str] = []
        self.blocks: list[str] = []

    def frame(self, x: float, y: float, width: float, height: float, label: str, hint: str) -> None:
        self.frames.append(
            f'<g class="f"><title>{escape(hint)}</title>{rectangle(x, y, width, height, 7)}'
            f'<text x="{number(x + 8)}" y="{number(y + 12)}">{escape(label)}</text></g>'
        )

    def connect(self, x1: float, y1: float, x2: float, y2: float, bend: float, arrow: bool) -> None:
        """Down from (x1, y1), across at height `bend`, down to (x2, y2)."""
        if abs(x1 - x2) < 0.05:
            path = f"M{number(x1)} {number(y1)}V{number(y2)}"
        else:
            path = polyline([(x1, y1), (x1, bend), (x2, bend), (x2, y2)])
        self.line(path, (x2, y2) if arrow else None)

    def line(self, path: str, tip: tuple[float, float] | None = None) -> None:
        self.lines.append(f'<path d="{path}"/>')
        if tip is not None:
            x, y = tip
            points = f"M{number(x - 3)} {number(y - 5)}L{number(x)} {number(y)}L{number(x + 3)} {number(y - 5)}z"
            self.lines.append(f'<path class="tip" d="{points}"/>')

    def block(
        self,
        box: tuple[float, float, float, float],
        family: str,
        texts: Sequence[tuple[str, str]],
        hint: str,
        name: str,
        badge: str = "",
    ) -> None:
        """A rectangle with a stripe in the family's colour; `texts` are (class, words), one a line."""
        x, y, width, height = box
        parts = [f'<g class="b {family}" data-name={quoteattr(name)}><title>{escape(hint)}</title>']
        if badge:
            parts.extend(
                f'<rect class="card" x="{number(x + d)}" y="{number(y + d)}" width="{number(width)}" '
                f'height="{number(height)}" rx="4"/>'
                for d in (5, 2.5)
            )
        parts.append(rectangle(x, y, width, height, 4))
        parts.append(f'<path class="stripe" d="M{number(x + 2)} {number(y + 4)}v{number(height - 8)}"/>')
        row = y + 13.5
        for kind, words in texts:
            parts.append(f'<text class="{kind}" x="{number(x + 9)}" y="{number(row)}">{escape(words)}</text>')
            row += 12
        if badge:
            parts.append(pill(x + width, y, badge))
        self.blocks.append("".join([*parts, "</g>"]))

    def svg(self, width: float, height: float, name: str, style: str, top: str) -> str:
        """All sheets as one picture called `name`; `top` is drawn first."""
        size = f"{number(width)} {number(height)}"
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" class="graphc" viewBox="0 0 {size}" width="{number(width)}" '
                f'height="{number(height)}" role="group" aria-label={quoteattr(name)}>',
                *([f"<style>{style}</style>"] if style else []),
                top,
                *self.frames,
                '<g class="l">',
                *self.lines,
                "</g>",
                *self.blocks,
                "</svg>\n",
            ]
        )


def rectangle(x: float, y: float, width: float, height: float, radius: float) -> str:
    return (
        f'<rect x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}" '
        f'rx="{number(radius)}"/>'
    )


def pill(right: float, middle: float, words: str) -> str:
    """`×3` on the corner of what is repeated."""
    width = text_width(words, 9.5) + 10
    x = right - width + 4
    return (
        f'<rect class="pill" x="{number(x)}" y="{number(middle - 7)}" width="{number(width)}" height="14" rx="7"/>'
        f'<text class="pilled" x="{number(x + width / 2)}" y="{number(middle + 3.5)}">{escape(words)}</text>'
    )


def polyline(points: Sequence[tuple[float, float]]) -> str:
    """A path along `points`, at right angles, with round corners."""
    path = [f"M{number(points[0][0])} {number(points[0][1])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        first, second = towards(corner, before), towards(corner, after)
        path.append(f"L{number(first[0])} {number(first[1])}")
        path.append(f"Q{number(corner[0])} {number(corner[1])} {number(second[0])} {number(second[1])}")
    path.append(f"L{number(points[-1][0])} {number(points[-1][1])}")
    return "".join(path)


def towards(corner: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """The point at most `CORNER`, and at most half the way, from a corner to the next one."""
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    length = abs(dx) + abs(dy)
    part = min(CORNER, length / 2) / length if length else 0.0
    return corner[0] + dx * part, corner[1] + dy * part
