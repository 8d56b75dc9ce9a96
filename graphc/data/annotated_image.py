"""An image with its annotations, read from wherever they lie, all upright."""

from __future__ import annotations

from collections.abc import Mapping

from graphc.data.drawn import Decoded, turn_of, turned
from graphc.data.examples import Examples
from graphc.data.orientation import UPRIGHT, upright
from graphc.data.sample import ANNOTATIONS, BOXES, BOXES_THERE, MASK
from graphc.data.stored import StoredImages, StoredMasks
from graphc.errors import DataError, Place
from graphc.types import Array


def annotated_image(examples: Examples, name: str, row: int) -> tuple[Array, dict[str, Array]]:
    """(image [H, W, C] or [H, W], annotations by target) of an example; `name`: of the input."""
    images = examples.inputs[name]
    targets = {key: examples.targets[key] for key in ANNOTATIONS if key in examples.targets}
    masks = targets.pop(MASK, None)
    annotations = {key: array[row] for key, array in targets.items()}
    if not isinstance(images, StoredImages):
        mask = masks.read(row) if isinstance(masks, StoredMasks) else None if masks is None else masks[row]
        _refuse_beside(annotations, images[row].shape[:2], f"{examples.source} (example {row})")
        return images[row], annotations if mask is None else {**annotations, MASK: mask}
    image = images.decode(row)
    found = turned(annotations, image, images.drawn_in(row), images.exif, images.name(row))
    _refuse_beside(found, image.size, images.name(row))
    if isinstance(masks, StoredMasks):
        found[MASK] = _mask(masks, row, image, images)
    return image.pixels, found


def _refuse_beside(annotations: Mapping[str, Array], size: tuple[int, ...], name: str) -> None:
    """An error for a box of which nothing is in the image: it would be one without an area."""
    if BOXES not in annotations:
        return
    boxes, (height, width) = annotations[BOXES].reshape(-1, 4), size
    beside = (boxes[:, 2:].min(axis=1) <= 0) | (boxes[:, 0] >= width) | (boxes[:, 1] >= height)
    if BOXES_THERE in annotations:
        beside &= annotations[BOXES_THERE].reshape(-1) > 0
    if beside.any():
        found = ", ".join(f"{number:g}" for number in boxes[beside.argmax()].tolist())
        message = f"expected boxes (left, top, right, bottom) in the image of {width}×{height}, found {found}"
        raise DataError("G402", message, Place(name))


def _mask(masks: StoredMasks, row: int, image: Decoded, images: StoredImages) -> Array:
    """A mask, turned as its image where it was drawn in the stored one, and has no tag of its own."""
    mask = masks.decode(row)
    if mask.orientation != UPRIGHT:
        if mask.size != image.size:
            (height, width), (rows, columns) = image.size, mask.size
            message = (
                f"expected the pixels of the mask in an image of {width}×{height}, found {columns}×{rows}, both upright"
            )
            raise DataError("G402", message, Place(masks.name(row)))
        return mask.pixels
    return upright(mask.pixels, turn_of(image, mask.size, images.exif, masks.name(row), "the pixels of the mask"))
