"""Drafts and names -> LayerGraph: references looked up, layers ordered, outputs and end points named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphc.errors import Errors, Place, RuleError, SpecError, Warn, clipped
from graphc.graph import GraphInput, LayerGraph, Node
from graphc.layers.base import Layer
from graphc.passes.end_points import name_end_points
from graphc.passes.wiring import Names, topological_order
from graphc.spec.entry import Argument, check_name
from graphc.spec.expressions import substitute
from graphc.spec.forms.frame import InputRef, NameRef, Ref
from graphc.spec.model import ModelSpec
from graphc.spec.pretrained import read_pretrained


@dataclass(frozen=True, slots=True)
class UnresolvedNode:
    """A node whose inputs are not yet looked up."""

    name: str
    layer: Layer
    inputs: tuple[Ref, ...]
    place: Place
    variables: str
    arguments: Mapping[str, Argument]
    trail: tuple[str, ...]
    followed_by: Mapping[str, Argument]


def wire(
    spec: ModelSpec,
    batch: str | int,
    inputs: tuple[GraphInput, ...],
    unresolved: Sequence[UnresolvedNode],
    names: Names,
    named: Sequence[str],
    last: Ref | None,
) -> LayerGraph:
    """The graph of a spec; `named` are the layers and groups that the user named, `last` the last value."""
    unresolved, sources = take_over(unresolved, resolve_inputs(unresolved, names))
    order = topological_order(
        [[source for source in read if isinstance(source, int)] for read in sources],
        lambda numbers: cycle_error([unresolved[number] for number in numbers]),
    )
    nodes = tuple(
        Node(
            unresolved[number].name,
            unresolved[number].layer,
            tuple(name_of(source, unresolved) for source in sources[number]),
            unresolved[number].place,
            unresolved[number].variables,
            unresolved[number].arguments,
            unresolved[number].trail,
            unresolved[number].followed_by,
        )
        for number in order
    )
    check_shared(nodes)
    outputs = read_outputs(spec, unresolved, names, last)
    targets = {full: names.resolve(ref) for full, ref in names.targets.items()}
    shown = {full: unresolved[source].name for full, source in targets.items() if isinstance(source, int)}
    end_points = name_end_points(spec, shown, named)
    asked_for = {*outputs.values(), *(end_points.values() if spec.end_points is not None else ())}
    warnings = dead_ends(nodes, asked_for)
    return LayerGraph(
        spec.name,
        batch,
        inputs,
        nodes,
        outputs,
        end_points,
        spec.expect,
        warnings,
        spec.scope,
        read_pretrained(spec),
    )


def resolve_inputs(unresolved: Sequence[UnresolvedNode], names: Names) -> list[tuple[int | InputRef, ...]]:
    """What every layer reads; all unknown names are reported at once."""
    found: list[tuple[int | InputRef, ...]] = []
    errors = Errors()
    for node in unresolved:
        with errors.collecting(of_a_layer=True):
            found.append(tuple(names.resolve(ref) for ref in node.inputs))
    errors.raise_if_any()
    return found


def take_over(
    unresolved: Sequence[UnresolvedNode], sources: list[tuple[int | InputRef, ...]]
) -> tuple[list[UnresolvedNode], list[tuple[int | InputRef, ...]]]:
    """Layers that undo another, the last that they read, with what they take over of it: arguments, and its inputs."""
    nodes, read = list(unresolved), list(sources)
    errors = Errors()
    for number, node in enumerate(unresolved):
        if node.layer.undoes is None:
            continue
        *own, undone = sources[number]
        other = unresolved[undone].layer if isinstance(undone, int) else None
        with errors.collecting(of_a_layer=True):
            try:
                nodes[number] = replace(node, layer=node.layer.undoing(other))
            except RuleError as error:
                place = node.arguments["pool"].place or node.place
                raise SpecError(error.code, f"{node.name}: {error.message}", place, node.trail) from None
        read[number] = (*own, *(sources[undone] if isinstance(undone, int) else ()))
    errors.raise_if_any()
    return nodes, read


def check_shared(nodes: Sequence[Node]) -> None:
    """A SpecError for each layer that would share the variables of a layer that is not there."""
    names = {node.name for node in nodes}
    errors = Errors()
    for node in nodes:
        if node.variables not in names and node.layer.may_have_variables():
            message = (
                f"{node.name}: share: expected a layer {clipped(node.variables)} whose variables it uses, found none"
            )
            errors.add(SpecError("G125", message, node.place, node.trail), of_a_layer=True)
    errors.raise_if_any()


def name_of(source: int | InputRef, unresolved: Sequence[UnresolvedNode]) -> str:
    return unresolved[source].name if isinstance(source, int) else source.name


def cycle_error(unresolved: Sequence[UnresolvedNode]) -> SpecError:
    names = [node.name for node in unresolved]
    chain = " -> ".join([*reversed(names), names[-1]])
    return SpecError("G122", f"the layers form a cycle: {chain}", unresolved[0].place)


def read_outputs(
    spec: ModelSpec, unresolved: Sequence[UnresolvedNode], names: Names, last: Ref | None
) -> dict[str, str]:
    """Output name -> node name; the last layer where the spec names none."""
    if spec.outputs is None:
        source = names.resolve(last) if last is not None else None
        if not isinstance(source, int):
            raise SpecError("G127", "the spec has no layers", spec.place)
        if "output" in names.inputs:
            message = "the output is called 'output' where the spec names none, and so is an input: write outputs"
            raise SpecError("G124", message, spec.inputs.key_places["output"])
        return {"output": unresolved[source].name}
    if not spec.outputs:
        message = "outputs expects names with their layers, got none: left out, the last layer is the output"
        raise SpecError("G127", message, spec.outputs.place)
    outputs = {}
    errors = Errors()
    for name, written in spec.outputs.items():
        with errors.collecting():
            outputs[name] = unresolved[read_output(spec, names, name, written)].name
    errors.raise_if_any()
    return outputs


def read_output(spec: ModelSpec, names: Names, name: str, written: Any) -> int:
    """The number of the layer that the output `name` stands for."""
    assert spec.outputs is not None
    place = spec.outputs.places[name]
    check_name(name, spec.outputs.key_places[name])
    if name in names.inputs:
        message = f"the name {clipped(name)} is an input's: an output needs another"
        raise SpecError("G124", message, spec.outputs.key_places[name])
    target = substitute(written, spec.vars, place)
    if not isinstance(target, str):
        raise SpecError("G127", f"output {name} expects the name of a layer, got {clipped(target)}", place)
    source = names.resolve(NameRef(target, "", {}, place))
    if not isinstance(source, int):
        raise SpecError("G127", f"output {name} expects a layer, got the input {clipped(target)}", place)
    return source


def dead_ends(nodes: Sequence[Node], asked_for: set[str]) -> tuple[Warn, ...]:
    """A warning for the last layer of each path that leads nowhere."""
    read = {source for node in nodes for source in node.inputs} | asked_for
    message = "{}: reaches no output or end point, so the compiled file leaves it out"
    return tuple(Warn("G232", message.format(node.name), node.place) for node in nodes if node.name not in read)
