"""What augmentation and resizing of one image take of memory, before any image is made: `--max-memory` holds for it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from graphc.data.augment.base import Augmentation
from graphc.data.examples import Examples
from graphc.data.resizing import Resizing
from graphc.data.sample import MASK
from graphc.errors import DataError
from graphc.train.recipe import Recipe

BYTES = 4
"""Of a number on its way."""
OF_MASK = 2
"""Numbers of a pixel's class, which is one of eight bytes."""


def check_augment_memory(recipe: Recipe, examples: Examples, limit: int, training: bool) -> int:
    """Bytes that one image's way takes at its peak, of images in a file those that the settings ask for; a DataError at
    the step that needs more than `limit`. `training`: with the augmentations."""
    most = 0
    masks = OF_MASK if MASK in examples.targets else 0
    for shape in (array.shape[1:] for array in examples.inputs.values() if array.ndim >= 3):
        numbers = math.prod(shape[2:]) + masks
        for keys, kind, pixels, copies in _largest(recipe, (shape[0], shape[1]), training):
            found = BYTES * copies * pixels * numbers
            if found > limit:
                said = f"{kind} takes {found:,} bytes for an image with {pixels:,} pixels on its way"
                with recipe.placing(keys):
                    raise DataError("G407", f"{said}, the limit is {limit:,} (--max-memory raises it)")
            most = max(most, found)
    return most


def _largest(
    recipe: Recipe, size: tuple[int, int], training: bool
) -> Iterator[tuple[tuple[str | int, ...], str, int, int]]:
    """(place in the recipe, kind, pixels, copies) of each step, of images that the network reads in this size."""
    now = size
    steps = recipe.data.augment if training else []
    for number, step in enumerate(steps):
        if isinstance(step, Augmentation):
            sizes = step.sizes(now, size)
            yield ("data", "augment", number), step.kind, max(map(math.prod, (now, *sizes))), step.copies
            now = sizes[-1]
    resizing = recipe.data.resize
    yield ("data", "resize"), resizing.kind, max(map(math.prod, (now, *resizing.sizes(now, size)))), Resizing.copies
