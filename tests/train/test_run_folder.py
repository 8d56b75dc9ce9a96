"""A run's folder under kills and among other people's files: what is left unfinished goes, what is not ours stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from graphc.errors import MachineError, WeightsError
from graphc.locks import locked
from graphc.train.checkpoint import CheckpointKey, Checkpoints
from graphc.train.commands import resume, train
from graphc.train.run_folder import RunFolder

WRITES = ("open", "os.mkdir", "os.rename", "os.remove", "os.truncate", "os.scandir")
KILLED = 9


def make(path: Path) -> None:
    """What `train` writes before the first step."""
    folder = RunFolder(path)
    folder.require_new()
    with folder.locked():
        folder.require_new()
        folder.begin("{}", {"net.yaml": "graphc: 1", "parts/block.yaml": "blocks: {}"})
        arrays = {"params/w": np.zeros(3, np.float32)}
        Checkpoints(folder.checkpoints).save(CheckpointKey(0, 0), arrays, {"step": 0, "log_bytes": folder.log_size()})
        folder.write_facts({"spec": "net.yaml"})


def names(path: Path) -> list[str]:
    return sorted(each.relative_to(path).as_posix() for each in path.rglob("*"))


def killed_at(nth: int, path: Path, work) -> int:
    """The exit code of a process that does `work` and ends at once before its n-th call on files below `path`."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = nth

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in WRITES and str(arguments[0]).startswith(str(path)):
            left -= 1
            if left == 0:
                os._exit(KILLED)

    sys.addaudithook(count)
    try:
        work(path)
    except BaseException:
        os._exit(1)
    os._exit(0)


@pytest.mark.posix
def test_a_kill_while_the_folder_is_made_leaves_one_that_train_takes(tmp_path):
    make(tmp_path / "whole")
    expected, nth, code = names(tmp_path / "whole"), 0, KILLED
    while code == KILLED:
        nth += 1
        path = tmp_path / str(nth)
        code = killed_at(nth, path, make)
        if (path / "run.json").exists():
            with pytest.raises(MachineError, match="holds a run already"):
                make(path)
            with RunFolder(path).locked():
                pass
        else:
            if (path / "starting").exists():
                with pytest.raises(WeightsError, match=r"no run\.json in it\n.*`graphc train` was ended before"):
                    resume(path)
            make(path)
        assert names(path) == expected
    assert code == 0
    assert nth > 20


@pytest.mark.posix
def test_a_kill_is_survived_a_second_time(tmp_path):
    make(tmp_path / "whole")
    for first in (5, 9, 12, 15):
        path = tmp_path / str(first)
        killed_at(first, path, make)
        for second in (4, 10):
            killed_at(second, path, make)
        if not (path / "run.json").exists():
            make(path)
            assert names(path) == names(tmp_path / "whole")


def test_what_a_dead_process_has_left_goes_and_what_is_like_it_stays(project):
    run = project / "run"
    train(project / "recipe.yaml", run, ["epochs=1"])
    expected = names(run)
    ours = [
        ".recipe.json.123.abcdefgh.tmp",
        ".best.onnx.77.a_cdefg9.tmp",
        "checkpoints/.step-0000000001-epoch-000000.safetensors.123.abcdefgh.tmp",
        "checkpoints/step-0000000999-epoch-000000.safetensors",
        "spec/.tiny.yaml.123.abcdefgh.tmp",
        "starting",
    ]
    others = [".mine.123.abcdefgh.tmp", "notes.tmp", "checkpoints/mine.safetensors", "checkpoints/x.tmp"]
    for name in (*ours, *others):
        (run / name).write_text("x")
    resume(run)
    assert names(run) == sorted([*expected, *others])


def test_a_folder_of_somebody_elses_stays_as_it_is(project):
    """Names such as a run has are no proof that a run wrote them."""
    mine = {"recipe.json": "mine", "spec/net.yaml": "mine", "checkpoints/a.safetensors": "mine"}
    folder = project / "mine"
    for name, text in mine.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    with pytest.raises(MachineError, match=r"expected a new or empty folder, .* holds checkpoints, recipe\.json, spec"):
        train(project / "recipe.yaml", folder)
    assert names(folder) == sorted([*mine, "spec", "checkpoints"])
    assert {name: (folder / name).read_text() for name in mine} == mine


@pytest.mark.parametrize("text", [b"", b"\0" * 16, b"pi", b"pid 12"])
def test_a_lock_whose_text_a_power_cut_has_cut_off_is_free(tmp_path, text):
    (tmp_path / "lock").write_bytes(text)
    with RunFolder(tmp_path).locked():
        assert (tmp_path / "lock").read_bytes().startswith(f"pid {os.getpid()} on ".encode())


def test_a_lock_file_of_somebody_elses_stays_as_it_is(project):
    (project / "run").mkdir()
    (project / "run" / "lock").write_text("precious\n")
    with pytest.raises(MachineError, match=r"lock: expected its own .*, found something else than a lock"):
        train(project / "recipe.yaml", project / "run")
    assert (project / "run" / "lock").read_text() == "precious\n"


def pipe(_: Path, link: Path) -> None:
    os.mkfifo(link)


LINKS = {
    "symbolic": (lambda there, link: link.symlink_to(there), "a symbolic link"),
    "hard": (os.link, r"a file with several names \(hard links\)"),
    "pipe": (pipe, "a device or a pipe"),
}


@pytest.mark.posix
@pytest.mark.parametrize("kind", LINKS)
@pytest.mark.parametrize("name", ["lock", "metrics.jsonl", "timing.jsonl"])
def test_files_that_are_written_in_are_the_runs_own(project, name, kind):
    run, victim = project / "run", project / "victim"
    train(project / "recipe.yaml", run, ["epochs=1"])
    victim.write_bytes((run / name).read_bytes() + b"precious\n")
    before = victim.read_bytes()
    (run / name).unlink()
    make_link, found = LINKS[kind]
    make_link(victim, run / name)
    with pytest.raises(MachineError, match=rf"{name}: expected its own to write in, found {found}") as caught:
        resume(run)
    assert caught.value.exit_code == 3
    assert victim.read_bytes() == before


@pytest.mark.posix
@pytest.mark.parametrize("name", ["spec", "checkpoints", "tensorboard", "spec/parts"])
def test_folders_that_are_written_in_are_the_runs_own(project, name):
    run, mine = project / "run", project / "mine"
    make(run)
    (run / "run.json").unlink()
    (run / "starting").write_text("")
    mine.mkdir()
    (mine / "step-0000000000-epoch-000000.safetensors").write_text("precious")
    (mine / "block.yaml").write_text("precious")
    if (run / name).exists():
        (run / name).rename(project / "moved")
    (run / name).symlink_to(mine)
    with pytest.raises(MachineError, match=rf"{name}: expected its own to write in, found a symbolic link"):
        make(run)
    assert {path.read_text() for path in mine.iterdir()} == {"precious"}
    assert len(list(mine.iterdir())) == 2


HOLDER = """
import os, sys, time
from pathlib import Path
from graphc.locks import locked
from graphc.parallel.pool import WorkerPool

def work(worker, job):
    print(os.getpid(), flush=True)  # only now it surely has closed its copy of the lock
    time.sleep(60)

with locked(Path(sys.argv[1])):
    pool = WorkerPool(1, work, "worker {}", "G520", lambda state, row: "")
    pool.send(0)
    time.sleep(60)
"""


@pytest.mark.posix
def test_a_lock_ends_with_its_holder_whatever_its_workers_do(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path / "lock"], stdout=subprocess.PIPE, text=True)
    worker = int(holder.stdout.readline())
    try:
        os.kill(worker, signal.SIGSTOP)
        holder.kill()
        holder.wait()
        with locked(tmp_path / "lock"):  # or Held at once
            os.kill(worker, 0)  # it is there
    finally:
        os.kill(worker, signal.SIGKILL)
        holder.stdout.close()
