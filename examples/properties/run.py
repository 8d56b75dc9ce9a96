"""Sparse connections, shared weights, a growing receptive field, translation: at equal accuracy a convolutional net
needs fewer parameters than a fully connected one and knows a digit wherever it stands.

    python examples/properties/run.py [--small] [--out FOLDER]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
import common  # noqa: E402

from graphc.report.properties import economies  # noqa: E402

FIELD = 14
"""Pixels of the side of the picture in whose middle an 8×8 digit stands."""
MIDDLE = (FIELD - 8) // 2
NETS = ("dense", "conv")


def placed(images: np.ndarray, down: int = 0, right: int = 0) -> np.ndarray:
    """Digits in an empty field, moved from its middle."""
    field = np.zeros((len(images), FIELD, FIELD, 1), np.float32)
    field[:, MIDDLE + down :, MIDDLE + right :][:, :8, :8] = images
    return field


def shifted_accuracy(net: common.Trained, images: np.ndarray, labels: np.ndarray, shift: int) -> float:
    """Mean over moves up, down, left, right."""
    moves = [(0, 0)] if not shift else [(-shift, 0), (shift, 0), (0, -shift), (0, shift)]
    return float(np.mean([net.accuracy(placed(images, *move), labels) for move in moves]))


def main() -> dict[str, list[float]]:
    """Accuracy by net, at shifts of 0, 1, 2, 3 pixels."""
    options = common.arguments(__doc__, HERE)
    (x, y), (test_x, test_y) = common.digits("train"), common.digits("test")
    found, nets = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        data = {
            "data.train": common.stored(folder, "train", placed(x), y),
            "epochs": 3 if options.small else 20,
        }
        for name in NETS:
            nets[name] = common.train(HERE / "recipe.yaml", {"model.spec": f"{name}.yaml", **data})
            found[name] = [shifted_accuracy(nets[name], test_x, test_y, shift) for shift in range(MIDDLE + 1)]

    rows = []
    for name, net in nets.items():
        layers = economies(net.plan).values()
        rows.append(
            [
                name,
                sum(each.param_count for each in net.plan.nodes),
                sum(layer.connections for layer in layers),
                *found[name],
            ]
        )
    common.table(["net", "parameters", "connections", *(f"shift {shift}" for shift in range(MIDDLE + 1))], rows)
    show_layers(nets["conv"])
    plot(found, options.out / "shifts.png")
    return found


def show_layers(net: common.Trained) -> None:
    """The convolutional net's layers beside fully connected ones between the same values."""
    fields = {each.node.name: each.receptive_field for each in net.plan.nodes}
    rows = [
        [
            name,
            economy.params,
            economy.dense_params,
            round(economy.sparsity, 1),
            round(economy.sharing, 1),
            "×".join(map(str, fields[name].size)) if fields[name] else "all",
        ]
        for name, economy in economies(net.plan).items()
    ]
    columns = ["layer", "parameters", "dense: parameters", "fewer connections", "uses of a weight", "receptive field"]
    common.table(columns, rows)


def plot(found: dict[str, list[float]], path: Path) -> None:
    sheet, axes = common.figure()
    for name, accuracies in found.items():
        axes.plot(range(MIDDLE + 1), [100 * accuracy for accuracy in accuracies], "o-", label=name)
    axes.set(
        xlabel="shift of the test digits in pixels", ylabel="accuracy in %", ylim=(0, 100), xticks=range(MIDDLE + 1)
    )
    axes.axhline(10, color="grey", linestyle=":", label="chance")
    axes.legend()
    common.save(sheet, path)


if __name__ == "__main__":
    common.run(main)
