"""The data sets of a recipe, with the targets that its losses want."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from graphc.data.annotated import finite
from graphc.data.annotation_shapes import check_annotations
from graphc.data.classes import labeled_alike, typed_alike
from graphc.data.examples import MEMORY_LIMIT, Examples, check_one_class, split
from graphc.data.sample import VALID
from graphc.data.sources import Source
from graphc.data.value_range import ImageValues
from graphc.data.wanted import ANYTHING, Wanted
from graphc.errors import SpecError, counted
from graphc.train.distill import with_unlabeled
from graphc.train.image_values import like_training
from graphc.train.inputs import check_size, training_values
from graphc.train.targets import shared_classes, wanted_targets, with_numbers
from graphc.train.task import Task


@dataclass(frozen=True, slots=True)
class Sets:
    """The data of a run."""

    train: Examples
    validation: Examples | None

    def said(self) -> list[str]:
        """What was left out or decided in reading, each sentence once."""
        return list(dict.fromkeys(said for each in (self.train, self.validation) if each for said in said_of(each)))


def said_of(examples: Examples) -> list[str]:
    """What was left out or decided in reading a data set."""
    found = [f"{examples.source}: {note}" for note in examples.notes]
    if examples.skipped:
        count = counted(len(examples.skipped), "file")
        found.append(f"{examples.source}: {count} left out, the first: {examples.skipped[0]}")
    return found


def read_sets(task: Task, base: Path, limit: int = MEMORY_LIMIT) -> Sets:
    """Training and validation examples, with the targets that the losses want; classes count by name in both."""
    recipe, plan = task.recipe, task.plan
    wanted = wanted_targets(recipe, task.heads)
    for part, source in (("train", recipe.data.train), ("validation", recipe.data.validation)):
        if source is not None:
            check_size(source, plan, recipe, ("data", part))
    train = read_set(recipe.data.train, base, limit, wanted)
    if recipe.data.balanced:
        check_one_class(train, "`balanced`")
    validation = None
    if recipe.data.validation is not None:
        known = replace(wanted, classes=shared_classes(train, wanted), whole=False)
        validation = read_set(recipe.data.validation, base, limit, known)
        with recipe.placing(("data", "preprocess")):
            values = training_values(train, plan, recipe.data)
        validation = like_training(validation, values, plan)
    elif recipe.data.validation_share is not None:
        train, validation = split(train, recipe.data.validation_share, recipe.seed, recipe.data.stratified)
    if recipe.data.unlabeled is not None:
        train = with_unlabeled(train, recipe.data.unlabeled.load(base, limit, replace(wanted, targets={})), limit)
    return Sets(train, validation)


def read_set(source: Source, base: Path, limit: int = MEMORY_LIMIT, wanted: Wanted = ANYTHING) -> Examples:
    """All examples of a source, targets as the losses want them; of boxes and key points it is always said which are
    there."""
    examples = typed_alike(source.load(base, limit, wanted), wanted)
    check_annotations(examples)
    there = {valid: finite(examples.targets[name]) for name, valid in VALID.items() if name in examples.targets}
    return replace(examples, targets={**there, **examples.targets})


def read_test(
    task: Task,
    base: Path,
    classes: Mapping[str, Sequence[str]],
    values: Mapping[str, ImageValues],
    limit: int = MEMORY_LIMIT,
) -> tuple[str, Examples]:
    """What a run is evaluated on, and its name: the recipe's test set, else what it was validated on; `classes`: the
    training set's names by target; `values`: of its images, by input."""
    data, plan, wanted = task.recipe.data, task.plan, wanted_targets(task.recipe, task.heads)
    known = replace(wanted, classes=with_numbers(classes, wanted), whole=False)
    if data.test is not None:
        return "test", like_training(read_set(data.test, base, limit, known), values, plan)
    if data.validation is not None:
        return "validation", like_training(read_set(data.validation, base, limit, known), values, plan)
    held_out = read_sets(task, base, limit).validation
    if held_out is None:
        raise SpecError("G611", "the recipe names neither a test nor a validation set: say which data to read")
    return "validation_share", like_training(labeled_alike(held_out, known.classes), values, plan)
