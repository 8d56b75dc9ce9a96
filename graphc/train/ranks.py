"""A run whose processes are a world: the first rank owns its folder, the others have copies of what they read in it."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from graphc.errors import MachineError
from graphc.files import machine_error, read_limited, shown
from graphc.parallel.world import World, check_equal, check_shards, from_first
from graphc.system import is_plain_name
from graphc.train.reproducibility import bit_settings
from graphc.train.run_folder import LARGEST, RunFolder
from graphc.train.state import TrainState
from graphc.train.task import Task

LARGEST_WEIGHTS = 2**34


class UnwrittenFolder(RunFolder):
    """The folder of a run as ranks other than the first have it: nothing is written there."""

    written = False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """The first rank's own lock holds for all."""
        yield

    def require_new(self) -> None:
        """The first rank has looked."""

    def begin(self, recipe: str, spec: Mapping[str, str]) -> None: ...
    def write_recipe(self, recipe: str) -> None: ...
    def write_facts(self, facts: Mapping[str, Any]) -> None: ...
    def append_changes(self, step: int, changes: Any) -> None: ...
    def append_log(self, record: dict[str, Any]) -> None: ...
    def append_timing(self, record: Mapping[str, Any]) -> None: ...
    def truncate_log(self, size: int, epochs: int = 0) -> None: ...


@contextmanager
def new_folder(path: Path | str, world: World) -> Iterator[RunFolder]:
    """The folder that a run is to have."""
    if world.rank == 0:
        yield RunFolder(path)
        return
    with tempfile.TemporaryDirectory(prefix="graphc-rank-") as own:
        yield UnwrittenFolder(own)


@contextmanager
def existing_run(path: Path | str, world: World, *, with_best: bool = False) -> Iterator[RunFolder]:
    """The folder of a run: the first rank's, which sends the others what they read in it (recipe, spec, facts, fitted
    preprocessing; `with_best`: the best weights too). Only the first rank need see it."""
    folder, files = RunFolder(path), dict[str, Any]()
    if world.rank == 0:
        folder.read_facts()  # an error where this is no run, before it is locked
    if world.size == 1:
        yield folder
        return
    if world.rank == 0:
        files = {name: np.frombuffer(data, np.uint8) for name, data in _read(folder, with_best).items()}
    files = from_first(world, files)
    if world.rank == 0:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="graphc-rank-") as own:
        for name, data in files.items():
            _write(Path(own), name, data.tobytes())
        yield UnwrittenFolder(own)


def _read(folder: RunFolder, with_best: bool) -> dict[str, bytes]:
    """The files that other ranks read, by their names below the folder."""
    wanted = [folder.recipe, folder.facts, folder.preprocess, *([folder.best] if with_best else [])]
    paths = [*wanted, *sorted(path for path in folder.spec.rglob("*") if path.is_file())]
    limits = {folder.best: LARGEST_WEIGHTS}
    return {
        path.relative_to(folder.path).as_posix(): read_limited(path, limits.get(path, LARGEST))
        for path in paths
        if path.is_file()
    }


def _write(folder: Path, name: str, data: bytes) -> None:
    if not all(map(is_plain_name, name.split("/"))):
        raise MachineError("G525", f"expected names of files from rank 0, found {shown(name)}")
    try:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    except OSError as error:
        raise machine_error("write", folder / name, error) from None


def check_ranks(world: World, task: Task, began: Mapping[str, Any]) -> None:
    """Errors where there are more ranks than shards, or where recipe, spec, data, versions or processors differ between
    ranks, so that bits would. `began`: what the run begins with, as this rank reads it."""
    if world.size == 1:
        return
    check_shards(world, task.recipe.shards)
    data = {
        f"data.{name}": f"{each['examples']} examples, {each['fingerprint']}" for name, each in began["data"].items()
    }
    told = {key: _digest(began[key]) for key in ("recipe", "texts", "teacher")}
    check_equal(world, "recipe, spec, data, versions and processors", {**processor_settings(), **told, **data})


def processor_settings() -> dict[str, Any]:
    """`bit_settings`, and the instructions that NumPy finds: its loops take the widest, and round otherwise."""
    config: Any = np.show_config(mode="dicts")  # type: ignore[call-overload,func-returns-value,unused-ignore]
    found = config.get("SIMD Extensions", {}).get("found", [])
    return {**{key: str(value) for key, value in bit_settings().items()}, "SIMD": " ".join(found)}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def share_state(world: World, state: TrainState, task: Task) -> None:
    """The first rank's state, in every rank."""
    if world.size == 1:
        return
    optimizer = task.recipe.optimizer
    arrays, facts = from_first(world, [state.arrays(optimizer), state.facts()] if world.rank == 0 else None)
    if world.rank:
        state.restore(arrays, facts, optimizer)
