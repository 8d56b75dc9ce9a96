"""`graphc show --kernels`: how NumPy's side computes, and why: algorithms of convolutions, layers that run as one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

from graphc.errors import RuleError, SpecError
from graphc.execution.fusion import fuse
from graphc.graph import Plan, PlannedNode
from graphc.kernels.conv import ConvChoice, ConvPart, choose_conv_algorithm, choose_input_gradient_algorithm
from graphc.layers.base import static
from graphc.lazy import np
from graphc.report.show import CELLS, headline
from graphc.report.tables import Look, render

COLUMNS = ("layer", "kind", "computes", "algorithm", "reason")


@runtime_checkable
class Convolves(Protocol):
    """A layer that computes convolutions."""

    def convolutions(self, x_shape: tuple[int, ...], dtype: Any, training: bool) -> tuple[ConvPart, ...]:
        """What there is to compute of images of this shape, N H W C, in the order in which it is done."""


def kernels(plan: Plan, form: str, *, batch: int, training: bool) -> str:
    """Rows (layer, kind, what is computed, algorithm, reason) of every convolution, of float32, and of layers that run
    as one where nobody asks for the values between them: the first one's name, all their kinds.

    Raises SpecError (G205) where the size of a layer's input is a symbol, and G190 where the environment names an
    algorithm that there is not.
    """
    learning = plan.at_or_above([name for name, spec in plan.variables.items() if spec.trainable])
    fused = {group.first.name: group for group in fuse(plan.graph.nodes, set(plan.graph.outputs.values()))}
    rows = []
    for planned in plan.nodes:
        name, kind = planned.node.name, planned.node.layer.kind
        for what, choice in _choices(plan, planned, batch, training, learning):
            rows.append([name, kind, what, choice.algorithm.name, choice.reason])
        if name in fused and fused[name].reason:
            kinds = " + ".join(node.layer.kind for node in fused[name].nodes)
            rows.append([name, kinds, "all in one", "fused", fused[name].reason])
    how = "training" if training else "inference"
    notes = (f"{how}, a batch (in training a shard of one) of {batch}; --batch and --training choose",)
    return render(COLUMNS, rows, form, look=Look(CELLS, ("kind",), headline(plan), notes))


def _choices(
    plan: Plan, planned: PlannedNode, batch: int, training: bool, learning: frozenset[str]
) -> Iterator[tuple[str, ConvChoice]]:
    """What a layer computes with convolutions, and by which algorithm; gradients that nobody asks for are left out."""
    node = planned.node
    if not isinstance(node.layer, Convolves):
        return
    try:
        shape = static(plan.input_shapes(node)[0], node.name)
    except RuleError as error:
        raise SpecError(error.code, error.message, node.place) from None
    parts = node.layer.convolutions((batch, *shape), np.dtype(np.float32), training)
    for part in parts:
        asked = not part.of_input or not learning.isdisjoint(node.inputs)
        for what, choice in _of_part(part, training, asked):
            yield f"{part.name} {what}".strip(), choice


def _of_part(part: ConvPart, training: bool, input_gradient: bool) -> Iterator[tuple[str, ConvChoice]]:
    own = choose_conv_algorithm(part.problem)
    if part.backwards:
        yield "output", choose_input_gradient_algorithm(part.problem)
        if training:
            yield "gradients" if input_gradient else "weight gradient", own
    elif training:
        yield "output, weight gradient", own
        if input_gradient:
            yield "input gradient", choose_input_gradient_algorithm(part.problem, with_weights=True)
    else:
        yield "output", own
