"""Kill training at random moments, resume it, and compare the bytes it ends with: `soak_resume.py [KILLS] [STATE]`.

Each run is started with `graphc train`, killed with SIGKILL (now and then asked with SIGINT, SIGTERM or SIGHUP) after
a random time, while its folder is made, too; resumed with `graphc resume`, killed again, until it gets through. Then
weights, optimizer state, log and ONNX file are compared with those of a run that was left alone, and nothing else may
be in the folder. A line of JSON is kept in STATE for each run: with the same file it goes on where it was stopped,
until there have been KILLS.
"""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

LONGEST = 2.5
"""Seconds that a training may have before it is disturbed: a machine that is busy now may not be so later."""
GRAPHC = [sys.executable, "-m", "graphc"]
REQUESTS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
SPEC = """
graphc: 1
inputs: {image: [N, 16, 16, 3]}
arg_scope:
  conv2d: {kernel: 3, normalizer: batch_norm, activation: relu}
layers:
  - conv2d: {name: a, filters: 8}
  - max_pool2d: {kernel: 2}
  - conv2d: {name: b, filters: 16}
  - global_avg_pool2d
  - dropout: {rate: 0.3}
  - fully_connected: {name: logits, units: 5}
outputs: {logits: logits}
"""
RECIPE = """
recipe: 1
model: net.yaml
data:
  train: {npz: {path: train.npz}}
  validation_share: 0.2
  workers: 2
  augment: [flip_horizontal, {pad_crop: {pad: 2}}, blur]
loss: softmax_cross_entropy
optimizer: {adam: {weight_decay: 0.001}}
learning_rate: 0.01
schedule: cosine
batch: 10
epochs: 12
checkpoint_steps: 3
log_steps: 2
"""
CASES = {
    "augmentation, workers, EMA": ("ema={decay: 0.9}",),
    "mixup, accumulation": ("data.augment=[flip_horizontal, {mixup: {alpha: 0.2}}]", "accumulate=2", "data.workers=0"),
    "teacher, plateau": (
        "teacher={path: teacher.onnx}",
        "schedule=reduce_on_plateau",
        "data.augment=[flip_horizontal]",
    ),
    "float64, momentum, three shards": ("optimizer=momentum", "dtype=float64", "shards=3"),
}


def state(run: Path) -> dict[str, str]:
    """SHA-256 of everything that a run ends with, by name."""
    last = sorted((run / "checkpoints").glob("*.json"))[-1]
    names = [run / name for name in ("best.safetensors", "best.onnx", "metrics.jsonl", "recipe.json")]
    paths = [*names, last, last.with_suffix(".safetensors")]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in paths}


def names(run: Path) -> list[str]:
    return sorted(path.relative_to(run).as_posix() for path in run.rglob("*"))


def start(folder: Path, run: Path, case: str) -> subprocess.Popen[bytes]:
    settings = [each for setting in CASES[case] for each in ("--set", setting)]
    again = (run / "run.json").exists()
    command = ["resume", str(run)] if again else ["train", str(folder / "recipe.yaml"), "-o", str(run), *settings]
    return subprocess.Popen([*GRAPHC, *command, "-q"], stderr=subprocess.PIPE)


def disturbed(folder: Path, run: Path, case: str, whole: float, rng: random.Random) -> tuple[int, int]:
    """Train with disturbances; how many kills and how many requests there were."""
    kills = asked = 0
    while True:
        process = start(folder, run, case)
        try:
            _, words = process.communicate(timeout=rng.uniform(0.3, min(whole / 2, LONGEST)))
        except subprocess.TimeoutExpired:
            polite = rng.random() < 0.2
            process.send_signal(rng.choice(REQUESTS) if polite else signal.SIGKILL)
            _, words = process.communicate()
            kills, asked = kills + (not polite), asked + polite
        if process.returncode == 0:
            return kills, asked
        assert b"Traceback" not in words or b"graphc/cli" not in words, words.decode()
        # 1: Python itself, interrupted while it starts
        assert process.returncode in (1, -9, *(128 + number for number in REQUESTS), *(-each for each in REQUESTS)), (
            words
        )


def rounds(folder: Path, kept: list[dict[str, Any]], most: int) -> Iterator[dict[str, Any]]:
    """Each run's line, until there have been so many kills."""
    whole: dict[str, tuple[float, dict[str, str], list[str]]] = {}
    total, number = sum(line["kills"] for line in kept), len(kept)
    while total < most:
        case = list(CASES)[number % len(CASES)]
        if case not in whole:
            run, began = folder / f"whole-{len(whole)}", time.perf_counter()
            assert start(folder, run, case).wait() == 0
            whole[case] = time.perf_counter() - began, state(run), names(run)
        seconds, expected, files = whole[case]
        run = folder / str(number)
        kills, asked = disturbed(folder, run, case, seconds, random.Random(number))
        found = state(run)
        other = [name for name in expected if found.get(name) != expected[name]]
        more = [name for name in names(run) if name not in files]
        yield {"case": case, "kills": kills, "requests": asked, "other_bytes": other, "more_files": more}
        total, number = total + kills, number + 1


def table(kept: list[dict[str, Any]]) -> str:
    rows = ["| training | runs | kills | requests | runs with other bytes | files left |", "|---|---|---|---|---|---|"]
    for case in CASES:
        lines = [line for line in kept if line["case"] == case]
        counts = [sum(line[key] for line in lines) for key in ("kills", "requests")]
        other, more = (sum(bool(line[key]) for line in lines) for key in ("other_bytes", "more_files"))
        rows.append(f"| {case} | {len(lines)} | {counts[0]} | {counts[1]} | {other} | {more} |")
    return "\n".join(rows)


def main() -> None:
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    keep = Path(sys.argv[2] if len(sys.argv) > 2 else "soak_resume.jsonl")
    kept = [json.loads(line) for line in keep.read_text(encoding="utf-8").splitlines()] if keep.exists() else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "net.yaml").write_text(SPEC, encoding="utf-8")
        (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
        chance = np.random.default_rng(0)
        images = chance.integers(0, 256, (200, 16, 16, 3), dtype=np.uint8)
        np.savez(folder / "train.npz", x=images, y=chance.integers(0, 5, 200))
        teacher = ["compile", str(folder / "net.yaml"), "-o", str(folder / "teacher.onnx")]
        subprocess.run([*GRAPHC, *teacher], check=True, capture_output=True)
        for line in rounds(folder, kept, most):
            kept.append(line)
            with keep.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(line, flush=True)
    print(table(kept))
    assert not any(line["other_bytes"] or line["more_files"] for line in kept)


if __name__ == "__main__":
    main()
