"""Where losses meet the network: which node's value is compared with which target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from graphc.data.examples import LABEL, Examples, check_labels, check_shares
from graphc.data.stored import StoredMasks
from graphc.dims import format_shape
from graphc.errors import DataError, Place, SpecError, did_you_mean
from graphc.graph import Plan
from graphc.lazy import np
from graphc.train.distill import SOFT, distilled
from graphc.train.losses import Loss, SoftmaxCrossEntropy
from graphc.train.network import Run
from graphc.train.recipe import Recipe
from graphc.types import Array

DEFAULT_OUTPUT = "logits"


@dataclass(frozen=True, slots=True)
class Target:
    """A loss on one node."""

    name: str
    """As the recipe calls the output; of several on one output the later ones have a number."""
    node: str
    shape: tuple[int, ...]
    """Of one prediction."""
    loss: Loss
    target: str
    weight: float
    example_weights: str | None

    @property
    def ignored(self) -> int | None:
        """The label that does not count."""
        return self.loss.ignore if isinstance(self.loss, SoftmaxCrossEntropy) else None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the heads say of one batch."""

    loss: float
    """Weighted sum over the heads, regularizers not included."""
    parts: dict[str, float]
    """Each head's own loss."""
    gradients: dict[str, Array]
    """By node, of the weighted sum."""


class Heads:
    """Every loss of a recipe, on the nodes of a plan."""

    def __init__(self, plan: Plan, recipe: Recipe) -> None:
        self.targets = _targets(plan, recipe)
        for head in self.targets:
            head.loss.check(head.shape, head.name)
        self.teacher = recipe.teacher
        self._unlabelled = recipe.data.unlabelled is not None
        self.nodes = tuple(dict.fromkeys(target.node for target in self.targets))

    @property
    def first(self) -> Target:
        """The head that metrics judge."""
        return self.targets[0]

    def judge(self, run: Run, targets: Mapping[str, Array]) -> Judgement:
        """Losses and gradients of a forward pass."""
        parts: dict[str, float] = {}
        gradients: dict[str, Array] = {}
        total = 0.0
        for head in self.targets:
            weights = targets[head.example_weights] if head.example_weights else None
            if self.teacher is not None and SOFT in targets:
                loss, gradient = distilled(head.loss, self.teacher, run.value(head.node), targets, head.target)
            else:
                loss, gradient = head.loss(run.value(head.node), targets[head.target], weights)
            parts[head.name] = loss
            total += head.weight * loss
            if head.weight != 1:
                gradient *= head.weight
            gradients[head.node] = gradients[head.node] + gradient if head.node in gradients else gradient
        return Judgement(total, parts, gradients)

    def judged(self, run: Run, targets: Mapping[str, Array]) -> tuple[Array, Array]:
        """The first head's predictions and targets that metrics count: those with a label that is not ignored."""
        prediction, target = run.value(self.first.node), targets[self.first.target]
        if target.shape != prediction.shape[:-1]:
            return prediction, target
        counted = np.ones(target.shape, bool)
        if self._unlabelled:
            counted &= target >= 0
        if self.first.ignored is not None:
            counted &= target != self.first.ignored
        return (prediction, target) if counted.all() else (prediction[counted], target[counted])

    def check(self, examples: Examples) -> None:
        """Whether a data set has the targets that the losses need, labels in range."""
        for head in self.targets:
            for name in filter(None, (head.target, head.example_weights)):
                if name not in examples.targets:
                    found = ", ".join(examples.targets)
                    hint = did_you_mean(name, examples.targets)
                    message = f"the head {head.name} needs the target {name!r}{hint}, the data have {found}"
                    raise DataError("G408", message, Place(examples.source))
            target = examples.targets[head.target]
            labelled = self.teacher is None or target.ndim != 1
            self._check_target(head, target if labelled else np.maximum(target, 0), examples.source)

    @staticmethod
    def _check_target(head: Target, target: Array, source: str) -> None:
        found = target.shape[1:]
        if head.shape in (found, (*found, 1)):
            if head.loss.of_shares and not isinstance(target, StoredMasks):
                check_shares(target, source)
            return
        if found == head.shape[:-1]:
            if isinstance(target, StoredMasks):
                return  # in files: looked at when they are read
            kept = target if head.ignored is None else np.where(target == head.ignored, 0, target)
            check_labels(kept, head.shape[-1], source)
            return
        message = (
            f"{head.name} gives {format_shape(head.shape)} an example: expected targets of this shape or labels of "
            f"{format_shape(head.shape[:-1])}, found {format_shape(found)}"
        )
        raise DataError("G404", message, Place(source))


def _targets(plan: Plan, recipe: Recipe) -> tuple[Target, ...]:
    shapes = {planned.node.name: planned.shape for planned in plan.nodes}
    if recipe.loss is not None:
        name = _only_output(plan)
        node = plan.graph.outputs[name]
        return (Target(name, node, _static(shapes[node], name), recipe.loss, LABEL, 1.0, None),)
    found: list[Target] = []
    for head in recipe.heads:
        node = _node(plan, head.output)
        shape = _static(shapes[node], head.output)
        before = sum(other.node == node for other in found)
        name = f"{head.output}_{before + 1}" if before else head.output
        found.append(Target(name, node, shape, head.loss, head.target, head.weight, head.example_weights))
    return tuple(found)


def _only_output(plan: Plan) -> str:
    outputs = plan.graph.outputs
    if len(outputs) == 1:
        return next(iter(outputs))
    if DEFAULT_OUTPUT in outputs:
        return DEFAULT_OUTPUT
    names = ", ".join(outputs)
    raise SpecError("G606", f"the spec has the outputs {names}: say with `heads` which loss is on which")


def _node(plan: Plan, name: str) -> str:
    """The node of an output, an end point or a layer."""
    nodes = {planned.node.name: planned.node.name for planned in plan.nodes}
    for names in (plan.graph.outputs, plan.graph.end_points, nodes):
        if name in names:
            return names[name]
    known: Iterable[str] = {**nodes, **plan.graph.end_points, **plan.graph.outputs}
    raise SpecError("G606", f"a head is on {name!r}, which is no output, end point or layer{did_you_mean(name, known)}")


def _static(shape: tuple[object, ...], name: str) -> tuple[int, ...]:
    sizes = tuple(size for size in shape if isinstance(size, int))
    if len(sizes) < len(shape):
        raise SpecError("G607", f"training needs fixed sizes, {name} has the shape {'×'.join(map(str, shape))}")
    return sizes
