"""Pictures of data: a contact sheet of examples beside what augmentation makes of them, and a chart of a set."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from graphc.data.sample import Sample
from graphc.data.stats import Statistics
from graphc.types import Array

TILE = 160
"""Pixels of a tile's longer side."""
GAP = 6
HEAD = 16
"""Pixels for words above the tiles."""
GRAY = (235, 235, 235)
INK = (40, 40, 40)
PRIMARIES = ((205, 60, 50), (50, 150, 70), (60, 90, 200), (120, 120, 120))


def sheet(rows: Sequence[Sequence[Sample]], labels: Sequence[str], box_labels: Sequence[Array | None]) -> Image.Image:
    """One row an example, the original first; boxes (classes of an example's: [K]), masks and key points drawn in."""
    tiles = [[tile(sample, boxes) for sample in row] for row, boxes in zip(rows, box_labels, strict=True)]
    width = max(each.width for row in tiles for each in row)
    heights = [max(each.height for each in row) for row in tiles]
    columns = max(len(row) for row in tiles)
    whole = Image.new(
        "RGB", (GAP + columns * (width + GAP) + GAP, sum(h + HEAD + GAP for h in heights) + HEAD + GAP), GRAY
    )
    draw = ImageDraw.Draw(whole)
    draw.text((GAP, 2), "original", INK)
    draw.text((2 * GAP + width + GAP, 2), "augmented", INK)
    top = HEAD
    for row, height, label in zip(tiles, heights, labels, strict=True):
        draw.text((GAP, top + 2), label, INK)
        for column, each in enumerate(row):
            left = GAP + column * (width + GAP) + (GAP if column else 0)
            whole.paste(each, (left, top + HEAD))
        top += HEAD + height + GAP
    return whole


def tile(sample: Sample, box_labels: Array | None = None) -> Image.Image:
    """One example, enlarged or reduced to a tile, with its annotations; `box_labels`: the class of each box, [K]."""
    height, width = sample.size
    factor = TILE / max(height, width)
    shape = max(round(width * factor), 1), max(round(height * factor), 1)
    picture = _picture(sample).resize(shape, Image.Resampling.NEAREST if factor > 1 else Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(picture)
    if sample.boxes is not None and sample.boxes_there is not None:
        classes = np.zeros(len(sample.boxes), int) if box_labels is None else box_labels.reshape(-1)
        for box, there, kind in zip(sample.boxes, sample.boxes_there, classes, strict=True):
            if there:
                left, top, right, bottom = (box * factor).tolist()
                draw.rectangle((left, top, max(right - 1, left), max(bottom - 1, top)), outline=color(kind), width=2)
    if sample.points is not None and sample.points_there is not None:
        for number, (point, there) in enumerate(zip(sample.points, sample.points_there, strict=True)):
            if there:
                x, y = (point * factor).tolist()
                draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=color(number + 3), outline=(255, 255, 255))
    return picture


def color(number: int) -> tuple[int, int, int]:
    """Colors that are far apart, whatever their number."""
    red, green, blue = colorsys.hsv_to_rgb((int(number) * 0.618034) % 1, 0.9, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def _picture(sample: Sample) -> Image.Image:
    """The image in RGB, its mask's classes (but the ground, 0) tinted."""
    black_to_white = sample.known_range("a picture")
    values = (sample.image.astype(np.float64) - black_to_white.low) * (255 / black_to_white.span)
    values = values[:, :, :3] if values.shape[2] >= 3 else np.repeat(values[:, :, :1], 3, axis=2)
    if sample.mask is not None:
        for kind in np.unique(sample.mask):
            if kind:
                there = sample.mask == kind
                values[there] = 0.5 * values[there] + 0.5 * np.array(color(int(kind) - 1))
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def chart(sets: dict[str, Statistics]) -> Image.Image:
    """For each set, bars of the classes and the distribution of each channel's values."""
    height, side = 150, 320
    whole = Image.new("RGB", (3 * GAP + 2 * side, (height + HEAD + 2 * GAP) * len(sets)), (255, 255, 255))
    draw = ImageDraw.Draw(whole)
    for number, (name, found) in enumerate(sets.items()):
        top = number * (height + HEAD + 2 * GAP) + GAP
        draw.text((GAP, top), f"{name}: examples of each class", INK)
        draw.text((2 * GAP + side, top), "values, dark to bright, of each channel", INK)
        base = top + HEAD + height
        _bars(draw, found.classes, (GAP, base), side, height)
        for channel, counts in enumerate(found.histogram):
            ink = PRIMARIES[channel] if len(found.histogram) >= 3 else PRIMARIES[3]
            points = [
                (
                    2 * GAP + side + (at + 0.5) * side / len(counts),
                    base - count / max(int(found.histogram.max()), 1) * height,
                )
                for at, count in enumerate(counts.tolist())
            ]
            draw.line(points, fill=ink, width=2)
    return whole


def _bars(
    draw: ImageDraw.ImageDraw, classes: Mapping[str, int], corner: tuple[int, int], width: int, height: int
) -> None:
    """A bar for each class, standing on `corner`; the names of a few."""
    step, most = width / max(len(classes), 1), max([*classes.values(), 1])
    for number, (name, count) in enumerate(classes.items()):
        left = corner[0] + number * step
        top = corner[1] - count / most * height
        draw.rectangle((left, top, max(left + step - 1, left), corner[1]), fill=color(number))
        if step >= 3 * HEAD:
            draw.text((left + 3, corner[1] - HEAD), name[: int(step / 7)], INK)
