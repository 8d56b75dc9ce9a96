"""Power cuts: what may be found on the disk, and what the next start makes of it. All of it is `.ci/faults`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.calls import Call, why_no_shim
from tests.faults.crashes import Crashes
from tests.faults.power_cut import History

needs_shim = pytest.mark.skipif(why_no_shim() is not None, reason=str(why_no_shim()))
HERE = Path("/here")


def call(kind: str, inode: int, name: str, more: str = "", data: bytes = b"", result: int | None = None) -> Call:
    more = f"{HERE}/{more}" if kind == "rename" else more
    return Call(kind, inode, f"{HERE}/{name}".rstrip("/"), more, 0, len(data), len(data) if data else 0, data)


def contents(calls: list[Call], name: str) -> set[bytes | None]:
    """What may be in a file, after all of the calls, where `old` was in it before."""
    history = History(calls, HERE, {"a": b"old"})
    return {disk.get(name) for disk in history.disks(len(history.steps))}


WRITE = [call("create", 7, "t", "new"), call("write", 7, "t", data=b"newer!")]
MOVE = [call("rename", 0, "t", "a")]
SYNC, SYNC_FOLDER = call("fsync", 7, "t"), call("fsync", 1, "")


def test_what_was_synced_is_there():
    assert contents([*WRITE, SYNC, *MOVE, SYNC_FOLDER], "a") == {b"newer!"}


def test_a_move_that_was_not_synced_is_lost_or_kept():
    assert contents([*WRITE, SYNC, *MOVE], "a") == {b"old", b"newer!"}


def test_a_file_that_was_moved_before_it_was_synced_may_be_cut_off_empty_or_zeros():
    assert contents([*WRITE, *MOVE, SYNC_FOLDER], "a") == {b"", b"new", b"newer!", b"\0" * 6}


def test_a_removal_may_come_before_the_move_that_it_followed():
    calls = [*WRITE, SYNC, call("rename", 0, "t", "b"), call("unlink", 0, "a")]
    history = History(calls, HERE, {"a": b"old"})
    found = {frozenset(disk) & {"a", "b"} for disk in history.disks(len(history.steps))}
    assert found == {frozenset("a"), frozenset("ab"), frozenset(), frozenset("b")}


def test_a_folder_that_was_not_synced_is_lost_with_what_lies_in_it():
    inside = [call("mkdir", 0, "f"), call("create", 7, "f/t", "new"), call("write", 7, "f/t", data=b"x")]
    safe = [call("fsync", 7, "f/t"), call("fsync", 2, "f")]
    assert contents([*inside, *safe], "f/t") == {b"x", None}
    assert contents([*inside, *safe, SYNC_FOLDER], "f/t") == {b"x"}


def test_a_number_of_a_removed_file_is_another_file_s_when_it_comes_again():
    calls = [*WRITE, SYNC, call("unlink", 0, "t"), *WRITE, SYNC, *MOVE, SYNC_FOLDER]
    assert contents(calls, "a") == {b"newer!"}


@needs_shim
@pytest.mark.posix
@pytest.mark.parametrize(("name", "first", "distance"), [("compile, external data", 0, 3), ("train", 12, 83)])
def test_whatever_is_found_the_next_start_ends_with_the_same_bytes(name, first, distance, stage_of):
    crashes = Crashes(stage_of(name))
    some = list(crashes)[first::distance]
    assert some
    found = [f"after {crash.steps} steps: {said}" for crash in some if (said := crashes.problems(crash))]
    assert not found
