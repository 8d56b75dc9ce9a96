"""What augmentation and a teacher are worth: test accuracy with and without, the rest being equal.

    python benchmarks/augment_and_distill.py DATA OUT --examples 10000 --epochs 30

DATA holds train.npz and test.npz of CIFAR-10 (`cifar10_to_npz.py`). Four runs of one spec on the same examples with
the same seed: as it is; with pad-crop and flip; a small student alone (augmented too); the student taught by the
second run. `--student` is the spec of the student.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from graphc.train.commands import evaluate_run, train

NETS = Path(__file__).parent / "nets"

RECIPE: dict[str, Any] = {
    "recipe": 1,
    "data": {
        "train": {"npz": {"path": "some.npz"}},
        "test": {"npz": {"path": "test.npz"}},
        "preprocess": {"mean": "fit", "std": "fit"},
    },
    "loss": "softmax_cross_entropy",
    "optimizer": {"momentum": {"momentum": 0.9, "weight_decay": 0.0005}},
    "learning_rate": 0.1,
    "schedule": "cosine",
    "warm_up": {"length": 1, "start": 0.1},
    "batch": 128,
    "metrics": ["accuracy"],
    "monitor": "loss",
}
AUGMENT = ["pad_crop", "flip_horizontal"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--tests", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--net", default=str(NETS.parent / "cifar10" / "resnet20.yaml"))
    parser.add_argument("--student", default=str(NETS / "student.yaml"))
    parser.add_argument("--runs", nargs="*", help="some of plain, augmented, student, taught (which needs augmented)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    whole = np.load(options.data / "train.npz")
    rows = np.random.default_rng(0).permutation(len(whole["y"]))[: options.examples]
    np.savez(options.out / "some.npz", x=whole["x"][rows], y=whole["y"][rows])
    test = np.load(options.data / "test.npz")
    rows = np.random.default_rng(1).permutation(len(test["y"]))[: options.tests]
    np.savez(options.out / "test.npz", x=test["x"][rows], y=test["y"][rows])
    teacher = {"path": "augmented/best.onnx", "temperature": 4, "weight": 0.7}
    runs: dict[str, tuple[str, list[str], Any]] = {
        "plain": (options.net, [], None),
        "augmented": (options.net, AUGMENT, None),
        "student": (options.student, AUGMENT, None),
        "taught": (options.student, AUGMENT, teacher),
    }
    for name in options.runs or runs:
        net, augment, taught_by = runs[name]
        data = {**RECIPE["data"], "augment": augment}
        recipe = {**RECIPE, "model": str(Path(net).resolve()), "data": data, "epochs": options.epochs}
        path = options.out / f"{name}.json"
        path.write_text(json.dumps({**recipe, **({"teacher": taught_by} if taught_by else {})}))
        last = train(path, options.out / name)
        found = evaluate_run(options.out / name)
        print(f"{name}: training {last['accuracy']:.4f}, test {found['accuracy']:.4f}", flush=True)


if __name__ == "__main__":
    main()
