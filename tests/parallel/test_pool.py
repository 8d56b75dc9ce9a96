"""Workers that do jobs: what a death, an error or a signal does in each of their states; and the thread beside them."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time

import pytest

from graphc.errors import MachineError
from graphc.parallel.pool import AHEAD, WorkerPool
from graphc.parallel.prefetch import prefetched
from graphc.parallel.waiting import answers_within
from graphc.parallel.worker import DOING, State
from graphc.system import wake_main_thread
from tests.parallel.faults import Fault, fail, kill, signals, stop

STATES = [State.STARTING, State.WAITING, State.WORKING, State.REPORTING]
TIMES = [(state, nth) for state in STATES for nth in (1, 2) if (state, nth) != (State.STARTING, 2)]


def squares(count: int = 2) -> WorkerPool:
    def work(worker, job):
        worker.at[0] = job
        return job, job * job

    return WorkerPool(count, work, "worker {}", "G520", lambda state, row: f"at {row} {DOING[state]}")


def all_squares(pool: WorkerPool, jobs: int = 12) -> dict[int, int]:
    left, found = list(range(jobs)), {}
    while left or len(found) < jobs:
        while left and pool.has_room:
            pool.send(left.pop(0))
        found.update(pool.receive())
    return found


@pytest.mark.posix
def test_every_job_is_done_once():
    pool = squares(3)
    assert all_squares(pool) == {job: job * job for job in range(12)}
    assert len(set(pool.pids)) == 3
    pool.close()
    assert not pool.alive
    assert not pool.has_room


@pytest.mark.posix
def test_a_worker_has_few_jobs_before_it(monkeypatch):
    monkeypatch.setattr("graphc.parallel.pool.PATIENCE", 60)  # a loaded machine is slow to start a worker
    pool = squares(2)
    sent = 0
    while pool.has_room:
        pool.send(sent)
        sent += 1
    assert sent == 2 * AHEAD
    pool.drain()
    assert pool.has_room
    assert pool.alive
    pool.close()


@pytest.mark.posix
@pytest.mark.parametrize(("state", "nth"), TIMES)
def test_a_worker_that_is_killed_ends_the_pool_and_is_named(state, nth, monkeypatch):
    Fault(kill, state, "worker 1", nth).plant(monkeypatch)
    pool, started = squares(), time.monotonic()
    row = r"at (-1|\d+)"
    with pytest.raises(MachineError, match=rf"worker 1 \(pid \d+\) was killed by signal 9 {row} {DOING[state]}$"):
        all_squares(pool)
    assert time.monotonic() - started < 5
    assert not pool.alive
    assert not multiprocessing.active_children()


@pytest.mark.posix
@pytest.mark.parametrize(("state", "nth"), TIMES)
def test_a_worker_that_is_stopped_is_named_in_time(state, nth, monkeypatch):
    Fault(stop, state, "worker 1", nth).plant(monkeypatch)
    pool, started = squares(), time.monotonic()
    who = r"worker 1 \(pid \d+\) is stopped \(SIGSTOP\)"
    found = rf"{who} and has not answered for 0\.3 s, at (-1|\d+) {DOING[state]}\n  --worker-timeout waits longer"
    with answers_within(0.3), pytest.raises(MachineError, match=found):
        all_squares(pool, jobs=40)
    assert time.monotonic() - started < 5
    assert not pool.alive
    assert not multiprocessing.active_children()


@pytest.mark.posix
def test_a_job_for_which_the_parent_could_wait_is_an_error():
    pool = squares()
    with pytest.raises(ValueError, match="worker 0: expected at most 32768 bytes to send, found 4"):
        pool.send(b"x" * 40_000)
    assert not pool.alive


@pytest.mark.posix
def test_a_worker_that_is_at_work_for_too_long_is_named():
    pool = WorkerPool(2, lambda worker, job: time.sleep(60), "worker {}", "G520", lambda state, row: f"{DOING[state]}")
    pool.send(0)
    with answers_within(0.3), pytest.raises(MachineError, match=r"worker 0 \(pid \d+\) is there and has not answered"):
        list(pool.receive())
    assert not pool.alive


@pytest.mark.posix
def test_time_in_which_nobody_could_wait_does_not_count(monkeypatch):
    """Ctrl-Z stops this process and its workers; both go on later."""
    pool = WorkerPool(1, lambda worker, job: time.sleep(0.2), "worker {}", "G520", lambda state, row: "")
    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() * 1000)
    pool.send(0)
    with answers_within(2):
        assert list(pool.receive()) == [None]
    pool.close()


@pytest.mark.posix
@pytest.mark.parametrize(("state", "nth"), TIMES)
def test_an_error_outside_a_job_ends_the_pool_and_comes_out(state, nth, monkeypatch):
    Fault(fail, state, "worker 1", nth).plant(monkeypatch)
    pool = squares()
    with pytest.raises(ValueError, match="planted"):
        all_squares(pool)
    assert not pool.alive
    assert not multiprocessing.active_children()


@pytest.mark.posix
@pytest.mark.parametrize("state", STATES)
def test_signals_to_the_whole_group_are_the_parents_to_answer(state, monkeypatch):
    Fault(signals, state, "worker 1").plant(monkeypatch)
    pool = squares()
    assert all_squares(pool) == {job: job * job for job in range(12)}
    pool.close()


@pytest.mark.posix
def test_jobs_that_do_not_come_back_end_the_pool(monkeypatch):
    monkeypatch.setattr("graphc.parallel.pool.PATIENCE", 0.1)
    pool = WorkerPool(1, lambda worker, job: time.sleep(60), "worker {}", "G520", lambda state, row: "")
    pool.send(0)
    started = time.monotonic()
    pool.drain()
    assert time.monotonic() - started < 5
    assert not pool.alive
    assert not multiprocessing.active_children()


@pytest.mark.posix
def test_an_answer_that_could_block_the_worker_is_an_error():
    pool = WorkerPool(1, lambda worker, job: bytes(3_000_000), "worker {}", "G520", lambda state, row: "")
    pool.send(0)
    with pytest.raises(ValueError, match=r"^worker 0: expected at most 32768 bytes to send, found 30000\d\d$"):
        list(pool.receive())
    assert not pool.alive


@pytest.mark.posix
def test_a_pool_that_is_closed_neither_takes_nor_waits():
    pool = squares()
    pool.close()
    with pytest.raises(RuntimeError, match="have been ended"):
        pool.send(0)
    with pytest.raises(RuntimeError, match="have been ended"):
        list(pool.receive())
    pool.drain()


@pytest.mark.posix
def test_ctrl_c_while_waiting_ends_the_pool(monkeypatch):
    pool = WorkerPool(1, lambda worker, job: time.sleep(60), "worker {}", "G520", lambda state, row: "")
    pool.send(0)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        timer = threading.Timer(0.1, wake_main_thread, [signal.SIGINT])
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            list(pool.receive(30))
    finally:
        signal.signal(signal.SIGINT, before)
    assert not pool.alive
    assert not multiprocessing.active_children()


def test_a_thread_makes_few_things_ahead_in_order():
    made = []

    def make(number: int) -> int:
        made.append(number)
        return number * number

    with prefetched(make, iter(range(10))) as found:
        assert [next(found) for _ in range(3)] == [0, 1, 4]
        time.sleep(0.1)
        assert len(made) <= 3 + AHEAD + 1  # those in the queue, and one that waits to get in
        assert list(found) == [number * number for number in range(3, 10)]
    assert made == list(range(10))


def test_nothing_may_be_a_result_of_the_thread():
    with prefetched(lambda number: None, iter(range(3))) as found:
        assert list(found) == [None] * 3


def test_there_is_nothing_more_after_the_block():
    with prefetched(lambda number: number, iter(range(10))) as found:
        assert next(found) == 0
    assert list(found) == []


def test_an_error_in_the_thread_comes_where_its_result_is_asked_for():
    with prefetched(lambda number: 1 // number, iter([1, 0, 1])) as found:
        assert next(found) == 1
        with pytest.raises(ZeroDivisionError):
            next(found)


def test_leaving_early_ends_the_thread():
    with prefetched(lambda number: number, iter(range(10**9))) as found:
        next(found)
    assert not [thread for thread in threading.enumerate() if thread.name == "graphc-batches"]
