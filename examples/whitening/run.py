"""Inputs of mean 0 and deviation 1, decorrelated, train faster: A and B, strongly correlated, become A + B and A − B.

python examples/whitening/run.py [--small] [--out FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
import common  # noqa: E402

from graphc.data.preprocess import Preprocess  # noqa: E402
from graphc.data.steps import Whiten  # noqa: E402

STEPS: dict[str, list[Any]] = {
    "raw, 0 to 255": [{"rescale": {"source": [0, 1], "target": [0, 255]}}],
    "raw, 0 to 1": [{"rescale": {"source": [0, 1]}}],
    "centered": [{"center": {"per": "pixel"}}],
    "standardized": [{"standardize": {"per": "pixel", "epsilon": 0.001}}],
    "whitened (PCA)": [{"whiten": {"method": "pca", "over": "pixels", "epsilon": 0.001}}],
    "whitened (ZCA)": [{"whiten": {"method": "zca", "over": "pixels", "epsilon": 0.001}}],
}
POWERS = (-5.5, -1.0, -0.5, -1.5, -0.5, -0.5)
"""For each: 10 to this power is the lowest of seven learning rates that are tried, each √10 of the one before."""
ENOUGH = 0.9
LOW = 0.2
"""Training loss."""


def main() -> dict[str, Any]:
    """The two axes of A and B; by preprocessing the steps that training took."""
    options = common.arguments(__doc__, HERE)
    axes = signals(options.out / "signals.png")
    epochs = 15 if options.small else 40
    names = list(STEPS)[2::2] if options.small else list(STEPS)
    best = {}
    for name in names:
        runs = {}
        lowest = POWERS[list(STEPS).index(name)]
        for rate in [10 ** (lowest + step / 2) for step in ((1, 3) if options.small else range(7))]:
            settings = {"data.preprocess": {"steps": STEPS[name]}, "learning_rate": rate, "epochs": epochs}
            runs[rate] = common.train(HERE / "recipe.yaml", settings)
        rate = min(runs, key=lambda rate: quickness(runs[rate]))
        best[name] = (rate, runs[rate])
    rows = [
        [
            name,
            float(f"{rate:.2g}"),
            run.first_step("validation_accuracy", ENOUGH),
            steps_to_low(run),
            run.last("loss"),
            run.last("validation_accuracy"),
        ]
        for name, (rate, run) in best.items()
    ]
    columns = ["input", "best learning rate", f"steps to {ENOUGH:.0%}", f"to a loss of {LOW}", "loss", "test accuracy"]
    common.table(columns, rows)
    plot({name: run for name, (_, run) in best.items()}, options.out / "convergence.png")
    return {"axes": axes, "loss": {name: run.last("loss") for name, (_, run) in best.items()}}


def quickness(run: common.Trained) -> tuple[float, float]:
    """Less is quicker: steps to a low loss, then the last loss; a diverged run comes last."""
    return steps_to_low(run) or np.inf, float(np.nan_to_num(run.last("loss"), nan=np.inf))


def steps_to_low(run: common.Trained) -> int | None:
    return next((record["step"] for record in run.records if record["loss"] <= LOW), None)


def signals(path: Path) -> np.ndarray:
    """A and B before and after whitening; the matrix that it found, each column brought to length 1."""
    rng = np.random.default_rng(0)
    common_part, a, b = rng.normal(size=(3, 1000))
    signal = np.stack([common_part + 0.2 * a, common_part + 0.2 * b], axis=1)[:, None, None].astype(np.float32)
    fitted = Preprocess(steps=(Whiten(method="pca"),)).fitted(signal)
    white = np.empty_like(signal)
    fitted.apply(signal, white)
    (matrix,) = (array for name, array in fitted.arrays.items() if name.endswith("matrix"))
    unit = matrix / np.linalg.norm(matrix, axis=0)
    before, after = (np.corrcoef(values[:, 0, 0].T)[0, 1] for values in (signal, white))
    rows = [[f"output {n + 1}", *(float(v) for v in unit[:, n]), float(white[:, 0, 0, n].std())] for n in (0, 1)]
    common.table(["A and B whitened", "of A", "of B", "deviation"], rows)
    print(f"correlation of A and B {before:.3f}, of the outputs {abs(after):.3f}\n")
    sheet, axes = common.figure(2, width=3.4)
    for axis, values, title in zip(axes, (signal, white), ("A and B", "whitened: sum and difference"), strict=True):
        axis.plot(*values[:, 0, 0].T, ".", markersize=2)
        axis.set(title=title, xlim=(-4, 4), ylim=(-4, 4), aspect="equal")
    common.save(sheet, path)
    return unit


def plot(runs: dict[str, common.Trained], path: Path) -> None:
    sheet, axes = common.figure()
    for name, run in runs.items():
        axes.semilogy(
            [record["step"] for record in run.records], [record["loss"] for record in run.records], label=name
        )
    axes.set(xlabel="steps", ylabel="training loss")
    axes.legend(fontsize=8)
    common.save(sheet, path)


if __name__ == "__main__":
    common.run(main)
