"""Every fault at every call of every command: `python -m tests.faults.campaign [STATE] [SCENARIO …]`.

A line of JSON is kept in STATE for each case; with the same file it goes on where it was stopped. At the end comes the
table of docs/reliability.md; the exit code is 1 where a case has failed.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.faults.calls import build_shim, why_no_shim
from tests.faults.cases import Stage
from tests.faults.scenarios import SCENARIOS
from tests.faults.server import Server

HEADINGS = "command", "calls", "cases", "went on", "exit 3", "exit 130", "killed", "failed"


def read_state(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run(state: Path, names: Sequence[str]) -> None:
    """All cases that are not in the state yet."""
    known = {(case["scenario"], case["fault"], case["at"], case["process"]) for case in read_state(state)}
    with tempfile.TemporaryDirectory() as made, Server(build_shim(Path(made))) as server, state.open("a") as file:
        for scenario in SCENARIOS:
            if names and scenario.name not in names:
                continue
            stage = Stage(server, scenario, Path(made) / "stage")
            for fault in stage.faults():
                key = (scenario.name, str(fault), fault.at, fault.process)
                if key in known:
                    continue
                outcome = stage.outcome(fault)
                fields = dict(zip(("scenario", "fault", "at", "process"), key, strict=True))
                hit = [outcome.hit.kind, outcome.hit.path] if outcome.hit else None
                record = {**fields, "hit": hit, "code": outcome.code, "problems": outcome.problems}
                file.write(json.dumps(record) + "\n")
                file.flush()
                if outcome.problems:
                    print(f"{scenario.name}: {outcome}", *outcome.problems, sep="\n  ", flush=True)


def table(cases: Iterable[dict[str, Any]]) -> str:
    """A row a scenario, in Markdown."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for case in cases:
        rows.setdefault(case["scenario"], []).append(case)
    lines = [HEADINGS, ["---"] * len(HEADINGS)]
    for name, found in rows.items():
        calls = len({(case["process"], case["at"]) for case in found})
        codes = Counter(case["code"] for case in found)
        failed = sum(bool(case["problems"]) for case in found)
        lines.append([name, calls, len(found), codes[0], codes[3], codes[130], codes[-9], failed])
    return "\n".join(
        "| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else cell for cell in line) + " |" for line in lines
    )


def main() -> int:
    if (missing := why_no_shim()) is not None:
        print(missing)
        return 3
    state = Path(sys.argv[1] if len(sys.argv) > 1 else "faults.jsonl")
    run(state, sys.argv[2:])
    print(table(read_state(state)))
    return int(any(case["problems"] for case in read_state(state)))


if __name__ == "__main__":
    sys.exit(main())
