"""How a layer runs on this machine: threads over slices of the batch, arrays, random numbers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphc.lazy import np
from graphc.types import Array

if TYPE_CHECKING:
    import numpy

SLICES = 8
"""Parts into which a batch is cut, whatever the number of threads: this fixes the bits of every sum."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """The `Context` of one layer in one step; the defaults are one thread and fresh memory."""

    training: bool = False
    pool: ThreadPoolExecutor | None = None
    key: tuple[int, ...] = (0,)
    """Seed, step and layer: what the layer's random numbers depend on, and nothing else."""

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return np.empty(shape, dtype)

    def random(self) -> numpy.random.Generator:
        return np.random.default_rng(self.key)

    def each_slice(self, work: Callable[[slice], Any], count: int) -> list[Any]:
        step = max(1, -(-count // SLICES))
        slices = [slice(start, min(start + step, count)) for start in range(0, count, step)]
        return list(map(work, slices) if self.pool is None else self.pool.map(work, slices))
