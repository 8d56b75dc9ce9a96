"""`graphc weights check`: the table of layers, the picture, and the sentence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from graphc import weights
from graphc.compiler import Limits, plan_spec
from graphc.data.given_files import given_files
from graphc.data.images import Decoding, read_image
from graphc.data.resizing import CenterCrop
from graphc.errors import SpecError, counted
from graphc.files import atomic_write, shown
from graphc.graph import Plan
from graphc.layers.base import static
from graphc.norm_statistics import FITS, READINGS, Check, check_statistics
from graphc.published import Preparation, preparation_of
from graphc.report.tables import render
from graphc.types import Array
from graphc.weights.options import DEFAULT

COLUMNS = ("layer", "channels", "median shift", "largest shift", "variance ratio")
READING_OF = {"imagenet": "imagenet", "half": "symmetric", "clip": "clip", "unit": "unit", "bytes": "mean"}
"""What `published` calls a normalization -> what `norm_statistics` does."""
WIDTH, ROW, LEFT, TOP = 560, 14, 260, 56
STYLE = (
    "text{font:10px sans-serif;fill:#333}.t{font-size:12px}path{stroke:#bbb;stroke-width:.5}"
    ".good{fill:#4a8}.bad{fill:#c64}@media(prefers-color-scheme:dark){text{fill:#ddd}}"
)
DECADES = (0.01, 1000.0)
"""The range of the picture's axis, in deviations."""


def check(
    path: str | Path,
    spec: str | Path,
    photos: Sequence[str],
    settings: Sequence[str] = (),
    *,
    load: weights.LoadOptions = DEFAULT,
    reading: str | None = None,
    count: int = 16,
    form: str = "table",
    picture: str | None = None,
    limits: Limits | None = None,
) -> tuple[str, list[str]]:
    """(the table, what is said of it) of a file's weights and photographs; `picture`: an SVG file that is written."""
    plan = plan_spec(spec, settings, limits=limits or Limits())
    values, report = weights.load_variables(path, plan, load)
    report.raise_if_incomplete()
    known = preparation_of(path, plan, load)
    images, left_out = _images(plan, photos, count, known)
    taken = reading or (None if known is None else READING_OF[known.normalization])
    found = check_statistics(plan, values, images, taken)
    rows = [
        [each.name, each.channels, *map(_rounded, (each.shift, each.largest, each.spread))] for each in found.layers
    ]
    said = [f"{report.path}: {counted(len(images), 'image')} through {plan.graph.name}"]
    if known is not None and reading is None:
        said.append(f"images are prepared as for {report.origin.described}: {READINGS[taken or found.reading].words}")
    if left_out:
        said.append(f"left out {counted(len(left_out), 'file')}, the first: {left_out[0]}")
    said += [f"  {name}: {shift:.3f}" for name, shift in sorted(found.by_reading.items(), key=lambda item: item[1])]
    said += found.sentences(chosen=taken is not None)
    if picture is not None:
        atomic_write(picture, draw(found, plan.graph.name).encode())
        said.append(f"wrote {shown(picture)}")
    return render(COLUMNS, rows, form), said


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def _images(plan: Plan, photos: Sequence[str], count: int, known: Preparation | None) -> tuple[Array, list[str]]:
    """(bytes [N, H, W, C] of the first photographs, cut out of their middle; what was left out)."""
    files, left_out = given_files(photos)
    chosen = [each for each in files if each.is_image][:count]
    if not chosen:
        raise SpecError("G319", f"expected images in {shown(photos[0])}, found none")
    height, width, channels = static(plan.graph.inputs[0].shape, "weights check")
    resizing = CenterCrop() if known is None or height != width else known.resizing(height)
    decoding = Decoding(channels, (height, width), resizing=resizing)
    return np.stack([read_image(each.path, decoding) for each in chosen]), left_out


def draw(found: Check, name: str) -> str:
    """A bar for each layer's median shift, on a scale of powers of ten, with the line up to which they fit."""
    low, high = np.log10(DECADES)

    def across(value: float) -> float:
        return float(LEFT + WIDTH * (np.clip(np.log10(max(value, DECADES[0])), low, high) - low) / (high - low))

    height = TOP + ROW * len(found.layers) + 12
    words = f"{name}: stored statistics of batch norm against those of images read as {READINGS[found.reading].words}"
    parts = [f'<text x="8" y="20" class="t">{escape(words)}</text>']
    for place, each in enumerate(found.layers):
        y, kind = TOP + ROW * place, "good" if each.shift <= FITS else "bad"
        hint = escape(f"{each.name}: {each.shift:.3g}, at most {each.largest:.3g}")
        bar = f'width="{across(each.shift) - LEFT:.1f}" height="{ROW - 4}" class="{kind}"'
        text = f'<text x="{LEFT - 8}" y="{y + 10}" text-anchor="end">{escape(each.name[-40:])}</text>'
        parts.append(f'<g><title>{hint}</title>{text}<rect x="{LEFT}" y="{y + 2}" {bar}/></g>')
    for value in (0.01, 0.1, 1, 10, 100, 1000):
        x = f"{across(value):.1f}"
        label = f'<text x="{x}" y="{TOP - 8}" text-anchor="middle">{value:g}</text>'
        parts.append(f'<path d="M{x} {TOP - 4}V{height - 8}"/>{label}')
    size = f'width="{LEFT + WIDTH + 24}" height="{height}"'
    label = quoteattr(f"{name}: distances of batch norm's statistics")
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label={label}><style>{STYLE}</style>'
    return f"{head}{''.join(parts)}</svg>\n"
