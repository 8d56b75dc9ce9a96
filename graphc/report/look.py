"""`graphc data stats` and `graphc data preview`, as functions: look before training."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from graphc.data.annotated_image import annotated_image
from graphc.data.augment.base import Augmentation, augment, generator
from graphc.data.augment.mix import Mix
from graphc.data.classes import LISTED
from graphc.data.examples import BOX_LABEL, LABEL, MEMORY_LIMIT, Examples
from graphc.data.preview import chart, sheet
from graphc.data.sample import Sample, sample_of
from graphc.data.sources import Source
from graphc.data.stats import Statistics, shared, statistics
from graphc.data.stored import STORED
from graphc.data.value_range import AnyRange
from graphc.errors import DataError, Place
from graphc.files import atomic_write
from graphc.report.tables import render
from graphc.train.augment_memory import check_augment_memory
from graphc.train.batching import point_order
from graphc.train.datasets import read_set
from graphc.train.recipe import Recipe, read_recipe
from graphc.train.targets import wanted_targets

LONGEST, LONGEST_CLASS = 1_000, 100
"""Letters of a fact, and of a class's name."""


def stats(
    recipe_path: Path | str, overrides: Sequence[str], form: str, picture: str | None, limit: int = MEMORY_LIMIT
) -> str:
    """A table of facts about a recipe's sets; `picture`: also a chart as PNG."""
    recipe, base = read_recipe(recipe_path, overrides), Path(recipe_path).parent
    found: dict[str, Statistics] = {}
    wanted = wanted_targets(recipe)
    for name in ("train", "validation", "test"):
        source = getattr(recipe.data, name)
        if source is not None:
            found[name] = statistics(read_set(_tolerant(source), base, limit, wanted))
    cells: list[list[Any]] = [
        [name, what, _cut(value, LONGEST)] for name, each in found.items() for what, value in each.facts.items()
    ]
    cells += [
        [name, f"class {_cut(label)}", count] for name, each in found.items() for label, count in each.classes.items()
    ]
    cells += [
        ["train", f"also in {name}", shared(found["train"], each)] for name, each in found.items() if name != "train"
    ]
    cells += [row for name, each in found.items() if name != "train" for row in _class_rows(found["train"], name, each)]
    if picture is not None:
        _write(chart(found), picture)
    return render(("set", "what", "value"), cells, form)


def _cut(value: Any, length: int = LONGEST_CLASS) -> Any:
    """A text that is cut off where it is long: a column is as wide as the longest."""
    return f"{value[:length]} …" if isinstance(value, str) and len(value) > length else value


def _class_rows(train: Statistics, name: str, other: Statistics) -> list[list[Any]]:
    """Classes that only one of two sets has."""
    pairs = (("classes that train does not have", train, other), ("classes of train that are not there", other, train))
    rows: list[list[Any]] = []
    for what, without, having in pairs:
        there = {label for label, count in without.classes.items() if count}
        lost = [label for label, count in having.classes.items() if count and label not in there]
        if lost and without.classes:
            some = ", ".join(map(_cut, lost[:LISTED])) + (" …" if len(lost) > LISTED else "")
            rows.append([name, what, f"{len(lost)} ({some})"])
    return rows


def preview(
    recipe_path: Path | str,
    overrides: Sequence[str],
    output: str,
    count: int = 8,
    columns: int = 5,
    epoch: int = 0,
    limit: int = MEMORY_LIMIT,
) -> str:
    """A contact sheet of `count` training examples and what the epochs from `epoch` on make of them; what it shows."""
    recipe, base = read_recipe(recipe_path, overrides), Path(recipe_path).parent
    examples = read_set(recipe.data.train, base, limit, wanted_targets(recipe))
    images = next(iter(examples.inputs.values()))
    if images.ndim not in (3, 4):
        raise DataError("G404", "expected images to look at", Place(examples.source))
    check_augment_memory(recipe, examples, limit, training=True)
    size = (int(images.shape[1]), int(images.shape[2]))
    values = examples.range_of(next(iter(examples.inputs)))
    chosen = np.random.default_rng([recipe.seed, 0x10CC]).permutation(len(examples))[:count]
    rows, labels, box_labels = [], [], []
    order = point_order(recipe, examples)
    for row in sorted(chosen.tolist()):
        original = _sample(examples, row, values, recipe.mask_fill, order)
        stored = isinstance(images, STORED)
        augmented = [_augmented(recipe, original, row, epoch + each, size, stored) for each in range(columns)]
        rows.append([original, *augmented])
        labels.append(_label(examples, row))
        box_labels.append(examples.targets[BOX_LABEL][row] if BOX_LABEL in examples.targets else None)
    _write(sheet(rows, labels, box_labels), output)
    steps = ", ".join(step.kind for step in recipe.data.augment) or "no augmentation"
    mixed = (
        " (mixup and cutmix mix whole batches: not shown)"
        if any(isinstance(s, Mix) for s in recipe.data.augment)
        else ""
    )
    return f"{len(rows)} examples, epochs {epoch} to {epoch + columns - 1}: {steps}{mixed}"


def _augmented(recipe: Recipe, sample: Sample, row: int, epoch: int, size: tuple[int, int], stored: bool) -> Sample:
    """What training makes of the example in an epoch, to the bit."""
    steps = [step for step in recipe.data.augment if isinstance(step, Augmentation)]
    rng, data = generator(recipe.seed, epoch, row), recipe.data
    return augment(sample, steps, rng, size, data.min_visibility, data.resize, stored)


def _sample(examples: Examples, row: int, values: AnyRange | None, mask_fill: int, mirrored: tuple[int, ...]) -> Sample:
    image, annotations = annotated_image(examples, next(iter(examples.inputs)), row)
    return sample_of(image[..., None] if image.ndim == 2 else image, annotations, values, mask_fill, mirrored)


def _label(examples: Examples, row: int) -> str:
    labels = examples.targets.get(LABEL)
    if labels is None or labels.ndim != 1:
        return examples.name(row)
    kind = labels[row]
    if not np.issubdtype(labels.dtype, np.integer):
        return f"{examples.name(row)}: {kind:g}"
    return f"{examples.name(row)}: {examples.classes[kind] if 0 <= kind < len(examples.classes) else kind}"


def _tolerant(source: Source) -> Source:
    """Bad files are to be counted here, not to end the command."""
    there = {"bad_files", "bad_annotations"} & type(source).model_fields.keys()
    return source.model_copy(update=dict.fromkeys(there, "skip"))


def _write(image: Image.Image, path: str) -> None:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    atomic_write(path, buffer.getvalue())
