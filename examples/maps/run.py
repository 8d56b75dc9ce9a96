"""Too large a parameter space leaves feature maps redundant or dead, so the net must be constrained.

python examples/maps/run.py [--small] [--out FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
import common  # noqa: E402

from graphc.report.page.activity import last_of_blocks  # noqa: E402
from graphc.report.page.health import Health, check  # noqa: E402

CONSTRAINTS: dict[str, dict[str, float]] = {
    "none": {},
    "l2 0.001": {"l2": 0.001},
    "l2 0.01": {"l2": 0.01},
    "l1 0.00001": {"l1": 0.00001},
    "l1 0.0001": {"l1": 0.0001},
    "a quarter as wide": {"width": 8},
    "a sixteenth as wide": {"width": 2},
}
LAYERS = ("conv1", "conv2", "conv3")
SILENT = 0.01
"""A map is silent where its deviation is below this share of its layer's largest."""


def main() -> dict[str, dict[str, Any]]:
    """Accuracy, and maps by layer, of each constraint."""
    options = common.arguments(__doc__, HERE)
    names = ("none", "l1 0.0001") if options.small else tuple(CONSTRAINTS)
    x, _ = common.digits("test")
    found, pictures = {}, {}
    for name in names:
        settings = {f"model.set.{key}": value for key, value in CONSTRAINTS[name].items()}
        net = common.train(HERE / "recipe.yaml", {**settings, "epochs": 2 if options.small else 10})
        layers = [each for each in last_of_blocks(net.plan) if each.node.name.split("/")[0] in LAYERS]
        values = net.values(x, *(each.node.name for each in layers))
        health = [check(each, values[each.node.name]) for each in layers]
        deviations = [values[each.node.name].std(axis=(0, 1, 2)) for each in layers]
        found[name] = row(net, health, deviations)
        pictures[name] = [np.sort(each / each.max())[::-1] for each in deviations]
    columns = list(next(iter(found.values())))
    common.table(["constraint", *columns], [[name, *values.values()] for name, values in found.items()])
    plot(pictures, options.out / "maps.png")
    return found


def row(net: common.Trained, health: list[Health], deviations: list[np.ndarray]) -> dict[str, Any]:
    """Counts over the three convolutions, of a net's maps."""
    weights = np.concatenate([value.ravel() for name, value in net.params.items() if "/conv" in name])
    return {
        "maps": sum(each.maps for each in health),
        "dead": sum(each.dead for each in health),
        "silent": sum(int((each < SILENT * each.max()).sum()) for each in deviations),
        "twins": sum(each.twins for each in health),
        "weights below 0.001": f"{(np.abs(weights) < 0.001).mean():.0%}",
        "test accuracy": round(net.last("validation_accuracy"), 4),
    }


def plot(pictures: dict[str, list[np.ndarray]], path: Path) -> None:
    """How strongly each map varies, the strongest first: what falls to the floor is not used."""
    sheet, axes = common.figure(len(LAYERS), width=3.6)
    for number, (layer, axis) in enumerate(zip(LAYERS, axes, strict=True)):
        for name, layers in pictures.items():
            axis.semilogy(np.maximum(layers[number], 1e-7), label=name)
        axis.set(title=layer, xlabel="maps, the strongest first", ylim=(5e-8, 1.5))
    axes[0].set(ylabel="deviation, of the strongest map's")
    axes[-1].legend(fontsize=7)
    common.save(sheet, path)


if __name__ == "__main__":
    common.run(main)
