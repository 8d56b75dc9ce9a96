"""A small training under mpiexec: how it is started, what its folder holds, when it has begun."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.train.conftest import RECIPE, write_tiny_project

MORE = """\
shards: 4
accumulate: 2
clip: {global_norm: 0.5}
checkpoint_steps: 1
"""
"""With what `RECIPE` has (batch norm, dropout, decay, moving average, schedule), all that ranks could do otherwise."""
MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
GRAPHC = [sys.executable, "-m", "graphc"]
UNEQUAL = {"lock", "timing.jsonl"}
"""Files of a run that hold pids and times."""


def require_mpi() -> None:
    pytest.importorskip("mpi4py", reason="needs mpi4py, the extra mpi")
    if MPIEXEC is None:
        pytest.skip("needs mpiexec, as the package mpich has it")


def write_project(folder: Path, **settings: Any) -> Path:
    """A spec, a recipe and its data."""
    changed = {"epochs": 3, **settings}
    recipe = RECIPE.replace("epochs: 4", f"epochs: {changed.pop('epochs')}") + MORE
    recipe = recipe.replace("  train: {npz", "  augment: [{flip_horizontal: {}}]\n  train: {npz")
    return write_tiny_project(folder, 70, 30, recipe=recipe)


def start(count: int, *command: str, more: tuple[str, ...] = (), cwd: Path) -> subprocess.Popen[str]:
    assert MPIEXEC is not None
    return subprocess.Popen(
        [MPIEXEC, *more, "-n", str(count), *GRAPHC, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        start_new_session=True,
    )


def run(count: int, *command: str, more: tuple[str, ...] = (), cwd: Path) -> tuple[int, str, str]:
    """(exit code, stdout, stderr)."""
    process = start(count, *command, more=more, cwd=cwd)
    return finished(process, 300)


def finished(process: subprocess.Popen[str], seconds: float) -> tuple[int, str, str]:
    """What became of it; all its processes are ended where it takes longer."""
    try:
        out, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, errors = process.communicate()
        pytest.fail(f"still there after {seconds} s: {errors}")
    return process.returncode, out, errors


def alone(*command: str, cwd: Path) -> None:
    ended = subprocess.run([*GRAPHC, *command], check=False, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr


def digests(run_folder: Path) -> dict[str, str]:
    """Of all files of a run that are the same wherever it ran."""
    return {
        path.relative_to(run_folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(run_folder.rglob("*"))
        if path.is_file() and path.name not in UNEQUAL
    }


def differing(run_folder: Path, other: Path) -> list[str]:
    """The files of two runs that are not the same in both."""
    one, two = digests(run_folder), digests(other)
    return sorted(name for name in one.keys() | two.keys() if one.get(name) != two.get(name))


def wait_for_step(run_folder: Path, step: int, process: subprocess.Popen[str]) -> None:
    """Until a checkpoint of at least this step is there."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        found = [int(path.name[5:15]) for path in run_folder.glob("checkpoints/step-*.json")]
        if found and max(found) >= step:
            return
        if process.poll() is not None:
            pytest.fail(f"ended before step {step}: {process.communicate()}")
        time.sleep(0.02)
    pytest.fail(f"no step {step}")


def rank_pids(text: str) -> list[int]:
    """The pids that the first line of a run names, by rank."""
    return [int(part.partition(")")[0]) for part in text.split("pid ")[1:]]
