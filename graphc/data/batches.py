"""Batches in an order that only the seed and the epoch decide, made ready one ahead by a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from graphc.data.examples import Examples
from graphc.data.preprocess import Preprocess
from graphc.types import Array

AHEAD = 2
"""Batches made ready before they are asked for."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Batch:
    """Arrays of one batch: inputs by input name, targets by target name."""

    inputs: dict[str, Array]
    targets: dict[str, Array]

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))


def epoch_order(seed: int, epoch: int, count: int) -> Array:
    """The rows of an epoch, shuffled: the same for the same seed and epoch."""
    return np.random.default_rng([seed, epoch]).permutation(count)


class Batches:
    """Examples as batches for a network: cast, preprocessed, in buffers that are used again.

    A batch stays as it is until `AHEAD + 2` more have been made.
    """

    def __init__(
        self,
        examples: Examples,
        size: int,
        shapes: Mapping[str, tuple[int, ...]],
        dtype: Any,
        preprocess: Mapping[str, Preprocess],
    ) -> None:
        """`shapes`: one example's shape by input name; `preprocess`: by input name too."""
        self.examples = examples
        self.size = size
        self._preprocess = preprocess
        rows = min(size, len(examples))
        self._rings = [
            {name: np.empty((rows, *shape), dtype) for name, shape in shapes.items()} for _ in range(AHEAD + 2)
        ]
        self._made = 0

    def make(self, rows: Array) -> Batch:
        """The batch of these rows."""
        buffers = self._rings[self._made % len(self._rings)]
        self._made += 1
        inputs = {}
        for name, buffer in buffers.items():
            out = inputs[name] = buffer[: len(rows)]
            self._preprocess[name].apply(self.examples.inputs[name][rows].reshape(out.shape), out)
        targets = {name: array[rows] for name, array in self.examples.targets.items()}
        return Batch(inputs, targets)

    def parts(self, order: Array, start: int = 0) -> Iterator[Array]:
        """The rows of each batch of an order, from batch number `start` on; the last batch may be short."""
        return (order[at : at + self.size] for at in range(start * self.size, len(order), self.size))


@contextmanager
def prefetched(make: Callable[[Array], T], parts: Iterator[Array]) -> Iterator[Iterator[T]]:
    """`make` of each part, made by a thread ahead of time; its errors are raised where the result is asked for."""
    worker = _Worker(make, parts)
    worker.thread.start()
    try:
        yield worker.results()
    finally:
        worker.stop()


class _Worker(Generic[T]):
    """A thread that fills a short queue until it is done, fails, or is told to stop."""

    def __init__(self, make: Callable[[Array], T], parts: Iterator[Array]) -> None:
        self._make, self._parts = make, parts
        self._queue: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(AHEAD)
        self._stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, name="graphc-batches", daemon=True)

    def results(self) -> Iterator[T]:
        while True:
            made, error = self._queue.get()
            if error is not None:
                raise error
            if made is None:
                return
            yield made

    def stop(self) -> None:
        self._stopped.set()
        self.thread.join()

    def _run(self) -> None:
        try:
            for part in self._parts:
                if not self._put((self._make(part), None)):
                    return
            self._put((None, None))
        except BaseException as error:  # handed to the thread that asked
            self._put((None, error))

    def _put(self, item: tuple[T | None, BaseException | None]) -> bool:
        """Whether the item was taken before the worker was stopped."""
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False
