"""A 1×1 convolution keeps the space and reduces the depth, similar to PCA; before a heavy operation it saves much.

python examples/pointwise/run.py [--small] [--out FOLDER]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
import common  # noqa: E402

from graphc.compiler import Emission, compile_spec  # noqa: E402
from graphc.runtime import Session  # noqa: E402

KEPT = (4, 8, 16, 32, 48)
"""Channels of 64."""
LAYER = "conv3/Relu"


def main() -> dict[int, tuple[float, float]]:
    """Share of the variance that is lost by (1×1 convolutions, PCA), by channels kept."""
    options = common.arguments(__doc__, HERE)
    train, test = maps(2 if options.small else 10)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        sets = {}
        for name, values in (("train", train), ("validation", test)):
            sets[f"data.{name}"] = common.stored(folder, name, values, np.zeros(len(values)))
            sets[f"data.{name}"]["npz"] |= {"inputs": "x", "targets": {"again": "x"}}
        for kept in (32,) if options.small else KEPT:
            settings = {"model.set.kept": kept, "epochs": 3 if options.small else 20, **sets}
            run = common.train(HERE / "recipe.yaml", settings)
            (again,) = run.values(test).values()
            found[kept] = (lost(test, again), lost(test, principal(train, test, kept)))
    rows = [[kept, f"64 → {kept}", *pair, round(pair[0] / pair[1], 2)] for kept, pair in found.items()]
    common.table(["kept", "channels", "lost by 1×1", "lost by PCA", "ratio"], rows)
    common.table(["block on 56×56×256", "parameters", "MACs", "ms"], costs(2 if options.small else 10))
    plot(found, options.out / "reduction.png")
    return found


def maps(epochs: int) -> tuple[np.ndarray, np.ndarray]:
    """64 activation maps 4×4 of the digits' net, of the training and of the test digits."""
    digits = HERE.parent / "digits"
    net = common.train(digits / "recipe.yaml", {"epochs": epochs, "model": {"spec": str(digits / "digits.yaml")}})
    train, test = (net.values(common.digits(part)[0], LAYER)[LAYER] for part in ("train", "test"))
    return train, test


def principal(train: np.ndarray, test: np.ndarray, kept: int) -> np.ndarray:
    """The test maps out of their projection on the training maps' first principal axes: the linear optimum."""
    pixels = train.reshape(-1, train.shape[-1]).astype(np.float64)
    mean = pixels.mean(axis=0)
    axes = np.linalg.eigh(np.cov(pixels.T))[1][:, ::-1][:, :kept]
    return np.asarray(mean + (test - mean) @ axes @ axes.T)


def lost(maps: np.ndarray, again: np.ndarray) -> float:
    """Share of the maps' variance."""
    centered = maps - maps.mean(axis=(0, 1, 2))
    return float(np.square(maps - again).sum() / np.square(centered).sum())


def costs(repeats: int) -> list[list[Any]]:
    """The plain convolution and the bottleneck: parameters, MACs, least milliseconds in onnxruntime, taken in turns."""
    rows, sessions, times = [], {}, {}
    x = np.random.default_rng(0).normal(size=(1, 56, 56, 256)).astype(np.float32)
    how = Emission(output_layout="nchw")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("plain", "bottleneck"):
            plan, _ = compile_spec(HERE / f"{name}.yaml", Path(folder) / f"{name}.onnx", how=how)
            sessions[name] = Session(Path(folder) / f"{name}.onnx", threads=1)
            times[name] = []
            rows.append([name, sum(e.param_count for e in plan.nodes), sum(e.macs or 0 for e in plan.nodes)])
    for _ in range(repeats):
        for name, session in sessions.items():
            started = time.perf_counter()
            session.run({"maps": x})
            times[name].append(1000 * (time.perf_counter() - started))
    return [[*row, round(min(times[row[0]]), 1)] for row in rows]


def plot(found: dict[int, tuple[float, float]], path: Path) -> None:
    sheet, axes = common.figure()
    for index, name in enumerate(("1×1 convolutions, trained", "PCA, the optimum")):
        axes.semilogy(list(found), [pair[index] for pair in found.values()], "o-", label=name)
    axes.set(xlabel="channels kept of 64", ylabel="share of the variance lost")
    axes.legend()
    common.save(sheet, path)


if __name__ == "__main__":
    common.run(main)
