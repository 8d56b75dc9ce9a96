"""What augmentation and a teacher are worth where labels are few: scikit-learn's digits, 8×8, in a minute.

    python benchmarks/few_digits.py OUT [--labels 100] [--seeds 5]

The net of examples/digits learns from a few labelled digits, plainly and with small shifts, scales and turns. Then a
student (8 filters, no dropout) learns from the same few labels alone, and from the augmented net as well, which also
answers on the other training digits, whose labels nobody sees. Accuracies are on the 360 test digits.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from graphc.data.digits import read_digits
from graphc.train.commands import evaluate_run, train

DIGITS = Path(__file__).parent.parent / "examples" / "digits" / "digits.yaml"

STUDENT = """\
graphc: 1
name: student
inputs: {image: [N, 8, 8, 1]}
layers:
  - conv2d: {name: conv1, filters: 8, kernel: 3, activation: relu}
  - max_pool2d: [2, 2]
  - flatten
  - fully_connected: {name: logits, units: 10}
outputs: {logits: logits}
"""
AUGMENT = [{"scale": {"range": [0.9, 1.1]}}, {"rotate": {"degrees": 10}}, {"shift": {"share": 0.1}}]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "student.yaml").write_text(STUDENT)
    found: dict[str, list[float]] = {"plain": [], "augmented": [], "student": [], "taught": []}
    for seed in range(options.seeds):
        folder = options.out / f"seed{seed}"
        folder.mkdir()
        write_digits(folder, options.labels, seed)
        for name, accuracies in found.items():
            accuracies.append(accuracy(folder, name, seed))
        print(seed, {name: round(each[-1], 4) for name, each in found.items()}, flush=True)
    for name, each in found.items():
        print(f"{name}: {statistics.mean(each):.4f} ± {statistics.stdev(each):.4f}")


def write_digits(folder: Path, labels: int, seed: int) -> None:
    """few.npz: the labelled digits; more.npz: all the others, without labels."""
    digits = read_digits("train")
    images, known = digits.inputs["image"], digits.targets["label"]
    rows = np.random.default_rng(seed).permutation(len(known))
    np.savez(folder / "few.npz", x=images[rows[:labels]], y=known[rows[:labels]])
    np.savez(folder / "more.npz", x=images[rows[labels:]])


def accuracy(folder: Path, name: str, seed: int) -> float:
    """On the test digits, of the weights after 400 steps."""
    spec = str(DIGITS.resolve()) if name in ("plain", "augmented") else "../student.yaml"
    data: dict[str, Any] = {"train": {"npz": {"path": "few.npz"}}, "test": {"digits": {"part": "test"}}}
    recipe: dict[str, Any] = {
        "recipe": 1, "model": spec, "data": data, "loss": "softmax_cross_entropy", "optimizer": "adam",
        "learning_rate": 0.003, "schedule": "cosine", "batch": 32, "steps": 400, "metrics": ["accuracy"],
        "monitor": "loss", "seed": seed,
    }  # fmt: skip
    if name == "augmented":
        data["augment"] = AUGMENT
    if name == "taught":
        data["unlabelled"] = {"npz": {"path": "more.npz", "targets": {}}}
        recipe["teacher"] = {"path": "augmented/best.onnx", "temperature": 2, "weight": 0.9}
    (folder / f"{name}.json").write_text(json.dumps(recipe))
    train(folder / f"{name}.json", folder / name)
    return float(evaluate_run(folder / name)["accuracy"])


if __name__ == "__main__":
    main()
