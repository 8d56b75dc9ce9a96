"""A world of MPI's processes: mpi4py's buffer methods, no pickles, and no call that could wait for ever.

Every message goes from one rank to another by a nonblocking call that is asked again and again, so that a rank that is
lost is known by name: a blocking collective of MPI's would hang. A thread of each process says once a second that it is
alive; who has been silent for `SILENCE` seconds is lost: killed, stopped, its host off, or its network. A rank that is
alive and gives no answer is given up as a worker process is (`ANSWER_TIMEOUT`).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from graphc.errors import MachineError, missing_extra
from graphc.lazy import np
from graphc.parallel.encoding import packed, unpacked
from graphc.parallel.waiting import LOOK_AROUND, Overdue
from graphc.parallel.world import LOCAL_WORLD, Request, World
from graphc.system import processors
from graphc.types import Array
from graphc.workspace import Workspace

SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
"""Where launchers say in the environment how many processes they start: MPICH's, Intel's and Slurm's PMI; Open MPI."""
PMIX = "PMIX_RANK"
"""What a launcher with PMIx alone says (`srun --mpi=pmix`), which leaves the number of processes to Slurm:"""
STEP_SIZE = "SLURM_STEP_NUM_TASKS"
BEAT = 1.0
"""Seconds between two signs of life."""
SILENCE = 15.0
"""Seconds after which a rank that gives none is lost."""
ASLEEP = 3 * BEAT
"""Seconds between two looks for such signs after which this process was stopped itself, or the machine slept."""
SPIN = 0.02
"""Seconds to ask again at once, where each rank of this host has a processor to itself. MPI's calls let other threads
have the interpreter; to yield the processor between them would take 60 µs where a message takes 2."""
NAP = 1e-4
"""Seconds between two questions after that."""
INTERRUPTED = 130
"""Exit code of ranks that Ctrl-C ends before they have met."""
TAG = 0
"""Of an exchange: messages of one rank under one tag arrive in the order in which they were sent."""


def started_by_mpi(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a launcher of MPI has started this process beside others."""
    sizes = [environment[name] for name in SIZES if name in environment]
    if not sizes and PMIX in environment:
        sizes = [environment.get(STEP_SIZE, "unknown")]
    return any(size != "1" for size in sizes)


def world_of_ranks() -> World:
    """The world that this process was started in: `LOCAL_WORLD` without a launcher. MachineErrors where mpi4py is not
    installed, or belongs to another MPI than the launcher."""
    if not started_by_mpi():
        return LOCAL_WORLD
    try:
        from mpi4py import MPI  # noqa: PLC0415  # importing it starts MPI
    except ImportError:
        raise missing_extra("mpi4py", "mpi") from None
    except RuntimeError as error:
        raise MachineError("G501", f"mpi4py finds no MPI: {error}", notes=["`pip install mpich` is one"]) from None
    told = next((os.environ[name] for name in SIZES if name in os.environ), None)
    if told not in (None, str(MPI.COMM_WORLD.size)):
        library = MPI.Get_library_version().split("\n")[0].strip("\0 ")
        message = f"the launcher has started {told} processes, mpi4py's library ({library}) sees {MPI.COMM_WORLD.size}"
        raise MachineError("G526", message, notes=["mpiexec and mpi4py are of different MPIs: take mpi4py's own"])
    if MPI.Query_thread() < MPI.THREAD_MULTIPLE:
        raise MachineError("G526", "expected an MPI that several threads of a process may call (MPI_THREAD_MULTIPLE)")
    try:
        return MpiWorld(MPI)
    except KeyboardInterrupt:
        MPI.COMM_WORLD.Abort(INTERRUPTED)  # the others may wait for this rank within MPI, where no signal ends them
        raise


class Inbox(Workspace):
    """Memory for messages: of short ones too, as they begin at an aligned address and NumPy's own need not."""

    smallest = 0


class MpiWorld(World):
    """This process among those that MPI has started."""

    def __init__(self, mpi: Any) -> None:
        """`mpi`: the module mpi4py.MPI."""
        self._mpi = mpi
        self._messages, self._sums = mpi.COMM_WORLD.Dup(), mpi.COMM_WORLD.Dup()
        self.rank, self.size = mpi.COMM_WORLD.rank, mpi.COMM_WORLD.size
        self._signs = SignsOfLife(mpi, mpi.COMM_WORLD.Dup())
        self._spin = 0.0
        self._inbox, self._status = Inbox(), mpi.Status()
        self._names = [""] * self.size
        own = {"host": mpi.Get_processor_name(), "pid": os.getpid()}
        everyones = self.exchange(own)
        self._names = [f"rank {rank} (host {each['host']}, pid {each['pid']})" for rank, each in enumerate(everyones)]
        here = sum(each["host"] == own["host"] for each in everyones)
        self._spin = SPIN if here <= processors() else 0.0
        self._signs.start()

    def name(self, rank: int) -> str:
        return self._names[rank] or f"rank {rank}"

    def exchange(self, value: Any, count: int | None = None) -> list[Any]:
        others = [rank for rank in range(self.size if count is None else count) if rank != self.rank]
        message, byte = packed(value), self._mpi.BYTE
        sent = {rank: [self._messages.Isend([message, byte], rank, TAG)] for rank in others}
        found: dict[int, Array] = {}
        for rank in others:
            probed = self._probed(rank)
            found[rank] = self._inbox.empty((self._status.Get_count(byte),), np.uint8)
            self.wait({rank: [probed.Irecv([found[rank], byte])]})
        self.wait(sent)
        return [value if rank == self.rank else unpacked(found[rank]) for rank in sorted([self.rank, *others])]

    def _probed(self, rank: int) -> Any:
        """The next message of a rank, as soon as there is one; how long it is stands in `_status`."""
        probed = None

        def missing() -> list[int]:
            nonlocal probed
            probed = self._messages.Improbe(rank, TAG, self._status)
            return [rank] if probed is None else []

        self._until_none(missing)
        return probed

    def send(self, array: Array, rank: int, tag: int) -> Request:
        request: Request = self._sums.Isend([array, self._mpi.BYTE], rank, tag)
        return request

    def receive(self, array: Array, rank: int, tag: int) -> Request:
        request: Request = self._sums.Irecv([array, self._mpi.BYTE], rank, tag)
        return request

    def wait(self, requests: dict[int, list[Request]], progress: Callable[[], None] = lambda: None) -> None:
        def missing() -> list[int]:
            progress()
            return _under_way(requests)

        self._until_none(missing)

    def _until_none(self, missing: Callable[[], list[int]]) -> None:
        """Ask which ranks are missing until none is."""
        overdue: Overdue | None = None
        asked = looked = time.perf_counter()
        try:
            while ranks := missing():
                now = time.perf_counter()
                if now - asked > self._spin:
                    time.sleep(NAP)
                if now - looked > LOOK_AROUND:
                    looked, overdue = now, overdue or Overdue()
                    self._check(ranks, overdue)
        except self._mpi.Exception as error:
            raise self._lost() or MachineError("G523", f"MPI in {self.name(self.rank)}: {error}") from None

    def _check(self, ranks: list[int], overdue: Overdue) -> None:
        if error := self._lost():
            raise error
        if overdue.after_nap():
            silent = f"is alive and has not answered for {overdue.limit:g} s"
            notes = ["--worker-timeout waits longer"]
            raise MachineError("G524", f"{self.name(ranks[0])} {silent}, says {self.name(self.rank)}", notes=notes)

    def _lost(self) -> MachineError | None:
        lost = self._signs.lost()
        if not lost:
            return None
        names = ", ".join(self.name(rank) for rank in lost)
        message = f"no sign of life from {names} for {SILENCE:g} s, says {self.name(self.rank)}"
        return MachineError("G523", message, notes=["killed, stopped, or its host or network is gone"])

    def abort(self, code: int) -> None:
        """End all processes, wherever they are, with this exit code."""
        self._mpi.COMM_WORLD.Abort(code)

    def finish(self) -> None:
        """All have come to the end."""
        self.exchange(None)
        self._signs.stop()
        self._mpi.Finalize()


class SignsOfLife(threading.Thread):
    """Says to all other ranks, and hears from them, that they are alive."""

    def __init__(self, mpi: Any, communicator: Any) -> None:
        super().__init__(name="graphc-signs-of-life", daemon=True)
        self._mpi, self._communicator = mpi, communicator
        self._others = [rank for rank in range(communicator.size) if rank != communicator.rank]
        self._heard = dict.fromkeys(self._others, time.monotonic())
        self._awake = time.monotonic()
        """When this thread last looked."""
        self._stopped = threading.Event()

    def lost(self) -> list[int]:
        """The ranks that have been silent for too long."""
        now = time.monotonic()
        if now - self._awake > ASLEEP:  # what they have said in the meantime is still to be heard
            return []
        return [rank for rank, heard in self._heard.items() if now - heard > SILENCE]

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    def run(self) -> None:
        sent: dict[int, Any] = {}
        nothing = np.empty(0, np.uint8)
        self._awake = time.monotonic()
        self._heard = dict.fromkeys(self._others, self._awake)
        while not self._stopped.wait(BEAT):
            now = time.monotonic()
            if now - self._awake > ASLEEP:
                self._heard = dict.fromkeys(self._others, now)
            self._awake = now
            for rank in self._others:
                try:
                    if rank not in sent or sent[rank].Test():
                        sent[rank] = self._communicator.Isend([nothing, self._mpi.BYTE], rank, TAG)
                    while self._communicator.Iprobe(rank, TAG):
                        self._communicator.Recv([nothing, self._mpi.BYTE], rank, TAG)
                        self._heard[rank] = now
                except self._mpi.Exception:  # a connection that is broken: it will be silent
                    continue


def _under_way(requests: dict[int, list[Request]]) -> list[int]:
    """The ranks of which a request is not through; those that are, are forgotten."""
    for rank in list(requests):
        requests[rank] = [request for request in requests[rank] if not request.Test()]
        if not requests[rank]:
            del requests[rank]
    return list(requests)
