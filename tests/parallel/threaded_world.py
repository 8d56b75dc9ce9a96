"""A world whose processes are threads of the test: messages are queues."""

from __future__ import annotations

import queue
import threading
from collections import defaultdict
from typing import Any

import numpy as np

from graphc.parallel.encoding import packed, unpacked
from graphc.parallel.mpi import Inbox
from graphc.parallel.world import World
from graphc.types import Array


class Arrival:
    """A message that is to be received into an array, behind one that is awaited already, as MPI has it."""

    def __init__(self, array: np.ndarray, box: queue.Queue, before: Arrival | None) -> None:
        self._array, self._box, self._before, self._through = array, box, before, False

    def Test(self) -> bool:
        if not self._through:
            if self._before is not None and not self._before.Test():
                return False
            self._before = None
            try:
                self._array[...] = self._box.get_nowait()
            except queue.Empty:
                return False
            self._through = True
        return True


class Sent:
    def Test(self) -> bool:
        return True


def received(message: bytes) -> Array:
    """A message as uint8 [bytes] in memory of the receiver's own."""
    own = Inbox().empty((len(message),), np.uint8)
    own[...] = np.frombuffer(message, np.uint8)
    return own


class ThreadedWorld(World):
    """One rank's side of it."""

    def __init__(self, rank: int, size: int, boxes: Any) -> None:
        self.rank, self.size, self._boxes = rank, size, boxes
        self._awaited: dict[Any, Arrival] = {}
        """The last one from each rank under each tag."""

    def exchange(self, value, count=None):
        ranks = range(self.size if count is None else count)
        for rank in ranks:
            if rank != self.rank:
                self._boxes[self.rank, rank, "exchange"].put(packed(value))
        return [
            value if rank == self.rank else unpacked(received(self._boxes[rank, self.rank, "exchange"].get(timeout=20)))
            for rank in ranks
        ]

    def send(self, array, rank, tag):
        self._boxes[self.rank, rank, tag].put(array.copy())
        return Sent()

    def receive(self, array, rank, tag):
        before = self._awaited.get((rank, tag))
        self._awaited[rank, tag] = Arrival(array, self._boxes[rank, self.rank, tag], before)
        return self._awaited[rank, tag]

    def wait(self, requests, progress=lambda: None):
        left = [request for each in requests.values() for request in each]
        while left:
            progress()
            left = [request for request in left if not request.Test()]

    def name(self, rank):
        return f"rank {rank} (host test)"


def run_world(size: int, program) -> list:
    """What `program(world)` gives in each rank, or the first error."""
    boxes: dict = defaultdict(queue.Queue)
    lock = threading.Lock()

    class Boxes:
        def __getitem__(self, key):
            with lock:
                return boxes[key]

    found: list = [None] * size
    errors: list = []

    def work(rank: int) -> None:
        try:
            found[rank] = program(ThreadedWorld(rank, size, Boxes()))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return found
