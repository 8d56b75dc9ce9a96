"""Compiling resnet_v1_50 with random weights, against a script that only draws as many floats and writes them.

Whole processes, taken in turns, so that whatever else runs on the machine slows both:

    python benchmarks/compile_resnet50.py [--rounds 7] [--model resnet_v1_50]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DRAW = """
import sys
import numpy as np
values = np.random.default_rng(0).standard_normal(int(sys.argv[1]), dtype=np.float32)
with open(sys.argv[2], "wb") as file:
    file.write(values.data)
"""
CHILD = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""With byte code, which every installed package has; the first round writes it."""


def count_floats(model: str) -> int:
    from graphc.compiler import plan_spec

    return sum(planned.param_count for planned in plan_spec(model).nodes)


def timed(command: list[str]) -> tuple[float, float]:
    """Seconds of a whole process, by the clock and of the processors."""
    start, before = time.perf_counter(), os.times()
    subprocess.run(command, check=True, env=CHILD, stderr=subprocess.DEVNULL)
    after = os.times()
    processors = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - start, processors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--model", default="resnet_v1_50")
    options = parser.parse_args()
    count = count_floats(options.model)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "out"
        draw = [sys.executable, "-c", DRAW, str(count), str(target)]
        compile_ = [sys.executable, "-m", "graphc", "compile", options.model, "-o", f"{target}.onnx"]
        timed(draw), timed(compile_)  # files in the cache, byte code written
        rounds = [(timed(compile_), timed(draw)) for _ in range(options.rounds)]
    print(f"{options.model}: {count:,} floats, medians of {options.rounds}")
    for which, what in enumerate(("by the clock", "of the processors")):
        pairs = [(first[which], second[which]) for first, second in rounds]
        compiling, drawing = (statistics.median(times) for times in zip(*pairs, strict=True))
        ratio = statistics.median(first / second for first, second in pairs)
        print(f"compile {compiling:.2f} s, draw and write {drawing:.2f} s, ratio {ratio:.2f} {what}")


if __name__ == "__main__":
    main()
