"""Both engines of training, seed by seed: do they reach the same accuracy within the spread from seed to seed?

    python -m benchmarks.engine_seeds OUT --mnist FOLDER --cifar FOLDER [--seeds 5]

The digits of examples/digits by their own recipe; LeNet on 4,000 digits of MNIST (FOLDER has its four IDX files), four
epochs; resnet20 on 4,000 images of CIFAR-10 (FOLDER has what cifar10_to_npz.py writes), five epochs. A seed gives both
engines the same initial weights, batches and random numbers. Accuracies are on images that no run has seen: 360 digits,
MNIST's 10,000, 2,000 of CIFAR-10. What was found stands in OUT/found.jsonl, a line a run; what stands there is not run
again. One thread.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphc.data.idx import read_idx
from graphc.train.commands import evaluate_run, train
from graphc.train.trained import Options

HERE = Path(__file__).parent
ENGINES = ("numpy", "onnxruntime")
MEMORY = 1 << 30
TRAINED, TESTED = 4000, 2000
"""Images of MNIST and CIFAR-10 to train on; of CIFAR-10 to test on."""
COMMON: dict[str, Any] = {
    "recipe": 1, "data": {"train": {"npz": {"path": "train.npz"}}, "test": {"npz": {"path": "test.npz"}}},
    "loss": "softmax_cross_entropy", "schedule": "cosine", "metrics": ["accuracy"],
}  # fmt: skip
LENET = {**COMMON, "model": "lenet", "optimizer": "adam", "learning_rate": 0.001, "batch": 50, "epochs": 4}
NORMALIZED = {"mean": [0.4914, 0.4822, 0.4465], "std": [0.2470, 0.2435, 0.2616]}
RESNET20 = {
    **COMMON, "model": str(HERE.resolve() / "cifar10" / "resnet20.yaml"), "learning_rate": 0.05, "batch": 64,
    "data": {**COMMON["data"], "preprocess": NORMALIZED}, "warm_up": {"length": 1, "start": 0.1}, "epochs": 5,
    "optimizer": {"momentum": {"momentum": 0.9, "weight_decay": 0.0001}},
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--mnist", type=Path)
    parser.add_argument("--cifar", type=Path)
    parser.add_argument("--seeds", type=int, default=5, help="two at least")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    recipes = write_projects(options.out, options.mnist, options.cifar)
    log = options.out / "found.jsonl"
    found = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    for net, recipe in recipes.items():
        for seed in range(options.seeds):
            for engine in ENGINES:
                if not any((each["net"], each["seed"], each["engine"]) == (net, seed, engine) for each in found):
                    found.append(run(net, recipe, seed, engine))
                    with log.open("a") as file:
                        file.write(json.dumps(found[-1]) + "\n")
        report(net, [each for each in found if each["net"] == net])


def write_projects(out: Path, mnist: Path | None, cifar: Path | None) -> dict[str, Path]:
    """The recipes by net, with their data beside them; of the data that are there."""
    found = {"digits": HERE.parent / "examples" / "digits" / "recipe.yaml"}
    for net, source, recipe in (("lenet", mnist, LENET), ("resnet20", cifar, RESNET20)):
        if source is None:
            continue
        folder = out / net
        folder.mkdir(exist_ok=True)
        for part, (x, y) in (mnist_parts if net == "lenet" else cifar_parts)(source):
            np.savez(folder / f"{part}.npz", x=x, y=y)
        found[net] = folder / "recipe.json"
        found[net].write_text(json.dumps(recipe))
    return found


def mnist_parts(folder: Path) -> Iterable[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    """(train or test, (images [N, 28, 28, 1], labels [N])); the file's first digits are as good as any."""
    for part, name, count in (("train", "train", TRAINED), ("test", "t10k", 10_000)):
        x, y = (read_idx(folder / f"{name}-{kind}-ubyte.gz", MEMORY) for kind in ("images-idx3", "labels-idx1"))
        yield part, (x[:count].reshape(-1, 28, 28, 1), y[:count])


def cifar_parts(folder: Path) -> Iterable[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    """(train or test, (images [N, 32, 32, 3], labels [N])), drawn at random, since files are sorted by class."""
    for part, count in (("train", TRAINED), ("test", TESTED)):
        with np.load(folder / f"{part}.npz") as arrays:
            x, y = arrays["x"], arrays["y"]
        chosen = np.random.default_rng(0).permutation(len(y))[:count]
        yield part, (x[chosen], y[chosen])


def run(net: str, recipe: Path, seed: int, engine: str) -> dict[str, Any]:
    """A training: the loss of its last epoch, and the accuracy of its best weights on the test images."""
    with tempfile.TemporaryDirectory() as folder:
        before = time.perf_counter()
        last = train(recipe, Path(folder) / "run", (f"seed={seed}",), options=Options(threads=1, engine=engine))
        seconds = time.perf_counter() - before
        accuracy = evaluate_run(Path(folder) / "run", options=Options(threads=1, engine="numpy"))["accuracy"]
    found = {"net": net, "seed": seed, "engine": engine, "loss": last["loss"], "accuracy": accuracy}
    print(found, f"{seconds:.0f} s", flush=True)
    return found


def report(net: str, runs: Sequence[Mapping[str, Any]]) -> None:
    """Each seed's accuracies, their means and standard deviations, and how far apart the means are beside these."""
    accuracies = {engine: [each["accuracy"] for each in runs if each["engine"] == engine] for engine in ENGINES}
    for engine, each in accuracies.items():
        said = " · ".join(f"{accuracy:.4f}" for accuracy in each)
        print(f"{net}, {engine}: {said}: {statistics.mean(each):.4f} ± {statistics.stdev(each):.4f}")
    apart = abs(statistics.mean(accuracies["numpy"]) - statistics.mean(accuracies["onnxruntime"]))
    spread = max(map(statistics.stdev, accuracies.values()))
    print(f"{net}: means {apart:.4f} apart, {'within' if apart <= spread else 'MORE THAN'} the spread of {spread:.4f}")


if __name__ == "__main__":
    main()
