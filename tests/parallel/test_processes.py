"""A group of ranks in processes: delays, kills, errors and signals in every state of a worker."""

from __future__ import annotations

import copy
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from graphc.errors import DataError, MachineError, Place
from graphc.parallel import processes as processes_module
from graphc.parallel import worker as worker_module
from graphc.parallel.blas import single_threaded_blas
from graphc.parallel.communicator import Communicator, Shard
from graphc.parallel.processes import ProcessGroup
from graphc.parallel.waiting import answers_within
from graphc.parallel.worker import DOING, State, WorkerProcess, start_all
from graphc.system import stop_signals_held
from tests.parallel.faults import Fault, fail, kill, plant_delays, signals, stop

pytestmark = pytest.mark.posix

WORLD = 3
RANK_1 = "the process of shard 1"
TIMES = [(state, nth) for state in State for nth in (1, 2) if (state, nth) != (State.STARTING, 2)]
"""When something goes wrong: the first or second time that a worker enters a state; it starts once."""


def program(shard: Shard, scale: float) -> list:
    """Every call there is, twice over; what it gives depends on all that the others have written."""
    communicator, found = shard.communicator, []
    for turn in range(2):
        own = np.arange(4.0) * scale + 10 * communicator.rank + turn
        found.append(communicator.all_reduce(own))
        found.append(sum((rank + 1) * value["x"] for rank, value in enumerate(communicator.all_gather({"x": own}))))
        buffer = communicator.shared_buffer((WORLD, 4), np.float64)
        buffer[communicator.rank] = own
        communicator.barrier()
        if communicator.rank == 0:
            found.append(buffer.copy())
    return found


class Memory:
    """Commands of a worker that keeps something in between, as a tape is kept."""

    def __init__(self, shard_of) -> None:
        self.shard_of = shard_of
        self.kept = None

    def there(self, scale: float, inputs) -> list:
        self.kept = inputs
        return program(self.shard_of(WORLD), scale)

    def back(self, factor) -> list:
        return [self.kept * factor, *program(self.shard_of(WORLD), 3.0)]


def group_of_three() -> ProcessGroup:
    def commands(shard_of):
        memory = Memory(shard_of)
        return {"there": memory.there, "back": memory.back}

    return ProcessGroup(WORLD, commands)


def there_and_back(group: ProcessGroup, scale: float = 2.0) -> list:
    """What all ranks find, in two commands."""
    found = []
    for command, arguments, own in (("there", (scale, np.full(5, scale)), scale), ("back", (np.arange(5.0),), 3.0)):
        first, others = group.run(command, arguments, partial(program, group.shard(WORLD), own), WORLD, spin=True)
        found.append(copy.deepcopy([first, *others]))
    return found


def three_times(group: ProcessGroup) -> None:
    for _ in range(3):
        there_and_back(group)


@pytest.fixture(scope="module")
def expected():
    group = group_of_three()
    found = [there_and_back(group, scale) for scale in (2.0, 5.0)]
    group.close()
    return found


@pytest.fixture(autouse=True)
def _nothing_is_left_behind():
    gc.collect()
    before = set(multiprocessing.active_children())
    yield
    assert set(multiprocessing.active_children()) <= before


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("state", list(State))
def test_a_rank_that_is_stopped_is_named_in_time(rank, state, monkeypatch):
    Fault(stop, state, f"the process of shard {rank}").plant(monkeypatch)
    group, started = group_of_three(), time.monotonic()
    who = rf"the process of shard {rank} \(pid \d+\) is stopped \(SIGSTOP\)"
    found = rf"{who} and has not answered for 0\.3 s, while {DOING[state]}\n"
    with answers_within(0.3), pytest.raises(MachineError, match=found) as caught:
        three_times(group)
    assert caught.value.code == "G521"
    assert time.monotonic() - started < 5
    assert not group.alive


def test_ranks_find_what_one_process_would(expected):
    """Against the same sums in the order of ranks, by hand."""
    owns = [np.arange(4.0) * 2 + 10 * rank for rank in range(WORLD)]
    (first, second, third), _ = expected[0]
    np.testing.assert_array_equal(first[0], (owns[0] + owns[1]) + owns[2])
    np.testing.assert_array_equal(second[1], owns[0] + 2 * owns[1] + 3 * owns[2])
    np.testing.assert_array_equal(first[2], owns)
    np.testing.assert_array_equal(third[0], first[0])
    np.testing.assert_array_equal(expected[0][1][1][0], 2.0 * np.arange(5))  # what a worker had kept


@pytest.mark.parametrize("seed", range(4))
def test_delays_anywhere_change_nothing(seed, expected, monkeypatch):
    plant_delays(monkeypatch, seed)
    group = group_of_three()
    for scale, found in zip((2.0, 5.0) * 3, expected * 3, strict=True):
        np.testing.assert_equal(there_and_back(group, scale), found)
    group.close()


@pytest.mark.parametrize(("state", "nth"), TIMES)
def test_a_worker_that_is_killed_ends_the_group_and_is_named(state, nth, monkeypatch):
    Fault(kill, state, RANK_1, nth).plant(monkeypatch)
    group, started = group_of_three(), time.monotonic()
    with pytest.raises(MachineError) as caught:
        three_times(group)
    assert caught.value.code == "G521"
    pid = caught.value.message.split("pid ")[1].split(")")[0]
    assert caught.value.message == f"{RANK_1} (pid {pid}) was killed by signal 9 while {DOING[state]}"
    assert time.monotonic() - started < 5
    assert not group.alive


@pytest.mark.parametrize(("state", "nth"), TIMES)
def test_an_error_in_a_worker_ends_the_group_and_comes_out(state, nth, monkeypatch):
    Fault(fail, state, RANK_1, nth).plant(monkeypatch)
    group, started = group_of_three(), time.monotonic()
    with pytest.raises(ValueError, match="planted"):
        three_times(group)
    assert time.monotonic() - started < 5
    assert not group.alive


@pytest.mark.parametrize("state", State, ids=lambda state: state.name.lower())
def test_signals_to_the_whole_group_are_the_parents_to_answer(state, expected, monkeypatch):
    Fault(signals, state, RANK_1).plant(monkeypatch)
    group = group_of_three()
    np.testing.assert_equal(there_and_back(group), expected[0])
    group.close()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("meetings", [0, 1, 2])
def test_an_error_in_rank_0_ends_the_group(error, meetings):
    group = group_of_three()

    communicator = group.shard(WORLD).communicator

    def own():
        if meetings > 0:
            communicator.all_reduce(np.zeros(4))
        if meetings > 1:
            communicator.all_gather({"x": np.zeros(4)})
        raise error

    with pytest.raises(error):
        group.run("there", (2.0, np.zeros(1)), own, WORLD)
    assert not group.alive


@pytest.mark.parametrize(
    ("planted", "type_", "text"),
    [
        (DataError("G401", "no such thing", Place("a.yaml", 3, 4), ["a note"]), DataError, "a.yaml:3:4: error"),
        (MemoryError("1 GiB"), MemoryError, "1 GiB"),
        (np.exceptions.AxisError(3, 2), RuntimeError, "AxisError: axis 3 is out of bounds"),
        (ValueError(lambda: None), RuntimeError, "in broken"),  # cannot be sent
    ],
    ids=["ours", "memory", "a library's", "unsendable"],
)  # fmt: skip
def test_errors_arrive_as_they_are_where_they_can(planted, type_, text):
    def broken():
        raise planted

    group = ProcessGroup(2, lambda _: {"go": broken})
    with pytest.raises(type_) as caught:
        group.run("go", (), group.shard(2).communicator.barrier, 2)
    assert text in str(caught.value)
    if isinstance(planted, DataError):
        assert caught.value.notes == ("a note",)


def test_fewer_ranks_may_be_at_work_than_there_are(expected):
    group = group_of_three()
    assert group.run("there", (), lambda: "alone", 1) == ("alone", [])
    np.testing.assert_equal(there_and_back(group), expected[0])
    group.close()


def test_none_is_left_where_one_cannot_be_started(monkeypatch):
    init, made = WorkerProcess.__init__, []

    def second_fails(worker, *arguments, **keywords):
        if made:
            raise OSError("no more processes")
        init(worker, *arguments, **keywords)
        made.append(worker.process)

    monkeypatch.setattr(WorkerProcess, "__init__", second_fails)
    with pytest.raises(OSError, match="no more processes"):
        group_of_three()
    assert made[0].exitcode is not None


@pytest.mark.parametrize("number", [0, 1])
def test_none_is_left_where_ctrl_c_comes_during_a_fork(number, monkeypatch):
    """It is held back, and heard of when the worker is there."""
    made: list[WorkerProcess] = []

    @contextmanager
    def held():
        with stop_signals_held():
            yield
            if len(made) > number:
                os.kill(os.getpid(), signal.SIGINT)

    class Noted(WorkerProcess):
        def __init__(self, *arguments, **keywords):
            made.append(self)
            super().__init__(*arguments, **keywords)

    monkeypatch.setattr(worker_module, "stop_signals_held", held)
    monkeypatch.setattr(processes_module, "WorkerProcess", Noted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            group_of_three()
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(made) == number + 1
    assert all(worker.process.exitcode is not None for worker in made)


def test_none_is_left_where_ctrl_c_comes_after_a_fork():
    made = []

    def start() -> WorkerProcess:
        made.append(WorkerProcess(lambda worker: worker.receive(), "a worker", "G520", close_files=False))
        if len(made) == 2:
            raise KeyboardInterrupt
        return made[-1]

    with pytest.raises(KeyboardInterrupt):
        start_all([start] * 3)
    assert len(made) == 2
    assert all(worker.process.exitcode is not None for worker in made)


@pytest.mark.parametrize("close_files", [False, True])
def test_a_worker_that_has_closed_its_pipe_and_lives_is_given_up(close_files, monkeypatch):
    monkeypatch.setattr(worker_module, "PATIENCE", 0.2)

    def hang(worker) -> None:
        worker.pipe.close()
        time.sleep(60)

    worker = WorkerProcess(hang, "a worker", "G521", close_files=close_files)
    started = time.monotonic()
    try:
        with pytest.raises(MachineError, match=r"a worker \(pid \d+\) does not answer while starting"):
            worker.receive()
    finally:
        worker.end()
    assert time.monotonic() - started < 30


def test_a_worker_forked_while_a_thread_sets_blas_goes_on():
    with single_threaded_blas._lock:
        group = group_of_three()
    there_and_back(group)
    group.close()


def test_a_group_that_is_closed_does_nothing():
    group = group_of_three()
    group.close()
    with pytest.raises(RuntimeError, match="have been ended"):
        there_and_back(group)


def test_a_group_that_is_let_go_of_has_no_workers():
    group = group_of_three()
    communicator: Communicator = group.shard(WORLD).communicator  # of a tape that is still there
    del group
    assert not multiprocessing.active_children()
    assert communicator.rank == 0


def script(body: str, *arguments: str) -> subprocess.Popen:
    """A process that begins with the names of this module."""
    text = f"from tests.parallel.test_processes import *\n{textwrap.dedent(body)}"
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", text, *arguments], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def test_workers_end_whose_parent_is_killed_in_whatever_state_they_are():
    """Each parent has one worker, which stays in a state until its parent is gone."""
    body = """
        import os, time
        state, parent = State[sys.argv[1]], os.getpid()

        def stay():
            print(os.getpid(), flush=True)
            while os.getppid() == parent:
                time.sleep(0.01)

        class Patch:
            setattr = staticmethod(setattr)

        Fault(stay, state, RANK_1, 1).plant(Patch)
        group = group_of_three()
        there_and_back(group)
        """
    parents = [script(body, state.name) for state in State]
    workers = [int(parent.stdout.readline()) for parent in parents]
    for parent in parents:
        parent.kill()
        parent.communicate()
    deadline = time.monotonic() + 10
    while not all(map(is_gone, workers)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [state.name for state, worker in zip(State, workers, strict=True) if not is_gone(worker)] == []


def test_a_program_that_ends_with_its_group_open_ends():
    """Workers ignore SIGTERM, by which multiprocessing would end them, and would be waited for."""
    body = """
        import weakref
        finalize = weakref.finalize(test_fewer_ranks_may_be_at_work_than_there_are, print)  # before there is a group
        group = group_of_three()
        there_and_back(group)
        raise ValueError("uncaught")
        """
    process = script(body)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert errors.rstrip().endswith("ValueError: uncaught")


def test_what_is_forked_later_keeps_no_pipe_open():
    """A worker ends when its parent's end of its pipe is closed, though others have been forked since."""
    first, second = (
        WorkerProcess(lambda worker: worker.receive(), f"number {number}", "G520", close_files=False)
        for number in range(2)
    )
    first.pipe.close()
    first.process.join(10)
    assert first.process.exitcode == 0
    assert second.process.exitcode is None
    first.end()
    second.end()
