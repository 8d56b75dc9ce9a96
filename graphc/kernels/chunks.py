"""Runs of examples that fit the cache.

Where a walk lets go of a chunk's arrays before the next one's, these get the same memory, which the cache has; with two
sets taking turns a chunk has half of the cache. A step of the VGG-like net takes 116 ms in place of 121, of resnet20 62
in place of 63 (docs/performance.md says measured on what).
"""

from __future__ import annotations

from collections.abc import Iterator

from graphc.types import Array


def chunks(x: Array, chunk_bytes: int, example_bytes: int | None = None, least: int = 1) -> Iterator[slice]:
    """Runs of nearly equal numbers of examples of x [N, …], none over `chunk_bytes` unless `least` examples are.

    An example's bytes are x's own, or those of what is made of it.
    """
    each = max(1, x[:1].nbytes if example_bytes is None else example_bytes)
    parts = -(-len(x) // max(least, chunk_bytes // each))
    step = -(-len(x) // max(parts, 1))
    return slices(len(x), max(step, 1))


def slices(count: int, step: int) -> Iterator[slice]:
    """Consecutive runs of range(count), `step` long but for the last."""
    return (slice(start, min(start + step, count)) for start in range(0, count, step))
