"""A spec with its variables, compared with the file that it was imported from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphc.compiler import Emission, compile_plan, plan_model
from graphc.errors import GraphcError, SpecError, WeightsError
from graphc.files import shown
from graphc.graph import Plan
from graphc.importers.flat import LETTERS, FlatLayer
from graphc.initializers import Normal
from graphc.runtime import Session
from graphc.spec.model import read_spec_text
from graphc.types import Array

TOLERANCE = 1e-5
"""Difference, relative to the largest output, up to which both files are the same."""
EXAMPLES = 2
MOST_NUMBERS = 2**26
"""Of all inputs together, with which a file and a spec are compared."""


MOST_OF_A_VALUE = 2**27
"""Of what a layer gives, with which they are compared."""


def check_inputs(path: Path, batch: int, shapes: Iterable[Sequence[Any]]) -> None:
    """A WeightsError where comparing on inputs of these shapes would take more than anybody's images."""
    count = batch * sum(math.prod(int(size) for size in shape) for shape in shapes)
    if count > MOST_NUMBERS:
        message = f"expected inputs of at most {MOST_NUMBERS:,} numbers to compare on, found {count:,}"
        raise WeightsError("G363", f"{shown(path)}: {message}: use --no-check")


def check_values(path: Path, batch: int, shapes: Iterable[Sequence[Any]]) -> None:
    """A WeightsError where a value of these shapes of an example would be too large to be computed for a comparison."""
    sizes = ([int(size) for size in shape if isinstance(size, int)] for shape in shapes)
    largest = batch * max(map(math.prod, sizes), default=0)
    if largest > MOST_OF_A_VALUE:
        message = f"expected values of at most {MOST_OF_A_VALUE:,} numbers to compare, found {largest:,}"
        raise WeightsError("G363", f"{shown(path)}: {message}: use --no-check")


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the file, and what the spec calls it."""

    theirs: str
    ours: str
    axes: str
    """nchw or another order of an image's; nc of a vector, nlc or ncl of a sequence."""


def plan_of(text: str, path: Path) -> Plan:
    """The plan of a spec that was made of the file at `path`; a WeightsError where it cannot be."""
    try:
        return plan_model(read_spec_text(text, path.with_suffix(".yaml")))
    except SpecError as wrong:  # its place is in a text that nobody has, and the command has no such option
        message = wrong.message.removesuffix(" (--max-memory)")
        raise WeightsError(wrong.code, f"{shown(path)}: its spec cannot be: {message}", notes=wrong.notes) from None


def variables_of(plan: Plan, layers: Sequence[FlatLayer]) -> dict[str, Array]:
    """The variables of the plan, whose layers these are in its order, by full name; of any shape."""
    parts = [part for layer in layers for part in layer.parts]
    if [node.node.layer.kind for node in plan.nodes] != [part.kind for part in parts]:
        raise GraphcError("G364", "the imported spec has other layers than the file: this is a mistake of graphc's")
    found: dict[str, Array] = {}
    for planned, part in zip(plan.nodes, parts, strict=True):
        for local, spec in planned.params.items():
            array = np.ascontiguousarray(part.params[local], np.float32)
            if array.shape != spec.shape:
                message = f"{planned.node.name}: {local}: expected {spec.shape}, found {array.shape} in the file"
                raise GraphcError("G364", message)
            found[plan.graph.variable(planned.node, local)] = array
    return found


def random_inputs(
    inputs: Sequence[Port], shapes: Mapping[str, tuple[int, ...]], batch: int, seed: int = 0
) -> dict[str, Array]:
    """Normally distributed, [N, H, W, C] or [N, C], by the spec's names."""
    return {
        port.ours: Normal(stddev=1.0).draw((batch, *shapes[port.ours]), f"input {port.ours}", seed) for port in inputs
    }


def arranged(array: Array, axes: str, back: bool = False) -> Array:
    """An array with its channels last as the file has it; `back`: the other way round. Of any shape."""
    own = f"n{LETTERS[len(axes) - 1]}"
    if axes == own:
        return array
    order = [own.index(letter) for letter in axes]
    return np.ascontiguousarray(array.transpose(np.argsort(order) if back else order))


def theirs(
    session: Session, inputs: Sequence[Port], outputs: Sequence[Port], feeds: Mapping[str, Array]
) -> list[Array]:
    """What the file gives, channels last; arrays of any shape, by the spec's names of inputs."""
    given = {port.theirs: arranged(feeds[port.ours], port.axes) for port in inputs}
    results = session.run(given, [port.theirs for port in outputs])
    return [arranged(results[port.theirs], port.axes, back=True) for port in outputs]


def ours(plan: Plan, params: Mapping[str, Array], outputs: Sequence[Port], feeds: Mapping[str, Array]) -> list[Array]:
    """What the spec's own file gives, arrays of any shape, channels last."""
    model = compile_plan(plan, params, Emission())
    results = Session(model.serialize()).run(feeds, [port.ours for port in outputs])
    return [results[port.ours] for port in outputs]


def difference(found: Sequence[Array], expected: Sequence[Array]) -> float:
    """The largest difference of outputs of any shape, each relative to its largest value; infinite where one is not
    finite, or has another shape than the expected one."""
    worst = 0.0
    for mine, other in zip(found, expected, strict=True):
        if mine.shape != other.shape:
            return float("inf")
        largest = float(np.max(np.abs(other), initial=0.0))
        if not np.isfinite(largest):
            raise WeightsError("G363", "the file gives infinite numbers or NaN for random inputs: use --no-check")
        error = float(np.max(np.abs(mine - other), initial=0.0)) / (largest or 1.0)
        worst = max(worst, error if np.isfinite(error) else float("inf"))
    return worst
