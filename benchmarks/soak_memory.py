"""Train for an hour and watch memory, descriptors and processes: `soak_memory.py [SECONDS] [SAMPLES]`.

A training with nearly everything on (two heads, dropout, augmentation, workers, shards, moving average, accumulation,
validations, checkpoints) is looked at every few seconds: the anonymous and shared memory of its processes
(`smaps_rollup`), open descriptors, number of processes, files in its folder. Samples go to SAMPLES, a line of JSON
each. At the end the means of each tenth are printed: caches and heaps fill in the first half; in the second
memory may grow by 1 %, descriptors and processes not at all. Linux only: it reads `/proc`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean, median
from typing import Any

from soak_resume import GRAPHC, HEADS, NPZ, prepare

BETWEEN = 5.0
"""Seconds between two samples."""
DRIFT = 0.01
SETTINGS = (
    "loss=null",
    HEADS,
    NPZ,
    "data.augment=[flip_horizontal, {pad_crop: {pad: 1}}, blur]",
    "accumulate=2",
    "ema={decay: 0.99}",
    "epochs=null",
    "steps=100000000",
    "schedule=constant",
    "learning_rate=0.00001",
    "validate_every=20",
    "checkpoint_steps=500",
    "log_steps=100",
)


def tree(parent: int) -> list[int]:
    """A process and all that descend from it, in the order of their ids."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                after_name = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(after_name[1]), []).append(int(entry.name))
    found = [parent]
    for each in found:
        found += children.get(each, [])
    return sorted(found)


def own_memory(process: int) -> int:
    """Bytes of anonymous and of shared memory, where what is shared counts once in all.

    Pages of libraries are left out: their share depends on who else in the system uses them.
    """
    lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:")))


def sample(parent: int, run: Path) -> dict[str, Any]:
    processes = tree(parent)
    steps = 0
    log = run / "metrics.jsonl"
    if log.exists():
        lines = log.read_bytes().splitlines()
        steps = json.loads(lines[-1])["step"] if lines else 0
    return {
        "step": steps,
        "main_bytes": own_memory(parent),
        "other_bytes": sum(own_memory(each) for each in processes if each != parent),
        "descriptors": sum(len(os.listdir(f"/proc/{each}/fd")) for each in processes),
        "processes": len(processes),
        "files": sum(1 for _ in run.rglob("*")),
    }


def report(samples: list[dict[str, Any]], seconds: float) -> None:
    """The table of tenths; an AssertionError where the second half is not flat."""
    print(f"{seconds:.0f} s, {samples[-1]['step']:,} steps, {len(samples)} samples; means of tenths:\n")
    print("| tenth | step | MiB | descriptors | processes | files |\n|---|---|---|---|---|---|")
    tenth = max(len(samples) // 10, 1)
    parts = [samples[start : start + tenth] for start in range(0, 10 * tenth, tenth)]
    for number, part in enumerate(parts, start=1):
        cells = (f"{mean(each[name] for each in part):.2f}" for name in ("descriptors", "processes", "files"))
        print(f"| {number} | {part[-1]['step']:,} | {memory(part):.2f} | {' | '.join(cells)} |")
    first, last = parts[5], parts[9]
    assert memory(last) <= memory(first) * (1 + DRIFT), "memory grows"
    assert len({each["processes"] for part in parts[5:] for each in part}) == 1, "the number of processes changes"
    begin, end = (median(each["descriptors"] for each in part) for part in (first, last))
    assert end <= begin, "descriptors leak"


def memory(samples: list[dict[str, Any]]) -> float:
    """MiB of all processes, in the mean."""
    return mean(each["main_bytes"] + each["other_bytes"] for each in samples) / 2**20


def main() -> None:
    length = float(sys.argv[1]) if len(sys.argv) > 1 else 3600.0
    keep = Path(sys.argv[2] if len(sys.argv) > 2 else "soak_memory.jsonl")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        settings = [each for setting in SETTINGS for each in ("--set", setting)]
        run = folder / "run"
        command = [*GRAPHC, "train", str(folder / "recipe.yaml"), "-o", str(run), "-q", *settings]
        process = subprocess.Popen(command)
        samples: list[dict[str, Any]] = []
        began = time.monotonic()
        while (seconds := time.monotonic() - began) < length:
            time.sleep(BETWEEN)
            assert process.poll() is None, f"it ended with {process.returncode}"
            try:
                samples.append({"seconds": round(seconds, 1), **sample(process.pid, run)})
            except OSError:  # a process or a temporary file that is gone between two looks
                continue
            with keep.open("a", encoding="utf-8") as file:
                file.write(json.dumps(samples[-1]) + "\n")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    report(samples, length)


if __name__ == "__main__":
    main()
