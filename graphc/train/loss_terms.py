"""Where losses and metrics meet the network: which node's value is compared with which target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from graphc.data.batch import Batch
from graphc.data.examples import LABEL, Examples
from graphc.data.masks import MaskRule
from graphc.data.sample import BOXES, MASK
from graphc.data.stored import StoredMasks
from graphc.data.target_kind import TargetKind
from graphc.errors import DataError, Place, SpecError, clipped, did_you_mean
from graphc.graph import Plan
from graphc.layers.protocols import SuppressesBoxes
from graphc.lazy import np
from graphc.train.detection_term import detection_term
from graphc.train.distill import distilled
from graphc.train.loss_term import LossTerm, Values
from graphc.train.losses import Mean
from graphc.train.losses.base import where_weighed
from graphc.train.metrics import Head, Metric
from graphc.train.pairing import check_pairing
from graphc.train.recipe import Recipe
from graphc.train.target_checks import check_weights
from graphc.types import Array

DEFAULT_OUTPUT = "logits"


@dataclass(frozen=True, slots=True)
class Judge:
    """A metric on one head."""

    name: str
    """In the log."""
    metric: Metric
    head: int
    """Which of the heads."""
    keys: tuple[str | int, ...]
    """Where the recipe says it."""


@dataclass(frozen=True, slots=True)
class LossResult:
    """What the losses say of one batch."""

    terms: tuple[Mean, ...]
    """One for each head; with a teacher two: of the labels, and of what the teacher says."""
    gradients: dict[str, Array]
    """By node, of the weighted sum."""


class LossTerms:
    """Every loss and metric of a recipe, on the nodes of a plan."""

    def __init__(self, plan: Plan, recipe: Recipe) -> None:
        self.targets = _targets(plan, recipe)
        for number, head in enumerate(self.targets):
            with recipe.placing(keys_of(recipe, number)):
                head.loss.check(head.shape, head.name)
        self.recipe = recipe
        self.teacher = recipe.teacher
        self._unlabeled = recipe.data.unlabeled is not None
        self.nodes = tuple(dict.fromkeys(node for head in self.targets for node in (*head.sources, head.node)))
        self.judges = _judges(self.targets, recipe)
        """The recipe's metrics."""
        self.judged_heads = tuple(dict.fromkeys(judge.head for judge in self.judges))
        self._forms = tuple(head.form for head in self.targets)
        for judge in self.judges:
            with recipe.placing(judge.keys):
                head = self.targets[judge.head]
                check_pairing(judge.metric, self._forms[judge.head], head.name)

    @property
    def first(self) -> LossTerm:
        """The head that metrics judge, where the recipe names none."""
        return self.targets[0]

    @property
    def by_node(self) -> dict[str, LossTerm]:
        """The first head on each node."""
        found: dict[str, LossTerm] = {}
        for head in self.targets:
            found.setdefault(head.node, head)
        return found

    @property
    def mask_rule(self) -> MaskRule | None:
        """Which values masks may have, as the losses on them say; None where there is none."""
        heads = [head for head in self.targets if head.target == MASK]
        if not heads:
            return None
        ignored = {head.loss.ignored for head in heads}
        counting = [head for head in heads if TargetKind.CLASS in head.loss.kinds(head.shape)]
        classes = min((max(head.shape[-1], 2) for head in counting), default=None)
        rule = MaskRule(classes, ignored.pop() if len(ignored) == 1 else None, self.recipe.mask_fill)
        if not rule.takes(rule.fill):
            with self.recipe.placing(("data", "mask_fill")):
                ignored_too = "" if rule.ignore is None else f" or {rule.ignore}, which is ignored"
                message = f"expected a class from 0 to {(classes or 1) - 1}{ignored_too}, found {rule.fill}"
                raise SpecError("G606", f"data.mask_fill: {message}")
        return rule

    @property
    def factors(self) -> tuple[float, ...]:
        """Of each term in the sum of all losses."""
        if self.teacher is not None:
            return (1 - self.teacher.weight, self.teacher.weight)
        return tuple(head.weight for head in self.targets)

    def form(self, index: int) -> Head:
        """What metrics know of a head."""
        return self._forms[index]

    def judge(self, run: Values, batch: Batch, shares: Sequence[float] | None = None) -> LossResult:
        """Losses and gradients of a forward pass; `shares`: this batch's part of each term's mean, default all."""
        predictions = [head.prediction(run) for head in self.targets]
        terms = self._terms(predictions, batch)
        gradients: dict[str, Array] = {}
        for number, (term, factor) in enumerate(zip(terms, self.factors_of(terms), strict=True)):
            head = self.targets[min(number, len(self.targets) - 1)]
            gradient, scale = term.gradient, factor * (1.0 if shares is None else shares[number])
            if scale != 1:
                gradient *= scale
            for node, each in head.gradients(gradient).items():
                gradients[node] = gradients[node] + each if node in gradients else each
        return LossResult(terms, gradients)

    def factors_of(self, terms: Sequence[Mean]) -> tuple[float, ...]:
        """Of each term in the sum of all losses; where nothing is distilled the labels' term stands alone."""
        return self.factors if len(terms) == len(self.factors) else (1.0,)

    def counts(self, batch: Batch) -> tuple[int, ...]:
        """How many loss values each term is a mean of; it does not depend on the predictions."""
        dtype, targets = self.recipe.dtype, batch.targets
        if self.teacher is not None:
            nothing = [head.nothing(len(batch), dtype) for head in self.targets]
            return tuple(term.count for term in self._terms(nothing, batch))
        return tuple(
            head.count(head.target_of(targets), targets[head.example_weights] if head.example_weights else None, dtype)
            for head in self.targets
        )

    def _terms(self, predictions: Sequence[Array], batch: Batch) -> tuple[Mean, ...]:
        targets = batch.targets
        if self.teacher is not None and batch.teacher is not None:
            known = targets[self.first.target]
            return distilled(self.first.loss, self.teacher, predictions[0], known, batch.teacher)
        found = []
        for head, prediction in zip(self.targets, predictions, strict=True):
            weights = targets[head.example_weights] if head.example_weights else None
            found.append(head.mean(prediction, head.target_of(targets), weights))
        return tuple(found)

    def judged(self, run: Values, batch: Batch, training: bool = False) -> dict[int, tuple[Array, Array]]:
        """(predictions [n, ...], targets [n, ...]) that metrics count, by head: without ignored labels, and what weighs
        nothing."""
        return {
            index: self._judged(self.targets[index], run, batch.targets)
            for index in self.judged_heads
            if self.targets[index].judged_in_training or not training
        }

    def _judged(self, head: LossTerm, run: Values, targets: Mapping[str, Array]) -> tuple[Array, Array]:
        prediction, target = run.value(head.node), head.target_of(targets)
        labels = target.shape == prediction.shape[:-1]
        counted = np.ones(prediction.shape[:-1] if labels else prediction.shape[:1], bool)
        if labels and self._unlabeled:
            counted &= target >= 0
        if labels and head.loss.ignored is not None:
            counted &= target != head.loss.ignored
        if head.example_weights:
            weights = targets[head.example_weights]
            if weights.ndim <= counted.ndim:
                counted &= (weights != 0).reshape(weights.shape + (1,) * (counted.ndim - weights.ndim))
        return (prediction, target) if counted.all() else (prediction[counted], target[counted])

    def check(self, examples: Examples) -> None:
        """Whether a data set has the targets that the losses need, and metrics can judge them."""
        for head in self.targets:
            for name in filter(None, (*head.reads, head.example_weights)):
                if name not in examples.targets:
                    found = ", ".join(examples.targets)
                    hint = did_you_mean(name, examples.targets)
                    message = f"the head {head.name} needs the target {name!r}{hint}, the data have {found}"
                    raise DataError("G408", message, Place(examples.source))
            if head.example_weights:
                check_weights(examples.targets[head.example_weights], head.example_weights, examples.source)
        kinds = []
        for index, head in enumerate(self.targets):
            binary = any(judge.head == index for judge in self.judges)
            target = examples.targets[head.target]
            if self.teacher is not None and target.ndim == 1:
                target = np.maximum(target, 0)  # -1: no label
            elif head.example_weights and not isinstance(target, StoredMasks):
                target = where_weighed(target, examples.targets[head.example_weights])
            size = self._mask_size(examples) if head.target == MASK else ()
            kinds.append(head.kind_of_target(target, examples, binary, size))
        for judge in self.judges:
            with self.recipe.placing(judge.keys):
                head = self.targets[judge.head]
                check_pairing(judge.metric, self._forms[judge.head], head.name, kinds[judge.head])
        self._forms = tuple(
            replace(form, classes=examples.classes_of(head.class_target))
            for form, head in zip(self._forms, self.targets, strict=True)
        )

    def _mask_size(self, examples: Examples) -> tuple[int, ...]:
        """Height and width of masks behind preprocessing that changes them; else nothing."""
        data = self.recipe.data
        for name, array in examples.inputs.items():
            settings = data.preprocess_of(name)
            if array.ndim in (3, 4) and settings.moves:
                return settings.output_shape((*array.shape[1:], 1)[:3])[:2]
        return ()


def keys_of(recipe: Recipe, head: int) -> tuple[str | int, ...]:
    """Where a recipe says the loss of a head."""
    return ("loss",) if recipe.loss is not None else ("heads", head, "loss")


def _judges(targets: Sequence[LossTerm], recipe: Recipe) -> tuple[Judge, ...]:
    names: dict[str, int] = {}
    for number, head in enumerate(targets):
        names.setdefault(head.name, number)
    found = []
    for said in recipe.named_metrics:
        if said.head is not None and said.head not in names:
            with recipe.placing(said.keys[:2], of_key=True):
                hint = did_you_mean(said.head, names)
                raise SpecError(
                    "G606", f"metrics: expected a head ({', '.join(names)}), found {clipped(said.head)}{hint}"
                )
        index = 0 if said.head is None else names[said.head]
        found.append(Judge(said.name, said.metric, index, said.keys))
    return tuple(found)


def _targets(plan: Plan, recipe: Recipe) -> tuple[LossTerm, ...]:
    if recipe.loss is not None:
        name = _only_output(plan)
        target = BOXES if TargetKind.BOXES in recipe.loss.target_kinds else LABEL
        return (_term(plan, recipe, 0, LossTerm(name, plan.graph.outputs[name], (), recipe.loss, target)),)
    found: list[LossTerm] = []
    for number, head in enumerate(recipe.heads):
        with recipe.placing(("heads", number, "output")):
            node = _node(plan, head.output)
        before = sum(other.node == node for other in found)
        name = f"{head.output}_{before + 1}" if before else head.output
        if name in {other.name for other in found} | {other.output for other in recipe.heads if before}:
            with recipe.placing(("heads", number, "output")):
                message = (
                    f"two heads would be called {clipped(name)}, the second one on {clipped(head.output)} and another"
                )
                raise SpecError("G606", f"expected a name of its own for each head: {message}")
        found.append(_term(plan, recipe, number, LossTerm(name, node, (), head.loss, head.target, head.weight)))
    return tuple(found)


def _term(plan: Plan, recipe: Recipe, number: int, term: LossTerm) -> LossTerm:
    """The term of a head with what the plan knows of it."""
    own = recipe.heads[number].example_weights if recipe.heads else None
    shape = _static(plan.shapes[term.node], term.name)
    term = replace(term, shape=shape, example_weights=own or recipe.example_weights)
    of_boxes = TargetKind.BOXES in term.loss.target_kinds
    with recipe.placing(keys_of(recipe, number)):
        planned = plan.by_name.get(term.node)
        if planned is not None and isinstance(planned.node.layer, SuppressesBoxes) and not of_boxes:
            message = f"no gradient goes through {term.node}, the suppression of boxes: expected the loss detection"
            raise SpecError("G606", f"{message}, found {term.loss.kind}")
        if not of_boxes:
            return term
        if recipe.teacher is not None:
            raise SpecError("G606", f"teacher: expected a loss of classes or numbers, found {term.loss.kind}")
        return detection_term(plan, term, recipe.data.coordinates == "relative")


def shares_of(counts: Sequence[Sequence[int]]) -> Array:
    """The part [batches, terms] that each batch has of every term's mean over all of them, from how many values each
    mean is of."""
    found = np.array(counts, np.float64)
    return np.asarray(found / np.maximum(found.sum(axis=0), 1))


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
    for names in (plan.graph.outputs, plan.graph.end_points):
        if name in names:
            return names[name]
    if name in plan.by_name:
        return name
    known: Iterable[str] = {**plan.by_name, **plan.graph.end_points, **plan.graph.outputs}
    hint = did_you_mean(name, known)
    raise SpecError("G606", f"a head is on {clipped(name)}, which is no output, end point or layer{hint}")


def _static(shape: tuple[object, ...], name: str) -> tuple[int, ...]:
    sizes = tuple(size for size in shape if isinstance(size, int))
    if len(sizes) < len(shape):
        raise SpecError("G607", f"training needs fixed sizes, {name} has the shape {'×'.join(map(str, shape))}")
    return sizes
