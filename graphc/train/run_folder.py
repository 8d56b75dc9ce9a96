"""The folder of a run, and who may write in it.

recipe.json       the recipe with every setting, `fit` answered
preprocess.safetensors  what preprocessing has learned, where it is more than numbers a channel
spec/             the spec's files as they were
run.json          which spec, which data, what fixes the bits
metrics.jsonl     one line an epoch (and one every `log_steps` steps); no times, so that equal runs are equal
timing.jsonl      seconds and examples a second of each epoch
checkpoints/      the last two
best.safetensors  the weights that did best; best.onnx: compiled
lock              held by the one trainer that may write here
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from graphc.errors import MachineError, Place, WeightsError
from graphc.files import atomic_write, machine_error, read_limited, shown, sync_folder

LARGEST = 16_000_000
STARTED = frozenset({"lock", "recipe.json", "preprocess.safetensors", "spec", "metrics.jsonl", "checkpoints"})
"""What a run has before run.json makes it one."""


class RunFolder:
    """Paths and files of one run."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.recipe = self.path / "recipe.json"
        self.preprocess = self.path / "preprocess.safetensors"
        self.spec = self.path / "spec"
        self.facts = self.path / "run.json"
        self.log = self.path / "metrics.jsonl"
        self.timing = self.path / "timing.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.path / "best.safetensors"
        self.onnx = self.path / "best.onnx"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """The folder, made if need be, for this process alone; the kernel frees it however the process ends."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise machine_error("write in", self.path, error) from None
        try:
            self._take(handle)
            yield
        finally:
            os.close(handle)

    def _take(self, handle: int) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise machine_error("lock", self.path, error) from None
            holder = os.pread(handle, 200, 0).decode(errors="replace").strip() or "another process"
            raise MachineError("G510", f"{shown(self.path)} is in use by {holder}") from None
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"pid {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        except OSError as error:
            raise machine_error("write", self.path / "lock", error) from None

    def require_new(self) -> None:
        """Refuse a folder that holds a run, or things that are not ours; what a killed start left is ours."""
        there = {path.name for path in self.path.iterdir()} - STARTED
        if "run.json" in there:
            message = f"{shown(self.path)} holds a run already: `graphc resume` goes on with it"
            raise MachineError("G511", message)
        if there:
            found = ", ".join(sorted(map(shown, there))[:3])
            raise MachineError("G511", f"expected a new or empty folder, {shown(self.path)} holds {found}")

    def begin(self, recipe: str, spec: Mapping[str, str]) -> None:
        """Write what the run is, all but run.json, which comes last and makes the folder a run."""
        try:
            self.checkpoints.mkdir(exist_ok=True)
            for name, text in spec.items():
                (self.spec / name).parent.mkdir(parents=True, exist_ok=True)
                atomic_write(self.spec / name, text.encode())
        except OSError as error:
            raise machine_error("write in", self.path, error) from None
        atomic_write(self.recipe, recipe.encode())
        self.truncate_log(0)

    def write_facts(self, facts: Mapping[str, Any]) -> None:
        atomic_write(self.facts, (json.dumps(facts, indent=1) + "\n").encode())

    def read_facts(self) -> dict[str, Any]:
        """What run.json says; an error where this is no run's folder."""
        if not self.facts.is_file():
            raise WeightsError("G323", "expected the folder of a run, found no run.json in it", Place(shown(self.path)))
        try:
            facts = json.loads(read_limited(self.facts, LARGEST, WeightsError, "G323"))
            return dict(facts)
        except (ValueError, TypeError, RecursionError):
            raise WeightsError("G323", "the file is not as graphc wrote it", Place(shown(self.facts))) from None

    def append_log(self, record: Mapping[str, Any]) -> None:
        _append(self.log, record)

    def append_timing(self, record: Mapping[str, Any]) -> None:
        _append(self.timing, record)

    def log_size(self) -> int:
        """Bytes of the log, all of them safe on the disk."""
        with self.log.open("ab") as file:
            os.fsync(file.fileno())
            return file.tell()

    def truncate_log(self, size: int) -> None:
        """Cut off what a killed run wrote after its last checkpoint."""
        try:
            with self.log.open("ab") as file:
                if file.tell() < size:
                    message = f"{shown(self.log)}: expected {size:,} bytes at the checkpoint, found {file.tell():,}"
                    raise WeightsError("G324", message)
                file.truncate(size)
                os.fsync(file.fileno())
            sync_folder(self.path)
        except OSError as error:
            raise machine_error("write", self.log, error) from None

    def records(self) -> list[dict[str, Any]]:
        """The log's lines."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def _append(path: Path, record: Mapping[str, Any]) -> None:
    try:
        with path.open("a") as file:
            file.write(json.dumps(record) + "\n")
    except OSError as error:
        raise machine_error("write", path, error) from None
