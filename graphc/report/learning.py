"""Learning curves of a run as a picture, by matplotlib (extra: plot): a panel for each number of the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphc.report.figures import figure_bytes, new_figure
from graphc.types import Array

VALIDATION = "validation_"
NO_PANEL = ("epoch", "step")
LOGARITHMIC = ("learning_rate", "gradient_norm")
COLORS = {"training": "#2563eb", "validation": "#c2410c"}
WIDTH, HEIGHT = 4.2, 2.8
"""Inches of a panel."""
DPI = 150
COLUMNS = 3


def draw_learning(curves: Mapping[str, Array], form: str) -> bytes:
    """The curves, arrays [epochs] by their names in the log, as png, pdf or svg; NaN where an epoch has none."""
    names = list(dict.fromkeys(name.removeprefix(VALIDATION) for name in curves if name not in NO_PANEL))
    columns = min(COLUMNS, max(len(names), 1))
    rows = max(-(-len(names) // columns), 1)
    figure = new_figure(WIDTH * columns, HEIGHT * rows, layout="constrained")
    for place, name in enumerate(names):
        _panel(figure.add_subplot(rows, columns, place + 1), name, curves)
    return figure_bytes(figure, form, DPI, {})


def _panel(axes: Any, name: str, curves: Mapping[str, Array]) -> None:
    """One number by epochs; a dot where there is one epoch alone."""
    found = {"training": curves.get(name), "validation": curves.get(VALIDATION + name)}
    for label, values in found.items():
        if values is not None:
            epochs = curves.get("epoch", range(1, len(values) + 1))
            axes.plot(epochs, values, color=COLORS[label], label=label, marker="o", markersize=3, linewidth=1.5)
    axes.set_title(name.replace("_", " "), fontsize=10)
    axes.set_xlabel("epoch", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    if name in LOGARITHMIC:
        axes.set_yscale("log", nonpositive="mask")
    if all(values is not None for values in found.values()):
        axes.legend(fontsize=8, frameon=False)
