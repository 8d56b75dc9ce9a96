"""Something measured, with a way to draw it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from graphc.report.picture.canvas import Canvas

GAP = 14.0
"""Between a block and the next one below it."""
ASIDE = 12.0
"""Between paths side by side."""
LANE = 14.0
"""Width of a path that is only a line."""


@dataclass(frozen=True, slots=True)
class Box:
    """`axis` is where lines enter above and leave below, counted from its left side."""

    width: float
    height: float
    axis: float
    draw: Callable[[Canvas, float, float], None]
    solid: bool = True
    """Whether it has an edge, which a line needs some way to come to."""
    arrow: bool = True
    """Whether a line that comes to it shows an arrow there, not further inside."""
    begins: bool = False
    """With a model's input: nothing leads into it."""
    ends: bool = False
