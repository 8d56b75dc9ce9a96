"""Training on two hosts: the bytes of one process, and what a network in trouble does."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.hosts import Hosts, Trouble, two_hosts
from tests.cluster.ranks import alone, digests, finished, rank_pids, require_mpi, run, wait_for_step, write_project

require_mpi()


@pytest.fixture(scope="module", name="project")
def make_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_project(tmp_path_factory.mktemp("hosts"))
    alone("train", "recipe.yaml", "-o", "one", "-q", cwd=folder)
    return folder


@pytest.fixture(name="hosts")
def make_hosts(tmp_path: Path) -> Iterator[Hosts]:
    with two_hosts(tmp_path) as hosts:
        yield hosts


def test_the_bytes_of_one_process(project: Path, hosts: Hosts) -> None:
    code, _, errors = finished(hosts.start((2, 2), "train", "recipe.yaml", "-o", "both", cwd=project), 300)
    assert code == 0, errors
    for name in hosts.names:
        assert errors.count(f"(host {name}, pid ") == 2
    assert digests(project / "both") == digests(project / "one")


def test_killed_and_resumed_on_other_hosts(project: Path, hosts: Hosts) -> None:
    process = hosts.start((1, 2), "train", "recipe.yaml", "-o", "moved", cwd=project)
    wait_for_step(project / "moved", 3, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    time.sleep(1)
    code, _, errors = run(2, "resume", "moved", cwd=project)
    assert code == 0, errors
    assert digests(project / "moved") == digests(project / "one")


@pytest.mark.parametrize("trouble", [Trouble(delay=0.1), Trouble(loss=0.05)], ids=["delay", "loss"])
def test_a_slow_or_lossy_network_changes_nothing(project: Path, tmp_path: Path, trouble: Trouble) -> None:
    with two_hosts(tmp_path, trouble) as hosts:
        name = f"delay{trouble.delay}loss{trouble.loss}"
        code, _, errors = finished(hosts.start((1, 1), "train", "recipe.yaml", "-o", name, cwd=project), 500)
    assert code == 0, errors
    assert digests(project / name) == digests(project / "one")


def test_a_link_that_is_down_for_a_second_changes_nothing(project: Path, hosts: Hosts) -> None:
    process = hosts.start((1, 1), "train", "recipe.yaml", "-o", "gap", cwd=project)
    wait_for_step(project / "gap", 1, process)
    hosts.cable("down")
    timer = threading.Timer(1, hosts.cable, ("up",))
    timer.start()
    code, _, errors = finished(process, 200)
    timer.join()
    assert code == 0, errors
    assert digests(project / "gap") == digests(project / "one")


def test_a_link_that_stays_down_is_named(project: Path, hosts: Hosts) -> None:
    (project / "down").mkdir()
    folder = write_project(project / "down", epochs=500)
    process = hosts.start((1, 1), "train", "recipe.yaml", "-o", "run", cwd=folder)
    assert process.stderr is not None
    pids = rank_pids(process.stderr.readline())
    wait_for_step(folder / "run", 2, process)
    hosts.cable("down")
    began = time.monotonic()
    code, _, errors = finished(process, 60)
    assert code != 0
    assert f"no sign of life from rank 1 (host {hosts.names[1]}, pid {pids[1]})" in errors
    assert time.monotonic() - began < 30
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids), "the other host's rank has ended by itself"
