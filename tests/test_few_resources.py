"""A machine that has little of something: it works, or says what is missing, and leaves nothing half-done."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.train.conftest import SPEC, write_tiny_project

pytestmark = pytest.mark.posix

LIMITED = """
import resource, sys
limit, number = sys.argv[1], int(sys.argv[2])
if limit:
    resource.setrlimit(getattr(resource, limit), (number, number))
sys.argv = ["graphc", *sys.argv[3:]]
from graphc.cli import main
main()
"""
TRAIN = ("train", "recipe.yaml", "-o", "run", "--set", "epochs=2", "--set", "data.workers=2")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_project(tmp_path, 40, 20)


def graphc(folder: Path, *command: str, limit: str = "", number: int = 0, **environment: str) -> tuple[int, str]:
    start = [sys.executable, "-c", LIMITED, limit, str(number), *command]
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    ended = subprocess.run(
        start, cwd=folder, env={**kept, **environment}, capture_output=True, text=True, check=False, timeout=120
    )
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stderr


@pytest.mark.parametrize(("most", "codes"), [(12, {3}), (32, {0})])
def test_few_descriptors(folder: Path, most: int, codes: set[int]) -> None:
    """In an environment without HOME, too."""
    code, words = graphc(folder, *TRAIN, limit="RLIMIT_NOFILE", number=most)
    assert code in codes, words
    if code:
        assert "Too many open files" in words
        assert not list(folder.rglob("*.tmp"))
        assert graphc(folder, *TRAIN)[0] == 0 or graphc(folder, "resume", "run")[0] == 0
    assert (folder / "run" / "best.onnx").exists()


def test_no_processes_can_be_started(folder: Path) -> None:
    """The limit does not hold for root: there the fork itself is refused."""
    refuse = "import errno, os\ndef fork():\n    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))\n"
    program = f"{refuse}os.fork = fork\n{LIMITED}"
    start = [sys.executable, "-c", program, "", "0", *TRAIN]
    ended = subprocess.run(start, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert "Traceback" not in ended.stderr
    assert ended.returncode in (0, 3), ended.stderr
    if ended.returncode == 3:
        assert "error[G5" in ended.stderr
    assert not list(folder.rglob("*.tmp"))


SMALL = """
set -e
mount -t tmpfs -o size=64k none /dev/shm
mkdir -p small read_only
mount -t tmpfs -o size=40k none small
mount -t tmpfs none read_only
mount -o remount,ro read_only
"""


def mounted(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """In a name space of its own, with file systems that are full soon."""
    line = f'{SMALL}exec "$@"'
    start = ["unshare", "-rm", "bash", "-c", line, "bash", sys.executable, "-m", "graphc", *command]
    return subprocess.run(start, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def mounts(folder: Path) -> Path:
    try:
        probe = mounted(folder, "--version")
    except FileNotFoundError:
        pytest.skip("this system has no unshare")
    if probe.returncode:
        pytest.skip(f"no file systems can be mounted here: {probe.stderr.strip()}")
    return folder


def test_shared_memory_is_small(mounts: Path) -> None:
    ended = mounted(mounts, *TRAIN)
    assert ended.returncode in (0, 3), ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("place", "words"), [("small", "No space left on device"), ("read_only", "Read-only file system")]
)
def test_where_nothing_can_be_written(mounts: Path, place: str, words: str) -> None:
    (mounts / "wide.yaml").write_text(SPEC.replace("units: 3", "units: 900"))
    for command in (
        ("compile", "wide.yaml", "-o", f"{place}/net.onnx"),
        ("train", "recipe.yaml", "-o", f"{place}/run", "--set", "model=wide.yaml"),
    ):
        ended = mounted(mounts, *command)
        assert ended.returncode == 3, ended.stderr
        assert words in ended.stderr
        assert f"cannot write {place}/" in ended.stderr or f"cannot write in {place}/" in ended.stderr
        assert "Traceback" not in ended.stderr
