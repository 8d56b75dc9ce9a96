"""A thread that makes things ahead of whoever takes them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from graphc.parallel.pool import AHEAD
from graphc.parallel.waiting import LOOK_AROUND

S = TypeVar("S")
T = TypeVar("T")

END = object()
"""In place of a result where there is none any more."""


@contextmanager
def prefetched(make: Callable[[S], T], given: Iterator[S]) -> Iterator[Iterator[T]]:
    """`make` of each, in order: `AHEAD` of them are ready before they are asked for, and one more is being made or
    waits to be put beside them. An error is raised where its result is asked for. Leaving the block waits for what is
    being made; after it there are no more results."""
    thread = _Prefetcher(make, given)
    thread.start()
    try:
        yield thread.results()
    finally:
        thread.stop()


class _Prefetcher(threading.Thread, Generic[S, T]):
    """Fills a short queue until there is nothing more, an error, or no need."""

    def __init__(self, make: Callable[[S], T], given: Iterator[S]) -> None:
        super().__init__(name="graphc-batches", daemon=True)
        self._make, self._given = make, given
        self._queue: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(AHEAD)
        """A result or `END`, and the error in its place."""
        self._stopped = threading.Event()

    def results(self) -> Iterator[T]:
        while not self._stopped.is_set():
            try:
                made, error = self._queue.get(timeout=LOOK_AROUND)
            except queue.Empty:
                continue
            if error is not None:
                raise error
            if made is END:
                return
            yield made

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    def run(self) -> None:
        try:
            for each in self._given:
                if not self._put((self._make(each), None)):
                    return
            self._put((END, None))
        except BaseException as error:  # handed to the thread that asked
            self._put((END, error))

    def _put(self, item: tuple[Any, BaseException | None]) -> bool:
        """Whether the item was taken before the thread was stopped."""
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=LOOK_AROUND)
            except queue.Full:
                continue
            return True
        return False
