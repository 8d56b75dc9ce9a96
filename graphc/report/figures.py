"""Figures of matplotlib (extra: plot): the same figure has the same bytes, and text in a PDF stays text."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Literal

from graphc.errors import missing_extra

NO_DATES: Mapping[str, Mapping[str, None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None},
    "svg": {"Date": None},
}
"""Format -> what matplotlib would write into it by itself, and differently each time."""


def new_figure(width: float, height: float, layout: Literal["constrained"] | None = None) -> Any:
    """An empty one of so many inches; a MachineError where matplotlib is not there."""
    try:
        from matplotlib import figure  # noqa: PLC0415  (an extra)
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    except ImportError:
        raise missing_extra("matplotlib", "plot") from None
    made = figure.Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(made)
    return made


def figure_bytes(figure: Any, form: str, dpi: int, settings: Mapping[str, Any], **how: Any) -> bytes:
    """A figure as png, pdf or svg; `settings` are matplotlib's, `how` is what else `savefig` takes."""
    from matplotlib import rc_context  # noqa: PLC0415

    file = io.BytesIO()
    with rc_context({"svg.hashsalt": "graphc", "pdf.fonttype": 42, **settings}):
        figure.savefig(file, format=form, dpi=dpi, metadata=NO_DATES[form], **how)
    return file.getvalue()
