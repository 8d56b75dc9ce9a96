"""What a worker inherits by the fork and must leave alone."""

from __future__ import annotations

import gc
import os

import pytest

from graphc.parallel.processes import ProcessGroup

pytestmark = pytest.mark.posix


class Ending:
    """What must end in its own process alone, as a session of onnxruntime, whose threads a fork leaves behind."""

    def __init__(self) -> None:
        self.cycle = self
        self.pid = os.getpid()

    def __del__(self) -> None:
        if os.getpid() != self.pid:
            os._exit(3)


def test_a_worker_does_not_collect_what_its_parent_has_left():
    gc.collect()
    gc.disable()
    try:
        Ending()
        group = ProcessGroup(2, lambda shard_of: {"collect": gc.collect, "enabled": gc.isenabled})
        assert not gc.isenabled()
        group.run("collect", (), lambda: None, 2)
        assert group.run("enabled", (), lambda: None, 2)[1] == [True]
        group.close()
    finally:
        gc.enable()
        gc.collect()
