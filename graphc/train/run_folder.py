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

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from graphc.errors import MachineError, Place, WeightsError
from graphc.files import atomic_write, machine_error, read_limited, shown
from graphc.system import Held, locked, sync_folder
from graphc.valid_json import dumps, not_finite

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
        """The folder, made if need be, for this process alone; the system frees it however the process ends."""
        with ExitStack() as held:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
                held.enter_context(locked(self.path / "lock"))
            except Held as other:
                raise MachineError("G510", f"{shown(self.path)} is in use by {other.holder}") from None
            except OSError as error:
                raise machine_error("write in", self.path, error) from None
            yield

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
        self.write_recipe(recipe)
        self.truncate_log(0)

    def write_recipe(self, recipe: str) -> None:
        atomic_write(self.recipe, recipe.encode())

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

    def append_log(self, record: dict[str, Any]) -> None:
        """A line; a number that is not finite is null there, and `not_finite` says what it was."""
        bad = not_finite(record)
        _append(self.log, {**record, "not_finite": bad} if bad else record)

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
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]


def _append(path: Path, record: Mapping[str, Any]) -> None:
    try:
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(dumps(record) + "\n")
    except OSError as error:
        raise machine_error("write", path, error) from None
