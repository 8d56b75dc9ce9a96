"""Pictures of checkerboards, whose class is the number of fields along a side."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from graphc.data.examples import Examples, check_memory
from graphc.data.sources.base import Source
from graphc.data.wanted import ANYTHING, Wanted

CLASSES = ("two", "four", "eight")


class Boards(Source):
    """Gray checkerboards of 16×16 pixels with noise, of 2, 4 or 8 fields a side."""

    kind: ClassVar[str] = "boards"

    count: int = Field(gt=0, le=1_000_000)
    """How many."""
    seed: int = Field(default=0, ge=0)
    """Two sets of one seed are the same."""

    def load(self, base: Path, limit: int, wanted: Wanted = ANYTHING) -> Examples:
        check_memory((self.count, 16, 16, 1), 1, limit, self.kind)
        rng = np.random.default_rng(self.seed)
        labels = rng.integers(0, len(CLASSES), self.count)
        rows, columns = np.indices((16, 16))
        fields = np.array([8, 4, 2])[labels, None, None]  # pixels of a field's side
        boards = (rows // fields + columns // fields) % 2 * 160
        noise = rng.integers(0, 90, boards.shape)
        images = (boards + noise).astype(np.uint8)[..., None]
        return Examples({"image": images}, {"label": labels}, CLASSES, self.kind)
