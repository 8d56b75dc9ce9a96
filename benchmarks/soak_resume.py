"""Kill training at random moments, resume it, and compare the bytes it ends with: `soak_resume.py RECIPE [RUNS]`.

Each run is started with `graphc train`, killed with SIGKILL (every fifth time asked with SIGINT) after a random
time, resumed with `graphc resume`, killed again, until it gets through; then weights, optimizer state, log and
ONNX file are compared with those of a run that was left alone.
"""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SETTINGS = ("--set", "checkpoint_steps=7")


def state(run: Path) -> dict[str, str]:
    """SHA-256 of everything that a run ends with, by file name."""
    last = sorted((run / "checkpoints").glob("*.json"))[-1]
    names = [run / name for name in ("best.safetensors", "best.onnx", "metrics.jsonl", "recipe.json")]
    paths = [*names, last, last.with_suffix(".safetensors")]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in paths}


def start(recipe: str, run: Path) -> subprocess.Popen[bytes]:
    again = (run / "run.json").exists()
    command = ["graphc", "resume", str(run)] if again else ["graphc", "train", recipe, "-o", str(run), *SETTINGS]
    return subprocess.Popen([*command, "-q"])


def disturbed(recipe: str, run: Path, whole: float, rng: random.Random) -> tuple[int, int]:
    """Train with disturbances; how many kills and how many requests there were."""
    kills = asked = 0
    while True:
        process = start(recipe, run)
        try:
            code = process.wait(timeout=rng.uniform(0.3, whole / 2))
        except subprocess.TimeoutExpired:
            polite = rng.random() < 0.2
            process.send_signal(signal.SIGINT if polite else signal.SIGKILL)
            code = process.wait()
            kills, asked = kills + (not polite), asked + polite
        if code == 0:
            return kills, asked
        assert code not in (2, 3, 4), code  # 1: Python itself, interrupted while it starts


def main() -> None:
    recipe, runs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 20
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        assert start(recipe, Path(folder) / "whole").wait() == 0
        whole = time.perf_counter() - began
        expected = state(Path(folder) / "whole")
        print(f"undisturbed: {whole:.1f} s, {expected}", flush=True)
        total = 0
        for number in range(runs):
            run = Path(folder) / str(number)
            kills, asked = disturbed(recipe, run, whole, rng)
            total += kills
            found = state(run)
            other = [name for name in expected if found.get(name) != expected[name]]
            print(f"run {number}: {kills} kills, {asked} requests, other bytes: {other or 'none'}", flush=True)
            for name in other:
                if name.endswith(".json"):
                    print((Path(folder) / "whole" / "checkpoints" / name).read_text())
                    print((run / "checkpoints" / name).read_text())
            assert not other
        print(f"{runs} runs, {total} kills, all with the same bytes")


if __name__ == "__main__":
    main()
