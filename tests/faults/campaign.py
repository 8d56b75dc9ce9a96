"""All faults of the system: `python -m tests.faults.campaign [STATE] [--part PART] [--scenario NAME] [--every N]`.

A line of JSON is kept in STATE for each case; with the same file it goes on where it was stopped. At the end come the
tables of docs/reliability.md; the exit code is 1 where a case has failed.
"""

from __future__ import annotations

import argparse
import errno
import importlib.util
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.calls import Action, Fault, build_shim, why_no_shim
from tests.faults.cases import DEATHS, Stage
from tests.faults.crashes import Crashes
from tests.faults.power_cut import digest
from tests.faults.scenarios import SCENARIOS
from tests.faults.server import Server

Record = dict[str, Any]
SMALLEST = 2048
"""Bytes of the allocations that fail: below, most are of libraries that end the process where one fails."""


def calls_of(stage: Stage) -> Iterator[tuple[str, Callable[[], Record]]]:
    """Every fault at every call: what names a case, and what does it."""
    for fault in stage.faults():
        yield f"{fault.process}.{fault.at} {fault}", lambda fault=fault: _record(stage, fault)


def allocations_of(stage: Stage) -> Iterator[tuple[str, Callable[[], Record]]]:
    """Each allocation of at least SMALLEST bytes fails."""
    count = len(stage.allocations(SMALLEST))
    for at in range(1, count + 1):
        fault = Fault(at, Action.FAIL, errno.ENOMEM, least=SMALLEST)
        yield f"0.{at} {fault}", lambda fault=fault: _record(stage, fault)


def power_cuts_of(stage: Stage) -> Iterator[tuple[str, Callable[[], Record]]]:
    """Every disk that may be found."""
    crashes = Crashes(stage)
    for crash in crashes:
        key = f"{crash.steps} {crash.saved} {crash.finished} {digest(crash.disk)[:16]}"
        yield key, lambda crash=crash: {"step": crash.steps, "problems": crashes.problems(crash)}


def _record(stage: Stage, fault: Fault) -> Record:
    outcome = stage.outcome(fault)
    hit = [outcome.hit.kind, Path(outcome.hit.path).name] if outcome.hit else None
    return {"call": f"{fault.process}.{fault.at}", "hit": hit, "code": outcome.code, "problems": outcome.problems}


@dataclass(frozen=True)
class Part:
    """A kind of faults."""

    cases: Callable[[Stage], Iterator[tuple[str, Callable[[], Record]]]]
    scenarios: tuple[str, ...]
    columns: dict[str, Callable[[list[Record]], int]]


def _with_code(*codes: int) -> Callable[[list[Record]], int]:
    return lambda found: sum(case["code"] in codes for case in found)


def _failed(found: list[Record]) -> int:
    return sum(bool(case["problems"]) for case in found)


CODES = {"went on": _with_code(0), "exit 3": _with_code(3), "exit 130": _with_code(130), "killed": _with_code(-9)}
PARTS = {
    "calls": Part(
        calls_of,
        tuple(scenario.name for scenario in SCENARIOS),
        {"calls": lambda found: len({case["call"] for case in found}), "cases": len, **CODES, "failed": _failed},
    ),
    "power cuts": Part(
        power_cuts_of,
        ("compile", "compile, external data", "train", "resume", "predict to a file"),
        {"moments": lambda found: len({case["step"] for case in found}), "disks": len, "failed": _failed},
    ),
    "allocations": Part(
        allocations_of,
        ("compile, external data", "train", "predict"),
        {
            "allocations": len,
            "went on": _with_code(0),
            "exit 3": _with_code(3),
            "ended by a library": _with_code(*DEATHS),
            "failed": _failed,
        },
    ),
}


def read_state(path: Path) -> list[Record]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run(state: Path, name: str, wanted: list[str], every: int) -> None:
    """All cases of a part that are not in the state yet."""
    part = PARTS[name]
    known = {(case["part"], case["scenario"], case["case"]) for case in read_state(state)}
    with tempfile.TemporaryDirectory() as made, Server(build_shim(Path(made))) as server, state.open("a") as file:
        for scenario in SCENARIOS:
            if scenario.name not in (wanted or part.scenarios):
                continue
            if importlib.util.find_spec(scenario.module) is None:
                print(f"{scenario.name}: left out, {scenario.module} is not installed", flush=True)
                continue
            stage = Stage(server, scenario, Path(made) / "stage")
            for number, (key, case) in enumerate(part.cases(stage)):
                where = {"part": name, "scenario": scenario.name, "case": key}
                if number % every or tuple(where.values()) in known:
                    continue
                record = {**where, **case()}
                file.write(json.dumps(record) + "\n")
                file.flush()
                if record["problems"]:
                    print(f"{scenario.name}: {key}: {record.get('hit')}", *record["problems"], sep="\n  ", flush=True)


def table(name: str, cases: list[Record]) -> str:
    """A row a scenario, in Markdown."""
    columns = PARTS[name].columns
    lines = [["command", *columns], ["---"] * (len(columns) + 1)]
    for scenario in SCENARIOS:
        found = [case for case in cases if case["part"] == name and case["scenario"] == scenario.name]
        if found:
            lines.append([scenario.name, *(f"{count(found):,}" for count in columns.values())])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("state", type=Path, nargs="?", default=Path("faults.jsonl"))
    parser.add_argument("--scenario", action="append", default=[], help="Only these; default: all of the part.")
    parser.add_argument("--part", choices=PARTS, action="append", help="Only these; default: all.")
    parser.add_argument("--every", type=int, default=1, help="Only every so many cases.")
    given = parser.parse_args()
    if (missing := why_no_shim()) is not None:
        print(missing)
        return 3
    for name in given.part or PARTS:
        run(given.state, name, given.scenario, given.every)
    cases = read_state(given.state)
    for name in PARTS:
        print(f"\n{name}\n\n{table(name, cases)}")
    return int(any(case["problems"] for case in cases))


if __name__ == "__main__":
    sys.exit(main())
