"""Checkpoints under every fault: at every call that writes, a failure and a sudden end leave one that is whole."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest

from graphc import files
from graphc.errors import MachineError, WeightsError
from graphc.train.checkpoint import CheckpointKey, Checkpoints

CALLS = ("open_new", "write", "fsync", "replace", "unlink")


def _arrays(value: float):
    return {
        "params/w": np.full((3, 4), value, np.float32),
        "slots/mean/w": np.full((3, 4), value, np.float64),
        "order": np.arange(5),
        "none": np.zeros((0, 3), np.float32),
        "scalar": np.float64(value).reshape(()),
    }


def _save(checkpoints, step):
    checkpoints.save(CheckpointKey(step, 0), _arrays(step), {"step": step})


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path)


def test_what_is_saved_is_loaded(checkpoints):
    _save(checkpoints, 3)
    found, warnings = checkpoints.latest()
    assert not warnings
    assert found.facts["step"] == 3
    for name, array in _arrays(3).items():
        np.testing.assert_array_equal(found.arrays[name], array)
        assert found.arrays[name].dtype == array.dtype


def test_two_are_kept_by_step_not_by_time(checkpoints, tmp_path):
    for step in (9, 10, 11, 100):
        _save(checkpoints, step)
    names = sorted(path.name for path in tmp_path.glob("*.json"))
    assert names == ["step-0000000011-epoch-000000.json", "step-0000000100-epoch-000000.json"]
    assert len(list(tmp_path.iterdir())) == 4


def test_none_is_none(checkpoints):
    assert checkpoints.latest() == (None, [])


def test_the_same_state_gives_the_same_bytes(tmp_path):
    contents = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        _save(Checkpoints(tmp_path / name), 1)
        contents.append([path.read_bytes() for path in sorted((tmp_path / name).iterdir())])
    assert contents[0] == contents[1]


def _truncate(data):
    return data[: len(data) // 2]


def _flip(data):
    return data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]


@pytest.mark.parametrize("damage", [_truncate, _flip, lambda data: bytes(len(data)), lambda data: b""])
@pytest.mark.parametrize("suffix", ["json", "safetensors"])
def test_a_damaged_newest_is_named_and_the_one_before_is_used(checkpoints, tmp_path, damage, suffix):
    _save(checkpoints, 1)
    _save(checkpoints, 2)
    path = tmp_path / f"step-0000000002-epoch-000000.{suffix}"
    path.write_bytes(damage(path.read_bytes()))
    found, warnings = checkpoints.latest()
    assert found.facts["step"] == 1
    assert path.name in str(warnings[0])
    checkpoints.tidy(CheckpointKey(1, 0))
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("suffix", ["json", "safetensors"])
def test_any_changed_byte_and_any_cut_is_noticed(checkpoints, tmp_path, suffix):
    _save(checkpoints, 1)
    _save(checkpoints, 2)
    path = tmp_path / f"step-0000000002-epoch-000000.{suffix}"
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(150):
        changed = bytearray(whole)
        changed[rng.integers(len(whole) - 1)] ^= 1 << rng.integers(8)  # the last byte of the JSON is a line break
        cut = whole[: rng.integers(len(whole) - 2)]
        for data in (bytes(changed), cut):
            path.write_bytes(data)
            assert checkpoints.latest()[0].facts["step"] == 1


def test_missing_arrays_are_damage_too(checkpoints, tmp_path):
    _save(checkpoints, 1)
    _save(checkpoints, 2)
    (tmp_path / "step-0000000002-epoch-000000.safetensors").unlink()
    found, warnings = checkpoints.latest()
    assert found.facts["step"] == 1
    assert "arrays are missing" in str(warnings[0])


def test_all_damaged_is_an_error(checkpoints, tmp_path):
    _save(checkpoints, 1)
    _save(checkpoints, 2)
    for path in tmp_path.glob("*.json"):
        path.write_text("{}")
    with pytest.raises(WeightsError, match="no checkpoint is whole") as caught:
        checkpoints.latest()
    assert str(caught.value).count("the checkpoint is damaged") == 2


def test_leftovers_are_removed(checkpoints, tmp_path):
    (tmp_path / "step-0000000007-epoch-000000.safetensors").write_bytes(b"x")
    (tmp_path / ".step-0000000007-epoch-000000.safetensors.123.abcdefgh.tmp").write_bytes(b"x")
    _save(checkpoints, 8)
    assert len(list(tmp_path.iterdir())) == 2


def test_what_others_put_there_stays(checkpoints, tmp_path):
    names = ["mine.safetensors", "mine.tmp", ".step-1.tmp", "step-1.json", "step-0000000001-epoch-000000.json.bak"]
    for name in names:
        (tmp_path / name).write_bytes(b"mine")
    for step in range(5):
        _save(checkpoints, step)
    checkpoints.tidy(CheckpointKey(4, 0))
    assert [(tmp_path / name).read_bytes() for name in names] == [b"mine"] * len(names)
    assert len(list(tmp_path.iterdir())) == len(names) + 4


def test_a_third_one_of_a_killed_save_goes_when_training_goes_on(checkpoints, tmp_path):
    for step in (1, 2):
        _save(checkpoints, step)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "tidy", lambda *_: None)
        _save(checkpoints, 3)
    assert len(list(tmp_path.iterdir())) == 6
    checkpoints.tidy(CheckpointKey(3, 0))
    assert sorted(path.name[:15] for path in tmp_path.glob("*.json")) == ["step-0000000002", "step-0000000003"]
    assert len(list(tmp_path.iterdir())) == 4


def test_arrays_that_cannot_be_opened_are_not_called_damaged(checkpoints, monkeypatch):
    """safetensors says of them that there is no file."""
    for step in (1, 2):
        _save(checkpoints, step)

    def refuse(path):
        raise FileNotFoundError(f"No such file or directory: {path}")

    monkeypatch.setattr("safetensors.numpy.load_file", refuse)
    with pytest.raises(MachineError, match=r"cannot read .*step-0000000002.*: it cannot be opened"):
        checkpoints.latest()


class _Killed(BaseException):
    """Stands for a process that ends at once: nothing tidies up after it."""


class _Fault:
    """Fails at the n-th call of the functions that write."""

    def __init__(self, monkeypatch, at, error):
        self.count, self.at, self.error = 0, at, error
        self.killed = False
        for name in CALLS:
            owner = files if name == "open_new" else os
            if name == "write":
                continue
            monkeypatch.setattr(owner, name, self._wrapped(getattr(owner, name)))
        monkeypatch.setattr(files.os, "fdopen", self._opening(os.fdopen))

    def _check(self):
        if self.killed:
            raise _Killed
        self.count += 1
        if self.count == self.at:
            self.killed = self.error is _Killed
            raise self.error() if self.killed else OSError(self.error, os.strerror(self.error))

    def _wrapped(self, function):
        def call(*args, **kwargs):
            self._check()
            return function(*args, **kwargs)

        return call

    def _opening(self, fdopen):
        def call(*args, **kwargs):
            file = fdopen(*args, **kwargs)
            return _File(file, self._check)

        return call


class _File:
    """A file whose writes are counted."""

    def __init__(self, file, check):
        self._file, self._check = file, check

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._file.close()

    def write(self, data):
        self._check()
        return self._file.write(data)

    def __getattr__(self, name):
        return getattr(self._file, name)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EACCES, _Killed])
def test_a_fault_at_any_call_leaves_a_whole_checkpoint(tmp_path, error):
    at, finished = 0, False
    while not finished:
        at += 1
        folder = tmp_path / str(at)
        folder.mkdir()
        _save(Checkpoints(folder), 1)
        _save(Checkpoints(folder), 2)
        with pytest.MonkeyPatch.context() as patch:
            fault = _Fault(patch, at, error)
            try:
                _save(Checkpoints(folder), 3)
                finished = fault.count < at
            except (MachineError, _Killed):
                assert fault.count >= at
        found, warnings = Checkpoints(folder).latest()
        assert found.facts["step"] in (2, 3)
        assert not warnings
        np.testing.assert_array_equal(found.arrays["params/w"], _arrays(found.facts["step"])["params/w"])
        _save(Checkpoints(folder), 4)
        assert not list(folder.glob("*.tmp")) + list(folder.glob(".*.tmp"))
    assert at > 10
