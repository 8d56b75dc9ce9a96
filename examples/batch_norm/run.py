"""Batch normalization lets larger learning rates train, gets there in fewer steps, and can learn to undo itself.

python examples/batch_norm/run.py [--small] [--out FOLDER]
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

NETS = {"bias": "none", "batch norm": "batch_norm"}
RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
TRAINS = 0.9
"""Test accuracy from which we say that a net has trained."""
FAST = 0.95
DROPOUT = 0.5


def main() -> dict[str, Any]:
    """By net the largest rate that trains; and the undoing layer's factors."""
    options = common.arguments(__doc__, HERE)
    rates = (0.03, 1.0) if options.small else RATES
    epochs = 3 if options.small else 8
    runs = {net: {rate: train(net, rate, epochs) for rate in rates} for net in NETS}

    rows = []
    for rate in rates:
        accuracies = [accuracy(runs[net][rate]) for net in NETS]
        rows.append([rate, *accuracies, *(runs[net][rate].first_step("validation_accuracy", FAST) for net in NETS)])
    common.table(["learning rate", *NETS, *(f"{net}: steps to {FAST:.0%}" for net in NETS)], rows)
    largest = {net: max((rate for rate in rates if accuracy(runs[net][rate]) >= TRAINS), default=0.0) for net in NETS}
    print("largest learning rate that trains: " + ", ".join(f"{net} {rate}" for net, rate in largest.items()) + "\n")

    dropped = [[net, accuracy(runs[net][0.03]), accuracy(train(net, 0.03, epochs, DROPOUT))] for net in NETS]
    common.table(["net, learning rate 0.03", "dropout 0.0", f"dropout {DROPOUT}"], dropped)
    factors = undone(4 if options.small else 12)
    common.table(["undoing", "learned", "the data's"], factors)
    plot(runs, options.out / "rates.png")
    return {"largest": largest, "undone": factors}


def train(net: str, rate: float, epochs: int, dropout: float = 0.0) -> common.Trained:
    settings = {"model.set.normalizer": NETS[net], "model.set.dropout": dropout}
    return common.train(HERE / "recipe.yaml", {**settings, "learning_rate": rate, "epochs": epochs})


def accuracy(run: common.Trained) -> float:
    """The last epoch's; nothing learned where training diverged."""
    return 0.0 if run.diverged else run.last("validation_accuracy")


def undone(epochs: int) -> list[list[Any]]:
    """A batch norm whose target is its own input: gamma becomes the data's deviation, beta their mean."""
    x, y = common.digits("train")
    with tempfile.TemporaryDirectory() as folder:
        source = common.stored(folder, "digits", x, y)
        source["npz"]["targets"] = {"image_again": "x"}
        run = common.train(HERE / "undo_recipe.yaml", {"data.train": source, "epochs": epochs})
    gamma, beta = (float(run.params[f"undo/norm/{name}"][0]) for name in ("gamma", "beta"))
    return [["gamma: deviation", gamma, float(np.std(x))], ["beta: mean", beta, float(np.mean(x))]]


def plot(runs: dict[str, dict[float, common.Trained]], path: Path) -> None:
    sheet, axes = common.figure()
    for net, found in runs.items():
        axes.semilogx(list(found), [100 * accuracy(run) for run in found.values()], "o-", label=net)
    axes.set(xlabel="learning rate", ylabel="test accuracy in %", ylim=(0, 100))
    axes.legend()
    common.save(sheet, path)


if __name__ == "__main__":
    common.run(main)
