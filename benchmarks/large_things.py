"""Things so large that no test makes them: `large_things.py [GIGABYTES] [FILES]`.

A model of 3 GB is compiled, checked by onnx and run by onnxruntime beside NumPy: it has to choose external data by
itself, in a peak of memory of at most 1.3 times its weights. A folder of a million files in a hundred classes is
listed, within 60 s of a processor and 1 GB. What was found is printed as a table; a figure beyond its bound is an
error. It needs 7 GB of memory, and 4 GB in the folder for temporary files.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx

from graphc.compiler import Limits, initial_or_loaded, plan_spec
from graphc.data.folder import find_images
from graphc.runtime import Session

GB = 10**9
WIDTH = 16_384
"""Of the dense layers, of which each has 1.07 GB of weights."""


def spec(layers: int) -> str:
    dense = "".join(f"  - fully_connected: {{name: f{number}, units: {WIDTH}}}\n" for number in range(layers))
    return f"graphc: 1\nname: large\ninputs: {{x: [N, {WIDTH}]}}\nlayers:\n{dense}"


def peak_of_children() -> int:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def model(folder: Path, layers: int) -> None:
    (folder / "large.yaml").write_text(spec(layers), encoding="utf-8")
    command = ["compile", "large.yaml", "-o", "large.onnx", "--max-memory", "64"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "graphc", *command], cwd=folder, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    weights = layers * (WIDTH + 1) * WIDTH * 4
    files = sorted(path.name for path in folder.iterdir() if path.suffix != ".yaml")
    peak = peak_of_children() / weights
    print(f"| compile {weights / GB:.2f} GB into {', '.join(files)} | {seconds:.1f} s | {peak:.2f} times that |")
    assert peak <= 1.3
    assert (len(files) == 2) == (weights >= 2**31)
    onnx.checker.check_model(str(folder / "large.onnx"))
    value = x = np.random.default_rng(0).normal(size=(1, WIDTH)).astype(np.float32)
    params, _ = initial_or_loaded(plan_spec(folder / "large.yaml", limits=Limits(memory=64 * 2**30)), 0, None)
    for number in range(layers):
        value = value @ params[f"large/f{number}/weights"] + params[f"large/f{number}/biases"]
    params.clear()
    (found,) = Session(folder / "large.onnx").run({"x": x}).values()
    error = float(np.abs(found - value).max() / np.abs(value).max())
    print(f"| the same in onnxruntime and in NumPy: relative error {error:.1e} | | |")
    assert error < 1e-4


def listing(folder: Path, count: int) -> None:
    for label in range(100):
        (folder / f"class{label:02}").mkdir()
    for number in range(count):
        (folder / f"class{number % 100:02}" / f"{number}.png").touch()
    began = time.process_time()
    found = find_images(folder)
    seconds = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"| list {len(found.paths):,} files of {len(found.classes)} classes | {seconds:.1f} s | {peak / GB:.2f} GB |")
    assert len(found.paths) == count
    assert seconds <= 60
    assert peak <= GB


def main() -> None:
    gigabytes = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    files = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    print("| | processor | memory |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "images").mkdir()
        listing(Path(name) / "images", files)
    with tempfile.TemporaryDirectory() as name:
        model(Path(name), max(1, round(gigabytes * GB / (WIDTH * WIDTH * 4))))


if __name__ == "__main__":
    main()
