"""What issue 21 asks of clusters, held for as long as one likes; what was held is kept, and not done again.

python -m tests.cluster.hold STATE [bytes|kills|faults|sweep …] [--kills 30]

STATE is a folder, which stays where it is: runs hold its path. Its held.jsonl has a line a case: name, whether it held,
seconds, what was said. As root, with iproute2, in an environment with graphc[test,mpi,sweep] and mpich; the sweep needs
PostgreSQL too.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.faults import FAULTS, meet
from tests.cluster.hold_sweep import SWEEPS, hold_sweep
from tests.cluster.hosts import Hosts, two_hosts
from tests.cluster.nets import NETS, write_net
from tests.cluster.ranks import alone, differing, digests, finished, wait_for_step

SPREADS: tuple[tuple[int, ...], ...] = ((1,), (2,), (3,), (4,), (1, 1), (2, 1), (2, 2), (1, 3))
"""Ranks on one host, or on each of two."""
STEPS = {"digits": 12, "lenet": 12, "resnet20": 9}
"""Of a whole training."""


WORDS = {True: "held", False: "NOT HELD", None: "skipped"}


class Held:
    """The cases that were held, in a file."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "held.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        self._held = {each["case"] for each in map(json.loads, lines) if each["held"]}

    def hold(self, case: str, work: Callable[[], Any]) -> bool | None:
        """Do a case that has not held yet, and write down what became of it; None: it was skipped."""
        if case in self._held:
            return True
        began = time.monotonic()
        held: bool | None = None
        try:
            said, held = work(), True
        except pytest.skip.Exception as reason:
            said = str(reason)
        except (AssertionError, pytest.fail.Exception, subprocess.SubprocessError, OSError) as error:
            said, held = f"{type(error).__name__}: {error}"[-1500:], False
        line = {"case": case, "held": held, "seconds": round(time.monotonic() - began, 1), "said": said}
        with self._file.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(f"{WORDS[held]:8} {line['seconds']:6.1f} s  {case}: {said}", flush=True)
        return held


def same_bytes(name: str, spread: tuple[int, ...], hosts: Hosts, folder: Path) -> str:
    """A whole training on these ranks is that of one process."""
    run = "on" + "and".join(map(str, spread))
    shutil.rmtree(folder / run, ignore_errors=True)
    code, _, errors = finished(hosts.spread(spread, "train", "recipe.yaml", "-o", run, cwd=folder), 600)
    assert code == 0, errors
    assert not (found := differing(folder / run, folder / "one")), f"other bytes: {found}"
    return f"{len(digests(folder / run))} files"


def one_kill(name: str, number: int, hosts: Hosts, folder: Path) -> str:
    """A training that is killed at a random moment, and ends on other ranks with the bytes of one process."""
    rng = random.Random(f"{name} {number}")
    first, second = rng.sample(SPREADS, 2)
    run = f"killed{number}"
    shutil.rmtree(folder / run, ignore_errors=True)
    process = hosts.spread(first, "train", "recipe.yaml", "-o", run, "-q", cwd=folder)
    wait_for_step(folder / run, step := rng.randrange(1, STEPS[name]), process)
    time.sleep(rng.random() * 0.3)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    time.sleep(1)
    code, out, errors = finished(hosts.spread(second, "resume", run, cwd=folder), 600)
    assert code == 0, f"{first} killed after step {step}, {second}: exit code {code}: {out}{errors}"
    assert not (found := differing(folder / run, folder / "one")), f"other bytes: {found}"
    shutil.rmtree(folder / run)
    return f"{first} killed after step {step}, {second} went on"


def hold_nets(held: Held, state: Path, what: set[str], kills: int, hosts: Hosts) -> Iterator[bool | None]:
    """Bytes and kills of the three nets."""
    for at, name in enumerate(NETS):
        folder = state / name
        if not (folder / "one" / "best.onnx").is_file():
            shutil.rmtree(folder, ignore_errors=True)
            alone("train", "recipe.yaml", "-o", "one", "-q", cwd=write_net(name, folder))
        for spread in ((4,), (2, 2)) if "bytes" in what else ():
            yield held.hold(f"{name} on {spread}", lambda s=spread, n=name, f=folder: same_bytes(n, s, hosts, f))
        for number in range(at, kills, len(NETS)) if "kills" in what else ():
            yield held.hold(f"{name}, kill {number}", lambda k=number, n=name, f=folder: one_kill(n, k, hosts, f))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("state", type=Path)
    parser.add_argument("what", nargs="*", default=["bytes", "kills", "faults", "sweep"])
    parser.add_argument("--kills", type=int, default=30)
    given = parser.parse_args()
    state, what = given.state.absolute(), set(given.what)
    held = Held(state)
    results: list[bool | None] = []
    with tempfile.TemporaryDirectory() as scripts, two_hosts(Path(scripts)) as hosts:
        results += hold_nets(held, state, what, given.kills, hosts) if what & {"bytes", "kills"} else []
        for fault in FAULTS if "faults" in what else ():
            results.append(held.hold(fault.name, lambda f=fault: meet(f, hosts, state)))
        for sampler in SWEEPS if "sweep" in what else ():
            results.append(held.hold(f"sweep, {sampler}", lambda s=sampler: hold_sweep(s, hosts, state)))
    print(f"{results.count(True)} of {len(results)} held, {results.count(None)} skipped")
    sys.exit(1 if False in results else 0)


if __name__ == "__main__":
    main()
