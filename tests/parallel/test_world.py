"""Processes of a world, as threads of this test: shards, sums in order, rows of a batch, differences named."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from graphc.data.batch import Batch
from graphc.data.own_rows import OwnRows
from graphc.errors import MachineError, SpecError
from graphc.parallel import mpi
from graphc.parallel.encoding import packed, unpacked
from graphc.parallel.mpi import started_by_mpi
from graphc.parallel.ordered_sums import OrderedSums
from graphc.parallel.world import LOCAL_WORLD, check_equal, check_shards, from_first, shards_of
from graphc.workspace import ALIGNMENT
from tests.parallel.threaded_world import ThreadedWorld, received, run_world


@pytest.mark.parametrize(
    "array",
    [
        np.float64(3),
        np.empty((0, 4), np.float32),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(24, dtype=np.float16).reshape(2, 3, 4)[:, ::-1, 1:],
        np.array([True, False]),
        np.arange(16, dtype=">i4").reshape(1, 2, 2, 2, 2),
        np.arange(16, dtype=">i4").reshape(2, 2, 2, 2),
        np.array(["one", "twelve"]),
    ],
)
def test_arrays_come_out_alone_and_beside_others(array: Any) -> None:
    for value in ([array], [array, np.arange(3)], [array, None]):
        found = unpacked(received(packed(value)))
        assert len(found) == len(value)
        for each, expected in zip(found, value, strict=True):
            if expected is None:
                assert each is None
                continue
            assert each.dtype == expected.dtype
            assert each.shape == expected.shape
            assert np.array_equal(each, expected)
            assert each.ctypes.data % ALIGNMENT == 0


def test_what_is_packed_comes_out_again() -> None:
    value = {"a": [1, 2.5, None, "é"], "b": np.arange(6, dtype=np.float32).reshape(2, 3).T, "c": np.empty((0, 3))}
    found = unpacked(received(packed(value)))
    assert found["a"] == value["a"]
    assert found["b"].dtype == np.float32
    assert found["b"].tolist() == value["b"].tolist()
    assert found["c"].shape == (0, 3)


def test_every_shard_has_one_rank() -> None:
    for size in range(1, 7):
        for num_shards in range(size, 9):
            for used in range(1, num_shards + 1):
                found = [shard for rank in range(size) for shard in shards_of(rank, size, num_shards, used)]
                assert found == list(range(used))


@pytest.mark.parametrize("size", [2, 3])
def test_sums_have_the_bits_of_one_process(size: int) -> None:
    rng = np.random.default_rng(0)
    arrays = [(rng.normal(size=(7, 3)) * 10.0 ** rng.integers(-6, 6, (7, 3))).astype(np.float32) for _ in range(5)]
    expected = arrays[0].copy()
    for each in arrays[1:]:
        expected += each
    other_order = sum(arrays[::-1], np.zeros_like(expected))
    assert (other_order != expected).any(), "the order matters here"

    def program(world):
        shards = [shards_of(rank, world.size, 5) for rank in range(world.size)]
        sums = OrderedSums(world, shards)
        own = [arrays[shard] for shard in shards[world.rank]]
        sums.start(1, [each[:0] for each in own], (0, 3), np.float32)
        sums.start(0, own, (7, 3), np.float32)
        return sums.finish()[0].reshape(7, 3)

    for found in run_world(size, program):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("count", [9, 2])
def test_ranks_make_their_own_rows_and_get_all_targets(count: int) -> None:
    labels = np.arange(count)

    def program(world):
        own = OwnRows(world, 4)
        some = own.of(count)
        targets = np.zeros(count, int)
        targets[some] = labels[some]
        return some, own.completed(Batch({"x": np.zeros((count, 1))}, {"label": targets})).targets["label"]

    found = run_world(3, program)
    assert [row for some, _ in found for row in range(some.start, some.stop)] == list(range(count))
    for _, everyones in found:
        assert everyones.tolist() == labels.tolist()


def test_differences_between_ranks_are_named() -> None:
    def program(world):
        with pytest.raises(MachineError, match="to be the same in all ranks") as caught:
            check_equal(world, "versions", {"numpy": "2.1" if world.rank < 2 else "2.2", "graphc": "1"})
        return caught.value.notes

    expected = ("numpy: 2.1 in rank 0 (host test), 2.2 in rank 2 (host test)",)
    assert run_world(3, program) == [expected] * 3


def test_the_first_rank_says() -> None:
    assert run_world(3, lambda world: from_first(world, world.rank + 5)) == [5, 5, 5]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"SLURM_NTASKS": "4"}, False),
        ({"PMI_SIZE": "4", "PMI_RANK": "1"}, True),
        ({"PMI_SIZE": "1", "PMI_RANK": "0"}, False),
        ({"OMPI_COMM_WORLD_SIZE": "2", "PMIX_RANK": "1"}, True),
        ({"OMPI_COMM_WORLD_SIZE": "1", "PMIX_RANK": "0"}, False),
        ({"PMIX_RANK": "1", "SLURM_STEP_NUM_TASKS": "2"}, True),
        ({"PMIX_RANK": "0", "SLURM_STEP_NUM_TASKS": "1"}, False),
    ],
)
def test_a_launcher_is_known_by_the_environment(environment: dict[str, str], expected: bool) -> None:
    """In a batch script of Slurm's, which srun has not started, a command is alone."""
    assert started_by_mpi(environment) == expected


def test_more_ranks_than_shards_are_an_error() -> None:
    check_shards(LOCAL_WORLD, 1)
    with pytest.raises(SpecError, match="at most as many MPI ranks as shards, found 3 with shards: 2"):
        check_shards(ThreadedWorld(0, 3, None), 2)


def test_whoever_was_stopped_itself_calls_nobody_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """All processes are stopped together, and this one's thread that hears of the others is not yet awake again."""
    clock = [0.0]
    monkeypatch.setattr(mpi.time, "monotonic", lambda: clock[0])
    signs = mpi.SignsOfLife(None, SimpleNamespace(rank=0, size=3))
    clock[0] = mpi.SILENCE + 5
    assert signs.lost() == []
    signs._awake = clock[0]
    assert signs.lost() == [1, 2]
