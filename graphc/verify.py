"""onnxruntime against NumPy, at every end point."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from graphc.dims import Formula, Shape, evaluate_shape, format_shape
from graphc.emit.model import emit
from graphc.errors import GraphcError, SpecError, counted, did_you_mean
from graphc.execution.network import evaluate
from graphc.files import shown
from graphc.graph import Plan
from graphc.initializers import Normal
from graphc.layers.base import elements
from graphc.passes.infer_shapes import check_sizes
from graphc.passes.plan import FLOAT, MAX_BYTES, show_bytes
from graphc.providers import CPU
from graphc.runtime import Session
from graphc.types import Array

SIZES = (64, 96, 128, 160, 192, 224, 256, 299, 320, 384, 448, 512, 640, 768, 1024, *(2**k for k in range(11, 21)))
"""What is tried for a size that the spec leaves open, until all layers can take it."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far two values of an end point are apart."""

    name: str
    node: str
    largest: float
    """NumPy's largest absolute value."""
    error: float
    """Largest absolute difference, relative to `largest`."""


def verify(
    plan: Plan,
    params: Mapping[str, Array],
    inputs: Mapping[str, Array] | None = None,
    *,
    batch: int = 2,
    sizes: Mapping[str, int] | None = None,
    seed: int = 0,
    opset: int = 17,
    fold: bool = True,
    threads: int | None = None,
    max_bytes: int = MAX_BYTES,
    provider: str = CPU,
    verbose: bool = False,
    say: Callable[[str], None] = lambda message: None,
) -> list[Comparison]:
    """Every end point and output, in the order of the layers.

    `inputs` [N, ...] are channels last, random where not given. `sizes`: of those that the spec leaves open, by their
    name; the others are chosen so that all layers can take them. Random inputs whose values, with those of all layers,
    have more than `max_bytes` are refused. `provider` and `verbose` as of `Session`; `say` takes what is to be
    said of the providers.
    """
    names = watched(plan)
    if inputs is None:
        shapes, count = _shapes(plan, choose_sizes(plan, sizes or {})), _examples(plan, batch)
        check_memory(plan, shapes, count, max_bytes)
        inputs = _drawn(shapes, count, seed)
    ours = evaluate(plan, params, inputs, keep=names)
    model = emit(plan, params, opset=opset, fold=fold, outputs={node: node for node in names})
    session = Session(model.serialize(), provider, threads, verbose=verbose)
    for notice in session.notices:
        say(notice)
    theirs = session.run(inputs)
    return [
        Comparison(point, node, *_difference(ours[node], _channels_last(theirs[node])))
        for node, points in names.items()
        for point in points
    ]


def watched(plan: Plan) -> dict[str, list[str]]:
    """Node -> the end points that it is; an output that is none goes by its own name."""
    found: dict[str, list[str]] = {}
    for name, node in plan.graph.end_points.items():
        found.setdefault(node, []).append(name)
    for name, node in plan.graph.outputs.items():
        found.setdefault(node, [name])
    return {node: found[node] for node in plan.by_name if node in found}


def random_inputs(plan: Plan, batch: int, seed: int, sizes: Mapping[str, int] | None = None) -> dict[str, Array]:
    """Normally distributed inputs [N, ...], of a size that all layers can take where neither the spec nor `sizes` says
    one."""
    return _drawn(_shapes(plan, choose_sizes(plan, sizes or {})), _examples(plan, batch), seed)


def _drawn(shapes: Mapping[str, tuple[int, ...]], count: int, seed: int) -> dict[str, Array]:
    return {name: Normal(stddev=1.0).draw((count, *shape), f"input {name}", seed) for name, shape in shapes.items()}


def _examples(plan: Plan, batch: int) -> int:
    return plan.graph.batch if isinstance(plan.graph.batch, int) else batch


def check_memory(plan: Plan, shapes: Mapping[str, tuple[int, ...]], count: int, max_bytes: int) -> None:
    """Refuse inputs of these shapes whose values, with those of all layers, have more than `max_bytes`."""
    needed = FLOAT * count * sum(elements(shape) for shape in check_sizes(plan.graph, shapes).values())
    if needed > max_bytes:
        given = ", ".join(f"{name} {format_shape(shape)}" for name, shape in shapes.items())
        message = f"the values of all layers for {counted(count, 'example')} ({given}) are {show_bytes(needed)}"
        place = plan.graph.inputs[0].place
        raise SpecError("G207", f"{message}, over the limit of {show_bytes(max_bytes)} (--max-memory)", place)


def choose_sizes(plan: Plan, given: Mapping[str, int]) -> dict[str, int]:
    """A number for every size that the spec leaves open, those `given` among them; an error where none is found."""
    known = sorted({name for each in plan.graph.inputs for name in _symbols(each.shape)})
    for name in given:
        if name not in known:
            there = f"its open sizes are {', '.join(known)}" if known else "it leaves no size open"
            batch = ", and --batch sets the batch" if name == plan.graph.batch else ""
            raise SpecError("G347", f"the spec has no size {shown(name)}{did_you_mean(name, known)}: {there}{batch}")
    free = [name for name in known if name not in given]
    sizes = {**given, **_first(plan, given, free)}
    for name in free:
        sizes.update(_first(plan, sizes, [name]))
    return sizes


def _first(plan: Plan, sizes: Mapping[str, int], free: Sequence[str]) -> dict[str, int]:
    """The first of SIZES that all layers can take for these at once, the others being `sizes`."""
    failures = []
    for size in SIZES if free else SIZES[:1]:
        chosen = dict.fromkeys(free, size)
        try:
            check_sizes(plan.graph, _shapes(plan, {**sizes, **chosen}))
        except GraphcError as error:
            failures.append(error)
        else:
            return chosen
    if not free:
        raise failures[0]
    last = failures[-1]
    message = f"no size of {' and '.join(free)} from {SIZES[0]} to {SIZES[-1]:,} was found that all layers can take"
    notes = (f"at {SIZES[-1]:,}: {last.message}", *last.notes)
    raise SpecError("G346", f"{message}: give one with --size {free[0]}=NUMBER", last.place, notes)


def read_sizes(options: Sequence[str]) -> dict[str, int]:
    """Sizes by name from `NAME=NUMBER`."""
    sizes: dict[str, int] = {}
    for option in options:
        name, _, number = option.partition("=")
        if not (name and number.isascii() and number.isdecimal() and 0 < len(number) < 10 and int(number)):
            raise SpecError("G347", f"--size expects NAME=NUMBER, such as H=64, got {shown(option)}")
        if sizes.setdefault(name, int(number)) != int(number):
            raise SpecError("G347", f"--size gives {shown(name)} twice: {sizes[name]} and {number}")
    return sizes


def _symbols(shape: Shape) -> list[str]:
    return [name for size in shape if isinstance(size, Formula) for name in size.symbols()]


def _shapes(plan: Plan, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    return {each.name: evaluate_shape(each.shape, sizes) for each in plan.graph.inputs}


def _difference(ours: Array, theirs: Array) -> tuple[float, float]:
    """(largest absolute value, largest difference relative to it); infinite where shapes or NaNs differ."""
    largest = float(np.max(np.abs(ours)))
    if ours.shape != theirs.shape:
        return largest, float("inf")
    error = float(np.max(np.abs(ours - theirs))) / (largest or 1.0)
    return largest, error if np.isfinite(error) else float("inf")


def _channels_last(array: Array) -> Array:
    """Images and volumes [N, C, …] as [N, …, C]; all else as it is."""
    return np.moveaxis(array, 1, -1) if array.ndim in (4, 5) else array
