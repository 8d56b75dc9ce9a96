"""The pool of memory: what comes back is used again, what is held is not."""

from __future__ import annotations

import numpy as np

from graphc.workspace import Workspace, block_size


def test_memory_comes_back_with_the_last_view():
    workspace = Workspace()
    array = workspace.empty((64, 32), np.float32)
    address, view = array.ctypes.data, array.reshape(-1)[8:]
    del array
    other = workspace.empty((64, 32), np.float32)
    assert other.ctypes.data != address
    del view
    assert workspace.empty((32, 32), np.float64).ctypes.data == address
    assert workspace.allocated == 2 * 64 * 32 * 4


def test_arrays_start_on_a_cache_line_and_can_be_written():
    workspace = Workspace()
    array = workspace.empty((3, 1000), np.float64)
    array[...] = 1
    assert array.ctypes.data % 64 == 0
    assert array.flags.c_contiguous
    assert array.sum() == 3000


def test_blocks_are_less_than_twice_what_is_needed():
    for needed in range(Workspace.smallest, 1 << 16, 97):
        assert needed <= block_size(needed) < needed * 2


def test_a_free_block_of_twice_the_size_comes_before_a_new_one():
    workspace = Workspace()
    address = workspace.empty((8000,), np.float32).ctypes.data
    small = workspace.empty((4000,), np.float32)
    assert small.ctypes.data == address
    large = workspace.empty((8000,), np.float32)
    del small
    assert workspace.empty((7000,), np.float32).ctypes.data == address  # it went back to where it came from
    assert large.ctypes.data != address


def test_small_arrays_are_not_pooled():
    workspace = Workspace()
    workspace.empty((10,), np.float32)
    assert workspace.allocated == 0
