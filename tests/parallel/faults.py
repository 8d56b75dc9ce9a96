"""Faults planted in workers: at the n-th time that one enters a state it is killed, fails, waits, or gets signals."""

from __future__ import annotations

import copy
import os
import random
import signal
import time
from dataclasses import dataclass

import numpy as np

from graphc.parallel.shared_memory import SharedChannel
from graphc.parallel.threads import ThreadCommunicator
from graphc.parallel.worker import State, Worker


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stop() -> None:
    """There, but at no work any more."""
    os.kill(os.getpid(), signal.SIGSTOP)


def fail() -> None:
    raise ValueError("planted")


def signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(os.getpid(), number)
    time.sleep(0.01)


@dataclass
class Fault:
    """Of the worker that messages call `who`."""

    what: object
    state: State
    who: str
    nth: int = 1

    def plant(self, monkeypatch) -> None:
        """In workers that are forked from now on."""
        enter = Worker.enter

        def entered(worker: Worker, state: State) -> None:
            enter(worker, state)
            if worker.who == self.who and state == self.state:
                self.nth -= 1
                if self.nth == 0:
                    self.what()

        monkeypatch.setattr(Worker, "enter", entered)


def plant_delays(monkeypatch, seed: int, longest: float = 2e-3) -> None:
    """Of every worker in every state, and of everybody before it reads or writes what is shared."""
    chance = random.Random(seed)

    def delayed(original):
        def call(self, *arguments):
            if chance.random() < 0.5:
                time.sleep(chance.random() * longest)
            return original(self, *arguments)

        return call

    def reseeded(original):
        def call(worker, state):
            if state == State.STARTING:
                chance.seed(f"{seed} {worker.who}")
            return original(worker, state)

        return call

    monkeypatch.setattr(Worker, "enter", reseeded(delayed(Worker.enter)))
    for name in ("read", "write"):
        monkeypatch.setattr(SharedChannel, name, delayed(getattr(SharedChannel, name)))


def plant_watch(monkeypatch) -> None:
    """An AssertionError where a rank in a thread has changed what it brought to a meeting before others were done."""
    all_gather, shared_buffer = ThreadCommunicator.all_gather, ThreadCommunicator.shared_buffer

    def gathered(self, value):
        copied, brought, self.brought = copy.deepcopy(value), getattr(self, "brought", None), None
        found = all_gather(self, value)
        if brought is not None:
            np.testing.assert_equal(*brought)
        self.brought = value, copied
        return found

    def buffer(self, *arguments):
        found = shared_buffer(self, *arguments)
        self.brought = None  # which is there to be written in
        return found

    monkeypatch.setattr(ThreadCommunicator, "all_gather", gathered)
    monkeypatch.setattr(ThreadCommunicator, "shared_buffer", buffer)


def plant_expiry(monkeypatch, communicator: type) -> None:
    """Arrays that a rank has gathered last until its next call, and no longer: they become NaN."""
    all_gather = communicator.all_gather
    lent: dict[int, list[np.ndarray]] = {}

    def copied(value, copies: list[np.ndarray]):
        if isinstance(value, np.ndarray):
            copies.append(value.copy())
            return copies[-1]
        if isinstance(value, dict):
            return {name: copied(each, copies) for name, each in value.items()}
        return [copied(each, copies) for each in value] if isinstance(value, (list, tuple)) else value

    def gathered(self, value):
        for array in lent.pop(self.rank, []):
            if array.dtype.kind == "f":
                array.fill(np.nan)
        found = all_gather(self, value)
        lent[self.rank] = []
        return [each if rank == self.rank else copied(each, lent[self.rank]) for rank, each in enumerate(found)]

    monkeypatch.setattr(communicator, "all_gather", gathered)
