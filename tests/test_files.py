"""Files are written at once or not at all, and read up to a limit."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graphc import files
from graphc.errors import MachineError, SpecError, WeightsError
from graphc.files import atomic_write, for_reading, make_folder, open_regular, read_limited, read_open
from graphc.system import begin_writing
from graphc.weights.npz import Archive


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_bytes_and_writers_replace_the_file(tmp_path):
    path = tmp_path / "a.bin"
    atomic_write(path, b"one")
    atomic_write(path, lambda file: file.write(b"two") and None)
    assert contents(tmp_path) == {"a.bin": b"two"}


@pytest.mark.posix
def test_a_new_file_has_the_usual_permissions_and_an_old_one_keeps_its_own(tmp_path):
    plain, made = tmp_path / "plain", tmp_path / "made"
    plain.touch()
    atomic_write(made, b"")
    assert made.stat().st_mode == plain.stat().st_mode
    made.chmod(0o640)
    atomic_write(made, b"x")
    assert stat.S_IMODE(made.stat().st_mode) == 0o640


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, call, number):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    if call != "write":
        monkeypatch.setattr(os, call, fail)
    with pytest.raises(MachineError) as caught:
        atomic_write(path, fail if call == "write" else b"new")
    assert contents(tmp_path) == {"a.bin": b"old"}
    assert str(path) in caught.value.message
    assert bool(caught.value.notes) == (number != errno.EIO)


@pytest.mark.posix
def test_a_pipe_or_a_stream_is_not_replaced(tmp_path):
    pipe, stream, link = tmp_path / "pipe", tmp_path / "stream", tmp_path / "link"
    os.mkfifo(pipe)
    stream.symlink_to("/proc/self/fd/1")
    for path in (pipe, stream):
        with pytest.raises(MachineError, match=f"cannot write {path}: it is a device or a pipe; name a file"):
            atomic_write(path, b"x")
    assert pipe.is_fifo()
    assert stream.is_symlink()
    link.symlink_to(tmp_path / "file")
    atomic_write(link, b"x")
    assert link.read_bytes() == b"x"


def test_a_folder_is_refused_before_anything_is_written(tmp_path):
    """A writer may write other files too: those of a spec and of its weights are both there, or none."""
    (tmp_path / "folder").mkdir()
    called = []
    with pytest.raises(MachineError, match="Is a directory") as raised:
        atomic_write(tmp_path / "folder", called.append)
    assert raised.value.notes == ("a folder of this name is in the way",)
    assert not called


def test_any_exception_removes_the_temporary(tmp_path):
    def stop(file: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        atomic_write(tmp_path / "a.bin", stop)
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("where", ["none/a.bin", "file/a.bin", "folder"])
def test_places_where_nothing_can_be_written(tmp_path, where):
    (tmp_path / "file").touch()
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    with pytest.raises(MachineError, match="cannot write"):
        atomic_write(tmp_path / where, b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.posix
def test_fsync_comes_before_the_rename_and_the_folder_after(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *given, n=name, r=real: (calls.append(n), r(*given))[1])
    atomic_write(tmp_path / "a.bin", b"x")
    assert calls == ["fsync", "replace", "fsync"]


def test_reading_stops_at_the_limit(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"x" * 10)
    assert read_limited(path, 10) == b"x" * 10
    with pytest.raises(SpecError, match="has 10 bytes, the limit is 9"):
        read_limited(path, 9)
    with pytest.raises(WeightsError, match=r"error\[G301\]: there is no file"):
        read_limited(tmp_path / "none", 9, WeightsError, "G301")


def test_a_limit_is_not_allocated(tmp_path):
    """No more than the file has, whatever it may have; a file whose size is not told is read all the same."""
    (tmp_path / "a.bin").write_bytes(b"x" * 10)
    tracemalloc.start()
    try:
        assert read_limited(tmp_path / "a.bin", 2**40) == b"x" * 10
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
    untold = Path("/proc/self/status")
    if untold.exists():
        assert untold.stat().st_size == 0
        assert b"Pid" in read_limited(untold, 2**20)
        with pytest.raises(SpecError, match="the limit is 10"):
            read_limited(untold, 10)
        with open_regular(untold) as file, pytest.raises(MachineError, match="cannot read /proc/self/status"):
            file.seek(0, os.SEEK_END)


@pytest.mark.posix
def test_what_has_nothing_to_read_yet_is_an_error():
    """As /proc/kmsg, which says that it is a plain file."""
    out, into = os.pipe()
    os.set_blocking(out, False)
    with for_reading(out, "a.npz") as file, pytest.raises(MachineError, match=r"cannot read a\.npz"):
        file.read(8)
    os.close(into)


def test_a_file_that_gives_on_and_on_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.bin").write_bytes(b"x" * 100)
    with (tmp_path / "a.bin").open("rb") as file:
        monkeypatch.setattr(files, "MOST_MORE", 50)
        monkeypatch.setattr(os, "fstat", lambda _: os.stat_result((0,) * 10))
        with pytest.raises(SpecError, match="the file gave 50 bytes more than the 0 that it has"):
            read_open(file, "a.bin", 1000, SpecError, "G101")


@pytest.mark.posix
def test_a_folder_that_is_made_outlasts_a_power_cut(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(files, "sync_folder", synced.append)
    for _ in range(2):
        make_folder(tmp_path / "a" / "b")
    assert synced == [tmp_path / "a", tmp_path]


@pytest.mark.posix
def test_what_cannot_be_read_is_the_machines_error_whatever_library_reads(tmp_path):
    """A library would say that the file is damaged."""
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(100))
    for library in (zipfile.ZipFile, Image.open, lambda file: file.read(), Archive):
        file = open_regular(path)
        unreadable = os.open(path, os.O_WRONLY)
        os.dup2(unreadable, file.fileno())
        os.close(unreadable)
        with pytest.raises(MachineError, match=f"cannot read {path}: Bad file descriptor"):
            library(file)
        file.close()


@pytest.mark.posix
def test_the_next_write_removes_what_a_killed_one_has_left(tmp_path):
    code = "import os; from graphc.files import atomic_write; atomic_write('a.bin', lambda file: os._exit(0))"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    (left,) = tmp_path.iterdir()
    others = [left.with_name(left.name.replace("a.bin", "b.bin")), tmp_path / f".a.bin.{os.getpid()}.abcdefgh.tmp"]
    for other in others:
        other.touch()
    atomic_write(tmp_path / "a.bin", b"x")
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "a.bin", *others])


@pytest.mark.posix
def test_pipes_and_devices_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(SpecError, match="found a device or a pipe"):
            read_limited(path, 10)


def test_parts_are_written_in_order_while_the_disk_begins(tmp_path, monkeypatch):
    begun = []

    def begin(handle: int, start: int, length: int) -> None:
        begun.append((start, length, os.fstat(handle).st_size))
        begin_writing(handle, start, length)

    monkeypatch.setattr(files, "EARLY_BYTES", 10)
    monkeypatch.setattr(files, "begin_writing", begin)
    parts = [b"1234", np.arange(2, dtype="<u4").data, b"", b"5" * 7, b"6" * 3, b"7"]
    atomic_write(tmp_path / "a", lambda file: files.write_parts(file, iter(parts)))
    assert (tmp_path / "a").read_bytes() == b"1234" + bytes([0] * 4 + [1, 0, 0, 0]) + b"55555556667"
    assert begun == [(0, 12, 12), (12, 10, 22)]


@pytest.mark.parametrize("path", ["/", "."])
def test_a_folder_without_a_name_is_no_file(path: str) -> None:
    with pytest.raises(MachineError, match="it is a folder; name a file"):
        atomic_write(path, b"")
