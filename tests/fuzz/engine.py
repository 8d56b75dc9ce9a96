"""The plain engine: inputs by number, in this process or in one of its own that may die of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from graphc.system import optional_module

from .harness import Harness
from .harnesses import HARNESSES, named
from .mutate import Mutator
from .watch import Finding, Measured, Watch

resource = optional_module("resource")

HANGS = 60
"""Seconds after which a process that does not answer is ended."""
ADDRESSES = 4 << 30
"""Bytes of address space that reading may ask for, beyond what the process has in the beginning."""
WARM_UP = 300
"""Inputs after which all that is loaded once is there."""


@dataclass(slots=True)
class Outcome:
    """Of the inputs from `first` up to `next`."""

    harness: str
    first: int
    next: int
    measured: Measured = field(default_factory=Measured)
    findings: list[tuple[int, Finding]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        found = [{"input": number, **asdict(finding)} for number, finding in self.findings]
        return {
            "harness": self.harness,
            "first": self.first,
            "next": self.next,
            **asdict(self.measured),
            "findings": found,
        }


def run(kind: type[Harness], folder: Path, first: int, count: int, seconds: float = float("inf")) -> Outcome:
    """Give so many inputs to a harness in this process, or as many as it has so many seconds of a processor for."""
    mutator = Mutator(harness := kind(folder))
    outcome = Outcome(kind.name, first, first)
    known: set[str] = set()
    report = _reporter()
    with Watch(harness) as watch:
        for number in range(min(WARM_UP, first)):
            watch.give(mutator.input(number))
        outcome.measured = watch.measured = Measured()
        watch.begin()
        until = time.process_time() + seconds
        for number in range(first, first + count):
            if time.process_time() > until:
                break
            report(number)
            finding = watch.give(mutator.input(number))
            if finding is not None and finding.what not in known:
                known.add(finding.what)
                outcome.findings.append((number, finding))
            outcome.next = number + 1
            if outcome.next == WARM_UP:
                watch.begin()
    return outcome


def run_apart(kind: type[Harness], first: int, count: int, seconds: float) -> Outcome:
    """The same in a process of its own, which has limits of memory and of the time for an answer."""
    with tempfile.TemporaryDirectory(prefix="graphc-fuzz-") as folder:
        at = Path(folder, "at")
        command = [
            sys.executable,
            "-m",
            "tests.fuzz.engine",
            address_of(kind),
            str(first),
            str(count),
            str(seconds),
            folder,
        ]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode == 0:
            read = json.loads(done.stdout)
            findings = [(each.pop("input"), Finding(**each)) for each in read["findings"]]
            measured = Measured(**{key: read[key] for key in ("inputs", "accepted", "seconds", "mebibytes")})
            return Outcome(kind.name, first, read["next"], measured, findings)
        number = int(at.read_text() or first) if at.exists() else first
    code = done.returncode
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    text = done.stderr.decode(errors="replace")[-4000:]
    died = Finding("died", f"{how} at the input {number}", text)
    return Outcome(kind.name, first, number + 1, Measured(inputs=number + 1 - first), [(number, died)])


def address_of(kind: type[Harness]) -> str:
    """Its name, or of one that is not in the catalogue the module and the class."""
    return kind.name if kind in HARNESSES else f"{kind.__module__}:{kind.__qualname__}"


def kind_of(address: str) -> type[Harness]:
    module, sign, name = address.partition(":")
    return getattr(import_module(module), name) if sign else named(address)


def _reporter() -> Any:
    """How a process says which input it is at, and has the system end it where that takes too long."""
    path = os.environ.get("GRAPHC_FUZZ_AT")
    if path is None:
        return lambda number: None
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)

    def report(number: int) -> None:
        os.pwrite(handle, b"%020d" % number, 0)
        signal.setitimer(signal.ITIMER_REAL, HANGS)

    return report


def main(name: str, first: str, count: str, seconds: str, folder: str) -> None:
    """In the process of `run_apart`."""
    os.environ["GRAPHC_FUZZ_AT"] = f"{folder}/at"
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    inside = Path(folder, "work")
    inside.mkdir()
    kind = kind_of(name)
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + ADDRESSES, in_use + ADDRESSES))
    outcome = run(kind, inside, int(first), int(count), float(seconds))
    print(json.dumps(outcome.as_json()))


if __name__ == "__main__":
    main(*sys.argv[1:])
