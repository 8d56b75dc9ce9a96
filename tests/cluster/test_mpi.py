"""Training under mpiexec on one host: the bytes of one process, and what happens when something goes wrong."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graphc.types import Array
from tests.cluster.ranks import (
    MPIEXEC,
    alone,
    digests,
    finished,
    rank_pids,
    require_mpi,
    run,
    start,
    wait_for_step,
    write_project,
)
from tests.data.shards import write_shard

require_mpi()


@pytest.fixture(scope="module", name="project")
def make_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_project(tmp_path_factory.mktemp("mpi"))
    alone("train", "recipe.yaml", "-o", "one", "-q", cwd=folder)
    return folder


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.readline()


@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_bytes_of_one_process(project: Path, count: int) -> None:
    code, _, errors = run(count, "train", "recipe.yaml", "-o", f"on{count}", cwd=project)
    assert code == 0, errors
    assert errors.count("epoch   1") == 1, "the first rank speaks alone"
    assert digests(project / f"on{count}") == digests(project / "one")


@pytest.mark.parametrize("command", [("eval", "one"), ("predict", "one", "test.npz", "--top", "3")])
def test_what_is_computed_together_is_the_same(project: Path, command: tuple[str, ...]) -> None:
    code, out, errors = run(3, *command, cwd=project)
    assert code == 0, errors
    assert (
        out
        == subprocess.run(
            [sys.executable, "-m", "graphc", *command], cwd=project, check=True, capture_output=True, text=True
        ).stdout
    )


def test_killed_and_resumed_on_other_numbers_of_ranks(project: Path) -> None:
    """At random steps; `tests.cluster.hold` does it thirty times with three nets and two hosts."""
    rng = random.Random(0)
    for kill in range(3):
        folder = project / f"killed{kill}"
        command = ("train", "recipe.yaml", "-o", folder.name)
        steps, counts = sorted(rng.sample(range(1, 9), 2)), []
        for step in steps:
            counts.append(rng.choice([1, 2, 4]))
            process = start(counts[-1], *command, cwd=project)
            wait_for_step(folder, step, process)
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            command = ("resume", folder.name)
            time.sleep(0.5)
        code, _, errors = run(3, *command, cwd=project)
        assert code == 0, (counts, errors)
        assert digests(folder) == digests(project / "one"), (steps, counts)


def test_archives_are_read_by_any_number_of_ranks(project: Path) -> None:
    """Killed in the middle of one, and gone on with by others and with workers."""
    packed = project / "packed"
    packed.mkdir()
    write_project(packed)
    recipe = (packed / "recipe.yaml").read_text()
    for name, path in (("train", "t-{0..2}.tar"), ("test", "t-2.tar")):
        source = f"{{webdataset: {{path: '{path}', size: [6, 6], channels: 1, window: 20}}}}"
        recipe = recipe.replace(f"{{npz: {{path: {name}.npz}}}}", source)
    (packed / "recipe.yaml").write_text(recipe)
    with np.load(packed / "train.npz") as data:
        shades, labels = (np.clip(data["x"][..., 0], 0, 1) * 255).astype(np.uint8), data["y"]
    for shard in range(3):
        files: list[tuple[str, bytes]] = []
        for row in range(shard, len(labels), 3):
            files += [(f"{row}.png", png(shades[row])), (f"{row}.cls", b"%d" % labels[row])]
        write_shard(packed / f"t-{shard}.tar", files)
    alone("train", "recipe.yaml", "-o", "one", "-q", cwd=packed)
    process = start(3, "train", "recipe.yaml", "-o", "three", cwd=packed)
    wait_for_step(packed / "three", 3, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    time.sleep(0.5)
    code, _, errors = run(2, "resume", "three", cwd=packed)
    assert code == 0, errors
    assert digests(packed / "three") == digests(packed / "one")


def png(shades: Array) -> bytes:
    file = io.BytesIO()
    Image.fromarray(shades).save(file, "PNG")
    return file.getvalue()


def test_ctrl_c_at_mpiexec_saves(project: Path) -> None:
    long = write_project(project / "long", epochs=500) if (project / "long").mkdir() is None else project
    process = start(3, "train", "recipe.yaml", "-o", "run", "-q", cwd=long)
    wait_for_step(long / "run", 3, process)
    process.send_signal(signal.SIGINT)
    code, _, errors = finished(process, 60)
    assert code == 130
    assert "saved; `graphc resume run` goes on" in errors


@pytest.mark.parametrize("count", [1, 0])
def test_a_rank_that_is_stopped_is_named(project: Path, count: int) -> None:
    folder = project / f"stopped{count}"
    folder.mkdir()
    write_project(folder, epochs=500)
    process = start(3, "train", "recipe.yaml", "-o", "run", cwd=folder)
    pids = rank_pids(first_line(process))
    wait_for_step(folder / "run", 2, process)
    os.kill(pids[count], signal.SIGSTOP)
    began = time.monotonic()
    code, _, errors = finished(process, 60)
    took = time.monotonic() - began
    assert code == 3, errors
    assert f"error[G523]: no sign of life from rank {count} (host " in errors
    assert took < 30
    for pid in pids:
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, signal.SIGKILL)


def test_a_killed_rank_ends_all_at_once(project: Path) -> None:
    folder = project / "killed"
    folder.mkdir()
    write_project(folder, epochs=500)
    process = start(3, "train", "recipe.yaml", "-o", "run", cwd=folder)
    pids = rank_pids(first_line(process))
    wait_for_step(folder / "run", 2, process)
    os.kill(pids[1], signal.SIGKILL)
    code, out, errors = finished(process, 30)
    assert code != 0
    # now and then MPICH has ended another one before it looks whose end to tell of
    assert any(f"PID {pid} RUNNING AT" in out + errors for pid in pids)
    assert "Killed (signal 9)" in out + errors


def test_a_processor_that_would_change_the_bits_is_named(project: Path) -> None:
    """OpenBLAS is told to take another kernel in one rank."""
    assert MPIEXEC is not None
    train = [sys.executable, "-m", "graphc", "train", "recipe.yaml", "-o", "differs"]
    other = ["-env", "OPENBLAS_CORETYPE", "Nehalem"]
    ended = subprocess.run(
        [MPIEXEC, "-n", "1", *train, ":", "-n", "1", *other, *train],
        cwd=project, capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert ended.returncode == 3
    assert "error[G525]: expected recipe, spec, data, versions and processors to be the same" in ended.stderr
    assert "in rank 0 (host " in ended.stderr
    assert "Nehalem" in ended.stderr


def test_errors_are_said_once(project: Path) -> None:
    code, _, errors = run(4, "train", "recipe.yaml", "-o", "few", "--set", "shards=3", cwd=project)
    assert code == 2
    assert errors.count("error[G617]: expected at most as many MPI ranks as shards, found 4 with shards: 3") == 1
    code, _, errors = run(2, "resume", "nothing", cwd=project)
    assert code == 2
    assert errors.count("found no run.json") == 1


def test_data_that_one_rank_lacks(project: Path) -> None:
    """A rank whose data are not there says so, with its host."""
    assert MPIEXEC is not None
    other = project / "other"
    other.mkdir()
    write_project(other)
    (other / "train.npz").unlink()
    train = [sys.executable, "-m", "graphc", "train"]
    ended = subprocess.run(
        [MPIEXEC, "-n", "1", *train, str(project / "recipe.yaml"), "-o", "lacks",
         ":", "-n", "1", *train, str(other / "recipe.yaml"), "-o", "lacks"],
        cwd=project, capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert ended.returncode != 0
    assert "rank 1 (host " in ended.stderr.split("\n", 1)[1]
    assert "train.npz" in ended.stderr


@pytest.mark.parametrize("seconds", [0.3, 0.6, 0.9, 1.3])
def test_ctrl_c_while_ranks_start_ends_them_all(project: Path, seconds: float) -> None:
    process = start(2, "train", "recipe.yaml", "-o", f"early{seconds}", "--set", "epochs=9999", cwd=project)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode != 0, errors
    assert "Traceback" not in errors


COMMAND = """\
from graphc.cli import entry
from graphc.cli.ranks import ranks

class Command:
    def main(**_):
        with ranks() as world:
            world.exchange(None)

entry.cli = Command
entry.enter()
"""


def test_ranks_that_end_together_end_well(tmp_path: Path) -> None:
    """MPICH's launcher may end the others by SIGKILL where a rank leaves without exit(): six of ten times, then."""
    assert MPIEXEC is not None
    for _ in range(8):
        ended = subprocess.run(
            [MPIEXEC, "-n", "4", sys.executable, "-c", COMMAND],
            check=False,
            cwd=tmp_path,
            capture_output=True,
            timeout=60,
        )
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
