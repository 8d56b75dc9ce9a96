"""A sweep of 24 runs in PostgreSQL: four workers on two hosts, of which one is killed, and one more from a host that
joins in the middle; the best trial is the one that a single worker finds."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from graphc.report.sweep_table import show_sweep
from graphc.sweep.study import read_study
from tests.cluster.hosts import Hosts
from tests.cluster.ranks import GRAPHC, alone, write_project

SWEEPS = {
    "grid": "sampler: grid\nsettings: {learning_rate: [0.0001, 0.001, 0.01, 0.02], batch: [8, 16], seed: [1, 2, 3]}\n",
    "random": "sampler: random\ntrials: 24\nseed: 5\nsettings:\n"
    "  learning_rate: {log_uniform: [0.0001, 0.1]}\n  batch: {int_uniform: [8, 24]}\n",
}
ADDRESS, PORT = "10.77.0.1", 54877
LIMIT = 900


def server_programs() -> Path:
    """PostgreSQL's, as Debian's package has them; a skip without."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("needs PostgreSQL (apt-get install postgresql)")
    pytest.importorskip("psycopg", reason="needs psycopg")
    return found[-1].parent


@contextmanager
def postgres(hosts: Hosts) -> Iterator[str]:
    """A server on the first host, in a folder of its own, as the user that the package makes; its URL."""
    programs = server_programs()
    folder = Path(tempfile.mkdtemp(prefix="graphc-pg-"))
    shutil.chown(folder, "postgres", "postgres")
    as_user = ["ip", "netns", "exec", hosts.names[0], "runuser", "-u", "postgres", "--"]

    def pg(program: str, *more: str) -> None:
        ended = subprocess.run(
            [*as_user, str(programs / program), "-D", str(folder / "data"), *more],
            check=False, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=120,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr

    pg("initdb", "--auth=trust", "-U", "postgres", "-N")
    with (folder / "data" / "pg_hba.conf").open("a") as file:
        file.write("host all all 10.77.0.0/24 trust\n")
    options = f"-p {PORT} -c listen_addresses={ADDRESS} -c unix_socket_directories={folder} -c fsync=off"
    pg("pg_ctl", "start", "-w", "-l", str(folder / "log"), "-o", options)
    try:
        yield f"postgresql+psycopg://postgres@{ADDRESS}:{PORT}/postgres"
    finally:
        pg("pg_ctl", "stop", "-m", "immediate")
        shutil.rmtree(folder)


def worker(host: str, *command: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["ip", "netns", "exec", host, *GRAPHC, "sweep", *command],
        cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def states(folder: Path, host: str) -> list[str]:
    """Of the trials, as `--show` says from a host."""
    shown = worker(host, "--show", str(folder), "--format", "json", cwd=folder)
    out, _ = shown.communicate(timeout=120)
    assert shown.returncode == 0, out
    return [row["state"] for row in json.loads(out)]


def table(folder: Path) -> list[dict[str, object]]:
    _, facts, study = read_study(str(folder))
    return list(json.loads(show_sweep(facts, study, "json")))


def hold_sweep(sampler: str, hosts: Hosts, state: Path) -> str:
    """Both sweeps; what was said."""
    server_programs()
    folder = state / f"sweep-{sampler}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_project(folder, epochs=2)
    (folder / "sweep.yaml").write_text(f"sweep: 1\nrecipe: recipe.yaml\n{SWEEPS[sampler]}")
    alone("sweep", "sweep.yaml", "-o", "alone", "-q", cwd=folder)
    with postgres(hosts) as url:
        here, there = hosts.names
        workers = [worker(here, "sweep.yaml", "-o", "shared", "--storage", url, cwd=folder)]
        deadline = time.monotonic() + LIMIT
        while not (folder / "shared" / "sweep.json").is_file():
            assert workers[0].poll() is None, workers[0].communicate()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        workers += [worker(host, "--join", "shared", cwd=folder) for host in (here, there, there)]
        while states(folder / "shared", here).count("complete") < 3:
            assert time.monotonic() < deadline
        os.killpg(workers[2].pid, signal.SIGKILL)
        workers.append(worker(there, "--join", "shared", cwd=folder))
        ended = [each.communicate(timeout=LIMIT) for each in workers]
        codes = [each.returncode for each in workers]
        assert [codes[0], codes[1], codes[3], codes[4]] == [0, 0, 0, 0], ended
        assert codes[2] == -signal.SIGKILL
        shown = worker(here, "--show", "shared", "--format", "json", cwd=folder)
        rows = json.loads(shown.communicate(timeout=120)[0])
    expected = table(folder / "alone")
    assert len(rows) == len(expected) == 24
    for key in ("state", "best", "validation_accuracy", "learning_rate", "batch"):
        assert [row[key] for row in rows] == [row[key] for row in expected], key
    best = rows[0]
    return f"24 complete; best in both {best['trial']}: {best['validation_accuracy']}"
