"""Max pooling keeps the strongest activation, average pooling is smoother and loses edges; a stride is the alternative.

python examples/pooling/run.py [--small] [--out FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
import common  # noqa: E402

from graphc.compiler import plan_spec  # noqa: E402
from graphc.execution.network import evaluate  # noqa: E402
from graphc.initializers import initial_values  # noqa: E402

POOLS = ("max", "average", "stride")
SIDE = 32
RISE = 0.1
"""Of the faint gradient over the whole picture."""
NOISE = 0.1


def main() -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """What remains of the test pictures, and the nets' accuracies, by way of halving."""
    options = common.arguments(__doc__, HERE)
    probed = remains(options.out / "remains.png")
    columns = ["halved by", "thin line", "at worst", "step", "gradient: slope", "error", "offset"]
    common.table(columns, [[name, *numbers] for name, numbers in probed.items()])

    seeds = (0,) if options.small else (0, 1, 2)
    sizes = {"data.train.shapes.count": 300, "epochs": 2} if options.small else {}
    found, macs = {}, {}
    for pool in POOLS:
        runs = [common.train(HERE / "recipe.yaml", {"model.set.pool": pool, "seed": seed, **sizes}) for seed in seeds]
        found[pool] = [run.last("validation_accuracy") for run in runs]
        macs[pool] = sum(each.macs or 0 for each in runs[0].plan.nodes)
    rows = [[pool, macs[pool], float(np.mean(all)), min(all), max(all)] for pool, all in found.items()]
    common.table(["halved by", "MACs", "accuracy", "lowest", f"highest of {len(seeds)}"], rows)
    return probed, found


def pictures() -> dict[str, np.ndarray]:
    """Bright lines of one pixel in an even and in an odd column, a step, a faint gradient without and with noise."""
    lines, step = np.zeros((2, SIDE, SIDE)), np.zeros((SIDE, SIDE))
    lines[0, :, 12], lines[1, :, 13] = 1, 1
    step[:, 15:] = 1
    gradient = np.broadcast_to(np.linspace(0, RISE, SIDE), (SIDE, SIDE))
    noise = np.random.default_rng(0).normal(0, NOISE, gradient.shape)
    return {"even": lines[0], "odd": lines[1], "step": step, "clean": gradient, "gradient": gradient + noise}


def remains(path: Path) -> dict[str, list[float]]:
    """[a line's height on average, at worst; a step's steepest rise; the gradient's slope as a share of the true one,
    its error after the offset is taken off, and that offset], by way of halving."""
    given = pictures()
    plan = plan_spec(HERE / "probe.yaml")
    batch = np.stack(list(given.values()))[..., None].astype(np.float32)
    values = evaluate(plan, initial_values(plan.variables, 0), {"image": batch})
    found = {}
    for name in POOLS:
        halved = dict(zip(given, values[name][..., 0].astype(np.float64), strict=True))
        heights = [halved[line].max() for line in ("even", "odd")]
        true = given["clean"].reshape(SIDE // 2, 2, SIDE // 2, 2).mean(axis=(1, 3))
        offset = (halved["gradient"] - true).mean()
        error = np.sqrt(np.mean((halved["gradient"] - true - offset) ** 2))
        slope = np.polyfit(true[0], halved["gradient"].mean(axis=0), 1)[0]
        numbers = [np.mean(heights), min(heights), np.diff(halved["step"], axis=1).max(), slope, error, offset]
        found[name] = [float(number) for number in numbers]
    plot(given, {name: values[name][..., 0] for name in POOLS}, path)
    return found


def plot(given: dict[str, np.ndarray], halved: dict[str, np.ndarray], path: Path) -> None:
    shown = ("even", "odd", "step", "gradient")
    sheet, axes = common.figure(len(shown), 4, 1.8, 1.8)
    for column, name in enumerate(shown):
        number = list(given).index(name)
        sheets = {"input": given[name], **{pool: pictures[number] for pool, pictures in halved.items()}}
        high = 1.0 if name != "gradient" else RISE + 2 * NOISE
        for row, (title, picture) in enumerate(sheets.items()):
            axes[row][column].imshow(picture, cmap="gray", vmin=0 if name != "gradient" else -2 * NOISE, vmax=high)
            axes[row][column].set(xticks=[], yticks=[], ylabel=title if not column else "")
        axes[0][column].set_title({"even": "line, even", "odd": "line, odd"}.get(name, name))
    common.save(sheet, path)


if __name__ == "__main__":
    common.run(main)
