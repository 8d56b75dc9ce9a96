"""`python -m tests.fuzz STATE`: go on with a campaign over all harnesses, whose counts are kept in STATE.

A line of JSON for each part of it: how many inputs, the slowest, the most memory, findings. With the same file it goes
on where it was stopped. The inputs of the plain engine are those of `mutate.py`: `--show NAME NUMBER` prints one; the
guided engine, atheris, keeps those that reached new code in a folder beside STATE.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .engine import run_apart
from .guided import is_there, run_guided
from .harness import Harness
from .harnesses import HARNESSES, named
from .mutate import Mutator


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("state", nargs="?", type=Path, help="file of the campaign's counts")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="of each harness, in all")
    parser.add_argument("--seconds", type=float, default=60, help="of a processor, for a part")
    parser.add_argument("--for", dest="duration", type=float, default=float("inf"), help="seconds until no part begins")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--fresh", action="store_true", help="forget what is in STATE")
    parser.add_argument("--parts", type=int, default=1 << 60, help="of each harness, at most, in this call")
    parser.add_argument("--engine", choices=("plain", "guided", "best"), default="plain", help="best: guided if there")
    parser.add_argument("--only", nargs="*", default=[], help="names of harnesses")
    parser.add_argument("--show", nargs=2, metavar=("NAME", "NUMBER"), help="print this input and what becomes of it")
    parser.add_argument("--table", action="store_true", help="print the state as a table")
    given = parser.parse_args(arguments)
    if given.show:
        return show(given.show[0], int(given.show[1]))
    if given.state is None:
        parser.error("expected STATE")
    guided = given.engine == "guided" or (given.engine == "best" and is_there())
    if given.fresh:
        given.state.unlink(missing_ok=True)
    if not given.table:
        kinds = [each for each in HARNESSES if each.is_there() and (not given.only or each.name in given.only)]
        end = time.monotonic() + given.duration
        campaign = Campaign(given.state, "guided" if guided else "plain", given.inputs, given.seconds, given.parts)
        campaign.run(kinds, end, given.jobs)
    totals = read(given.state)
    print(table(totals))
    return 1 if any(each["findings"] for each in totals.values()) else 0


@dataclass(frozen=True, slots=True)
class Campaign:
    state: Path
    engine: str
    inputs: int
    """Of each harness, in all."""
    seconds: float
    """Of a part."""
    parts: int
    """Of each harness, in this call."""

    def run(self, kinds: Sequence[type[Harness]], end: float, jobs: int) -> None:
        """Parts of all harnesses in turn, those that had least time first, until each has had its inputs."""
        self.state.parent.mkdir(parents=True, exist_ok=True)
        begun = Counter[str]()
        running: dict[Future[dict[str, Any]], type[Harness]] = {}
        with ThreadPoolExecutor(jobs) as pool:
            while True:
                totals = read(self.state, self.engine)
                left = [kind for kind in kinds if kind not in running.values() and begun[kind.name] < self.parts]
                left = [kind for kind in left if totals[kind.name]["next"] < self.inputs]
                left.sort(key=lambda kind: totals[kind.name]["took"])
                while left and len(running) < jobs and time.monotonic() < end:
                    kind = left.pop(0)
                    begun[kind.name] += 1
                    running[pool.submit(self.part, kind, totals[kind.name]["next"])] = kind
                if not running:
                    return
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    running.pop(done)
                    with self.state.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(done.result()) + "\n")

    def part(self, kind: type[Harness], first: int) -> dict[str, Any]:
        start = time.monotonic()
        count = self.inputs - first
        if self.engine == "guided":
            found = run_guided(kind, first, count, self.seconds, self.state.parent / "corpus")
        else:
            found = run_apart(kind, first, count, self.seconds)
        return {"engine": self.engine, **found.as_json(), "took": time.monotonic() - start}


NOTHING = {"next": 0, "inputs": 0, "accepted": 0, "seconds": 0.0, "mebibytes": 0.0, "took": 0.0}


def read(state: Path, engine: str | None = None) -> dict[str, dict[str, Any]]:
    """The totals of each harness, of one engine or both."""
    totals: dict[str, dict[str, Any]] = {each.name: {**NOTHING, "guided": 0, "findings": {}} for each in HARNESSES}
    for line in state.read_text(encoding="utf-8").splitlines() if state.exists() else []:
        part = json.loads(line)
        total = totals.get(part["harness"])
        if total is None or part["engine"] != (engine or part["engine"]):
            continue
        for key in ("inputs", "accepted", "took"):
            total[key] += part[key]
        for key in ("next", "seconds", "mebibytes"):
            total[key] = max(total[key], part[key])
        total["guided"] += part["inputs"] if part["engine"] == "guided" else 0
        for each in part["findings"]:
            total["findings"].setdefault(each["what"], each)
    return totals


def table(totals: dict[str, dict[str, Any]]) -> str:
    """In Markdown: inputs, of which some by the guided engine and a share was read, the slowest, the most memory."""
    head = "| reader | inputs | of them guided | read | slowest, s | memory, MiB | findings |"
    lines = [head, "|---|---:|---:|---:|---:|---:|---|"]
    for name, each in totals.items():
        said = "; ".join(f"{what} (input {found['input']})" for what, found in each["findings"].items()) or "none"
        share = f"{each['accepted'] / each['inputs']:.0%}" if each["inputs"] else ""
        counts = f"{each['inputs']:,} | {each['guided']:,} | {share}"
        lines.append(f"| {name} | {counts} | {each['seconds']:.2f} | {each['mebibytes']:.0f} | {said} |")
    sums = [sum(each[key] for each in totals.values()) for key in ("inputs", "guided")]
    lines.append(f"| together | {sums[0]:,} | {sums[1]:,} | | | | |")
    return "\n".join(lines)


def show(name: str, number: int) -> int:
    """One input, and what becomes of it."""
    with tempfile.TemporaryDirectory(prefix="graphc-fuzz-") as folder:
        harness = named(name)(Path(folder))
        data = Mutator(harness).input(number)
        sys.stdout.buffer.write(data + b"\n")
        sys.stdout.flush()
        harness.path.write_bytes(harness.packed(data))
        harness.read()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
