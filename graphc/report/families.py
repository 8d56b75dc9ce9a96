"""Layer families: what they are called and coloured, on the terminal and in pictures."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.layers import CATALOGUE


@dataclass(frozen=True, slots=True)
class Accent:
    """One family's colour three times: a terminal's name for it, on white paper, on a dark page."""

    terminal: str
    light: str
    dark: str


ACCENTS: dict[str, Accent] = {
    "convolution": Accent("blue", "#2563eb", "#7aa7ff"),
    "dense": Accent("magenta", "#9333ea", "#c99bff"),
    "pooling": Accent("green", "#15803d", "#5fd38a"),
    "normalization": Accent("yellow", "#a16207", "#e3b34a"),
    "activation": Accent("red", "#c2410c", "#ff9a62"),
    "merge": Accent("cyan", "#0e7490", "#4fd0e3"),
    "arithmetic": Accent("bright_cyan", "#0f766e", "#5eead4"),
    "shape": Accent("bright_black", "#64748b", "#a3b1c6"),
    "sequence": Accent("bright_magenta", "#be185d", "#f58ac0"),
    "regularization": Accent("bright_black", "#78716c", "#b8aea6"),
    "detection": Accent("bright_red", "#be185d", "#f38bb8"),
    "group": Accent("white", "#4338ca", "#a5b4fc"),
    "input": Accent("white", "#334155", "#d5dde8"),
}
"""In the order of a legend. Blue to red also for most who cannot tell red from green: hues differ in lightness."""


def family_of(kind: str) -> str | None:
    """The family of a layer kind; None for what is no kind (`4 layers`)."""
    layer = CATALOGUE.get(kind)
    return None if layer is None else layer.family
