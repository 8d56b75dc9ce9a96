"""How layers run on this machine: threads over slices of the batch, reused memory, random numbers."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphc.kernels.workspace import Workspace
from graphc.lazy import np
from graphc.types import Array

if TYPE_CHECKING:
    import numpy

SLICES = 8
"""Parts into which a batch is cut, whatever the number of threads: this fixes the bits of every sum."""


class Workers:
    """Threads that share a batch. The caller is one of them, so one thread means no other thread at all."""

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads or len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(self.threads - 1) if self.threads > 1 else None

    def each_slice(self, work: Callable[[slice], Any], count: int) -> list[Any]:
        """`work` on every slice of range(count); the results in the slices' order."""
        step = max(1, -(-count // SLICES))
        slices = [slice(start, min(start + step, count)) for start in range(0, count, step)]
        if self._pool is None or len(slices) == 1:
            return [work(part) for part in slices]
        results: list[Any] = [None] * len(slices)
        todo = iter(range(len(slices)))

        def share() -> None:
            for index in todo:  # next() on a range is one step for the interpreter: no slice is taken twice
                results[index] = work(slices[index])

        others = [self._pool.submit(share) for _ in range(min(self.threads, len(slices)) - 1)]
        share()
        for other in others:
            other.result()
        return results


@dataclass(slots=True)
class RunContext:
    """The `Context` of one layer in one step; by default one thread and a workspace of its own."""

    training: bool = False
    workers: Workers = field(default_factory=lambda: Workers(1))
    workspace: Workspace = field(default_factory=Workspace)
    key: tuple[int, ...] = (0,)
    """Seed, step and layer: all that the layer's random numbers depend on."""
    input_gradient: bool = True
    """Whether backward is asked for the gradient of the inputs (not of images, nor below frozen layers)."""
    overwrite: bool = False
    """Whether the layer may write its output over its first input: nobody else reads it."""

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return self.workspace.empty(shape, dtype)

    def random(self) -> numpy.random.Generator:
        return np.random.default_rng(self.key)

    def each_slice(self, work: Callable[[slice], Any], count: int) -> list[Any]:
        return self.workers.each_slice(work, count)
