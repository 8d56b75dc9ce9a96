"""Parts of a batch and where they meet."""

from __future__ import annotations

import threading
import time

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from graphc.kernels.team import Member, Team, single_threaded_blas


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_parts_cover_the_batch_in_order_whatever_the_threads(threads):
    team = Team(4, threads)
    for count in (1, 3, 4, 7, 64):
        parts = team.run(lambda member: member.examples, count)
        assert [i for part in parts for i in range(part.start, part.stop)] == list(range(count))
        assert len(parts) == min(4, count)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_part_sees_every_value_of_a_meeting(threads):
    def work(member: Member) -> list[list[int]]:
        return [member.gather(10 * meeting + member.part) for meeting in range(5)]

    expected = [[10 * meeting + part for part in range(3)] for meeting in range(5)]
    assert Team(3, threads).run(work, 30) == [expected] * 3


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_an_error_in_one_part_ends_all_and_comes_out(threads):
    def work(member: Member) -> None:
        if member.part == 1:
            raise ValueError("the second one")
        member.gather(None)

    team = Team(3, threads)
    with pytest.raises(ValueError, match="the second one"):
        team.run(work, 3)
    assert team.run(lambda member: member.gather(member.part), 3) == [[0, 1, 2]] * 3


def test_no_more_threads_work_than_allowed():
    lock, working, most = threading.Lock(), 0, 0

    def work(member: Member) -> None:
        nonlocal working, most
        for _ in range(20):
            with lock:
                working += 1
                most = max(most, working)
            with lock:
                working -= 1
            member.gather(None)

    Team(4, 1).run(work, 4)
    assert most == 1


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_shared_work_is_done_once(threads):
    done = []
    Team(threads, threads).share(lambda some: done.extend(range(100)[some]), 100)
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
        Team(2, 2).share(work, 10)
    assert not at_work


def test_blas_has_one_thread_until_the_last_who_asked_is_done():
    def threads():
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    with threadpool_limits(2, "blas"):
        before = threads()
        with single_threaded_blas:
            with single_threaded_blas:
                assert threads() == {1}
            assert threads() == {1}
        assert threads() == before
