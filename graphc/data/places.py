"""Coordinates as arrays hold them: float32."""

from __future__ import annotations

import numpy as np

LARGEST = 1e9
"""Coordinates and areas are smaller."""


def has_area(left: float, top: float, right: float, bottom: float) -> bool:
    """Whether a box, in pixels, has an area where it is kept, in float32."""
    return bool(np.float32(left) < np.float32(right) and np.float32(top) < np.float32(bottom))
