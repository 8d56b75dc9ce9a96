"""With little data, augmentation helps; and a small net learns more from a larger one's answers than from the labels.

python examples/little_data/run.py [--small] [--out FOLDER]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
import common  # noqa: E402

COUNTS = (50, 100, 300)
"""Labelled digits; all others of the training set have none."""
AUGMENT = [{"shift": {"share": 0.12}}, {"rotate": {"degrees": 10}}, {"scale": {"range": [0.9, 1.1]}}]
TEACHER, PUPIL = 32, 6
"""Widths."""
EPOCH = 1000
"""The few digits come again and again until an epoch has so many: checkpoints would take longer than steps."""
METHODS = ("labels", "augmented", "teacher", "taught", "taught on all")


def main() -> dict[int, dict[str, list[float]]]:
    """Test accuracies by number of labels and method, one a seed."""
    options = common.arguments(__doc__, HERE)
    counts, seeds = ((50,), 1) if options.small else (COUNTS, 5)
    steps = 60 if options.small else 400
    found = {count: {name: [] for name in METHODS} for count in counts}
    for count in counts:
        for seed in range(seeds):
            for name, accuracy in one(count, seed, steps).items():
                found[count][name].append(accuracy)
    rows = [[count, *(float(np.mean(by[name])) for name in METHODS)] for count, by in found.items()]
    common.table(["labeled digits", *METHODS], rows)
    plot(found, options.out / "accuracy.png")
    return found


def one(count: int, seed: int, steps: int) -> dict[str, float]:
    """Test accuracies by method, on labels drawn by the seed."""
    (x, y), test = common.digits("train"), common.digits("test")
    rows = np.random.default_rng(seed).permutation(len(x))
    few, others = np.resize(rows[:count], EPOCH), rows[count:]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        given = {"data.train": common.stored(folder, "few", x[few], y[few]), "seed": seed, "steps": steps}
        unlabeled = {"data.unlabeled": common.stored(folder, "others", x[others], y[others])}
        augmented = {**given, "data.augment": AUGMENT}
        taught = {**augmented, "teacher.path": str(folder / "teacher" / "best.onnx")}

        def train(settings: dict[str, Any], width: int = PUPIL, name: str | None = None) -> float:
            run = folder / name if name else None
            found = common.train(HERE / "recipe.yaml", {**settings, "model.set.width": width}, folder=run)
            return found.accuracy(*test)

        return {
            "teacher": train(augmented, TEACHER, "teacher"),
            "labels": train(given),
            "augmented": train(augmented),
            "taught": train(taught),
            "taught on all": train({**taught, **unlabeled}),
        }


def plot(found: dict[int, dict[str, list[float]]], path: Path) -> None:
    sheet, axes = common.figure()
    for name in METHODS:
        axes.semilogx(list(found), [100 * np.mean(by[name]) for by in found.values()], "o-", label=name)
    axes.set(xlabel="labeled digits", ylabel="test accuracy in %")
    axes.set_xticks(list(found), [str(count) for count in found])
    axes.minorticks_off()
    axes.legend()
    common.save(sheet, path)


if __name__ == "__main__":
    common.run(main)
