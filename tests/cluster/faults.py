"""Faults of ranks, hosts, networks and disks: each ends the training with a named cause within 30 s, or it goes on; and
afterwards `resume` ends with the bytes of a training that nothing happened to. `FAULTS` is the table."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.cluster.hosts import Hosts, Trouble, two_hosts
from tests.cluster.ranks import (
    GRAPHC,
    MPIEXEC,
    alone,
    differing,
    finished,
    rank_pids,
    run,
    start,
    wait_for_step,
    write_project,
)

SECONDS = 30
"""In which a fault has to end a training that cannot go on."""
TRAIN = ("train", "recipe.yaml", "-o", "run")


@dataclass(frozen=True)
class Fault:
    name: str
    happens: Callable[[Hosts, Path], str]
    """In a folder with a project and `one`, the run of one process; what was said."""


@dataclass
class Scene:
    """A training that has come to its second step."""

    process: subprocess.Popen[str]
    pids: list[int]
    folder: Path
    began: float = 0.0


def meet(fault: Fault, hosts: Hosts, state: Path) -> str:
    """Let it happen; what was said, and that the run goes on to the right bytes is checked."""
    folder = state / "faults"
    if not (folder / "one" / "best.onnx").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_project(folder, epochs=20)
        alone("train", "recipe.yaml", "-o", "one", "-q", cwd=folder)
    shutil.rmtree(folder / "run", ignore_errors=True)
    said = fault.happens(hosts, folder)
    if not (folder / "run" / "run.json").exists():
        return said
    if not (folder / "run" / "best.onnx").is_file():
        time.sleep(1)
        alone("resume", "run", "-q", cwd=folder)
        said += "; resumed"
    assert not (found := differing(folder / "run", folder / "one")), f"{said}; other bytes: {found}"
    return f"{said}; the same bytes"


def begin(hosts: Hosts, folder: Path, spread: tuple[int, ...]) -> Scene:
    """Ranks on one host, or on each of two."""
    process = hosts.spread(spread, *TRAIN, cwd=folder)
    assert process.stderr is not None
    scene = Scene(process, rank_pids(process.stderr.readline()), folder)
    wait_for_step(folder / "run", 2, process)
    scene.began = time.monotonic()
    return scene


def ends(scene: Scene, *said: str) -> str:
    """It ends within `SECONDS`, all its ranks too, and one of these is said."""
    code, out, errors = finished(scene.process, SECONDS)
    took = time.monotonic() - scene.began
    assert code != 0
    assert any(each in out + errors for each in said), f"exit code {code}: {out}{errors}"
    for pid in scene.pids:
        with_signal(pid, signal.SIGCONT)
    while left := [pid for pid in scene.pids if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() - scene.began < 2 * SECONDS, f"still there: {left}"
        time.sleep(0.2)
    lines = (out + errors).splitlines()
    named = next((line for line in lines if any(each in line for each in said)), "")
    return f"code {code} after {took:.1f} s: {named.strip()[:150]}"


def goes_on(scene: Scene, limit: float = 300) -> str:
    """It ends as if nothing had happened."""
    code, _, errors = finished(scene.process, limit)
    assert code == 0, errors
    assert not (found := differing(scene.folder / "run", scene.folder / "one")), f"other bytes: {found}"
    return f"went on ({time.monotonic() - scene.began:.0f} s)"


def with_signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def killed(rank: int, spread: tuple[int, ...]) -> Callable[[Hosts, Path], str]:
    def happens(hosts: Hosts, folder: Path) -> str:
        scene = begin(hosts, folder, spread)
        with_signal(scene.pids[rank], signal.SIGKILL)
        return ends(scene, f"PID {scene.pids[rank]} RUNNING AT", f"no sign of life from rank {rank} ")

    return happens


def stopped(rank: int, spread: tuple[int, ...]) -> Callable[[Hosts, Path], str]:
    def happens(hosts: Hosts, folder: Path) -> str:
        scene = begin(hosts, folder, spread)
        with_signal(scene.pids[rank], signal.SIGSTOP)
        return ends(scene, f"no sign of life from rank {rank} ")

    return happens


def stopped_for(seconds: float, ranks: slice) -> Callable[[Hosts, Path], str]:
    def happens(hosts: Hosts, folder: Path) -> str:
        scene = begin(hosts, folder, (2,))
        for pid in scene.pids[ranks]:
            with_signal(pid, signal.SIGSTOP)
        time.sleep(seconds)
        for pid in scene.pids[ranks]:
            with_signal(pid, signal.SIGCONT)
        return goes_on(scene)

    return happens


def mpiexec_killed(hosts: Hosts, folder: Path) -> str:
    """It cannot say anything; the shell does. Its ranks end."""
    scene = begin(hosts, folder, (1, 1))
    with_signal(scene.process.pid, signal.SIGKILL)
    return ends(scene, "")


def proxy_killed(hosts: Hosts, folder: Path) -> str:
    """What starts the ranks of the other host."""
    scene = begin(hosts, folder, (1, 1))
    stat = Path(f"/proc/{scene.pids[1]}/stat").read_text()
    with_signal(int(stat.rpartition(")")[2].split()[1]), signal.SIGKILL)
    code, _, errors = finished(scene.process, 300)
    assert (folder / "run" / "best.onnx").is_file(), errors
    return f"training went on to its end, exit code of mpiexec: {code}"


def signaled(number: signal.Signals) -> Callable[[Hosts, Path], str]:
    def happens(hosts: Hosts, folder: Path) -> str:
        scene = begin(hosts, folder, (3,))
        scene.process.send_signal(number)
        return ends(scene, "saved; `graphc resume run` goes on")

    return happens


def link_down_for(seconds: float) -> Callable[[Hosts, Path], str]:
    def happens(hosts: Hosts, folder: Path) -> str:
        scene = begin(hosts, folder, (1, 1))
        hosts.cable("down")
        timer = threading.Timer(seconds, hosts.cable, ("up",))
        timer.start()
        try:
            return goes_on(scene)
        finally:
            timer.join()

    return happens


def link_down(hosts: Hosts, folder: Path) -> str:
    scene = begin(hosts, folder, (1, 1))
    hosts.cable("down")
    try:
        return ends(scene, "no sign of life from rank 1 ")
    finally:
        hosts.cable("up")


def slow_link(hosts: Hosts, folder: Path) -> str:
    hosts.rate("10mbit")
    try:
        return goes_on(begin(hosts, folder, (1, 1)))
    finally:
        hosts.rate(None)


def troubled(trouble: Trouble) -> Callable[[Hosts, Path], str]:
    def happens(hosts: Hosts, folder: Path) -> str:
        with tempfile.TemporaryDirectory() as scripts, two_hosts(Path(scripts), trouble) as others:
            return goes_on(begin(others, folder, (1, 1)), 900)

    return happens


@contextmanager
def small_disk(at: Path) -> Iterator[Callable[[], None]]:
    """A disk of 2 MB at this folder; what is yielded fills it."""
    at.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", at], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.decode().strip()}")

    def fill() -> None:
        try:
            with (at / "filler").open("wb", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass
        except OSError:
            return

    try:
        yield fill
    finally:
        subprocess.run(["umount", "-l", at], check=False)
        at.rmdir()


def full_disk(hosts: Hosts, folder: Path) -> str:
    """Of the first rank's host; afterwards there is room again."""
    with small_disk(folder / "run") as fill:
        scene = begin(hosts, folder, (2,))
        fill()
        said = ends(scene, "the disk is full")
        (folder / "run" / "filler").unlink()
        time.sleep(1)
        alone("resume", "run", "-q", cwd=folder)
        assert not (found := differing(folder / "run", folder / "one")), f"other bytes: {found}"
        return f"{said}; resumed"


def mixed(folder: Path, second: list[str], command: tuple[str, ...] = TRAIN, recipe: str = "") -> tuple[int, str]:
    """(exit code, what was said) of two ranks, the second of which has another environment or another recipe."""
    assert MPIEXEC is not None
    other = [recipe or each if each == "recipe.yaml" else each for each in command]
    ranks = ["-n", "1", *GRAPHC, *command, ":", "-n", "1", *second, *GRAPHC, *other]
    process = subprocess.Popen(
        [MPIEXEC, *ranks], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    code, out, errors = finished(process, 2 * SECONDS)
    return code, out + errors


def says(found: tuple[int, str], *expected: str) -> str:
    code, said = found
    assert code != 0
    assert all(each in said for each in expected), f"exit code {code}: {said}"
    named = next(line for line in said.splitlines() if expected[0] in line)
    return f"code {code}: {named.strip()[:150]}"


def full_temporary_disk(hosts: Hosts, folder: Path) -> str:
    """Of the second rank's host, which keeps what the first one sends it in a temporary folder."""
    process = start(2, *TRAIN, cwd=folder)
    wait_for_step(folder / "run", 2, process)
    process.send_signal(signal.SIGTERM)
    finished(process, SECONDS)
    with small_disk(folder / "temporary") as fill:
        fill()
        code, said = mixed(folder, ["-env", "TMPDIR", str(folder / "temporary")], ("resume", "run"))
    if code:
        return says((code, said), "No space left on device", "rank 1 (host ")
    assert not (found := differing(folder / "run", folder / "one")), f"other bytes: {found}"
    return "took another temporary folder, and went on"


def other_numpy(hosts: Hosts, folder: Path) -> str:
    place, wanted = folder.parent / "numpy", "1.26.4" if np.__version__ != "1.26.4" else "2.0.2"
    if not (place / "numpy").is_dir():
        install = [sys.executable, "-m", "pip", "install", "-q", "--target", str(place), f"numpy=={wanted}"]
        ended = subprocess.run(install, check=False, capture_output=True, text=True)
        if ended.returncode:
            pytest.skip(f"numpy {wanted} cannot be installed: {ended.stderr.strip()[-100:]}")
    path = os.pathsep.join(filter(None, [str(place), os.environ.get("PYTHONPATH", "")]))
    found = mixed(folder, ["-env", "PYTHONPATH", path])
    return says(found, "error[G525]", f"numpy: {np.__version__} in rank 0 (host ", f"{wanted} in rank 1 (host ")


def other_kernels(hosts: Hosts, folder: Path) -> str:
    return says(mixed(folder, ["-env", "OPENBLAS_CORETYPE", "Nehalem"]), "error[G525]", "Nehalem'] in rank 1 (host ")


def other_data(hosts: Hosts, folder: Path) -> str:
    other = folder.parent / "other"
    shutil.rmtree(other, ignore_errors=True)
    shutil.copytree(folder, other, ignore=shutil.ignore_patterns("one", "run"))
    with np.load(other / "train.npz") as data:
        np.savez(other / "train.npz", x=data["x"] + np.float32(1e-6), y=data["y"])
    return says(mixed(folder, [], recipe=str(other / "recipe.yaml")), "error[G525]", "data.train: 70 examples")


def missing_data(hosts: Hosts, folder: Path) -> str:
    other = folder.parent / "missing"
    shutil.rmtree(other, ignore_errors=True)
    shutil.copytree(folder, other, ignore=shutil.ignore_patterns("one", "run", "train.npz"))
    return says(mixed(folder, [], recipe=str(other / "recipe.yaml")), "train.npz", "rank 1 (host ")


def too_many_ranks(hosts: Hosts, folder: Path) -> str:
    code, _, errors = run(5, *TRAIN, cwd=folder)
    return says((code, errors), "expected at most as many MPI ranks as shards, found 5 with shards: 4")


def damaged_checkpoint(hosts: Hosts, folder: Path) -> str:
    """The newest one was cut off: the one before it is taken."""
    scene = begin(hosts, folder, (2,))
    os.killpg(scene.process.pid, signal.SIGKILL)
    scene.process.communicate()
    time.sleep(1)
    newest = max((folder / "run" / "checkpoints").glob("*.safetensors"), key=lambda path: path.name)
    newest.write_bytes(newest.read_bytes()[:-100])
    code, _, errors = run(3, "resume", "run", cwd=folder)
    assert code == 0, errors
    assert not (found := differing(folder / "run", folder / "one")), f"other bytes: {found}"
    return "resumed from the one before"


FAULTS: tuple[Fault, ...] = (
    Fault("SIGKILL of a rank", killed(1, (3,))),
    Fault("SIGKILL of the first rank", killed(0, (3,))),
    Fault("SIGKILL of a rank on the other host", killed(1, (1, 1))),
    Fault("SIGKILL of mpiexec", mpiexec_killed),
    Fault("SIGKILL of the launcher on the other host", proxy_killed),
    Fault("SIGSTOP of a rank", stopped(1, (3,))),
    Fault("SIGSTOP of the first rank", stopped(0, (3,))),
    Fault("SIGSTOP of a rank on the other host", stopped(1, (1, 1))),
    Fault("SIGSTOP of a rank for 5 s", stopped_for(5, slice(1, 2))),
    Fault("SIGSTOP of all ranks for 20 s", stopped_for(20, slice(None))),
    Fault("SIGINT at mpiexec", signaled(signal.SIGINT)),
    Fault("SIGTERM at mpiexec", signaled(signal.SIGTERM)),
    Fault("link down for 1 s", link_down_for(1)),
    Fault("link down for 5 s", link_down_for(5)),
    Fault("link down for ever", link_down),
    Fault("a link of 10 Mbit/s", slow_link),
    Fault("packet loss of 5 %", troubled(Trouble(loss=0.05))),
    Fault("100 ms delay", troubled(Trouble(delay=0.1))),
    Fault("full disk of the first rank", full_disk),
    Fault("full disk of the second rank", full_temporary_disk),
    Fault("other NumPy in one rank", other_numpy),
    Fault("other kernels of OpenBLAS in one rank", other_kernels),
    Fault("other data in one rank", other_data),
    Fault("data missing in one rank", missing_data),
    Fault("more ranks than shards", too_many_ranks),
    Fault("newest checkpoint cut off", damaged_checkpoint),
)
