"""Heights and widths that settings ask for: nothing becomes larger on its way than an image that is read may be."""

from __future__ import annotations

import math
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field

from graphc.settings import LIST

PIXEL_LIMIT = 25_000_000
LONGEST_SHORTER_SIDE = math.isqrt(PIXEL_LIMIT)
"""Of a square of so many pixels."""


def _few_pixels(size: tuple[int, int]) -> tuple[int, int]:
    if size[0] * size[1] > PIXEL_LIMIT:
        raise ValueError(f"expected a size of at most {PIXEL_LIMIT:,} pixels, found {size[0]:,}×{size[1]:,}")
    return size


Side: TypeAlias = Annotated[int, Field(gt=0, le=100_000)]
ShorterSide: TypeAlias = Annotated[int, Field(gt=0, le=LONGEST_SHORTER_SIDE)]
Size: TypeAlias = Annotated[tuple[Side, Side], LIST, AfterValidator(_few_pixels)]
"""[height, width]."""
