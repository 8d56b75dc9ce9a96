"""What every communicator promises, whatever its ranks are."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import pytest

from graphc.parallel.communicator import Communicator, LocalCommunicator, Shard, shard_slices
from graphc.parallel.distributed import WorldCommunicator
from graphc.parallel.processes import ProcessGroup
from graphc.parallel.threads import ThreadGroup
from graphc.parallel.world import shards_of
from graphc.system import can_fork
from tests.parallel.threaded_world import run_world


def run_locally(world_size: int, program) -> list:
    return [program(LocalCommunicator())]


def run_threads(world_size: int, program, threads: int | None = None) -> list:
    group = ThreadGroup(world_size, threads or world_size)
    return group.world(world_size).run(lambda shard: program(shard.communicator))


def run_processes(world_size: int, program) -> list:
    if not can_fork():
        pytest.skip("this system has no processes to fork")
    group = ProcessGroup(world_size, lambda shard: {"go": lambda: program(shard(world_size).communicator)})
    first, others = group.run("go", (), lambda: program(group.shard(world_size).communicator), world_size)
    found = [first, *copy.deepcopy(others)]
    group.close()
    return found


def run_world_of_processes(world_size: int, program, threads: int = 1) -> list:
    """In processes of a world, each with so many ranks in threads of its own."""
    size = -(-world_size // threads)
    shards = [shards_of(rank, size, world_size) for rank in range(size)]

    def process(world):
        own = ThreadGroup(world_size, threads).world_of([slice(shard, shard + 1) for shard in shards[world.rank]])
        return own.run(lambda shard: program(WorldCommunicator(shard.communicator, world, shards)))

    return [found for process in run_world(size, process) for found in process]


KINDS = {
    "local": (run_locally, [1]),
    "threads": (run_threads, [1, 2, 3]),
    "one thread": (partial(run_threads, threads=1), [1, 2, 3]),
    "processes": (run_processes, [1, 2, 3]),
    "a world": (run_world_of_processes, [1, 2, 3]),
    "a world with threads": (partial(run_world_of_processes, threads=2), [2, 3]),
}
"""How a program is run in each rank, and in worlds of which sizes; the results in the order of ranks."""
WORLDS = [(kind, size) for kind, (_, sizes) in KINDS.items() for size in sizes]


@pytest.fixture(params=WORLDS, ids=lambda world: f"{world[1]} {world[0]}")
def run(request):
    """(world_size, run of a program)."""
    kind, world_size = request.param
    return world_size, partial(KINDS[kind][0], world_size)


def test_ranks_know_their_number(run):
    world_size, run_program = run
    found = run_program(lambda communicator: (communicator.rank, communicator.world_size))
    assert [tuple(each) for each in found] == [(rank, world_size) for rank in range(world_size)]


def test_every_rank_sees_every_value_of_every_meeting(run):
    world_size, run_program = run

    def program(communicator: Communicator):
        return [communicator.all_gather([meeting, communicator.rank]) for meeting in range(5)]

    expected = [[[meeting, rank] for rank in range(world_size)] for meeting in range(5)]
    assert run_program(program) == [expected] * world_size


def test_sums_are_added_in_the_order_of_ranks(run):
    """Of numbers whose sum in float32 depends on it."""
    world_size, run_program = run
    own = [np.array([1e8, 1], np.float32), np.array([1, -1e8], np.float32), np.array([-1e8, 1e8], np.float32)]
    expected = np.zeros(2, np.float32)
    for rank in range(world_size):
        expected = expected + own[rank]
    found = run_program(lambda communicator: communicator.all_reduce(own[communicator.rank]).tolist())
    assert found == [expected.tolist()] * world_size


def test_what_ranks_write_in_a_shared_buffer_rank_0_has_after_the_next_call(run):
    world_size, run_program = run

    def program(communicator: Communicator):
        found = []
        for turn in range(4):
            buffer = communicator.shared_buffer((3, 5), np.float64)
            buffer[communicator.rank] = 10 * turn + communicator.rank
            communicator.barrier()
            if communicator.rank == 0:
                found.append(buffer[:world_size, 4].tolist())
        return found

    first, *_ = run_program(program)
    assert first == [[10.0 * turn + rank for rank in range(world_size)] for turn in range(4)]


def test_shards_are_runs_of_nearly_equal_length():
    assert shard_slices(7, 3) == [slice(0, 2), slice(2, 4), slice(4, 7)]
    assert shard_slices(2, 3) == [slice(0, 1), slice(1, 2)]
    shard = Shard(LocalCommunicator(), slice(1, 3))
    assert shard.of({"x": np.arange(5)})["x"].tolist() == [1, 2]
