"""The whole way, in order: read this first.

    YAML ─read_spec→ ModelSpec ─expand→ LayerGraph ─plan→ Plan ─emit(params)→ onnx.ModelProto → any runtime
                                                       └→ Trainer ─fit→ params ─→ emit

These functions are also the Python API: `plan_spec("vgg_16")`, `compile_spec("net.yaml", "net.onnx")`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from graphc.errors import SpecError
from graphc.graph import LayerGraph, Plan
from graphc.lazy import lazy_import
from graphc.passes.expand import MAX_LAYERS, expand
from graphc.passes.expectations import check_expectations, check_file_bytes
from graphc.passes.lints import lints
from graphc.passes.plan import MAX_BYTES, plan
from graphc.passes.truncate import until as truncate
from graphc.spec.model import ModelSpec, read_spec
from graphc.spec.variables import Settings
from graphc.types import Array

if TYPE_CHECKING:
    from graphc import initializers, weights
    from graphc.emit import model as emit
    from graphc.emit.front import Front
else:  # planning loads neither onnx nor numpy
    emit = lazy_import("graphc.emit.model")
    initializers = lazy_import("graphc.initializers")
    weights = lazy_import("graphc.weights")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a spec may ask for before it is refused."""

    layers: int = MAX_LAYERS
    memory: int = MAX_BYTES
    """Bytes of all variables, and of any one activation of one example."""


@dataclass(frozen=True, slots=True)
class Emission:
    """How the ONNX file is written."""

    opset: int = 17
    ir_version: int = 8
    layout: str = "nhwc"
    """Of the graph's image inputs: nhwc puts one Transpose behind each, nchw none."""
    output_layout: str | None = None
    """Of its image outputs; None: as the inputs."""
    fold: bool = True
    """Fold batch norm into the weights before it, drop what does nothing in inference."""
    preprocess: Callable[[Plan], Mapping[str, Front]] | None = None
    """What the file does to raw images before the network, by input name."""
    describe: Callable[[Plan], Mapping[str, str]] | None = None
    """What its metadata say besides."""
    batch: int | None = None
    """A fixed number of examples; None: as the spec says."""
    passes: Sequence[Callable[[emit.OnnxModel, Plan], emit.OnnxModel]] = ()
    """What is done to the float32 model, in order: forms that a target needs, integers, half precision."""


def plan_spec(
    spec: str | Path, settings: Sequence[str] = (), *, until: str | None = None, limits: Limits = Limits()
) -> Plan:
    """Read, expand and analyse a spec (a path or a zoo name); budgets are checked on the whole model only."""
    return plan_model(read_spec(spec, settings), until=until, limits=limits)


def plan_model(model: ModelSpec, *, until: str | None = None, limits: Limits = Limits()) -> Plan:
    graph = expand(model, max_layers=limits.layers)
    if until is not None:
        return plan(truncate(graph, until), max_bytes=limits.memory)
    return plan_graph(model, graph, limits)


def plan_graph(model: ModelSpec, graph: LayerGraph, limits: Limits = Limits()) -> Plan:
    """Every analysis of a spec's whole graph, and its budgets."""
    planned = plan(graph, max_bytes=limits.memory)
    check_expectations(planned, exact=not model.overridden, spec=model.path)
    return planned


def compile_plan(
    planned: Plan,
    params: Mapping[str, Array],
    how: Emission = Emission(),
    metadata: Mapping[str, str] | None = None,
    *,
    overwrite: bool = False,
) -> emit.OnnxModel:
    """A checked ONNX model of a plan with these weights (by full name, each in its own shape, float32), which are
    overwritten with `overwrite`: it then needs no memory of its own for them."""
    planned = with_batch(planned, how.batch) if how.batch is not None else planned
    model = emit.emit(
        planned,
        params,
        opset=how.opset,
        ir_version=how.ir_version,
        layout=how.layout,
        output_layout=how.output_layout or how.layout,
        fold=how.fold,
        metadata={**(metadata or {}), **(how.describe(planned) if how.describe else {})},
        fronts=how.preprocess(planned) if how.preprocess else None,
        overwrite=overwrite,
    )
    for each in how.passes:
        model = each(model, planned)
    return model


def with_batch(planned: Plan, batch: int) -> Plan:
    """The plan for a fixed number of examples; a SpecError where the spec fixes another."""
    fixed = planned.graph.batch
    if isinstance(fixed, int) and fixed != batch:
        raise SpecError(
            "G348", f"the spec fixes the batch at {fixed}, it cannot be {batch}", planned.graph.inputs[0].place
        )
    return replace(planned, graph=replace(planned.graph, batch=batch))


def compile_spec(
    spec: str | Path,
    output: str | Path,
    settings: Settings = (),
    *,
    weights_from: str | Path | None = None,
    load: weights.LoadOptions | None = None,
    partial: bool = False,
    weights_to: str | Path | None = None,
    seed: int = 0,
    until: str | None = None,
    how: Emission = Emission(),
    limits: Limits = Limits(),
) -> tuple[Plan, weights.LoadReport | None]:
    """A spec becomes an ONNX file, with weights from a file or drawn from the spec's initializers.

    `load` says how the file is read (whose it is, say), `partial` takes from it what it has; `weights_to` also
    writes all variables by name. The report says what the file had.
    """
    model = read_spec(spec, settings)
    planned = plan_model(model, until=until, limits=limits)
    params, report = initial_or_loaded(planned, seed, weights_from, partial=partial, load=load)
    metadata = {"graphc.spec": model.source, "graphc.seed": str(seed)}
    made = compile_plan(planned, params, how, metadata, overwrite=weights_to is None)
    check_file_bytes(planned, made.size)
    if weights_to is not None:
        weights.save(weights_to, params)
    emit.write_model(made, output)
    return planned, report


def initial_or_loaded(
    planned: Plan,
    seed: int,
    weights_from: str | Path | None,
    *,
    partial: bool = False,
    load: weights.LoadOptions | None = None,
) -> tuple[dict[str, Array], weights.LoadReport | None]:
    """Every variable of the plan in its own shape, from the file or as initialized, and what the file had.

    With `partial` a variable that the file lacks, or has in another shape, starts as initialized; without, that is
    an error.
    """
    variables = planned.variables
    if weights_from is None:
        return initializers.initial_values(variables, seed), None
    loaded, report = weights.load_variables(weights_from, planned, load or weights.LoadOptions())
    if not partial:
        report.raise_if_incomplete()
        return loaded, report
    others = {name: spec for name, spec in variables.items() if name not in loaded}
    drawn = initializers.initial_values(others, seed)
    return {name: loaded[name] if name in loaded else drawn[name] for name in variables}, report


__all__ = ["Emission", "Limits", "compile_plan", "compile_spec", "lints", "plan_graph", "plan_model", "plan_spec"]
