"""What the examples share: options, data, a training run, tables and pictures.

Every example trains as `graphc train` does, from the recipe in its folder with some settings replaced.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphc import weights
from graphc.data.digits import read_digits
from graphc.data.examples import IMAGE, LABEL, MEMORY_LIMIT
from graphc.data.sources import Cifar10, Npz, Source
from graphc.errors import DivergedError, GraphcError, missing_extra
from graphc.execution.network import Network
from graphc.graph import Plan
from graphc.report.tables import render
from graphc.train import commands
from graphc.train.progress import Silent
from graphc.train.recipe import read_recipe
from graphc.train.run_folder import RunFolder
from graphc.train.task import task_of
from graphc.types import Array

Set = tuple[Array, Array]
"""Images N H W C and labels N."""


# the command line --------------------------------------------------------------------------------------------


def arguments(
    doc: str, here: Path, data: str = "", more: Callable[[argparse.ArgumentParser], None] | None = None
) -> argparse.Namespace:
    """`--small`, `--out FOLDER`, where `data` says what for `--data FOLDER`, and what the example adds."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a setting of seconds, which shows less")
    parser.add_argument("--out", type=Path, default=here, help="folder for the pictures")
    if data:
        parser.add_argument("--data", type=Path, help=data)
    if more:
        more(parser)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    return options


def run(main: Callable[[], Any]) -> None:
    """The example, with one sentence instead of a traceback where the user can do something."""
    try:
        main()
    except GraphcError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


# data ----------------------------------------------------------------------------------------------------------


def digits(part: str) -> Set:
    """scikit-learn's digits, 8×8×1, 0..1; `part` is train or test."""
    examples = read_digits(part)  # type: ignore[arg-type]
    return examples.inputs[IMAGE], examples.targets[LABEL]


def cifar10(folder: Path | None, part: str, count: int | None = None) -> Set:
    """Images of CIFAR-10 as bytes, 32×32×3, `count` of them by seed 0: from the binary version or PART.npz."""
    names = [f"data_batch_{number}.bin" for number in range(1, 6)] if part == "train" else ["test_batch.bin"]
    if folder is None or not any((folder / name).is_file() for name in (names[0], f"{part}.npz")):
        raise SystemExit(
            "this example needs CIFAR-10: --data FOLDER, a folder with data_batch_1.bin … test_batch.bin\n"
            "(the binary version from the data set's home page) or the train.npz and test.npz that\n"
            "benchmarks/cifar10_to_npz.py writes; --small runs without"
        )
    binary = (folder / names[0]).is_file()
    source: Source = Cifar10(files=tuple(names)) if binary else Npz(path=f"{part}.npz")
    examples = source.load(folder, MEMORY_LIMIT)
    rows = np.random.default_rng(0).permutation(len(examples))[:count]
    return examples.inputs[IMAGE][rows], examples.targets[LABEL][rows]


def stored(folder: Path | str, name: str, images: Array, labels: Array) -> dict[str, Any]:
    """The set as a file; what a recipe calls it."""
    path = Path(folder).resolve() / f"{name}.npz"
    np.savez(path, x=images, y=labels)
    return {"npz": {"path": str(path)}}


# training --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trained:
    """What came out of a run."""

    plan: Plan
    params: Mapping[str, Array]
    """The best weights; none where training diverged before the first validation."""
    records: Sequence[Mapping[str, Any]]
    """The log's lines, one an epoch."""
    diverged: bool

    def values(self, images: Array, *nodes: str) -> dict[str, Array]:
        """The values of layers (default: the outputs) on images as the network reads them."""
        run = Network(self.plan).forward(self.params, {self.plan.graph.inputs[0].name: images}, False, keep=nodes)
        return run.values if nodes else run.outputs

    def accuracy(self, images: Array, labels: Array) -> float:
        (logits,) = self.values(images).values()
        return float((logits.argmax(axis=-1) == labels).mean())

    def last(self, key: str) -> float:
        return float(self.records[-1][key]) if self.records else math.nan

    def first_step(self, key: str, least: float) -> int | None:
        """The step after which `key` was first at least so much."""
        return next((record["step"] for record in self.records if record.get(key, -math.inf) >= least), None)


class Reached(Exception):
    """The run has shown what it was for."""


class Watch(Silent):
    """Ends a run once a number of the log is at least so much."""

    def __init__(self, key: str, least: float) -> None:
        self.key, self.least = key, least

    def epoch_done(self, record: Mapping[str, Any], seconds: float, examples: int) -> None:
        if record[self.key] >= self.least:
            raise Reached


def train(
    recipe: Path,
    settings: Mapping[str, Any] | None = None,
    *,
    folder: Path | None = None,
    until: tuple[str, float] | None = None,
) -> Trained:
    """`graphc train RECIPE --set KEY=VALUE …`; the run stays in `folder`. `until`: (key of the log, enough of it)."""
    written = {key: value if isinstance(value, str) else json.dumps(value) for key, value in (settings or {}).items()}
    overrides = [f"{key}={value}" for key, value in written.items()]
    diverged = False
    with tempfile.TemporaryDirectory() as temporary:
        run = RunFolder(folder or Path(temporary) / "run")
        try:
            commands.train(recipe, run.path, overrides, Watch(*until) if until else None)
        except DivergedError:
            diverged = True
        except Reached:
            pass
        found = read_recipe(recipe, overrides)
        plan = task_of(found, recipe.parent).plan
        shapes = {name: spec.shape for name, spec in plan.variables.items()}
        params = weights.load(run.best, shapes)[0] if run.best.exists() else {}
        return Trained(plan, params, run.records(), diverged)


# what is shown -------------------------------------------------------------------------------------------------


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    print(render(columns, rows, "table"))


def figure(columns: int = 1, rows: int = 1, width: float = 4.5, height: float = 3.4) -> tuple[Any, Any]:
    """A matplotlib figure without a window, and its axes."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_extra("matplotlib", "plot") from None
    sheet = Figure(figsize=(columns * width, rows * height), layout="constrained")
    return sheet, sheet.subplots(rows, columns)


def save(sheet: Any, path: Path) -> None:
    sheet.savefig(path, dpi=90)
    print(f"wrote {path}")
