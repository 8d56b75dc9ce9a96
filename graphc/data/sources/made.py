"""Sources without files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from graphc.data.digits import read_digits
from graphc.data.examples import Examples, check_memory
from graphc.data.shapes import CLASSES, make_shapes
from graphc.data.sides import Size
from graphc.data.sources.base import Source
from graphc.data.wanted import ANYTHING, Wanted
from graphc.settings import WHOLE


class Shapes(Source):
    """Synthetic pictures of shapes on textured grounds, with label, boxes and mask."""

    kind: ClassVar[str] = "shapes"

    count: int = Field(gt=0, le=10_000_000)
    """How many."""
    size: Size = (32, 32)
    """[height, width]."""
    channels: Annotated[Literal[1, 3], WHOLE] = 3
    """Gray or in color."""
    most: int = Field(default=1, gt=0, le=50)
    """Shapes in a picture, at most."""
    classes: int = Field(default=len(CLASSES), gt=0, le=len(CLASSES))
    """disk, square, triangle, ring, cross: the first so many."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Two sets of one seed begin alike."""

    def load(self, base: Path, limit: int, wanted: Wanted = ANYTHING) -> Examples:
        check_memory((self.count, *self.size, self.channels + 8), 1, limit, "shapes")
        return make_shapes(self.count, self.size, self.channels, self.most, self.classes, self.seed)


class Digits(Source):
    """The handwritten digits of scikit-learn, 8×8, between 0 and 1."""

    kind: ClassVar[str] = "digits"

    part: Literal["train", "test", "all"] = "all"
    """test: every fifth digit; train: the others."""

    def load(self, base: Path, limit: int, wanted: Wanted = ANYTHING) -> Examples:
        return read_digits(self.part)
