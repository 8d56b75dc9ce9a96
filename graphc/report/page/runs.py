"""Training runs as the page shows them: curves, confusion, the worst mistakes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from graphc.data.examples import Examples
from graphc.execution.network import Network
from graphc.report.page.facts import digits
from graphc.report.page.tiles import data_uri, thumbnail
from graphc.train.batching import make_batches
from graphc.train.datasets import read_set, read_sets
from graphc.train.evaluation import predictions
from graphc.train.image_values import like_training
from graphc.train.inputs import training_values
from graphc.train.metrics import Head
from graphc.train.run_folder import RunFolder
from graphc.train.targets import shared_classes, wanted_targets
from graphc.train.task import Task
from graphc.train.trained import load_best, task_of_run
from graphc.types import Array

MISTAKES = 24
"""Pictures of the worst ones."""
EXAMPLES = 5000
"""Of the validation set, at most, that are looked at."""
LARGEST_MATRIX = 40
"""Classes up to which a confusion matrix can be read."""


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """A run's folder, read."""

    name: str
    folder: RunFolder
    task: Task
    params: dict[str, Array]
    """The best weights."""
    classes: tuple[str, ...]
    base: Path
    """Where the recipe's data paths start."""

    def judged(self) -> Examples:
        """The validation set (else the test set, else what was learned from), its beginning."""
        task, data = self.task, self.task.recipe.data
        sets = read_sets(task, self.base)
        examples = sets.validation
        if examples is None:
            wanted = wanted_targets(task.recipe, task.heads)
            known = replace(wanted, classes=shared_classes(sets.train, wanted))
            examples = sets.train
            if data.test is not None:
                values = training_values(sets.train, task.plan, data)
                examples = like_training(read_set(data.test, self.base, wanted=known), values, task.plan)
        return examples.take(np.arange(min(len(examples), EXAMPLES)))


def is_run(path: str) -> bool:
    return Path(path).is_dir()


def read_run(path: str) -> TrainedRun:
    folder = RunFolder(path)
    known = folder.read_facts()
    task, base = task_of_run(folder, known)
    params = load_best(task.plan, folder, task.recipe.dtype)
    return TrainedRun(Path(path).name, folder, task, params, tuple(known["classes"]), base)


def read_log(folder: RunFolder) -> list[dict[str, Any]]:
    """The log's lines, none where there is no log yet."""
    return folder.records() if folder.log.exists() else []


def run_facts(run: TrainedRun, examples: Examples | None) -> dict[str, Any]:
    """For the page; without `examples` the curves alone."""
    found = {"name": run.name, "curves": curves(read_log(run.folder)), "classes": list(run.classes)}
    return {**found, **(judgement(run, examples) if examples is not None else NOT_JUDGED)}


NOT_JUDGED: dict[str, Any] = {"confusion": None, "mistakes": []}


def curves(records: Sequence[dict[str, Any]]) -> dict[str, list[list[float]]]:
    """Name -> [step, value]…; where single steps were logged they stand for their epoch's mean."""
    steps = [record for record in records if "epoch" not in record and "changes" not in record]
    epochs = [record for record in records if "epoch" in record]
    found: dict[str, list[list[float]]] = {}
    for record in [*steps, *epochs]:
        logged_by_step = "epoch" in record and steps
        for name, value in record.items():
            is_number = isinstance(value, (int, float)) and abs(value) <= sys.float_info.max
            if name in ("epoch", "step") or not is_number or (logged_by_step and name in steps[0]):
                continue
            found.setdefault(name, []).append([record["step"], digits(value)])
    return found


def judgement(run: TrainedRun, examples: Examples) -> dict[str, Any]:
    """Confusion matrix and worst mistakes of a classifier; nothing for other tasks."""
    head = run.task.heads.first
    target = examples.targets.get(head.target)
    if len(head.shape) != 1 or head.shape[0] < 2 or target is None or target.ndim != 1:
        return NOT_JUDGED
    batches = make_batches(run.task, examples)
    network = Network(run.task.plan)
    parts = [values[head.node].copy() for _, values in predictions(network, [head.node], run.params, batches)]
    logits = np.concatenate(parts).astype(np.float64)
    form = Head(head.shape, head.loss)
    labels, found = form.labels(logits, target), form.predicted(logits)
    count = head.shape[0]
    matrix = np.bincount(labels * count + found, minlength=count * count).reshape(count, count)
    return {
        "confusion": matrix.tolist() if count <= LARGEST_MATRIX else None,
        "mistakes": mistakes(run, examples, logits, labels, found),
    }


def mistakes(run: TrainedRun, examples: Examples, logits: Array, labels: Array, found: Array) -> list[dict[str, Any]]:
    """The wrongly classified examples whose true class got the least probability: logits [N, K], labels and classes
    found [N]."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    chances = exponents / exponents.sum(axis=-1, keepdims=True)
    true = np.take_along_axis(chances, labels[:, None], axis=1)[:, 0]
    wrong = np.flatnonzero(labels != found)
    worst = wrong[np.argsort(true[wrong], kind="stable")][:MISTAKES]
    images = pictures(examples)
    return [
        {
            "image": None if images is None else data_uri(thumbnail(images[row], 96)),
            "words": f"{named(run, labels[row])}, taken for {named(run, found[row])} ({chances[row, found[row]]:.0%})",
        }
        for row in worst
    ]


def pictures(examples: Examples) -> Array | None:
    """The first input that is images [N, H, W, C]; gray ones may come without their channel."""
    for array in examples.inputs.values():
        if array.ndim in (3, 4):
            images: Array = array if array.ndim == 4 else array[..., None]
            return images
    return None


def named(run: TrainedRun, label: int) -> str:
    return run.classes[label] if label < len(run.classes) else str(label)
