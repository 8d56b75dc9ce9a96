"""Whether the bits of a JPEG's scans are all there.

libjpeg says nothing of bits that are missing: a block of which it finds none stays gray, or as coarse as the scans
before have left it. So the image is decoded once more with other bits behind each part of a scan, which nobody reads of
a whole file; where a pixel differs, bits are missing. Where all is in one scan, that time is taken only if a block is
gray: what is missing of the last block alone is not noticed.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageChops

from graphc.data.decoders import parts
from graphc.data.headers import MARKER, SOS, jpeg_markers
from graphc.types import Array

Segment: TypeAlias = tuple[int, int, int]
"""The second byte of a marker, where the length behind it lies, where its segment ends."""
RESTART = re.compile(rb"\xff[\xd0-\xd7]")
OTHER_BITS = bytes.fromhex("559a336ca527d14b") * 4
"""More than a decoder reads ahead, without the byte with which markers begin."""
PROGRESSIVE, RESTARTS = 0xC2, 0xDD
FRAMES = frozenset({0xC0, 0xC1, PROGRESSIVE})
"""The second bytes of the markers of frames; `RESTARTS`: of how many blocks there are between two restarts."""
SIDE, COEFFICIENTS = 8, 64
"""Of a block: pixels along each side, and numbers that make it."""
ALL_BITS = 16
"""More than a coefficient has behind the first scan of it."""
INSIDE = ((2, 2), (5, 2), (2, 5), (5, 5))
"""Pixels of a block that smoothing between blocks leaves as they are."""


def end_early(data: bytes, opened: Image.Image) -> bool:
    """Whether bits are missing; `opened`: the image of `data`, whose pixels have been read."""
    segments = [(kind, at, at + int.from_bytes(data[at : at + 2], "big")) for kind, at in jpeg_markers(data)]
    kinds = [kind for kind, _, _ in segments]
    if _lacks_scans(data, segments) or (RESTARTS in kinds and _lacks_restarts(data, segments)):
        return True
    if PROGRESSIVE not in kinds and kinds.count(SOS) == 1 and not _has_gray_block(opened):
        return False
    with Image.open(io.BytesIO(_with_other_bits(data, segments)), formats=["JPEG"]) as again:
        return ImageChops.difference(opened, again).getbbox(alpha_only=False) is not None


def _lacks_scans(data: bytes, segments: Sequence[Segment]) -> bool:
    """Whether a component has no scan, or the progressive ones leave out bits of a coefficient."""
    left: dict[int, list[int]] = {}
    """Bits of each coefficient that no scan has had."""
    is_progressive = False
    for kind, at, end in segments:
        if kind in FRAMES:
            is_progressive = kind == PROGRESSIVE
            left = {component: [ALL_BITS] * COEFFICIENTS for component in data[at + 8 : end : 3]}
        elif kind == SOS:
            first, last, bits = data[end - 3 : end] if is_progressive else (0, COEFFICIENTS - 1, 0)
            before, after = bits >> 4 or ALL_BITS, bits & 15
            for component in data[at + 3 : end - 3 : 2]:
                found = left.get(component, [])[first : last + 1]
                if set(found) != {before}:
                    return True
                left[component][first : last + 1] = [after] * len(found)
    return any(map(any, left.values()))


def _lacks_restarts(data: bytes, segments: Sequence[Segment]) -> bool:
    """Whether a scan has fewer parts than its size asks for."""
    interval, frame = 0, b""
    for kind, at, end in segments:
        if kind in FRAMES:
            frame = data[at:end]
        elif kind == RESTARTS:
            interval = int.from_bytes(data[at + 2 : at + 4], "big")
        elif kind == SOS and interval and frame:
            found = sum(1 for _ in RESTART.finditer(data, *_bits(data, end)))
            if found < parts(_units(frame, data[at:end]), interval) - 1:
                return True
    return False


def _bits(data: bytes, start: int) -> tuple[int, int]:
    """From where to where the bits of a scan lie; `start`: behind its header."""
    end = MARKER.search(data, start)
    return start, len(data) if end is None else end.start()


def _units(frame: bytes, scan: bytes) -> int:
    """How many blocks a scan has; of several components those of one place count together."""
    height, width = (int.from_bytes(frame[at : at + 2], "big") for at in (3, 5))
    sides = {frame[at]: (frame[at + 1] & 15, frame[at + 1] >> 4) for at in range(8, len(frame), 3)}
    most = [max(each, default=1) for each in zip(*sides.values(), strict=True)]
    own = sides[scan[3]] if scan[2] == 1 else (1, 1)
    sizes = zip((height, width), own, most, strict=True)
    return math.prod(parts(length * part, SIDE * whole) for length, part, whole in sizes)


def _with_other_bits(data: bytes, segments: Sequence[Segment]) -> bytes:
    """The file with these behind each part of a scan."""
    found: list[bytes] = []
    last = 0
    for kind, _, end in segments:
        if kind == SOS:
            start, stop = _bits(data, end)
            for at in (*(each.start() for each in RESTART.finditer(data, start, stop)), stop):
                found += [data[last:at], OTHER_BITS]
                last = at
    return b"".join([*found, data[last:]])


def _has_gray_block(opened: Image.Image) -> bool:
    """Whether pixels that are inside a block, or the only ones of one that the image's edge cuts, are all of the middle
    gray that libjpeg gives to blocks without bits, 127 of inks."""
    width, height = opened.size
    columns, rows = width // SIDE, height // SIDE
    gray = np.ones((rows, columns), np.bool_)
    for x, y in INSIDE:
        if not gray.any():
            break
        way = (SIDE, 0, x - SIDE / 2, 0, SIDE, y - SIDE / 2)  # pixels are taken at the middle of each square of SIDE
        gray &= _gray(opened.transform((columns, rows), Image.Transform.AFFINE, way, Image.Resampling.NEAREST))
    below, beside = (0, rows * SIDE, width, height), (columns * SIDE, 0, width, height)
    return bool(gray.any()) or _has_gray_edge(opened.crop(below)) or _has_gray_edge(opened.crop(beside))


def _has_gray_edge(strip: Image.Image) -> bool:
    """The same of blocks that the edge cuts."""
    gray = _gray(strip)
    if not gray.any():
        return False
    height, width = gray.shape
    inside = np.ones((), np.bool_)
    for x, y in INSIDE:
        rows = np.minimum(np.arange(0, height, SIDE) + y, height - 1)
        columns = np.minimum(np.arange(0, width, SIDE) + x, width - 1)
        inside = inside & gray[rows[:, None], columns]
    return bool(inside.any())


def _gray(image: Image.Image) -> Array:
    """[H, W]: where all channels are."""
    planes = np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)
    return np.asarray(np.logical_and.reduce([(plane == 127) | (plane == 128) for plane in planes]))
