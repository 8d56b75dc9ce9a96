"""Kill training at random moments, resume it, and compare the bytes it ends with: `soak_resume.py [KILLS] [STATE]`.

Each run is started as `graphc train` is, killed with SIGKILL (now and then asked with SIGINT, SIGTERM or SIGHUP) after
a random time, while its folder is made, too; resumed as `graphc resume` does, killed again, until it gets through. Then
weights, optimizer state, log and ONNX file are compared with those of a run that was left alone, nothing else may be in
the folder, and no process of a killed run may be left. A line of JSON is kept in STATE for each run: with the same file
it goes on where it was stopped, until there have been KILLS.

Most processes are forks of one that has imported graphc already, which costs a tenth of a new Python; each eighth is a
new one, so that the time of imports is hit too.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

LONGEST = 1.5
"""Seconds that a training may have before it is disturbed: a machine that is busy now may not be so later."""
GIVEN_UP = 300
"""Seconds after which a command that neither ends nor dies is an error."""
PR_SET_CHILD_SUBREAPER = 36
"""From Linux's `prctl.h`."""
GRAPHC = [sys.executable, "-m", "graphc"]
REQUESTS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
SPEC = """
graphc: 1
inputs: {image: [N, 8, 8, 3]}
arg_scope:
  conv2d: {kernel: 3, normalizer: batch_norm, activation: relu}
layers:
  - conv2d: {name: a, filters: 4}
  - max_pool2d: {kernel: 2}
  - conv2d: {name: b, filters: 6}
  - global_avg_pool2d: {name: pooled}
  - dropout: {name: dropped, rate: 0.3}
  - fully_connected: {name: logits, units: 5}
  - fully_connected: {name: size, inputs: dropped, units: 1}
outputs: {logits: logits, size: size}
"""
RECIPE = """
recipe: 1
model: net.yaml
data:
  train: {npz: {path: train.npz}}
  validation_share: 0.2
  workers: 2
  augment: [flip_horizontal, {pad_crop: {pad: 1}}, blur]
loss: softmax_cross_entropy
optimizer: {adam: {weight_decay: 0.001}}
learning_rate: 0.01
schedule: cosine
batch: 6
epochs: 8
checkpoint_steps: 2
log_steps: 2
"""
HEADS = "heads=[{output: logits, loss: softmax_cross_entropy}, {output: size, loss: huber, target: size, weight: 0.5}]"
NPZ = "data.train={npz: {path: train.npz, targets: {label: y, size: size}}}"
CASES = {
    "augmentation, workers, EMA": ("ema={decay: 0.9}",),
    "mixup, accumulation": ("data.augment=[flip_horizontal, {mixup: {alpha: 0.2}}]", "accumulate=2", "data.workers=0"),
    "teacher, plateau": (
        "teacher={path: teacher.onnx, output: logits}",
        "schedule=reduce_on_plateau",
        "data.augment=[flip_horizontal]",
    ),
    "float64, momentum, three shards": ("optimizer=momentum", "dtype=float64", "shards=3"),
    "two heads, workers, accumulation, EMA": ("loss=null", HEADS, NPZ, "accumulate=3", "ema={decay: 0.9}"),
    "image files, cutmix, EMA, workers": (
        "data.train={image_folder: {path: images, size: [8, 8], keep: files}}",
        "data.augment=[rand_augment, {cutmix: {alpha: 1.0}}]",
        "ema={decay: 0.9}",
        "optimizer=lamb",
    ),
    "teacher, mixup, workers, accumulation": (
        "teacher={path: teacher.onnx, output: logits}",
        "data.augment=[flip_horizontal, {mixup: {alpha: 0.4}}]",
        "accumulate=2",
        "freeze=[{pattern: '*/a/*', until_epoch: 3}]",
    ),
    "one shard, no workers, early stopping": (
        "shards=1",
        "data.workers=0",
        "early_stopping={patience: 3}",
        "optimizer=rmsprop",
        "schedule=one_cycle",
    ),
}


def state(run: Path) -> dict[str, str]:
    """SHA-256 of everything that a run ends with, by name."""
    last = sorted((run / "checkpoints").glob("*.json"))[-1]
    names = [run / name for name in ("best.safetensors", "best.onnx", "metrics.jsonl", "recipe.json")]
    paths = [*names, last, last.with_suffix(".safetensors")]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in paths}


def names(run: Path) -> list[str]:
    return sorted(path.relative_to(run).as_posix() for path in run.rglob("*"))


class Started:
    """A command of graphc in a process group of its own, with its words in a file."""

    def __init__(self, arguments: Sequence[str], words: Path, new_python: bool) -> None:
        self.words = words
        self.code: int | None = None
        self.id = os.fork()
        if self.id == 0:
            try:
                self._become(arguments, new_python)
            finally:
                os._exit(70)

    def _become(self, arguments: Sequence[str], new_python: bool) -> None:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        file = os.open(self.words, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for stream in (1, 2):
            os.dup2(file, stream)
        os.close(file)
        if new_python:
            os.execv(sys.executable, [*GRAPHC, *arguments])
        sys.argv = ["graphc", *arguments]
        from graphc.cli import main as run_graphc

        run_graphc()

    def ended(self, seconds: float) -> bool:
        """Whether it has ended, after at most so long."""
        until = time.monotonic() + seconds
        while self.code is None:
            found, status = os.waitpid(self.id, os.WNOHANG)
            if found:
                self.code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() >= until:
                return False
            else:
                time.sleep(0.002)
        return True

    def send(self, number: int) -> None:
        os.kill(self.id, number)

    def left_alone(self, seconds: float = 10) -> bool:
        """Whether processes of its group are there so long after it has ended; they are then killed."""
        until = time.monotonic() + seconds
        with suppress(ChildProcessError):
            while time.monotonic() < until:
                if os.waitpid(-self.id, os.WNOHANG)[0] == 0:
                    time.sleep(0.002)
            os.killpg(self.id, signal.SIGKILL)
            return True
        return False


def adopt_orphans() -> None:
    """Become the parent of what a killed process has started, to see when it ends (Linux; elsewhere init is)."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def start(folder: Path, run: Path, case: str, new_python: bool = False) -> Started:
    settings = [each for setting in CASES[case] for each in ("--set", setting)]
    again = (run / "run.json").exists()
    command = ["resume", str(run)] if again else ["train", str(folder / "recipe.yaml"), "-o", str(run), *settings]
    return Started([*command, "-q"], folder / "words", new_python)


def disturbed(folder: Path, run: Path, case: str, whole: float, rng: random.Random) -> tuple[int, int, int]:
    """Train with disturbances; how many kills, requests, and processes that outlived theirs there were."""
    kills = asked = orphans = 0
    while True:
        process = start(folder, run, case, new_python=rng.random() < 1 / 8)
        if not process.ended(rng.uniform(0.01, min(whole / 3, LONGEST))):
            polite = rng.random() < 0.1
            process.send(rng.choice(REQUESTS) if polite else signal.SIGKILL)
            assert process.ended(GIVEN_UP), f"it does not end: {process.words.read_text(encoding='utf-8')}"
            kills, asked = kills + (not polite), asked + polite
        orphans += process.left_alone()
        if process.code == 0:
            return kills, asked, orphans
        words = process.words.read_text(encoding="utf-8", errors="backslashreplace")
        assert not ("Traceback" in words and ", in main\n" in words), words
        # 1: Python itself, interrupted before graphc has begun
        expected = (1, -9, *(128 + number for number in REQUESTS), *(-each for each in REQUESTS))
        assert process.code in expected, f"{process.code}: {words}"


def rounds(folder: Path, kept: list[dict[str, Any]], most: int) -> Iterator[dict[str, Any]]:
    """Each run's line, until there have been so many kills."""
    whole: dict[str, tuple[float, dict[str, str], list[str]]] = {}
    total, number = sum(line["kills"] for line in kept), len(kept)
    while total < most:
        case = list(CASES)[number % len(CASES)]
        if case not in whole:
            run, began = folder / f"whole-{len(whole)}", time.perf_counter()
            process = start(folder, run, case)
            assert process.ended(GIVEN_UP * 5), "it does not end"
            assert process.code == 0, process.words.read_text(encoding="utf-8")
            whole[case] = time.perf_counter() - began, state(run), names(run)
        seconds, expected, files = whole[case]
        run = folder / str(number)
        kills, asked, orphans = disturbed(folder, run, case, seconds, random.Random(number))
        found = state(run)
        other = [name for name in expected if found.get(name) != expected[name]]
        more = [name for name in names(run) if name not in files]
        yield {
            "case": case,
            "kills": kills,
            "requests": asked,
            "other_bytes": other,
            "more_files": more,
            "processes": orphans,
        }
        total, number = total + kills, number + 1


def table(kept: list[dict[str, Any]]) -> str:
    rows = [
        "| training | runs | kills | requests | runs with other bytes | files left | processes left |",
        "|---|---|---|---|---|---|---|",
    ]
    for case in CASES:
        lines = [line for line in kept if line["case"] == case]
        counts = [sum(line[key] for line in lines) for key in ("kills", "requests")]
        other, more = (sum(bool(line[key]) for line in lines) for key in ("other_bytes", "more_files"))
        left = sum(line["processes"] for line in lines)
        rows.append(f"| {case} | {len(lines)} | {counts[0]} | {counts[1]} | {other} | {more} | {left} |")
    return "\n".join(rows)


def prepare(folder: Path) -> None:
    """Spec, recipe, data and teacher."""
    (folder / "net.yaml").write_text(SPEC, encoding="utf-8")
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    chance = np.random.default_rng(0)
    images = chance.integers(0, 256, (75, 8, 8, 3), dtype=np.uint8)
    labels = np.arange(75) % 5
    np.savez(folder / "train.npz", x=images, y=labels, size=chance.random((75, 1), dtype=np.float32))
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / "images" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / "images" / str(label) / f"{number}.png")
    teacher = ["compile", str(folder / "net.yaml"), "-o", str(folder / "teacher.onnx")]
    subprocess.run([*GRAPHC, *teacher], check=True, capture_output=True)


def main() -> None:
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    keep = Path(sys.argv[2] if len(sys.argv) > 2 else "soak_resume.jsonl")
    kept = [json.loads(line) for line in keep.read_text(encoding="utf-8").splitlines()] if keep.exists() else []
    import graphc.cli.entry
    import graphc.train.commands  # noqa: F401  what the forks have then

    adopt_orphans()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        for line in rounds(folder, kept, most):
            kept.append(line)
            with keep.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(line, flush=True)
    print(table(kept))
    assert not any(line["other_bytes"] or line["more_files"] or line["processes"] for line in kept)


if __name__ == "__main__":
    main()
