"""The pool of memory: what comes back is used again, what is held is not."""

from __future__ import annotations

import numpy as np

from graphc.kernels.workspace import Workspace, block_size


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


def test_blocks_waste_at_most_an_eighth():
    for needed in range(Workspace.smallest, 1 << 16, 97):
        assert needed <= block_size(needed) <= needed * 9 / 8 + 64


def test_small_arrays_are_not_pooled():
    workspace = Workspace()
    workspace.empty((10,), np.float32)
    assert workspace.allocated == 0
