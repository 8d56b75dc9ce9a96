"""Warnings before training: what is legal between a network, its losses and the data, and probably not meant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from graphc.data.augment.geometry import FlipHorizontal, FlipVertical
from graphc.data.examples import Examples
from graphc.data.stored import StoredMasks
from graphc.data.target_kind import TargetKind
from graphc.errors import Warn
from graphc.graph import Plan
from graphc.lazy import np
from graphc.train.batching import point_order
from graphc.train.loss_term import LossTerm
from graphc.train.loss_terms import LossTerms, keys_of

Lint: TypeAlias = Callable[[Plan, LossTerms, Examples], Iterator[Warn]]


def lints(plan: Plan, heads: LossTerms, train: Examples) -> list[Warn]:
    """Every warning, in the order of LINTS and then of the heads; `train` has what the heads need."""
    return [warning for lint in LINTS for warning in lint(plan, heads, train)]


def no_logits(plan: Plan, heads: LossTerms, train: Examples) -> Iterator[Warn]:
    """Losses that make probabilities of what they read, on what is behind a softmax, a sigmoid or a ReLU."""
    for number, head in enumerate(heads.targets):
        if head.loss.activation_of(head.shape) == "none":
            continue
        node = plan.by_name[head.node].node
        while node.layer.family in ("shape", "regularization") and node.inputs[0] in plan.by_name:
            node = plan.by_name[node.inputs[0]].node
        if node.layer.gives:
            source, gives = node.inputs[0], f"{node.layer.gives} ({node.layer.kind})"
            is_own = node.name.startswith(f"{source}/")
            instead = f"write activation: none on {source}" if is_own else f"put the loss on {source}"
            message = f"{head.loss.kind} takes logits, {head.name} gives {gives}: {instead}"
            yield Warn("G623", message, heads.recipe.place_of(keys_of(heads.recipe, number)))


def outputs_without_classes(plan: Plan, heads: LossTerms, train: Examples) -> Iterator[Warn]:
    """More outputs than classes; fewer are an error."""
    for head in heads.targets:
        classes = _classes(head, train)
        if classes is not None and classes < head.shape[-1]:
            message = (
                f"{head.name} tells {head.shape[-1]:,} classes apart, the training set has {classes:,}: the other"
                " outputs learn that they are never right"
            )
            yield Warn("G624", message, plan.by_name[head.node].node.place)


def _classes(head: LossTerm, train: Examples) -> int | None:
    """How many classes the labels of a head count; None where they are no classes, or are in files."""
    labels = train.targets[head.target]
    if isinstance(labels, StoredMasks) or not np.issubdtype(labels.dtype, np.integer):
        return None
    if head.loss.kind_of(head.shape, labels.shape[1:], True) is not TargetKind.CLASS or head.shape[-1] < 2:
        return None
    names = train.classes_of(head.target)
    if names and names != tuple(map(str, range(len(names)))):
        return len(names)
    counting = labels[labels != head.loss.ignored] if head.loss.ignored is not None else labels
    return int(counting.max(initial=-1)) + 1


def points_without_pairs(plan: Plan, heads: LossTerms, train: Examples) -> Iterator[Warn]:
    """Several key points in images that are flipped, of which none is the left or right of another."""
    recipe = heads.recipe
    flips = next((at for at, step in enumerate(recipe.data.augment) if step.kind in FLIPS), None)
    order = point_order(recipe, train)
    if flips is None or recipe.data.flip_pairs is not None or len(order) < 2 or order != tuple(range(len(order))):
        return
    message = (
        f"{recipe.data.augment[flips].kind} leaves each of {len(order)} key points its number: where some are left and"
        " right ones, name their pairs as data.flip_pairs ([]: there are none)"
    )
    yield Warn("G625", message, recipe.place_of(("data", "augment", flips)))


FLIPS = (FlipHorizontal.kind, FlipVertical.kind)
LINTS: tuple[Lint, ...] = (no_logits, outputs_without_classes, points_without_pairs)
