"""Ranks in threads: who works, and what an error does."""

from __future__ import annotations

import random
import signal
import threading
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from graphc.parallel.blas import libraries, single_threaded_blas
from graphc.parallel.communicator import Shard
from graphc.parallel.threads import ThreadGroup, ThreadWorld
from graphc.system import wake_main_thread
from tests.parallel.faults import plant_watch


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_shards_cover_the_batch_in_order_whatever_the_threads(threads):
    group = ThreadGroup(4, threads)
    for count in (1, 3, 4, 7, 64):
        found = group.world(count).run(lambda shard: shard.examples)
        assert [i for own in found for i in range(own.start, own.stop)] == list(range(count))
        assert len(found) == min(4, count)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_an_error_in_one_rank_ends_all_and_comes_out(threads):
    def work(shard: Shard) -> None:
        if shard.rank == 1:
            raise ValueError("the second one")
        shard.communicator.barrier()

    group = ThreadGroup(3, threads)
    with pytest.raises(ValueError, match="the second one"):
        group.world(3).run(work)
    assert group.world(3).run(lambda shard: shard.communicator.all_gather(shard.rank)) == [[0, 1, 2]] * 3


def test_ranks_end_where_another_cannot_begin(monkeypatch):
    group = ThreadGroup(3, 3)
    submit = group._pool.submit

    def one_only(*arguments):
        if arguments[-1].rank == 1:
            raise RuntimeError("can't start new thread")
        return submit(*arguments)

    monkeypatch.setattr(group._pool, "submit", one_only)
    world = group.world(3)
    try:
        with pytest.raises(RuntimeError, match="can't start new thread"):
            world.run(lambda shard: shard.communicator.barrier())
        assert world._at_work._count == 0
        monkeypatch.undo()
        assert group.world(3).run(lambda shard: shard.rank) == [0, 1, 2]
    finally:
        world._barrier.abort()  # or a failure would have pytest wait for the thread


def test_a_rank_that_begins_after_ctrl_c_does_nothing(monkeypatch):
    """Where the thread has not been started the work may be waiting for one nevertheless."""
    begun, group = [], ThreadGroup(2, 2)
    submit = group._pool.submit

    def interrupted(*arguments):
        monkeypatch.undo()
        late.append(arguments)
        raise KeyboardInterrupt

    late = []
    monkeypatch.setattr(group._pool, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        group.world(2).run(begun.append)
    with pytest.raises(threading.BrokenBarrierError):
        submit(*late[0]).result(5)
    assert not begun


def test_ctrl_c_comes_out_when_all_have_stopped():
    at_work, all_there = set(), threading.Barrier(3)

    def work(shard: Shard) -> None:
        at_work.add(shard.rank)
        try:
            all_there.wait(5)
            if shard.rank == 1:
                wake_main_thread(signal.SIGINT)
            for _ in range(300):
                shard.communicator.barrier()
                time.sleep(0.01)
        finally:
            at_work.remove(shard.rank)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            ThreadGroup(3, 3).world(3).run(work)
        assert not at_work
    finally:
        signal.signal(signal.SIGINT, before)


def test_no_more_threads_work_than_allowed():
    lock, working, most = threading.Lock(), 0, 0

    def work(shard: Shard) -> None:
        nonlocal working, most
        for _ in range(20):
            with lock:
                working += 1
                most = max(most, working)
            with lock:
                working -= 1
            shard.communicator.barrier()

    ThreadGroup(4, 1).world(4).run(work)
    assert most == 1


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_shared_work_is_done_once(threads):
    done = []
    ThreadGroup(threads, threads).parallel_for(lambda some: done.extend(range(100)[some]), 100)
    assert sorted(done) == list(range(100))


@pytest.mark.parametrize("mine", [True, False])
def test_an_error_in_shared_work_comes_out_when_all_have_stopped(mine):
    """Whether it is the calling thread's or a helper's."""
    at_work, both = [], threading.Barrier(2)

    def work(some):
        if some.start < 2:
            both.wait(5)  # one of the first two each
        at_work.append(some)
        try:
            if (threading.current_thread() is threading.main_thread()) == mine:
                raise ValueError("trouble")
            time.sleep(0.01)
        finally:
            at_work.remove(some)

    with pytest.raises(ValueError, match="trouble"):
        ThreadGroup(2, 2).parallel_for(work, 10)
    assert not at_work


def test_helpers_that_nobody_knows_of_have_stopped_too(monkeypatch):
    """Ctrl-C between the beginning of a helper and the note of it."""
    group, begun, at_work = ThreadGroup(2, 2), threading.Event(), []
    submit = group._pool.submit

    def interrupted(*arguments):
        submit(*arguments)
        begun.wait(5)
        raise KeyboardInterrupt

    def work(some):
        at_work.append(some)
        begun.set()
        time.sleep(0.2)
        at_work.remove(some)

    monkeypatch.setattr(group._pool, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        group.parallel_for(work, 10)
    assert not at_work


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_delays_anywhere_change_nothing(threads, seed, monkeypatch):
    """Against the same sums in the order of ranks, by hand."""
    exchange, chance = ThreadWorld.exchange, random.Random(seed)

    def delayed(*arguments):
        time.sleep(chance.random() * 2e-3)
        found = exchange(*arguments)
        time.sleep(chance.random() * 2e-3)
        return found

    monkeypatch.setattr(ThreadWorld, "exchange", delayed)

    def work(shard: Shard) -> list[np.ndarray]:
        communicator, found = shard.communicator, []
        for turn in range(6):
            buffer = communicator.shared_buffer((3,), np.float64)
            buffer[shard.rank] = 10 * turn + shard.rank
            found.append(communicator.all_reduce(np.full(2, turn / 3 + shard.rank)))
            found.append(buffer.copy() if shard.rank == 0 else None)
            time.sleep(chance.random() * 1e-3)
        return found

    sums = [np.full(2, (turn / 3 + (turn / 3 + 1)) + (turn / 3 + 2)) for turn in range(6)]
    found = ThreadGroup(3, threads).world(3).run(work)
    for rank in range(3):
        np.testing.assert_array_equal(found[rank][::2], sums)
    np.testing.assert_array_equal(found[0][1::2], [[10 * turn + rank for rank in range(3)] for turn in range(6)])


def test_what_is_changed_too_early_is_found(monkeypatch):
    """By the watch that `tests/execution` puts over layers."""
    plant_watch(monkeypatch)

    def work(shard: Shard) -> None:
        own = np.zeros(3)
        shard.communicator.all_gather(own)
        own[shard.rank] = 1
        shard.communicator.barrier()

    with pytest.raises(AssertionError, match="not equal"):
        ThreadGroup(2, 2).world(2).run(work)


@pytest.mark.parametrize("meeting", range(3))
@pytest.mark.parametrize("rank", range(3))
def test_an_error_at_any_meeting_ends_all(rank, meeting):
    def work(shard: Shard) -> None:
        for number in range(3):
            if shard.rank == rank and number == meeting:
                raise ValueError(f"{rank} at {meeting}")
            shard.communicator.barrier()

    with pytest.raises(ValueError, match=f"{rank} at {meeting}"):
        ThreadGroup(3, 2).world(3).run(work)


def test_blas_has_one_thread_until_the_last_who_asked_is_done():
    def threads():
        return {library["num_threads"] for library in libraries().info() if library["user_api"] == "blas"}

    with threadpool_limits(2, "blas"):
        before = threads()
        with single_threaded_blas:
            with single_threaded_blas:
                assert threads() == {1}
            assert threads() == {1}
        assert threads() == before
