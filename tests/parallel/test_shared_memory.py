"""What processes see of each other's memory."""

from __future__ import annotations

import multiprocessing

import numpy as np
import pytest

from graphc.parallel.shared_memory import SharedArena, SharedChannel

pytestmark = pytest.mark.posix


def in_another_process(work) -> None:
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(30)
    assert process.exitcode == 0


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"a": np.arange(5, dtype=np.float32), "b": [np.zeros((0, 3)), "text"]},
        (np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1), np.float64(2)),
        [np.ones(1 << 20)],
        np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1),
        np.zeros((0, 3), np.uint8),
        np.array(2.5),
        np.array([True, False]),
        np.arange(32, dtype=">i2").reshape(2, 2, 2, 2, 2),
        np.arange(4, dtype=">i2"),
        np.array([1 + 2j]),
        np.array(["a text that is long"]),
    ],
)
def test_a_channel_gives_what_another_process_wrote(value):
    channel = SharedChannel()
    in_another_process(lambda: channel.write(value))
    found = channel.read()
    np.testing.assert_equal(found, list(value) if isinstance(value, tuple) else value)
    if isinstance(value, np.ndarray):
        assert (found.shape, found.dtype) == (value.shape, value.dtype)
    channel.write("the next")
    assert channel.read() == "the next"


def test_arrays_in_a_channel_are_not_copied():
    channel = SharedChannel()
    channel.write(np.zeros(3))
    first, second = channel.read(), channel.read()
    first[1] = 5
    assert list(second) == [0, 5, 0]


def test_arena_are_found_by_their_offset():
    arena = SharedArena()
    arrays = [arena.empty((3,), np.float32), arena.empty((100, 7), np.float64)]
    for array in arrays:
        array[...] = 1
    offset = arena.offset(arrays[1])

    def work() -> None:
        arena.at(offset, (100, 7), np.float64)[3] = 2

    in_another_process(work)
    assert arrays[1].sum() == 707
    assert arrays[0].sum() == 3
    del array, arrays
    assert arena.offset(arena.empty((100, 7), np.float64)) == offset  # taken again
