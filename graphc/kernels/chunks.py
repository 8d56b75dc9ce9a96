"""A slice of the batch in cache-sized chunks, and sums of the slices' results."""

from __future__ import annotations

from collections.abc import Iterator

from graphc.types import Array, Context


def chunks(images: slice, image_bytes: int, chunk_bytes: int, least: int = 1) -> Iterator[slice]:
    """Runs of nearly equal numbers of images, none over `chunk_bytes` unless `least` images are."""
    count = images.stop - images.start
    parts = -(-count // max(least, chunk_bytes // image_bytes))
    step = -(-count // parts)
    for start in range(images.start, images.stop, step):
        yield slice(start, min(start + step, images.stop))


def sum_in_order(context: Context, parts: list[Array]) -> Array:
    """The sum of the slices' results, always in the same order; the first one is written over."""
    total = parts[0]

    def work(rows: slice) -> None:
        for part in parts[1:]:
            total[rows] += part[rows]

    context.each_slice(work, len(total))
    return total
