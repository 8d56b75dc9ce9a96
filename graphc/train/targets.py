"""What a recipe's losses want of its data sets, and the classes that these share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from graphc.data.examples import BOX_LABEL, LABEL, Examples
from graphc.data.sample import BOXES, MASK
from graphc.data.target_kind import TargetKind
from graphc.data.wanted import Want, Wanted
from graphc.train.loss_terms import LossTerms
from graphc.train.metrics.base import VALUES
from graphc.train.recipe import Recipe


def wanted_targets(recipe: Recipe, heads: LossTerms | None = None) -> Wanted:
    """The targets that losses and weights name, with what may stand there; without heads shapes are not known."""
    found: dict[str, Want] = {}
    for target, want in _wants(recipe, heads):
        found[target] = want if target not in found else _both(found[target], want)
    if recipe.data.balanced or recipe.data.stratified:
        found.setdefault(LABEL, Want())
    data = recipe.data
    return Wanted(found, resizing=data.resize, mask_fill=recipe.mask_fill, whole=bool(data.augment))


def shared_classes(train: Examples, wanted: Wanted) -> dict[str, tuple[str, ...]]:
    """Names of the training set's classes by target; those of labels without names are their numbers."""
    names = {target: train.classes_of(target) for target in train.targets if train.classes_of(target)}
    return with_numbers(names, wanted)


def classes_in(facts: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Names of the training set's classes by target, from a run's facts; runs of old know one kind of class."""
    found = {LABEL: facts["classes"], BOX_LABEL: facts["classes"], **facts.get("target_classes", {})}
    return {target: tuple(names) for target, names in found.items()}


def with_numbers(names: Mapping[str, Sequence[str]], wanted: Wanted) -> dict[str, tuple[str, ...]]:
    """The names by target, and numbers for other targets that are classes."""
    found = {target: tuple(each) for target, each in names.items() if each}
    for target, want in (wanted.targets or {}).items():
        if target not in (*found, MASK) and TargetKind.CLASS in want.kinds and want.classes is not None:
            found[target] = tuple(map(str, range(want.classes)))
    return found


def _wants(recipe: Recipe, heads: LossTerms | None) -> Iterator[tuple[str, Want]]:
    """(target, what one loss wants of it), weights of examples too."""
    if heads is not None:
        for head in heads.targets:
            yield from head.wants()
            if head.example_weights:
                yield head.example_weights, Want(VALUES)
        return
    if recipe.loss is not None:
        target = BOXES if TargetKind.BOXES in recipe.loss.target_kinds else LABEL
        yield target, Want(recipe.loss.target_kinds, alphabet=recipe.loss.codes)
    if recipe.example_weights:
        yield recipe.example_weights, Want(VALUES)
    for written in recipe.heads:
        yield written.target, Want(written.loss.target_kinds, alphabet=written.loss.codes)
        if written.example_weights:
            yield written.example_weights, Want(VALUES)


def _both(a: Want, b: Want) -> Want:
    """What two losses want of one target."""
    shape = b.shape if a.shape is None else a.shape if b.shape is None else max(a.shape, b.shape)
    return Want(a.kinds | b.kinds, shape, a.ignore if b.ignore is None else b.ignore, a.alphabet or b.alphabet)
