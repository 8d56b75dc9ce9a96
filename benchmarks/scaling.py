"""Compiling 10,000 layers against 1,000: whole processes, interleaved, medians, as a ratio.

python benchmarks/scaling.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 5
HEAD = "graphc: 1\nname: long\ninputs: {image: [N, 8, 8, 8]}\nlayers:\n"
LAYER = "  - conv2d: {{name: c{}, filters: 8, kernel: 3, normalizer: batch_norm, activation: relu}}\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        specs = {}
        for layers in (1_000, 10_000):
            specs[layers] = Path(folder) / f"{layers}.yaml"
            specs[layers].write_text(HEAD + "".join(LAYER.format(i) for i in range(layers)))
        times: dict[int, list[float]] = {layers: [] for layers in specs}
        for _ in range(ROUNDS):
            for layers, spec in specs.items():
                start = time.perf_counter()
                command = [sys.executable, "-m", "graphc", "compile", str(spec), "-o", f"{spec}.onnx"]
                subprocess.run(command, check=True, capture_output=True)
                times[layers].append(time.perf_counter() - start)
    short, long = (statistics.median(each) for each in times.values())
    print(f"1,000 layers {short:.2f} s, 10,000 layers {long:.2f} s: {long / short:.1f} times")


if __name__ == "__main__":
    main()
