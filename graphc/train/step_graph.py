"""A recipe's training step as one ONNX model: forward, losses, backward, regularizers, clipping, optimizer, averages.

Names: a state input X (`params/net/conv1/weights`, `slots/momentum/net/conv1/weights`, `average/…`: as in checkpoints)
is one for which there is an output `next/X`. Further inputs: the spec's, `label/HEAD`, `weight/HEAD` where examples are
weighed, `learning_rate`, `step` (steps done before) where something depends on it, and `LAYER/uniform` (random numbers
from 0 up to 1) of dropout. Further outputs: `loss`, `loss/HEAD`, `penalty` where there are regularizers,
`gradient_norm`, and each head's prediction under the head's name. Where the recipe accumulates batches, what is of one
of them has `@0`, `@1`, … behind its name, and `share@0`, … say which part each batch has of every loss's mean. All
arrays lie as graphc has them, channels last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from graphc.data.target_kind import TargetKind
from graphc.emit.model import OnnxModel
from graphc.emit.training import UNIFORM, TrainingGraph, check_layers
from graphc.emit.training_targets import Target
from graphc.errors import SpecError
from graphc.train.distill import emit_softened
from graphc.train.freezing import frozen_plan
from graphc.train.loss_term import LossTerm, TargetForm
from graphc.train.loss_terms import LossTerms, keys_of
from graphc.train.param_groups import EPSILON, ParamGroups
from graphc.train.recipe import Recipe
from graphc.train.rounding_nodes import emit_rounded_weights
from graphc.train.task import Task
from graphc.training_graph.moving_average import emit_ramped
from graphc.training_graph.tensor import Operand, Tensor, channels_last
from graphc.types import Array

PARAMS, SLOTS, AVERAGE, NEXT = "params/", "slots/", "average/", "next/"
RATE, NORM, LOSS, PENALTY = "learning_rate", "gradient_norm", "loss", "penalty"
TEACHER, SHARE = "teacher", "share"


@dataclass(frozen=True, slots=True)
class HeadInputs:
    """The inputs of the graph that a head reads."""

    label: str
    shape: tuple[int, ...]
    """Of the label, of one example."""
    dtype: str
    weight: str | None
    """None where examples are not weighed."""


def forms_of(targets: Mapping[str, Array]) -> dict[str, TargetForm]:
    """The forms of a batch's targets [N, …], by name."""
    return {
        name: TargetForm(array.shape[1:], bool(np.issubdtype(array.dtype, np.integer)))
        for name, array in targets.items()
    }


def head_inputs(head: LossTerm, forms: Mapping[str, TargetForm], taught: bool = False) -> HeadInputs:
    """What a head's inputs are called: class indices are int32, all else is float32. Examples are weighed where the
    recipe weighs them, or has a teacher: by 0 where there is no label."""
    form = head.label_form(forms)
    counted = TargetKind.CLASS in head.loss.kinds(head.shape)
    classes = counted and form.whole and form.shape == head.shape[:-1] and head.shape[-1] > 1
    weight = f"weight/{head.name}" if head.example_weights or taught else None
    return HeadInputs(f"label/{head.name}", form.shape, "int32" if classes else "float32", weight)


def check_emittable(task: Task) -> None:
    """A SpecError, with its place, where a task has what a training graph has not."""
    recipe = task.recipe
    refused: tuple[tuple[bool, str, str], ...] = (
        (recipe.dtype != "float32", "dtype", f"dtype: a training graph has float32, not {recipe.dtype}"),
    )
    for holds, key, message in refused:
        if holds:
            with recipe.placing((key,)):
                raise SpecError("G370", message)
    for number, head in enumerate(task.heads.targets):
        if not head.loss.has_nodes:
            with recipe.placing(keys_of(recipe, number)):
                raise SpecError("G370", f"the loss {head.loss.kind} has no training graph yet")
    check_layers(task.plan, task.heads.nodes)


def emit_step(
    task: Task,
    learning: ParamGroups,
    batch: int | Sequence[int],
    forms: Mapping[str, TargetForm],
    target: Target = "cpu",
    unroll: int = 1,
    block: int = 0,
) -> OnnxModel:
    """The checked model of a step over so many examples, or over several batches that are accumulated, for variables
    that learn as `learning` says; `forms`: of the targets, by name; `unroll`: steps in a row; `block`: channels
    in a block of onnxruntime's own layout on a CPU, 0 for standard operators alone. A SpecError with the place of what
    has no training graph."""
    check_emittable(task)
    plan = frozen_plan(task.plan, learning.frozen)
    sizes = [batch] if isinstance(batch, int) else batch
    graph = TrainingGraph(plan, sizes[0], target, block=block)
    for turn in range(unroll):
        graph.begin_step(turn, unroll)
        _emit_one(graph, task, learning, sizes, forms)
    for name, value in graph.new_state.items():
        graph.give(f"{NEXT}{name}", value)
    return graph.finish({"graphc.spec": task.spec.source})


def _emit_one(
    graph: TrainingGraph,
    task: Task,
    learning: ParamGroups,
    sizes: Sequence[int],
    forms: Mapping[str, TargetForm],
) -> None:
    """One step, from the state as it is to the one behind it."""
    variables = _variables(graph, task)
    losses: list[Tensor] = []
    found: dict[str, Tensor] = {}
    for number, size in enumerate(sizes):
        graph.begin_pass(number, task.recipe.accumulate, size)
        loss, gradients = _losses(graph, task.heads, forms)
        losses.append(loss)
        for name, gradient in graph.backward(gradients, learning.learning).items():
            found[name] = found[name] + gradient if name in found else gradient
    graph.end_passes()
    loss = reduce(add, losses)
    graph.variables = variables  # from here on those that learn, not what they are rounded to
    graph.about("update")
    penalty = _penalty(graph, learning)
    if penalty is not None:
        graph.give(f"{PENALTY}{graph.suffix}", penalty)
        loss = loss + penalty
        found = _with_penalties(graph, learning, found)
    graph.give(f"{LOSS}{graph.suffix}", loss)
    found = _clipped(graph, found, task.recipe)
    new = _updated(graph, learning, found)
    new |= {name: value for name, value in graph.updates.items() if name not in learning.frozen}
    graph.new_state |= {f"{PARAMS}{name}": value for name, value in new.items()}
    if task.recipe.ema is not None:
        _average(graph, task.recipe, new)


def emit_judge(task: Task, batch: int, target: Target = "cpu") -> OnnxModel:
    """The checked model of the predictions of so many examples, the variables being inputs as in `emit_step`: what
    evaluates a training that is under way. A SpecError where a layer draws numbers in evaluation too."""
    plan = frozen_plan(task.plan, task.plan.variables.keys())
    graph = TrainingGraph(plan, batch, target, training=False)
    _variables(graph, task)
    values = graph.forward(task.heads.nodes)
    for head in task.heads.targets:
        graph.give(head.name, channels_last(values[head.node]))
    for name in graph.inputs:
        if name.endswith(UNIFORM):
            layer = plan.by_name[name.removesuffix(UNIFORM)].node
            message = f"{layer.name}: {layer.layer.kind} draws random numbers in evaluation, which has none"
            raise SpecError("G370", message, layer.place)
    return graph.finish({"graphc.spec": task.spec.source})


def _variables(graph: TrainingGraph, task: Task) -> dict[str, Tensor]:
    """The variables, inputs of the graph; what it computes with is rounded once, where `fake_quantize` rounds it."""
    specs = graph.plan.variables
    variables = {name: graph.state(f"{PARAMS}{name}", spec.shape) for name, spec in specs.items()}
    graph.about("weights")
    rounded = {name: emit_rounded_weights(variables[name], kept) for name, kept in task.scales.items()}
    graph.variables = {**variables, **rounded}
    return variables


def _losses(
    graph: TrainingGraph, heads: LossTerms, forms: Mapping[str, TargetForm]
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum of all heads' losses, and its gradients by node; outputs for each head."""
    values, end = graph.forward(heads.nodes), graph.suffix
    terms: list[Tensor] = []
    gradients: dict[str, Tensor] = {}
    factors = _factors(graph, heads)
    for number, (head, factor) in enumerate(zip(heads.targets, factors, strict=heads.teacher is None)):
        graph.about(f"loss/{head.name}")
        asked, prediction = head_inputs(head, forms, heads.teacher is not None), head.emit_prediction(values)
        label = graph.input(f"{asked.label}{end}", (graph.batch, *asked.shape), asked.dtype)
        weights = None
        if asked.weight is not None:
            shape = forms[head.example_weights].shape if head.example_weights else ()
            weights = graph.input(f"{asked.weight}{end}", (graph.batch, *shape), "float32")
        with heads.recipe.placing(keys_of(heads.recipe, number)):
            value, gradient = head.emit(prediction, label, weights)
        graph.give(f"{LOSS}/{head.name}{end}", value)
        graph.give(f"{head.name}{end}", prediction)
        terms.append(value * factor)
        slopes = gradient * factor
        if heads.teacher is not None:
            answers = graph.input(f"{TEACHER}{end}", prediction.shape, "float32")
            value, gradient = emit_softened(prediction, answers, heads.teacher.temperature)
            graph.give(f"{LOSS}/{TEACHER}{end}", value)
            terms.append(value * factors[1])
            slopes = slopes + gradient * factors[1]
        for node, given in head.emit_gradients(slopes, values).items():
            gradients[node] = gradients[node] + given if node in gradients else given
    return reduce(add, terms), gradients


def _factors(graph: TrainingGraph, heads: LossTerms) -> list[Operand]:
    """Of each term in the sum of all losses; where batches are accumulated times this batch's part of the term's mean,
    an input."""
    if heads.recipe.accumulate == 1:
        return list(heads.factors)
    count = len(heads.factors)
    shares = graph.input(f"{SHARE}{graph.suffix}", (count,), "float32").split([1] * count, 0)
    return [share.reshape() * factor for share, factor in zip(shares, heads.factors, strict=True)]


def _penalty(graph: TrainingGraph, learning: ParamGroups) -> Tensor | None:
    """The regularizers' share of the loss; None where there are none."""
    terms = []
    for name, regularizer in learning.regularizers.items():
        variable = graph.variables[name]
        if regularizer.l2:
            terms.append(variable.square_sum() * (regularizer.l2 / 2))
        if regularizer.l1:
            terms.append(variable.abs().sum() * regularizer.l1)
    return reduce(add, terms) if terms else None


def _with_penalties(graph: TrainingGraph, learning: ParamGroups, gradients: dict[str, Tensor]) -> dict[str, Tensor]:
    """gradient + l1*sign(w) + l2*w, where a variable has a regularizer."""
    found = dict(gradients)
    for name, regularizer in learning.regularizers.items():
        if name not in found:
            continue
        variable = graph.variables[name]
        if regularizer.l2:
            found[name] = found[name] + variable * regularizer.l2
        if regularizer.l1:
            found[name] = found[name] + variable.sign() * regularizer.l1
    return found


def _clipped(graph: TrainingGraph, gradients: dict[str, Tensor], recipe: Recipe) -> dict[str, Tensor]:
    """The gradients within the recipe's limits; their length before is an output."""
    squares = {name: gradient.square_sum() for name, gradient in gradients.items()}
    graph.give(f"{NORM}{graph.suffix}", reduce(add, squares.values()).sqrt())
    limits, found = recipe.clip, dict(gradients)
    if limits.variable_norm is not None:
        for name, gradient in gradients.items():
            factor = (limits.variable_norm / (squares[name].sqrt() + EPSILON)).clip(most=1)
            found[name], squares[name] = gradient * factor, squares[name] * (factor * factor)
    if limits.global_norm is not None:
        factor = (limits.global_norm / (reduce(add, squares.values()).sqrt() + EPSILON)).clip(most=1)
        found = {name: gradient * factor for name, gradient in found.items()}
    return found


def _updated(graph: TrainingGraph, learning: ParamGroups, gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The variables that learn, one step further, and in the state their slots."""
    optimizer, rate = learning.recipe.optimizer, graph.input(f"{RATE}{graph.suffix}", (), "float32")
    found = {}
    for name in learning.learning:
        if name not in gradients:
            continue
        variable = graph.variables[name]
        names = [f"{SLOTS}{slot}/{name}" for slot in optimizer.slots]
        slots = tuple(graph.state(each, variable.shape) for each in names)
        decay = 0.0 if optimizer.decay_only_weights and variable.rank < 2 else optimizer.weight_decay
        step = graph.steps_done + (1 - learning.began.get(name, 0))
        found[name], new = optimizer.emit_update(
            variable, gradients[name], slots, rate * learning.factors[name], step, decay
        )
        graph.new_state |= dict(zip(names, new, strict=True))
    return found


def _average(graph: TrainingGraph, recipe: Recipe, new: Mapping[str, Tensor]) -> None:
    """The moving average of every variable, one step further."""
    settings = recipe.ema
    assert settings is not None
    for name, before in graph.variables.items():
        mean = graph.state(f"{AVERAGE}{name}", before.shape)
        left = 1 - (emit_ramped(settings.decay, graph.steps_done) if settings.ramp else settings.decay)
        graph.new_state[f"{AVERAGE}{name}"] = mean + (new.get(name, before) - mean) * left
